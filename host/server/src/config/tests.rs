//! What users type, and what comes of it.

use std::time::Duration;

use rehearsal_engine::latency::{Jittered, PromptLatency};

use super::*;
use crate::args::{self, Parsed};

fn config_with_env(line: &str, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let args = std::iter::once("rehearsal").chain(line.split_whitespace()).map(str::to_owned);
    let env = env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    match args::parse(args, env)? {
        Parsed::Run(settings) | Parsed::PrintConfig(settings) => Config::new(&settings),
        Parsed::Print(text) => panic!("{text}"),
    }
}

fn config(line: &str) -> Result<Config, Vec<String>> {
    config_with_env(line, &[])
}

/// A file that holds `text` and is gone with the value; shown as its path.
struct File(tempfile::TempPath);

impl std::fmt::Display for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

fn file(text: &str) -> File {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    File(file.into_temp_path())
}

#[test]
fn every_default_is_the_seeds() {
    let config = config("--model m").unwrap();
    assert_eq!((config.serving.address.port(), config.routing.usual.mode.as_str()), (8000, "random"));
    assert_eq!(config.model.served_names, ["m"]);
    assert_eq!(config.engine.max_model_len, 1024);
    assert_eq!(config.engine.max_num_seqs.get(), 5);
    assert_eq!(config.engine.max_waiting_queue_length, 1000);
    assert_eq!(config.latency.inter_token_latency, Jittered::default());
    assert_eq!((config.engine.max_loras.get(), config.engine.max_cpu_loras.get()), (1, 1));
    assert_eq!((config.log.filter.as_str(), config.log.json), ("info", false));
    let plugins: Vec<_> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(plugins, ["random", "tool-call", "failure", "embed", "echo"]);
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
    let path = file("max-num-seqs: 9");
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
        assert_eq!(config(&format!("--model m {line}")).unwrap().limits.strict_context_window, expected, "{line}");
    }
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let path = file("model: from-file\nport: 1\nmax-num-seqs: 3\n");
    let env = [("SIM_MODEL", "from-env")];
    let layered = config_with_env(&format!("--config {path} --port 2"), &env).unwrap();
    assert_eq!((layered.model.name.as_str(), layered.serving.address.port()), ("from-env", 2));
    assert_eq!(layered.engine.max_num_seqs.get(), 3);
    assert_eq!(config_with_env("positional", &env).unwrap().model.name, "positional");
    assert_eq!(config(&format!("--config {path}")).unwrap().model.name, "from-file");
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
            "latency-calculator: \"guess\" is no calculator; known are constant, per-token and step (from the command line)",
            "time-factor-under-load: 0.5 is less than 1 (from the command line)",
        ]
    );
}

#[test]
fn large_numbers_may_be_abbreviated() {
    let window =
        |text: &str| config(&format!("--model m --max-model-len {text}")).map(|config| config.engine.max_model_len);
    for (text, tokens) in
        [("32k", 32_000), ("32K", 32_768), ("1m", 1_000_000), ("25.6k", 25_600), ("1", 1), ("-1", 1024), ("auto", 1024)]
    {
        assert_eq!(window(text), Ok(tokens), "{text}");
    }
    for text in ["0", "-2", "32x", "1.5", "9t", "k"] {
        assert!(window(text).is_err(), "{text}");
    }
}

#[test]
fn all_problems_are_listed_at_once() {
    let path = file("max-num-seq: 3\nmode: [a, b]\n");
    let unknown = config(&format!("--prot 1 2 --max-num-seqs 0 --config {path}")).unwrap_err();
    assert_eq!(
        unknown,
        [
            "unknown flag --prot and the 2 words behind it; did you mean --port?".to_owned(),
            format!("{path}: unknown key \"max-num-seq\"; did you mean max-num-seqs?"),
        ]
    );
    let path = file("mode: [a, b]\nserved-model-name: [a, b]\n");
    let values = config(&format!(
        "--max-num-seqs 0 --port 70000 --inter-token-latency 10 --inter-token-latency-std-dev 4 --config {path}"
    ));
    assert_eq!(
        values.unwrap_err(),
        [
            "model: a model name is required, for example --model my-model".to_owned(),
            format!("mode: [\"a\",\"b\"] is not a single value (from {path})"),
            "port: \"70000\" is not a whole number from 0 to 65535 (from the command line)".to_owned(),
            "max-num-seqs: \"0\" is not a whole number from 1 to 4294967295 (from the command line)".to_owned(),
            "inter-token-latency-std-dev: 4ms is more than 30 % of inter-token-latency (10ms): at most 3ms (from the command line)".to_owned(),
        ]
    );
}

