//! What users type, and what comes of it.

use rehearsal_engine::latency::PromptLatency;

use super::*;
use crate::args::{self, Parsed};

fn config_with_env(line: &str, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let args = std::iter::once("rehearsal").chain(line.split_whitespace()).map(str::to_owned).collect();
    let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
    match args::parse(args, env)? {
        Parsed::Run(settings) => Config::new(&settings),
        Parsed::Print(text) => panic!("{text}"),
    }
}

fn config(line: &str) -> Result<Config, Vec<String>> {
    config_with_env(line, &[])
}

/// Writes `text` to a file of its own and returns its path.
fn file(name: &str, text: &str) -> String {
    let path = std::env::temp_dir().join(format!("rehearsal-config-{}-{name}.yaml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_default_is_the_seeds() {
    let config = config("--model m").unwrap();
    assert_eq!((config.port, config.picks.mode.as_str()), (8000, "random"));
    assert_eq!(config.served_model_names, ["m"]);
    assert_eq!(config.engine.max_model_len, 1024);
    assert_eq!(config.engine.max_num_seqs.get(), 5);
    assert_eq!(config.engine.max_waiting_queue_length, 1000);
    assert_eq!(config.latency.inter_token_latency, Jittered::default());
    assert_eq!((config.engine.max_loras.get(), config.engine.max_cpu_loras.get()), (1, 1));
    assert_eq!((config.log.filter.as_str(), config.log.json), ("info", false));
    let plugins: Vec<_> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(plugins, ["random", "tool-call", "failure", "echo"]);
}

#[test]
fn top_level_keys_configure_the_built_in_unless_its_own_configuration_does() {
    let line = r#"--max-tool-call-integer-param 7 --min-tool-call-number-param 0.5 --plugin-config tool-call={"max-tool-call-integer-param":9}"#;
    let config = config(&format!("--model m {line}")).unwrap();
    let tool_call = config.plugins.iter().find(|plugin| plugin.name == "tool-call").unwrap();
    assert_eq!(
        serde_json::Value::Object(tool_call.config.clone()),
        serde_json::json!({ "max-tool-call-integer-param": 9, "min-tool-call-number-param": 0.5 })
    );
}

#[test]
fn a_key_has_four_spellings() {
    let path = file("spellings", "max-num-seqs: 9");
    for line in ["--max-num-seqs 9", "--max-num-seqs=9", "--max_num_seqs 9", &format!("--config {path}")] {
        assert_eq!(config(&format!("--model m {line}")).unwrap().engine.max_num_seqs.get(), 9, "{line}");
    }
    for (line, expected) in [
        ("", false),
        ("--strict-context-window", true),
        ("--strict-context-window=true", true),
        ("--strict-context-window false", false),
        ("--no-strict-context-window", false),
    ] {
        assert_eq!(config(&format!("--model m {line}")).unwrap().strict_context_window, expected, "{line}");
    }
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let path = file("layers", "model: from-file\nport: 1\nmax-num-seqs: 3\n");
    let env = [("SIM_MODEL", "from-env")];
    let layered = config_with_env(&format!("--config {path} --port 2"), &env).unwrap();
    assert_eq!((layered.model.as_str(), layered.port), ("from-env", 2));
    assert_eq!(layered.engine.max_num_seqs.get(), 3);
    assert_eq!(config_with_env("positional", &env).unwrap().model, "positional");
    assert_eq!(config(&format!("--config {path}")).unwrap().model, "from-file");
}

#[test]
fn durations_are_milliseconds_or_have_units() {
    let latency = |text: &str| {
        let config = config(&format!("--model m --inter-token-latency {text}"));
        config.map(|config| config.latency.inter_token_latency.mean)
    };
    for (text, micros) in [("7", 7_000), ("250us", 250), ("0.1ms", 100), ("1.5s", 1_500_000), ("1m30s", 90_000_000)] {
        assert_eq!(latency(text), Ok(Duration::from_micros(micros)), "{text}");
    }
    for text in ["-5", "5 parsecs", "ms", "1.5", "1s5", "1e400s"] {
        assert!(latency(&text.replace(' ', "")).is_err(), "{text}");
    }
}

#[test]
fn the_calculator_decides_which_latencies_count() {
    let prefill = |more: &str| config(&format!("--model m {more}")).map(|config| config.latency.prefill);
    let ms = Duration::from_millis;
    let constant = PromptLatency::Constant(Jittered { mean: ms(100), std_dev: Duration::ZERO });
    let per_token = PromptLatency::PerToken { overhead: ms(30), per_token: ms(2), std_dev: Duration::ZERO };
    let both = "--time-to-first-token 100 --prefill-overhead 30 --prefill-time-per-token 2";
    assert_eq!(prefill(both), Ok(constant));
    assert_eq!(prefill("--prefill-overhead 30 --prefill-time-per-token 2"), Ok(per_token));
    assert_eq!(prefill(&format!("{both} --latency-calculator per-token")), Ok(per_token));
    assert_eq!(prefill(&format!("{both} --latency-calculator constant")), Ok(constant));
    let problems = config("--model m --latency-calculator guess --time-factor-under-load 0.5").unwrap_err();
    assert_eq!(
        problems,
        [
            "latency-calculator: \"guess\" is no calculator; known are constant and per-token (from the command line)",
            "time-factor-under-load: 0.5 is less than 1 (from the command line)",
        ]
    );
}

#[test]
fn large_numbers_may_be_abbreviated() {
    let window =
        |text: &str| config(&format!("--model m --max-model-len {text}")).map(|config| config.engine.max_model_len);
    for (text, tokens) in [("32k", 32_000), ("32K", 32_768), ("1m", 1_000_000), ("25.6k", 25_600), ("1", 1)] {
        assert_eq!(window(text), Ok(tokens), "{text}");
    }
    for text in ["0", "-1", "32x", "1.5", "9t", "k"] {
        assert!(window(text).is_err(), "{text}");
    }
}

#[test]
fn all_problems_are_listed_at_once() {
    let path = file("problems", "max-num-seq: 3\nmode: [a, b]\n");
    let unknown = config(&format!("--prot 1 2 --max-num-seqs 0 --config {path}")).unwrap_err();
    assert_eq!(
        unknown,
        [
            "unknown flag --prot; did you mean --port?".to_owned(),
            format!("{path}: unknown key \"max-num-seq\"; did you mean max-num-seqs?"),
        ]
    );
    let path = file("values", "mode: [a, b]\nserved-model-name: [a, b]\n");
    let values = config(&format!(
        "--max-num-seqs 0 --port 70000 --inter-token-latency 10 --inter-token-latency-std-dev 4 --config {path}"
    ));
    assert_eq!(
        values.unwrap_err(),
        [
            "model: a model name is required, for example --model my-model".to_owned(),
            format!("mode: [\"a\",\"b\"] is not a single value (from {path})"),
            "port: \"70000\" is not a whole number in its range (from the command line)".to_owned(),
            "max-num-seqs: \"0\" is not a whole number in its range (from the command line)".to_owned(),
            "inter-token-latency-std-dev: 4ms is more than 30 % of inter-token-latency (10ms)".to_owned(),
        ]
    );
}

#[test]
fn plugins_come_from_flags_and_from_the_file() {
    let path = file(
        "plugins",
        "model: m
mode: mine
plugins:
  - name: mine
    path: mine.wasm
    config: {greeting: hello}
    limits: {cpu: 50ms, wall: 1s, memory: 128MiB, reuse: 100, concurrency: 4, waiting: 8}
  - name: echo
    limits: {reuse: 2}
",
    );
    let config =
        config(&format!(r#"--config {path} --plugin other=o.wasm#sha256:AB --plugin-config other={{"a":1}}"#)).unwrap();
    let names: Vec<_> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["mine", "echo", "other", "tool-call", "failure", "random"]);
    let mine = &config.plugins[0];
    assert_eq!(mine.config["greeting"], "hello");
    assert_eq!((mine.limits.memory, mine.limits.reuse, mine.limits.concurrency), (128 << 20, 100, 4));
    let rehearsal_plugin_host::PluginSource::File { path, sha256 } = &config.plugins[2].source else { panic!() };
    assert_eq!((path.to_str(), sha256.as_deref()), (Some("o.wasm"), Some("ab")));
    assert_eq!(config.plugins[2].config["a"], 1);
}

#[test]
fn models_have_plugins_of_their_own() {
    let path = file(
        "models",
        "model: m
served-model-name: [plain, loud]
request-overrides: false
models:
  loud: {mode: echo}
",
    );
    let config = config_with_env(&format!("--config {path}"), &[]).unwrap();
    assert_eq!(config.models["loud"], Picks { mode: "echo".into(), ..config.picks.clone() });
    let plugins: Vec<_> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(plugins, ["random", "tool-call", "failure", "echo"]);
    let path = file("unserved", "model: m\nmodels: {ghost: {mode: echo}}\n");
    assert_eq!(
        config_with_env(&format!("--config {path}"), &[]).unwrap_err(),
        ["models: \"ghost\" is not served; served are m"]
    );
    let path = file("unknown", "model: m\nmodels: {m: {generator: echo}}\n");
    let problems = config_with_env(&format!("--config {path}"), &[]).unwrap_err();
    assert!(problems[0].contains("m: unknown key \"generator\""), "{problems:?}");
}

#[test]
fn plugins_that_cannot_be_meant_are_refused() {
    let problems = config("--model m --plugin echo=mine.wasm --plugin nothing --plugin-config ghost={}").unwrap_err();
    assert_eq!(
        problems,
        [
            "plugin: \"nothing\" is not a name, \"=\" and a file (from the command line)".to_owned(),
            "plugins: \"ghost\" is no built-in plugin and has no path".to_owned()
        ]
    );
    let problems = config("--model m --plugin echo=mine.wasm").unwrap_err();
    assert_eq!(problems, ["plugins: \"echo\" is the name of a built-in plugin, choose another"]);
}

#[test]
fn verbosity_is_klogs_and_a_level_wins() {
    for (line, filter) in
        [("-v 4", "trace"), ("-v=2", "debug"), ("--v 1", "info"), ("-v 4 --log-level warning", "warn")]
    {
        assert_eq!(config(&format!("--model m {line}")).unwrap().log.filter, filter, "{line}");
    }
}

#[test]
fn endpoints_are_bound_or_connected_by_vllms_rule_and_each_rank_has_its_own() {
    let endpoints = |line: &str, rank: usize| {
        let config = config(&format!("--model m --enable-kvcache --data-parallel-size 3 {line}")).unwrap();
        let events = config.of_all_ranks().nth(rank).unwrap().kv_events.unwrap();
        (events.endpoint.address.clone(), events.endpoint.binds)
    };
    for (address, rank, expected, binds) in [
        ("tcp://*:5557", 0, "tcp://*:5557", true),
        ("tcp://*:5557", 2, "tcp://*:5559", true),
        ("tcp://*:0", 2, "tcp://*:0", true),
        ("tcp://[::]:5557", 1, "tcp://[::]:5558", true),
        ("tcp://router:5557", 1, "tcp://router:5558", false),
        ("ipc:///run/events", 0, "ipc:///run/events", true),
        ("ipc:///run/events", 1, "ipc:///run/events_dp1", true),
    ] {
        assert_eq!(endpoints(&format!("--zmq-endpoint {address}"), rank), (expected.to_owned(), binds));
    }
    assert_eq!(endpoints("--data-parallel-rank 2", 0), ("tcp://localhost:5559".to_owned(), false));
    let near = "--zmq-endpoint tcp://*:5557 --kv-events-replay-endpoint tcp://*:5558 --data-parallel-size 2";
    let problems = config(&format!("--model m --enable-kvcache {near}")).unwrap_err();
    assert!(problems[0].starts_with("kv-events-replay-endpoint: its port 5558"), "{problems:?}");
}

#[test]
fn there_are_events_only_with_a_cache_and_somewhere_to_go() {
    let events = |line: &str| config(&format!("--model m {line}")).unwrap().kv_events;
    assert_eq!(events(""), None);
    assert_eq!(events("--enable-kvcache --zmq-endpoint="), None);
    let usual = events("--enable-kvcache").unwrap();
    assert_eq!((usual.endpoint.address.as_str(), usual.batch_size, usual.as_maps), ("tcp://localhost:5557", 16, true));
    let vllm =
        r#"--kv-events-config {"enable_kv_cache_events":true,"replay_endpoint":"tcp://*:5558","buffer_steps":9}"#;
    let from_vllm = events(&format!("{vllm} --zmq-endpoint tcp://elsewhere:1")).unwrap();
    assert_eq!((from_vllm.endpoint.address.as_str(), from_vllm.topic.as_deref()), ("tcp://*:5557", Some("")));
    assert_eq!((from_vllm.replay_endpoint.unwrap().address.as_str(), from_vllm.replay_queue_size), ("tcp://*:5558", 9));
    assert_eq!(events(&format!("{vllm} --kv-events-topic kv@x")).unwrap().topic.as_deref(), Some("kv@x"));
    assert_eq!(events(r#"--enable-kvcache --kv-events-config {"enable_kv_cache_events":false}"#), None);
    for contradiction in [&format!("{vllm} --enable-kvcache false"), "--kv-events-replay-endpoint tcp://*:5558"] {
        assert_eq!(config(&format!("--model m {contradiction}")).unwrap_err().len(), 1, "{contradiction}");
    }
}

#[test]
fn the_hash_seed_may_come_from_pythons_variable() {
    let seed = |line: &str| {
        let config = config_with_env(&format!("--model m --enable-kvcache {line}"), &[("PYTHONHASHSEED", "42")]);
        config.unwrap().engine.kv_cache.unwrap().hash_seed
    };
    assert_eq!(seed("").as_deref(), Some("42"));
    assert_eq!(seed("--hash-seed 7").as_deref(), Some("7"));
    assert_eq!(config("--model m --enable-kvcache").unwrap().engine.kv_cache.unwrap().hash_seed, None);
}
