//! Which plugins there are, and for which models.

use super::*;

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
