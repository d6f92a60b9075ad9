//! The built-in components, called as the engine calls them. Guests that misbehave are met end to end, in `tests/`.

use std::sync::Arc;

use rehearsal_engine::request::Message;
use rehearsal_engine::{
    BuiltinTokenizer, Choice, CompletionOutput, Endpoint, FinishReason, GenerationRequest, Prompt, PromptContent,
    ResponseStrategy, SamplingParams,
};

use super::*;

fn builtin(name: &str) -> PluginSpec {
    PluginSpec {
        name: name.into(),
        source: PluginSource::Embedded(rehearsal_builtin::find(name).unwrap().component),
        config: serde_json::Map::new(),
        limits: Limits::default(),
    }
}

async fn load(specs: Vec<PluginSpec>) -> Result<Plugins, Vec<String>> {
    let host = PluginHost::load(specs, Arc::new(BuiltinTokenizer::default()), 1).await;
    host.map(|host| Arc::new(host).replica(&Surroundings::default()))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn choice(content: PromptContent, sampling: SamplingParams, seed: u64) -> Choice {
    let max_tokens = sampling.max_tokens.unwrap_or(1000);
    let prompt = Prompt::counted(content, 1);
    let request = GenerationRequest { sampling, ..GenerationRequest::new(Endpoint::ChatCompletions, prompt) };
    Choice { seed, ..Choice::new(Arc::new(request), "r", max_tokens) }
}

fn user(text: &str) -> PromptContent {
    PromptContent::Chat(vec![Message::user(text)])
}

async fn output(host: &Plugins, plugin: &str, choice: &Choice) -> CompletionOutput {
    let completion = host.generator(plugin).unwrap().generate(choice).await.unwrap();
    let sampling = &choice.request.sampling;
    CompletionOutput::new(completion, choice.max_tokens, choice.seed, sampling, &BuiltinTokenizer::default(), false)
        .unwrap()
}

#[tokio::test]
async fn echo_gives_any_text_back_to_the_byte() {
    let host = load(vec![builtin("echo")]).await.unwrap();
    let prose = "It was a bright cold day, and nobody minded. ".repeat(2500);
    for text in ["", " \t\r\n", "fn main() {\r\n\treturn;\r\n}", "Привет, мир", "你好世界", "👩‍👩‍👧‍👦 👍🏽", &prose]
    {
        let sampling = SamplingParams { max_tokens: Some(1 << 20), ..Default::default() };
        let output = output(&host, "echo", &choice(user(text), sampling, 1)).await;
        assert_eq!((output.text(), output.finish_reason()), (text, &FinishReason::Stop));
    }
}

#[tokio::test]
async fn random_gives_exactly_the_length_that_was_asked_for() {
    let host = load(vec![builtin("random")]).await.unwrap();
    for max_tokens in [1, 2, 17, 400] {
        let sampling = SamplingParams { max_tokens: Some(max_tokens), ignore_eos: true, ..Default::default() };
        let output = output(&host, "random", &choice(user("hi"), sampling, 3)).await;
        assert_eq!((output.n_tokens(), output.finish_reason()), (max_tokens as usize, &FinishReason::Length));
    }
}

#[tokio::test]
async fn random_answers_follow_from_their_seed_in_any_instance() {
    let host = load(vec![builtin("random")]).await.unwrap();
    let reusing = PluginSpec { limits: Limits { reuse: 10, ..Limits::default() }, ..builtin("random") };
    let reusing = load(vec![reusing]).await.unwrap();
    let mut texts = Vec::new();
    for seed in 0..20 {
        let choice = choice(user("hi"), SamplingParams::default(), seed);
        let text = output(&host, "random", &choice).await.text().to_owned();
        assert_eq!(output(&reusing, "random", &choice).await.text(), text);
        assert!(!texts.contains(&text));
        texts.push(text);
    }
}

#[tokio::test]
async fn every_problem_of_every_plugin_is_listed() {
    let file = |path: &str| PluginSource::file(path);
    let configured = |name: &str| {
        let mut spec = builtin(name);
        spec.config.insert("loudness".into(), 11.into());
        spec
    };
    let core_module = PluginSource::Embedded(b"\0asm\x01\0\0\0");
    let errors = load(vec![
        PluginSpec { name: "Bad Name".into(), ..builtin("echo") },
        PluginSpec { source: file("no/such/file.wasm"), name: "gone".into(), ..builtin("echo") },
        PluginSpec { source: core_module, name: "core".into(), ..builtin("echo") },
        PluginSpec { source: PluginSource::Embedded(b"#!/bin/sh"), name: "script".into(), ..builtin("echo") },
        configured("echo"),
        builtin("random"),
        builtin("random"),
    ])
    .await
    .err()
    .unwrap();
    let expected = [
        r#"plugin "Bad Name": the name may have only a-z, 0-9 and "-""#,
        r#"plugin "gone": cannot read no/such/file.wasm: No such file or directory (os error 2)"#,
        r#"plugin "core": this is a core module, not a component: build it for wasm32-wasip2"#,
        r#"plugin "script": this is not a WebAssembly file"#,
        r#"plugin "echo": its configuration has no key "loudness""#,
        r#"plugin "random": the name is taken by another plugin"#,
    ];
    assert_eq!(errors, expected);
}

#[tokio::test]
async fn a_pinned_file_that_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.wasm");
    std::fs::write(&path, rehearsal_builtin::find("echo").unwrap().component).unwrap();
    let pinned = |sha256: String| PluginSpec {
        source: PluginSource::File { path: path.clone(), sha256: Some(sha256), signed_by: None },
        ..builtin("echo")
    };
    let errors = load(vec![pinned("0".repeat(64))]).await.err().unwrap();
    let found = errors[0].split("SHA-256 is ").nth(1).unwrap()[..64].to_owned();
    assert!(load(vec![pinned(found)]).await.is_ok());
}

