//! What `rehearsal plugin` gives to authors.

use std::path::Path;
use std::process::Command;

use rehearsal_tests::{MISBEHAVE, ROOT, examples};

use crate::EXE;
use crate::docs::blocks;

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
fn the_builtins_conform() {
    let (code, report) = tool(&["test", "echo", "random", "tool-call", "failure", "embed"]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report.matches(", 0 failed\n").count(), 5, "{report}");
    for check in ["generate: json_schema", "call-tools: one of 64 tools, by name", "configuration: an unknown key"] {
        assert!(report.contains(&format!("  ok    {check}\n")), "{check} is missing in {report}");
    }
}

#[test]
fn the_examples_conform_and_their_scenarios_hold() {
    for (name, component) in examples::ALL {
        let project = format!("{ROOT}/plugins/example/{name}");
        let (code, report) = tool(&["test", component, "--project", &project]);
        assert_eq!(code, Some(0), "{report}");
        assert!(report.contains("  ok    scenario: ") && report.contains(", 0 failed"), "{report}");
    }
    let shout = format!("{ROOT}/plugins/example/shout");
    let (_, report) = tool(&["test", examples::SHOUT, "--project", &shout]);
    assert!(report.contains("  n/a   generate: regex: it says what the user said"), "{report}");
    assert!(report.contains(" 0 failed, 4 not applicable\n"), "{report}");
}

#[test]
fn what_a_scenario_does_not_find_is_told_by_its_step() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scenarios")).unwrap();
    let scenarios = [
        ("text", "[{request: one}, {request: two, expect: {text: too}}]", "step 2: text: \"two\", expected \"too\""),
        ("status", "[{request: one, expect: {status: 503}}]", "step 1: status: 200, expected 503"),
        ("schema", "[{request: '1', expect: {schema: {type: string}}}]", "step 1: schema: 1 is not of type"),
        ("calls", "[{request: one, expect: {calls: [{name: add}]}}]", "step 1: calls: [], expected [\"add\"]"),
        ("error", "[{request: {prompt: a, n: 0}, expect: {status: 400, error: {param: m}}}]", "step 1: error.param: "),
        ("takes", "[{request: one, expect: {takes: 1s}}]", "step 1: takes: 0ns, expected 1s"),
        ("state", "[{request: one, expect: {state: [{key: k, number: 1}]}}]", "step 1: state: there is no \"k\""),
        ("never", "[{request: one, expect: {ends: never}}]", "step 1: ends: whole, expected never"),
    ];
    for (name, steps, _) in &scenarios {
        std::fs::write(folder.path().join(format!("scenarios/{name}.yaml")), format!("steps: {steps}\n")).unwrap();
    }
    let project = folder.path().to_str().unwrap();
    let (code, report) = tool(&["test", "echo", "--project", project]);
    assert_eq!(code, Some(1), "{report}");
    for (name, _, problem) in scenarios {
        assert!(
            report.contains(&format!("  FAIL  scenario: {name}.yaml: {problem}")),
            "{problem} is missing in {report}"
        );
    }
    for (text, problem) in [
        ("steps:\n  - request: one\n    expects: {}\n", "unknown field `expects`, expected one of"),
        ("steps: [{request: one, after: soon}]\n", "\"soon\" is not a duration"),
        ("steps: [{request: one, expect: {matches: '('}}]\n", "step 1: matches: \"(\": "),
        ("steps: [{request: one, expect: {ends: never, text: a}}]\n", "step 1: text: nothing is said of an answer"),
        ("steps: []\n", "steps: there is none"),
    ] {
        std::fs::write(folder.path().join("scenarios/text.yaml"), text).unwrap();
        let (code, report) = tool(&["test", "echo", "--project", project]);
        assert!(code == Some(2) && report.contains("text.yaml: ") && report.contains(problem), "{report}");
    }
}

/// The one in `plugins/README.md`.
#[test]
fn the_scenario_that_authors_read_of_holds() {
    let readme = std::fs::read_to_string(format!("{ROOT}/plugins/README.md")).unwrap();
    let scenario = blocks(&readme, "yaml").into_iter().find(|block| block.contains("steps:")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scenarios")).unwrap();
    std::fs::write(folder.path().join("scenarios/read.yaml"), scenario).unwrap();
    let (code, report) = tool(&["test", examples::BREAKER, "--project", folder.path().to_str().unwrap()]);
    assert!(code == Some(0) && report.contains("  ok    scenario: read.yaml\n"), "{report}");
}

#[test]
fn a_scenario_sees_what_fails_on_purpose() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scenarios")).unwrap();
    let rules = |failure: &str| {
        format!(
            "config: {{rules: [{{failure: {failure}, moment: {{after-tokens: 1}}}}]}}\nflags: [--mode, echo]\nsteps:\n"
        )
    };
    let scenarios = [
        ("hang", rules("hang") + "  - {request: one two, expect: {ends: never}}\n"),
        (
            "cut",
            rules("disconnect")
                + "  - {request: {prompt: one two, stream: true}, expect: {ends: broken, text: 'one '}}\n",
        ),
        ("stall", rules("{stall: 90000}") + "  - {request: one two, expect: {text: one two, takes: 90s}}\n"),
    ];
    for (name, text) in &scenarios {
        std::fs::write(folder.path().join(format!("scenarios/{name}.yaml")), text).unwrap();
    }
    let (code, report) = tool(&["test", "failure", "--project", folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report.matches("  ok    scenario: ").count(), 3, "{report}");
}

#[test]
fn a_check_that_is_none_cannot_be_called_not_applicable() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plugin.yaml"), "not-applicable: {generate: regexp}\n").unwrap();
    let (code, report) = tool(&["test", "echo", "--project", folder.path().to_str().unwrap()]);
    assert!(code == Some(2) && report.contains("not-applicable: \"generate\" is none of its checks"), "{report}");
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
    let (code, said) = tool(&["new", folder.path().join("mine").to_str().unwrap(), "--like", "nothing"]);
    assert!(code == Some(2) && said.contains("there is no example \"nothing\"; known are shout, dice, "), "{said}");
    let (code, said) = tool(&["new", folder.path().join("mine").to_str().unwrap(), "--language", "python"]);
    assert!(code == Some(2) && said.contains("the example \"shout\" is there in rust, and not in python"), "{said}");
    assert!(tool(&["new", "--list"]).1.contains("agent       agent             rust, python, javascript  calls tools"));
}

#[test]
fn an_upgrade_renews_what_is_ours_alone() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("mine");
    let path = project.to_str().unwrap();
    tool(&["new", path]);
    let [ours, contract, theirs] = ["vendor/rehearsal-sdk/src/lib.rs", "wit/types.wit", "src/lib.rs"];
    let read = |file: &str| std::fs::read_to_string(project.join(file)).unwrap();
    let before = [ours, contract].map(read);
    for file in [ours, contract, theirs] {
        std::fs::write(project.join(file), "// old\n").unwrap();
    }
    let (code, said) = tool(&["upgrade", path]);
    assert!(
        code == Some(0) && said.contains("renewed vendor/rehearsal-sdk/Cargo.toml and what comes with it"),
        "{said}"
    );
    assert_eq!(([ours, contract].map(read), read(theirs)), (before, "// old\n".to_owned()));
    let (code, said) = tool(&["upgrade", folder.path().to_str().unwrap()]);
    assert!(code == Some(2) && said.contains("is no project: it has no folder wit"), "{said}");
}
