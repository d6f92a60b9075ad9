//! How values are written, and which layer wins.

use super::*;

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