/// Counts new versions.
#[derive(Default)]
struct Reloads(std::sync::atomic::AtomicUsize);

impl PluginObserver for Reloads {
    fn observe(&self, _plugin: &str, event: PluginEvent<'_>) {
        if let PluginEvent::Reloaded(_) = event {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// A component is compiled and tried once; a replica has only the plugin's state and the observers for itself.
#[tokio::test]
async fn every_replica_serves_a_new_version_and_tells_its_own_observers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.wasm");
    let put = |name: &str| std::fs::write(&path, rehearsal_builtin::find(name).unwrap().component).unwrap();
    put("echo");
    let spec = PluginSpec { source: PluginSource::file(&path), ..builtin("echo") };
    let spec = PluginSpec { name: "mine".into(), ..spec };
    let host = PluginHost::load(vec![spec], Arc::new(BuiltinTokenizer::default()), 2).await.unwrap();
    let host = Arc::new(host);
    let told = [Arc::new(Reloads::default()), Arc::new(Reloads::default())];
    let replicas = told.each_ref().map(|observer| {
        let observers = vec![observer.clone() as Arc<dyn PluginObserver>];
        host.replica(&Surroundings { observers, ..Default::default() })
    });
    let generators = replicas.each_ref().map(|replica| replica.generator("mine").unwrap());
    let text = async |generator: &Arc<dyn ResponseStrategy>| {
        let completion =
            generator.generate(&choice(user("the same again"), SamplingParams::default(), 1)).await.unwrap();
        format!("{:?}", completion.content)
    };
    assert!(text(&generators[0]).await.contains("the same again"));
    put("random");
    host.reload().await;
    let texts = [text(&generators[0]).await, text(&generators[1]).await];
    assert!(!texts[0].contains("the same again") && texts[0] == texts[1], "{texts:?}");
    assert_eq!(told.map(|reloads| reloads.0.load(std::sync::atomic::Ordering::Relaxed)), [1, 1]);
}
