//! From a specification to a plugin that serves. Everything that can be wrong with a component is found here, before
//! the server listens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rehearsal_engine::request::{Message, Tool, ToolChoice, Wishes};
use rehearsal_engine::{
    Arrival, Choice, Endpoint, FailurePolicy, GenerationRequest, Prompt, PromptContent, ResponseStrategy,
    SamplingParams, StrategyError, Tokenizer, ToolCallStrategy,
};
use sha2::{Digest, Sha256};
use tracing::info;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::{failure_selector, generator, lifecycle, tool_caller};
use crate::call::{Caller, Init};
use crate::error::{CallError, LoadError, LoadProblem};
use crate::imports::{Guest, Offer};
use crate::info::PluginInfo;
use crate::needs::Needs;
use crate::plugin::{Interfaces, Plugin};
use crate::runtime::Runtime;
use crate::state::PluginState;
use crate::strategy::PluginStrategy;
use crate::{PluginSource, PluginSpec};

/// Larger files are not read.
const MAX_COMPONENT_BYTES: u64 = 64 << 20;

/// A compilation that takes longer is worth a line in the log.
const SLOW_COMPILATION: Duration = Duration::from_secs(1);

const PACKAGE: &str = "rehearsal:strategy/";
const VERSION: &str = "0.1.0";
/// Within a track, names match whatever their patch version.
const TRACK: &str = "0.1.";
const STRATEGIES: &str = "generator, tool-caller, failure-selector";

/// Reads, compiles, links and tries one plugin.
pub(crate) async fn load(
    spec: PluginSpec,
    runtime: &Arc<Runtime>,
    tokenizer: &Arc<dyn Tokenizer>,
) -> Result<Plugin, LoadError> {
    let name = spec.name.clone();
    try_load(spec, runtime, tokenizer).await.map_err(|problem| LoadError::new(name, problem))
}

async fn try_load(
    spec: PluginSpec,
    runtime: &Arc<Runtime>,
    tokenizer: &Arc<dyn Tokenizer>,
) -> Result<Plugin, LoadProblem> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if spec.name.is_empty() || !spec.name.chars().all(is_allowed) {
        return Err(LoadProblem::BadName);
    }
    let bytes = bytes(&spec.source)?;
    let mut info = PluginInfo {
        name: spec.name.clone(),
        version: String::new(),
        summary: String::new(),
        exports: Vec::new(),
        size: bytes.len(),
        sha256: sha256(&bytes),
    };
    check_hash(&spec.source, &info.sha256)?;
    let component = compile(&spec.name, bytes, runtime).await?;
    check_names(&component, &runtime.engine)?;
    let pre = runtime.linker.instantiate_pre(&component).map_err(LoadProblem::Mismatch)?;
    let interfaces = interfaces(&pre, &component, &runtime.engine)?;

    info.exports = interfaces.names();
    let offer = Offer { plugin: spec.name, tokenizer: tokenizer.clone(), state: PluginState::default() };
    let config = serde_json::Value::Object(spec.config);
    let mut plugin =
        Arc::new(Plugin::new(runtime.clone(), pre, interfaces, offer, config.to_string(), spec.limits, info));

    let description = describe(&plugin).await?;
    check_config(&description, &config)?;
    let needs = Needs::parse(&description.needs).map_err(LoadProblem::UnknownNeed)?;
    if let Some(plugin) = Arc::get_mut(&mut plugin) {
        plugin.needs = needs;
        plugin.info.version = description.version;
        plugin.info.summary = description.summary;
    }
    try_init(&plugin).await?;
    try_generator(&plugin).await?;
    try_tool_caller(&plugin).await?;
    try_failure_selector(&plugin).await?;
    plugin.forget_trial();
    info!(plugin = plugin.name(), version = plugin.info.version, summary = plugin.info.summary, "plugin loaded");
    Ok(Arc::into_inner(plugin).expect("the trial's calls have ended"))
}

