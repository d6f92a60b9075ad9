//! One call of everything that a plugin exports, with the requests of a plain day, before anybody relies on it.

use std::sync::Arc;

use rehearsal_engine::request::{Message, Tool, ToolChoice, Wishes};
use rehearsal_engine::{
    Arrival, Choice, Endpoint, FailurePolicy, GenerationRequest, Prompt, PromptContent, ResponseStrategy,
    SamplingParams, StrategyError, ToolCallStrategy,
};

use crate::bindings::lifecycle;
use crate::call::{Caller, Init};
use crate::error::{CallError, LoadProblem};
use crate::plugin::Plugin;
use crate::reload::Reloadable;
use crate::strategy::PluginStrategy;

fn caller() -> Caller {
    Caller { request_id: "trial".into(), seed: 0 }
}

pub(super) async fn describe(plugin: &Arc<Plugin>) -> Result<lifecycle::Description, LoadProblem> {
    plugin
        .call(caller(), Init::Not, |store, exports| Box::pin(exports.lifecycle.call_describe(store)))
        .await
        .map_err(|error| failed("describe", error, plugin))
}

/// One instance, configured.
pub(super) async fn init(plugin: &Arc<Plugin>) -> Result<(), LoadProblem> {
    match plugin.call(caller(), Init::Before, |_, _| Box::pin(async { Ok(()) })).await {
        Err(CallError::Init(refused)) => Err(LoadProblem::Init(refused)),
        result => result.map_err(|error| failed("init", error, plugin)),
    }
}

/// One call of each strategy that is exported.
pub(super) async fn exports(plugin: &Arc<Reloadable>) -> Result<(), LoadProblem> {
    if let Some(generator) = PluginStrategy::new(plugin, "generator") {
        judge("generate", generator.generate(&choice()).await)?;
    }
    if let Some(tool_caller) = PluginStrategy::new(plugin, "tool-caller") {
        judge("call-tools", tool_caller.call_tools(&choice()).await)?;
    }
    if let Some(failure_policy) = PluginStrategy::new(plugin, "failure-selector") {
        let Choice { request, request_id, number, seed, max_tokens, .. } = choice();
        judge("select", failure_policy.select(&Arrival { request, request_id, number, seed, max_tokens }).await)?;
    }
    Ok(())
}

/// A rejection is an answer; anything else that is not one fails the load.
fn judge<T>(export: &'static str, result: Result<T, StrategyError>) -> Result<(), LoadProblem> {
    match result {
        Ok(_) | Err(StrategyError::Rejected(_)) => Ok(()),
        Err(error) => Err(LoadProblem::Trial { export, error: error.to_string() }),
    }
}

fn failed(export: &'static str, error: CallError, plugin: &Plugin) -> LoadProblem {
    LoadProblem::Trial { export, error: error.into_strategy_error(plugin.name()).to_string() }
}

fn choice() -> Choice {
    let prompt = Prompt::counted(PromptContent::Chat(vec![Message::user("Hello!")]), 2);
    let request = GenerationRequest {
        sampling: SamplingParams { max_tokens: Some(16), ..Default::default() },
        wishes: Wishes {
            tools: vec![tool()],
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            ..Default::default()
        },
        ..GenerationRequest::new(Endpoint::ChatCompletions, prompt)
    };
    Choice { request: Arc::new(request), request_id: "trial".into(), number: 0, index: 0, max_tokens: 16, seed: 0 }
}

fn tool() -> Tool {
    Tool {
        name: "add".into(),
        description: Some("adds two numbers".into()),
        parameters: r#"{"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}"#.into(),
    }
}
