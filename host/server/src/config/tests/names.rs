//! Which names are known, and what becomes of others.

use super::*;

/// Every row of the list of vLLM 0.33's flags, with a plausible value.
#[test]
fn every_flag_of_vllm_is_accepted() {
    const FLAGS: &str = include_str!("../../../../../tests/data/vllm-flags-0.33.tsv");
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