async fn compile(name: &str, bytes: Vec<u8>, runtime: &Arc<Runtime>) -> Result<Component, LoadProblem> {
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => {}
        Some(b"\0asm\x01\0\0\0") => return Err(LoadProblem::CoreModule),
        _ => return Err(LoadProblem::NotWasm),
    }
    let engine = runtime.engine.clone();
    let start = Instant::now();
    let compiled = tokio::task::spawn_blocking(move || Component::new(&engine, bytes)).await;
    let component = compiled.map_err(wasmtime::Error::new).and_then(|result| result).map_err(LoadProblem::Compile)?;
    if start.elapsed() > SLOW_COMPILATION {
        info!(plugin = name, seconds = start.elapsed().as_secs_f32(), "compiled; the next start finds it cached");
    }
    Ok(component)
}

fn bytes(source: &PluginSource) -> Result<Vec<u8>, LoadProblem> {
    let path = match source {
        PluginSource::Embedded(bytes) => return Ok(bytes.to_vec()),
        PluginSource::File { path, .. } => path,
    };
    let fail = |source| LoadProblem::Read { path: path.clone(), source };
    let size = std::fs::metadata(path).map_err(fail)?.len();
    if size > MAX_COMPONENT_BYTES {
        return Err(LoadProblem::TooLarge { size, max: MAX_COMPONENT_BYTES });
    }
    std::fs::read(path).map_err(fail)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_hash(source: &PluginSource, found: &str) -> Result<(), LoadProblem> {
    match source {
        PluginSource::File { sha256: Some(wanted), .. } if wanted != found => {
            Err(LoadProblem::WrongHash { wanted: wanted.clone(), found: found.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Says in words what linking would say in types: a wrong version, an import that no plugin is given.
fn check_names(component: &Component, engine: &wasmtime::Engine) -> Result<(), LoadProblem> {
    let ty = component.component_type();
    let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let imports: Vec<String> = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
    for name in exports.iter().chain(&imports) {
        let version = name.strip_prefix(PACKAGE).and_then(|name| name.split_once('@')).map(|(_, version)| version);
        if let Some(version) = version
            && !version.starts_with(TRACK)
        {
            return Err(LoadProblem::WrongVersion { found: name.clone(), wanted: VERSION });
        }
    }
    const OFFERED: [&str; 7] =
        [PACKAGE, "wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
    match imports.into_iter().find(|name| !OFFERED.iter().any(|offered| name.starts_with(offered))) {
        Some(unknown) => Err(LoadProblem::UnknownImport(unknown)),
        None => Ok(()),
    }
}

/// Finds each interface. One that is exported but incomplete is an error, not an absence.
fn interfaces(
    pre: &InstancePre<Guest>,
    component: &Component,
    engine: &wasmtime::Engine,
) -> Result<Interfaces, LoadProblem> {
    let ty = component.component_type();
    let exports = |interface: &str| {
        let prefix = format!("{PACKAGE}{interface}@");
        ty.exports(engine).any(|(name, _)| name.starts_with(&prefix))
    };
    if !exports("lifecycle") {
        return Err(LoadProblem::MissingExport("rehearsal:strategy/lifecycle"));
    }
    if !["generator", "tool-caller", "failure-selector"].into_iter().any(exports) {
        return Err(LoadProblem::NoStrategy(STRATEGIES));
    }
    let found = |interface: &str| exports(interface).then_some(pre);
    let generator = found("generator").map(generator::GuestIndices::new);
    let tool_caller = found("tool-caller").map(tool_caller::GuestIndices::new);
    let failure_selector = found("failure-selector").map(failure_selector::GuestIndices::new);
    Ok(Interfaces {
        lifecycle: lifecycle::GuestIndices::new(pre).map_err(LoadProblem::Mismatch)?,
        generator: generator.transpose().map_err(LoadProblem::Mismatch)?,
        tool_caller: tool_caller.transpose().map_err(LoadProblem::Mismatch)?,
        failure_selector: failure_selector.transpose().map_err(LoadProblem::Mismatch)?,
    })
}

fn trial_caller() -> Caller {
    Caller { request_id: "trial".into(), seed: 0 }
}

async fn describe(plugin: &Arc<Plugin>) -> Result<lifecycle::Description, LoadProblem> {
    plugin
        .call(trial_caller(), Init::Not, |store, exports| Box::pin(exports.lifecycle.call_describe(store)))
        .await
        .map_err(|error| failed_trial("describe", error, plugin))
}

async fn try_init(plugin: &Arc<Plugin>) -> Result<(), LoadProblem> {
    match plugin.call(trial_caller(), Init::Before, |_, _| Box::pin(async { Ok(()) })).await {
        Err(CallError::Init(refused)) => Err(LoadProblem::Init(refused)),
        result => result.map_err(|error| failed_trial("init", error, plugin)),
    }
}

/// One call with a plain request.
async fn try_generator(plugin: &Arc<Plugin>) -> Result<(), LoadProblem> {
    let Some(generator) = PluginStrategy::generator(plugin) else { return Ok(()) };
    judge_trial("generate", generator.generate(&trial_choice()).await)
}

/// One call with a request that offers a tool.
async fn try_tool_caller(plugin: &Arc<Plugin>) -> Result<(), LoadProblem> {
    let Some(tool_caller) = PluginStrategy::tool_caller(plugin) else { return Ok(()) };
    judge_trial("call-tools", tool_caller.call_tools(&trial_choice()).await)
}

/// One arrival.
async fn try_failure_selector(plugin: &Arc<Plugin>) -> Result<(), LoadProblem> {
    let Some(failure_policy) = PluginStrategy::failure_policy(plugin) else { return Ok(()) };
    let Choice { request, request_id, number, seed, max_tokens, .. } = trial_choice();
    let arrival = Arrival { request, request_id, number, seed, max_tokens };
    judge_trial("select", failure_policy.select(&arrival).await)
}

/// A rejection is an answer; anything else that is not one fails the load.
fn judge_trial<T>(export: &'static str, result: Result<T, StrategyError>) -> Result<(), LoadProblem> {
    match result {
        Ok(_) | Err(StrategyError::Rejected(_)) => Ok(()),
        Err(error) => Err(LoadProblem::Trial { export, error: error.to_string() }),
    }
}

fn failed_trial(export: &'static str, error: CallError, plugin: &Plugin) -> LoadProblem {
    LoadProblem::Trial { export, error: error.into_strategy_error(plugin.name()).to_string() }
}

fn trial_choice() -> Choice {
    let message = Message {
        role: "user".into(),
        parts: vec![rehearsal_engine::request::ContentPart::Text("Hello!".into())],
        ..Default::default()
    };
    let request = GenerationRequest {
        id: None,
        endpoint: Endpoint::ChatCompletions,
        model: "trial".into(),
        prompts: vec![Prompt { content: PromptContent::Chat(vec![message]), n_tokens: 2 }],
        sampling: SamplingParams { max_tokens: Some(16), ..Default::default() },
        streaming: false,
        remote_prefill: false,
        wishes: Wishes {
            tools: vec![trial_tool()],
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            ..Default::default()
        },
        headers: Vec::new(),
        raw_body: None,
    };
    Choice { request: Arc::new(request), request_id: "trial".into(), number: 0, index: 0, max_tokens: 16, seed: 0 }
}

fn trial_tool() -> Tool {
    Tool {
        name: "add".into(),
        description: Some("adds two numbers".into()),
        parameters: r#"{"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}"#.into(),
    }
}

fn check_config(description: &lifecycle::Description, config: &serde_json::Value) -> Result<(), LoadProblem> {
    let Some(schema) = &description.config_schema else { return Ok(()) };
    let bad_schema = |error: &dyn std::fmt::Display| LoadProblem::BadSchema(error.to_string());
    let schema: serde_json::Value = serde_json::from_str(schema).map_err(|error| bad_schema(&error))?;
    let validator = jsonschema::validator_for(&schema).map_err(|error| bad_schema(&error))?;
    // The validator would not name the key.
    if let Some(key) = unknown_key(&schema, config) {
        return Err(LoadProblem::UnknownConfigKey(key.to_owned()));
    }
    validator
        .validate(config)
        .map_err(|error| LoadProblem::BadConfig { at: error.instance_path().to_string(), message: error.to_string() })
}

fn unknown_key<'a>(schema: &serde_json::Value, config: &'a serde_json::Value) -> Option<&'a str> {
    if schema["additionalProperties"] != serde_json::Value::Bool(false) {
        return None;
    }
    let mut keys = config.as_object()?.keys();
    keys.find(|key| schema["properties"].get(key).is_none()).map(String::as_str)
}
