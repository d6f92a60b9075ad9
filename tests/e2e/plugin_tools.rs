//! What `rehearsal plugin` gives to authors.

use std::path::Path;
use std::process::Command;

use rehearsal_tests::{MISBEHAVE, ROOT, examples};

use crate::EXE;

/// Exit code and everything it said.
fn tool(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(EXE).arg("plugin").args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn authors_can_list_and_check_plugins_and_get_the_contract() {
    let (code, listed) = tool(&["list", &format!("loud={}", examples::SHOUT)]);
    assert_eq!(code, Some(0), "{listed}");
    for line in
        ["echo 0.1.0 (generator)", "failure 0.1.0 (failure-selector)", "loud 0.1.0 (generator)", "  says it louder"]
    {
        assert!(listed.contains(line), "{line} is missing in {listed}");
    }
    let (code, checked) = tool(&["check", examples::FLAKY, MISBEHAVE]);
    assert!(code == Some(0) && checked.contains("Every trial passed."), "{checked}");
    let (code, refused) = tool(&["check", "Cargo.toml"]);
    assert!(code == Some(2) && refused.contains("this is not a WebAssembly file"), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(tool(&["wit", folder.path().to_str().unwrap()]).0, Some(0));
    let read = |folder: &Path| std::fs::read_to_string(folder.join("strategies.wit")).unwrap();
    assert_eq!(read(folder.path()), read(&Path::new(ROOT).join("wit")));
    assert!(tool(&["wit"]).1.contains("interface generator"));
    assert_eq!(tool(&["dance"]).0, Some(2));
    assert!(tool(&["help"]).0 == Some(2) && tool(&["--help"]).0 == Some(0));
}

#[test]
fn the_builtins_and_the_examples_conform() {
    let (code, report) = tool(&["test", "echo", "random", "tool-call", "failure", examples::SHOUT, examples::FLAKY]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report.matches(", 0 failed\n").count(), 6, "{report}");
    let script = r#"{"turns": [{"user": "hello", "assistant": "Hi!"}]}"#;
    let (code, report) = tool(&["test", examples::SCRIPTED, "--config", script]);
    assert_eq!(code, Some(0), "{report}");
}

#[test]
fn a_plugin_that_does_not_conform_is_told_why() {
    let (code, report) = tool(&["test", MISBEHAVE, "--config", r#"{"answers": "forgetful"}"#]);
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("FAIL  generate: 8 choices: plugin \"rehearsal-misbehave\""), "{report}");
    let (code, refused) = tool(&["test", "echo", "--config", "[]"]);
    assert!(code == Some(2) && refused.contains("it is not a JSON object"), "{refused}");
}

#[test]
fn one_request_can_be_tried_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    let file = file.to_str().unwrap();
    std::fs::write(file, r#"{"messages": [{"role": "user", "content": "be quick"}]}"#).unwrap();
    let (code, said) = tool(&["run", examples::SHOUT, "-r", file]);
    assert_eq!(code, Some(0), "{said}");
    for part in ["\"content\": \"BE QUICK\"", "output         2 tokens", "finish reason  stop", " MiB of 64 MiB"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let script = r#"{"turns": [{"user": "hello", "assistant": "Hi!"}]}"#;
    let (_, said) = tool(&["run", examples::SCRIPTED, "-r", file, "--config", script]);
    assert!(said.contains("status         422"), "{said}");
    let (_, said) = tool(&["run", examples::FLAKY, "-r", file, "--header", "x-tenant-id: a"]);
    assert!(said.contains("status         200"), "{said}");
    std::fs::write(file, r#"{"prompt": "panic"}"#).unwrap();
    let (code, said) = tool(&["run", MISBEHAVE, "-r", file, "--header", "X-Tenant-Id: a", "--header", "x-other: b"]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "status         500",
        "failed         plugin \"rehearsal-misbehave\" crashed: panicked at tests/components/src/lib.rs:",
        "guest says no; in that call it said\n  | thread '",
        "not handed over  x-other: its needs do not have \"header:x-other\"\n",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert!(!said.contains("x-tenant-id"), "{said}");
    assert_eq!(tool(&["run", "echo", "-r", "no/such/file"]).0, Some(2));
}

#[test]
fn requests_follow_one_another_and_what_is_kept_is_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name).to_str().unwrap().to_owned();
        if !text.is_empty() {
            std::fs::write(&path, text).unwrap();
        }
        path
    };
    let (few, lock) = (file("few.json", r#"{"prompt": "up to 2"}"#), file("lock.json", r#"{"prompt": "lock"}"#));
    let state = file("state.json", "");
    let (code, said) = tool(&["run", MISBEHAVE, "-r", &few, "-r", &few, "-r", &lock, "--state", &state]);
    assert_eq!(code, Some(0), "{said}");
    let order = ["Ok(Some(1))", "Ok(Some(2))", "mine"].map(|answer| said.find(answer).expect(answer));
    assert!(order.is_sorted(), "{said}");
    let kept = std::fs::read_to_string(&state).unwrap();
    assert!(kept.contains(r#""number": 2"#) && kept.contains("expires_in_ms"), "{kept}");
    let (_, said) = tool(&["run", MISBEHAVE, "-r", &few, "--state", &state]);
    assert!(said.contains("Ok(None)"), "{said}");
    for (text, problem) in [
        ("{}", "state.json: missing field `entries`"),
        (r#"{"entries": [{"key": "k"}]}"#, "state.json: \"k\" has no value: give it text, number or base64"),
    ] {
        let (code, said) = tool(&["run", MISBEHAVE, "-r", &few, "--state", &file("state.json", text)]);
        assert!(code == Some(2) && said.contains(problem), "{said}");
    }
}

#[test]
fn what_a_plugin_says_in_a_trial_that_fails_is_told() {
    let (code, said) = tool(&["bench", MISBEHAVE, "--config", r#"{"init":"panic"}"#]);
    assert_eq!(code, Some(2), "{said}");
    for part in [
        "the trial of init failed: plugin \"rehearsal-misbehave\" crashed: panicked at tests/components/src/lib.rs:",
        "in its trial it said\n  | about to read {\"init\":\"panic\"}\n  | warn: this will not go well\n  | \n  | thread",
        "\n  | no configuration will do",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[test]
fn a_calls_cost_is_measured() {
    let (code, said) = tool(&["bench", "echo", "--seconds", "1"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("generate         fresh instance") && said.contains("µs CPU a call"), "{said}");
}

#[test]
fn a_folder_that_is_taken_and_a_name_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("precious"), "mine").unwrap();
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("precious"), "mine").unwrap();
    let (code, said) = tool(&["new", taken.to_str().unwrap()]);
    assert!(code == Some(2) && said.contains("is not empty"), "{said}");
    let (code, said) = tool(&["new", folder.path().join("Mine").to_str().unwrap()]);
    assert!(code == Some(2) && said.contains("cannot be a plugin's name"), "{said}");
}
