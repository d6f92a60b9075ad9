//! What users type, and what comes of it.

mod kv_cache;
mod logs;
mod names;
mod plugins;
mod values;

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
