//! What is asked of each export, given one request.

use std::sync::Arc;

use rehearsal_engine::request::{ToolCall, ToolChoice};
use rehearsal_engine::{
    BuiltinTokenizer, Choice, CompletionOutput, EmbeddingRequest, EmbeddingStrategy, FailurePolicy, GenerationRequest,
    Outcome, ResponseStrategy, StrategyError, ToolCallStrategy,
};
use rehearsal_plugin_host::{Plugins, quoted};

use super::formats;

/// What a plugin can do, in one host.
pub(super) struct Subject {
    generator: Option<Arc<dyn ResponseStrategy>>,
    tool_caller: Option<Arc<dyn ToolCallStrategy>>,
    failure_policy: Option<Arc<dyn FailurePolicy>>,
    embedder: Option<Arc<dyn EmbeddingStrategy>>,
}

impl Subject {
    pub(super) fn new(host: &Plugins, name: &str) -> Self {
        Self {
            generator: host.generator(name),
            tool_caller: host.tool_caller(name),
            failure_policy: host.failure_policy(name),
            embedder: host.embedder(name),
        }
    }

    /// Has vectors made, and again by the `twin`, which must make the same; `None` if it makes none.
    pub(super) async fn embeds(&self, request: &EmbeddingRequest, twin: &Self) -> Option<Result<(), String>> {
        let (embedder, twin) = (self.embedder.as_ref()?, twin.embedder.as_ref()?);
        let [first, second] = [embedder.embed(request).await, twin.embed(request).await].map(answer);
        Some(first.and_then(|first| same(&first, &second?)))
    }

    /// Sends `request` to every export, all its choices, and again to the `twin`, which must answer the same.
    pub(super) async fn check(
        &self,
        request: &Arc<GenerationRequest>,
        twin: &Self,
    ) -> Vec<(&'static str, Result<(), String>)> {
        let mut verdicts = Vec::new();
        if let (Some(generator), Some(twin)) = (&self.generator, &twin.generator) {
            verdicts.push(("generate", generated(&**generator, &**twin, request).await));
        }
        if let (Some(tool_caller), Some(twin)) = (&self.tool_caller, &twin.tool_caller)
            && !request.wishes.tools.is_empty()
        {
            verdicts.push(("call-tools", called(&**tool_caller, &**twin, request).await));
        }
        if let (Some(policy), Some(twin)) = (&self.failure_policy, &twin.failure_policy) {
            verdicts.push(("select", selected(&**policy, &**twin, request).await));
        }
        verdicts
    }
}

async fn generated(
    generator: &dyn ResponseStrategy,
    twin: &dyn ResponseStrategy,
    request: &Arc<GenerationRequest>,
) -> Result<(), String> {
    for choice in choices(request) {
        let (first, second) = (output(generator, &choice).await?, output(twin, &choice).await?);
        same(&first, &second)?;
        if let Some(output) = first {
            formats::fits(output.text(), &request.wishes.format)?;
        }
    }
    Ok(())
}

/// The output as the engine would serve it; none if the request was rejected.
async fn output(generator: &dyn ResponseStrategy, choice: &Choice) -> Result<Option<CompletionOutput>, String> {
    let Some(completion) = answer(generator.generate(choice).await)? else { return Ok(None) };
    let sampling = &choice.request.sampling;
    CompletionOutput::new(completion, choice.max_tokens, choice.seed, sampling, &BuiltinTokenizer::default(), false)
        .map(Some)
}

async fn called(
    tool_caller: &dyn ToolCallStrategy,
    twin: &dyn ToolCallStrategy,
    request: &Arc<GenerationRequest>,
) -> Result<(), String> {
    for choice in choices(request) {
        let calls = answer(tool_caller.call_tools(&choice).await)?;
        same(&calls, &answer(twin.call_tools(&choice).await)?)?;
        let Some(calls) = calls else { continue };
        match &request.wishes.tool_choice {
            ToolChoice::Required if calls.is_empty() => return Err("no call, though one is required".into()),
            ToolChoice::Function(name) if calls.iter().all(|call| call.name != *name) => {
                return Err(format!("no call of {name:?}, though it is demanded"));
            }
            _ => {}
        }
        calls.iter().try_for_each(|call| fits(call, request))?;
    }
    Ok(())
}

/// A call is of an offered tool, and its schema admits the arguments.
fn fits(call: &ToolCall, request: &GenerationRequest) -> Result<(), String> {
    let Some(tool) = request.wishes.tools.iter().find(|tool| tool.name == call.name) else {
        return Err(format!("a call of {:?}, which was not offered", call.name));
    };
    let (Ok(schema), Ok(arguments)) = (serde_json::from_str(&tool.parameters), serde_json::from_str(&call.arguments))
    else {
        return Err(format!("the arguments of {:?} are no JSON: {}", call.name, call.arguments));
    };
    // A schema that is not one admits anything.
    let Ok(validator) = jsonschema::validator_for(&schema) else { return Ok(()) };
    validator.validate(&arguments).map_err(|error| format!("arguments of {:?} do not fit: {error}", call.name))
}

async fn selected(
    policy: &dyn FailurePolicy,
    twin: &dyn FailurePolicy,
    request: &Arc<GenerationRequest>,
) -> Result<(), String> {
    let choice = Choice { number: 7, seed: 42, ..Choice::new(request.clone(), "test", 100) };
    let arrival = choice.arrival();
    let outcomes: Option<Vec<Outcome>> = answer(policy.select(&arrival).await)?;
    same(&outcomes, &answer(twin.select(&arrival).await)?)
}

/// None for a rejection.
fn answer<T>(result: Result<T, StrategyError>) -> Result<Option<T>, String> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(StrategyError::Plugin(fault)) => Err(format!("{fault}{}", quoted("in that call", &fault.said))),
        Err(_) => Ok(None),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(first: &T, second: &T) -> Result<(), String> {
    if first == second {
        return Ok(());
    }
    let short = |answer: &T| format!("{answer:?}").chars().take(200).collect::<String>();
    Err(format!("the same request got two answers: {} and {}", short(first), short(second)))
}

fn choices(request: &Arc<GenerationRequest>) -> impl Iterator<Item = Choice> {
    let first = Choice::new(request.clone(), "test", request.sampling.max_tokens.unwrap_or(100_000));
    (0..request.n_choices()).map(move |index| Choice { number: 7, index, seed: 42 + u64::from(index), ..first.clone() })
}