#[test]
fn plugins_come_from_flags_and_from_the_file() {
    let path = file(
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
    assert_eq!(names, ["mine", "echo", "other", "tool-call", "failure", "embed", "random"]);
    let mine = &config.plugins[0];
    assert_eq!(mine.config["greeting"], "hello");
    assert_eq!((mine.limits.memory, mine.limits.reuse, mine.limits.concurrency), (128 << 20, 100, 4));
    let rehearsal_plugin_host::PluginSource::File { path, sha256, .. } = &config.plugins[2].source else { panic!() };
    assert_eq!((path.to_str(), sha256.as_deref()), (Some("o.wasm"), Some("ab")));
    assert_eq!(config.plugins[2].config["a"], 1);
}

#[test]
fn models_have_plugins_of_their_own() {
    let path = file(
        "model: m
served-model-name: [plain, loud]
request-overrides: false
models:
  loud: {mode: echo}
",
    );
    let config = config_with_env(&format!("--config {path}"), &[]).unwrap();
    assert_eq!(config.routing.models["loud"], ModelPlugins { mode: "echo".into(), ..config.routing.usual.clone() });
    let plugins: Vec<_> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(plugins, ["random", "tool-call", "failure", "embed", "echo"]);
    let path = file("model: m\nmodels: {ghost: {mode: echo}}\n");
    assert_eq!(
        config_with_env(&format!("--config {path}"), &[]).unwrap_err(),
        [format!("models: \"ghost\" is not served; served are m (from {path})")]
    );
    let path = file("model: m\nmodels: {m: {generator: echo}}\n");
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
            "plugins: \"ghost\" has no path and is none of the built-in plugins echo, random, tool-call, failure, embed"
                .to_owned()
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

/// Every row of the list of vLLM 0.33's flags, with a plausible value.
#[test]
fn every_flag_of_vllm_is_accepted() {
    const FLAGS: &str = include_str!("../../../../tests/data/vllm-flags-0.33.tsv");
    let rows: Vec<Vec<&str>> = FLAGS.lines().skip(1).map(|row| row.split('\t').collect()).collect();
    assert_eq!(rows.len(), 327);
    let other_config = file("port: 1");
    let other_config = other_config.to_string();
    for row in rows {
        let (flag, kind) = (row[1], row[2]);
        let value = match (flag, kind) {
            (_, "bool") => "",
            ("--model", _) => "m",
            ("--config", _) => &other_config,
            ("--lora-modules", _) => "a=/p b=/q",
            ("--kv-events-config", _) => r#"{"enable_kv_cache_events":true}"#,
            ("--log-level", _) => "DEBUG",
            ("--host", _) => "0.0.0.0",
            ("--chat-template-content-format", _) => "openai",
            ("--prefix-caching-hash-algo", _) => "sha256",
            ("--ssl-keyfile", _) => "key.pem --ssl-certfile cert.pem",
            ("--ssl-cert-reqs", _) => "2 --ssl-ca-certs ca.pem",
            ("--root-path", _) => "/llm",
            ("--uvicorn-log-level", _) => "warning",
            ("--block-size", _) => "32",
            ("--scheduling-policy", _) => "priority",
            // In vLLM these take one value, whatever the list says.
            ("--allowed-origins" | "--allowed-methods" | "--allowed-headers", _) => r#"["*"]"#,
            ("--device-ids" | "--middleware", _) => "1",
            (_, "json") => r#"{"a":1}"#,
            (_, "list") => "1 2",
            (_, "value" | "?") => "1",
            (_, other) => panic!("{flag}: {other}"),
        };
        let more = match flag {
            "--enable-auto-tool-choice" => "--tool-call-parser hermes",
            _ => "",
        };
        let model = if flag == "--model" { "" } else { "--model m" };
        let aliases =
            row.get(5).into_iter().flat_map(|aliases| aliases.split([' ', ','])).filter(|alias| !alias.is_empty());
        for flag in std::iter::once(flag).chain(aliases) {
            let line = format!("serve {flag} {value} {more} {model}");
            assert!(config(&line).is_ok(), "{line}: {:?}", config(&line).err());
        }
        if kind == "bool" && flag != "--enable-auto-tool-choice" {
            let line = format!("serve --no-{} {model}", &flag[2..]);
            assert!(config(&line).is_ok(), "{line}: {:?}", config(&line).err());
        }
        if kind == "json" && flag != "--kv-events-config" {
            let line = format!("serve m {flag}.part value {flag}.more.parts+=a,b");
            assert!(config(&line).is_ok(), "{line}: {:?}", config(&line).err());
        }
    }
}

/// What vLLM has had since 0.6, and llm-d-inference-sim has.
#[test]
fn every_accepted_name_takes_what_it_takes_and_no_more() {
    for name in accepted::names() {
        let value = match accepted::takes(name) {
            Some(Takes::Switch) => "",
            Some(Takes::Several(_)) => "a b --port 1",
            Some(_) => "a",
            None => panic!("{name}"),
        };
        assert_eq!(
            config(&format!("--{name} {value} my-model")).map(|config| config.model.name),
            Ok("my-model".into()),
            "{name}"
        );
    }
}

#[test]
fn no_name_stands_in_two_places() {
    let own = specs().flat_map(|spec| std::iter::once(spec.name).chain(spec.aliases.iter().copied()));
    let mut names: Vec<_> = own.chain(accepted::names()).collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn unknown_flags_may_be_allowed() {
    let path = file("model: m\nnever-heard-of: 1\n");
    for allow in ["--allow-unknown-flags", "--allow-unknown-flags=true"] {
        let line = format!("{allow} --from-the-future 1 2 --config {path}");
        let args = line.split_whitespace().map(str::to_owned);
        let Parsed::Run(settings) = args::parse(std::iter::once("rehearsal".into()).chain(args), []).unwrap() else {
            panic!()
        };
        let notes: Vec<_> = settings.notes().collect();
        assert_eq!(notes.len(), 2);
        assert!(notes[0].starts_with("unknown flag --from-the-future"), "{notes:?}");
    }
    assert_eq!(config(&format!("--from-the-future 1 --config {path}")).unwrap_err().len(), 2);
}

#[test]
fn names_without_effect_are_told_once_and_together() {
    let path = file("model: m\ntensor-parallel-size: 8\nno-effect-at-all: 1\nallow-unknown-flags: true\n");
    let args = ["rehearsal", "--dtype", "auto", "-ep", "--config", &path.to_string()].map(str::to_owned);
    let env = [("VLLM_USE_V1".to_owned(), "1".to_owned()), ("VLLM_API_KEY".to_owned(), "k".to_owned())];
    let Parsed::Run(settings) = args::parse(args, env).unwrap() else { panic!() };
    let notes: Vec<_> = settings.notes().collect();
    assert_eq!(
        notes[0],
        "accepted, without effect here: --dtype --enable-expert-parallel VLLM_USE_V1 tensor-parallel-size"
    );
    assert!(notes[1].contains("no-effect-at-all"), "{notes:?}");
}

/// What `--print-config` prints means what the settings that made it mean.
#[test]
fn a_printed_configuration_says_the_same_as_a_file() {
    let line = r#"--model m --port 1234 --served-model-name a b --kv-cache-size 7 --enable-kvcache --api-key secret --zmq-endpoint= --hash-seed 0123 --lora-modules {"name":"x"} --override-generation-config.max_new_tokens 5"#;
    let args = || std::iter::once("rehearsal".to_owned()).chain(line.split_whitespace().map(str::to_owned));
    let parsed = args::parse(args().chain(["--print-config".to_owned()]), []).unwrap();
    let Parsed::PrintConfig(settings) = parsed else { panic!() };
    let printed = args::yaml(&settings);
    assert!(!printed.contains("secret"), "{printed}");
    assert!(printed.contains("port: 1234  # the command line"), "{printed}");
    assert!(printed.contains("# mode: random  # default"), "{printed}");
    let path = file(&printed);
    // What was said, and where, differs.
    let understood = |line: &str| Config { settings: Settings::default(), ..config(line).unwrap() };
    let again = understood(&format!("--config {path} --seed 1 --api-key secret"));
    let first = understood(&format!("{line} --seed 1"));
    // Not as values: that would print components.
    assert!(format!("{again:?}") == format!("{first:?}"), "{printed}");
}

#[test]
fn two_names_of_one_thing_must_agree() {
    let size = |line: &str| {
        config(&format!("--model m --enable-kvcache {line}")).map(|config| config.engine.kv_cache.unwrap().n_blocks)
    };
    assert_eq!(size("--num-gpu-blocks-override 99"), Ok(99));
    let path = file("model: m\nkv-cache-size: 98\nnum-gpu-blocks-override: 99\n");
    let problems = config(&format!("--config {path}")).unwrap_err();
    assert!(
        problems[0].ends_with("num-gpu-blocks-override means the same as another key in it: give one"),
        "{problems:?}"
    );
    let queue = config("--model m --max-num-queued-reqs 3").unwrap().engine.max_waiting_queue_length;
    assert_eq!(queue, 3);
}

#[test]
fn prefix_caching_alone_turns_no_cache_on() {
    let cache = |line: &str| config(&format!("--model m {line}")).unwrap().engine.kv_cache;
    assert_eq!(cache("--enable-prefix-caching"), None);
    assert!(cache("--enable-kvcache").unwrap().reuses_prefixes);
    assert!(!cache("--enable-kvcache --no-enable-prefix-caching").unwrap().reuses_prefixes);
    assert!(!cache("--enable-kvcache --disable-prefix-caching").unwrap().reuses_prefixes);
}

#[test]
fn a_tool_parser_is_needed_where_vllm_needs_it() {
    let problems = config("--model m --enable-auto-tool-choice").unwrap_err();
    assert!(problems[0].contains("--enable-auto-tool-choice requires --tool-call-parser"), "{problems:?}");
    let odd = config("--model m --enable-auto-tool-choice --tool-call-parser hermess").unwrap();
    assert_eq!(
        odd.warnings,
        ["tool-call-parser: \"hermess\" is no parser of vLLM 0.33; did you mean hermes? (from the command line)"]
    );
    let plugin = "--tool-parser-plugin mine.py --tool-call-parser mine";
    assert!(config(&format!("--model m {plugin}")).unwrap().warnings.is_empty());
}

#[test]
fn certificates_that_do_not_fit_together_are_refused() {
    for (line, problem) in [
        ("--ssl-keyfile k", "ssl-keyfile: k has no certificate"),
        (
            "--self-signed-certs --ssl-certfile c",
            "self-signed-certs: true, but ssl-certfile or ssl-keyfile names another",
        ),
        ("--self-signed-certs --ssl-cert-reqs 2", "ssl-cert-reqs: clients' certificates are asked for"),
        ("--allowed-origins a --allowed-methods G@T", "allowed-methods: \"G@T\" cannot stand in a header"),
        ("--ssl-certfile c --ssl-cert-reqs 1", "ssl-cert-reqs: clients' certificates are asked for"),
        ("--ssl-cert-reqs 3", "ssl-cert-reqs: 3 is not between 0 and 2"),
    ] {
        let problems = config(&format!("--model m {line}")).unwrap_err();
        assert!(problems[0].starts_with(problem), "{problems:?}");
    }
}

#[test]
fn api_keys_come_from_the_flag_or_else_the_environment() {
    let env = [("VLLM_API_KEY", "from env")];
    assert_eq!(config_with_env("--model m", &env).unwrap().access.api_keys, ["from env"]);
    assert_eq!(config_with_env("--model m --api-key a b", &env).unwrap().access.api_keys, ["a", "b"]);
}

#[test]
fn klogs_keys_are_understood() {
    let log = |line: &str| config(&format!("--model m {line}")).map(|config| config.log);
    assert!(log("").unwrap().files.is_none());
    let files =
        log("--logtostderr=false --log_dir /tmp --stderrthreshold WARNING --one_output").unwrap().files.unwrap();
    assert_eq!(files.stderr_threshold, klog::Severity::Warning);
    assert!(matches!(files.place, LogPlace::Folder { one_output: true, .. }));
    let file =
        log("--logtostderr false --log_file x.log --log_file_max_size 2 --alsologtostderr").unwrap().files.unwrap();
    assert_eq!(file.stderr_threshold, klog::Severity::Info);
    assert!(matches!(file.place, LogPlace::One(_, 2_097_152)));
    assert!(log("--log_backtrace_at serve.rs:57 --vmodule serve=4").unwrap().backtrace.is_some());
    for wrong in ["--vmodule serve", "--log_backtrace_at serve.rs", "--stderrthreshold 9"] {
        assert_eq!(log(wrong).unwrap_err().len(), 1, "{wrong}");
    }
}

#[test]
fn a_server_may_listen_on_ipv6_or_on_a_socket_of_its_own_for_each_rank() {
    let addresses = |line: &str| -> Vec<Address> {
        let config = config(&format!("--model m {line}")).unwrap();
        config.of_all_ranks().map(|config| config.serving.address).collect()
    };
    assert_eq!(addresses("--host :: --port 1"), [Address::Tcp("::".parse().unwrap(), 1)]);
    assert_eq!(addresses("--host [::1] --port 1"), [Address::Tcp("::1".parse().unwrap(), 1)]);
    assert_eq!(addresses("--uds /run/x -dp 2"), [Address::Unix("/run/x".into()), Address::Unix("/run/x_dp1".into())]);
    assert!(config("--model m --port 65535 -dp 2").is_err());
}

#[test]
fn ranks_may_be_spread_over_processes_as_in_vllm() {
    let ranks = |line: &str| config(&format!("--model m {line}")).map(|config| (config.rank, config.n_ranks));
    assert_eq!(ranks("-dp 2"), Ok((0, 2)));
    assert_eq!(ranks("-dp 16 -dpl 8 -dpr 8 --headless"), Ok((8, 8)));
    assert_eq!(ranks("-dp 16 -dpn 3"), Ok((3, 1)));
    assert!(ranks("-dp 9").unwrap_err()[0].contains("data-parallel-size-local says how many"));
    assert_eq!(ranks("-dp 9 -dpl 9").unwrap_err().len(), 1);
}

/// No message repeats what must not be seen.
#[test]
fn secrets_are_in_no_message() {
    let path = file("model: m\nhf-token: [hf_SECRET]\napi-key: {x: SECRET}\n");
    let problems = config(&format!("--config {path}")).unwrap_err();
    assert_eq!(problems.len(), 2);
    assert!(!problems.join(" ").contains("SECRET"), "{problems:?}");
}

/// As a target's name, such a word would silence everything else.
#[test]
fn a_level_that_is_misspelt_is_no_filter() {
    let filter = |line: &str, env: &[(&str, &str)]| {
        config_with_env(&format!("--model m {line}"), env).map(|config| config.log.filter)
    };
    assert_eq!(filter("", &[("VLLM_LOGGING_LEVEL", "CRITICAL")]), Ok("error".into()));
    assert_eq!(filter("--log-level warn,rehearsal_server=debug", &[]), Ok("warn,rehearsal_server=debug".into()));
    for wrong in ["typo", "notice"] {
        assert!(filter(&format!("--log-level {wrong}"), &[]).unwrap_err()[0].contains("none of off, error"), "{wrong}");
    }
}

#[test]
fn switches_in_files_say_what_they_say() {
    let reuses = |value: &str| {
        let path = file(&format!("model: m\nenable-kvcache: true\ndisable-prefix-caching: {value}\n"));
        config(&format!("--config {path}")).map(|config| config.engine.kv_cache.unwrap().reuses_prefixes)
    };
    assert_eq!((reuses("true"), reuses("\"false\""), reuses("\"0\"")), (Ok(false), Ok(true), Ok(true)));
    assert!(reuses("junk").unwrap_err()[0].contains("\"junk\" is neither true nor false"));
    assert_eq!(config("--model m --allow-unknown-flags=0 --zzz").unwrap_err().len(), 1);
}

#[test]
fn times_longer_than_a_year_are_refused() {
    for key in ["startup-duration", "time-to-first-token", "shutdown-timeout", "sse-keep-alive-interval"] {
        let problems = config(&format!("--model m --{key} 2562047788015h")).unwrap_err();
        assert!(problems[0].contains("is longer than a year"), "{problems:?}");
    }
    let problems = config("--model m --sse-keep-alive-interval -1").unwrap_err();
    assert!(problems[0].contains("write seconds"), "{problems:?}");
}

#[test]
fn what_has_no_effect_here_and_now_is_a_warning() {
    for (line, key) in [
        ("--enable-prefix-caching", "enable-prefix-caching"),
        ("--num-gpu-blocks-override 9", "kv-cache-size"),
        ("--enable-ssl-refresh", "enable-ssl-refresh"),
        (r#"--kv-events-config {"enable_kv_cache_events":true} --no-enable-prefix-caching"#, "enable-prefix-caching"),
        (r#"--lora-modules {"name":"a","base_model_name":"other"}"#, "lora-modules"),
    ] {
        let warnings = config(&format!("--model m {line}")).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].starts_with(key), "{line}: {warnings:?}");
    }
    assert!(config("--model m --enable-kvcache --enable-prefix-caching").unwrap().warnings.is_empty());
}

/// Values that YAML would read as others are quoted.
#[test]
fn printed_texts_stay_what_they_are() {
    for text in ["1.10", "1e3", "0x10", "1.50", "true", "null", "-", "~", "a b", "10"] {
        let args =
            ["rehearsal", "--model", text, "--hash-seed", text, "--seed", "1", "--print-config"].map(str::to_owned);
        let Parsed::PrintConfig(settings) = args::parse(args, []).unwrap() else { panic!() };
        let path = file(&args::yaml(&settings));
        assert_eq!(config(&format!("--config {path}")).map(|config| config.model.name), Ok(text.into()));
    }
}
