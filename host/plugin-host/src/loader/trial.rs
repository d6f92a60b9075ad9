//! One call of everything that a plugin exports, with the requests of a plain day, before anything relies on it.

use std::sync::Arc;

use rehearsal_engine::request::{Message, Tool, ToolChoice, Wishes};
use rehearsal_engine::{
    Choice, EmbeddingRequest, Endpoint, FinishReason, GenerationRequest, Prompt, PromptContent, RequestEnd,
    RequestReport, SamplingParams, SequenceHistory, StrategyError,
};

use crate::call::{Caller, Init};
use crate::contract::Interface;
use crate::error::{CallError, LoadProblem};
use crate::instances::Instances;
use crate::plugin::Plugin;
use crate::v0_1::ask;
use crate::v0_1::bindings::lifecycle;
use crate::v0_1::convert;

fn caller() -> Caller {
    Caller { request_id: "trial".into(), seed: 0 }
}

pub(super) async fn describe(instances: &Arc<Instances>) -> Result<lifecycle::Description, LoadProblem> {
    instances
        .call(caller(), Init::Not, |store, exports| Box::pin(exports.lifecycle.call_describe(store)))
        .await
        .map_err(|error| failed("describe", error, instances))
}

/// One instance, configured.
pub(super) async fn init(instances: &Arc<Instances>) -> Result<(), LoadProblem> {
    match instances.call(caller(), Init::Before, |_, _| Box::pin(async { Ok(()) })).await {
        Err(CallError::Init(refused)) => Err(LoadProblem::Init(refused)),
        result => result.map_err(|error| failed("init", error, instances)),
    }
}

/// One call of each strategy that is exported.
pub(super) async fn exports(plugin: &Arc<Plugin>) -> Result<(), LoadProblem> {
    for interface in &plugin.version.info.exports {
        match interface {
            Interface::Generator => judge("generate", ask::generate(plugin, &choice()).await)?,
            Interface::ToolCaller => judge("call-tools", ask::call_tools(plugin, &choice()).await)?,
            Interface::FailureSelector => {
                judge("select", ask::select(plugin, &choice().arrival()).await)?;
            }
            Interface::Embedder => judge("embed", ask::embed(plugin, &embedding()).await)?,
            Interface::Observer => {
                let end = RequestEnd::Completed(FinishReason::Stop);
                let history = SequenceHistory { generated_tokens: 16, ..Default::default() };
                let ended = RequestReport { choice: Arc::new(choice()), history, end, on_purpose: false };
                let ending = convert::ending(&ended, &plugin.version.needs, plugin.view());
                judge("finished", ask::finished(plugin, ending).await)?;
            }
        }
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

fn failed(export: &'static str, error: CallError, instances: &Instances) -> LoadProblem {
    LoadProblem::Trial { export, error: error.into_strategy_error(instances.name()).to_string() }
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
    Choice::new(Arc::new(request), "trial", 16)
}

fn embedding() -> EmbeddingRequest {
    EmbeddingRequest {
        request_id: "trial".into(),
        model: String::new(),
        inputs: vec![Prompt::encoded(PromptContent::Text("Hello!".into()), vec![1, 2])],
        dimensions: 8,
        seed: 0,
        headers: Vec::new(),
    }
}

fn tool() -> Tool {
    Tool {
        name: "add".into(),
        description: Some("adds two numbers".into()),
        parameters: r#"{"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}"#.into(),
    }
}
