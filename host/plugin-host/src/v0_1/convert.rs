//! Domain types to WIT records and back. Nothing is decided here but whether a record keeps its contract.

use std::time::Duration;

use rehearsal_engine::request::{self, OutputFormat, ToolChoice};
use rehearsal_engine::strategy::Rejection;
use rehearsal_engine::{
    Arrival, Choice, Completion, Content, EmbeddingRequest, Endpoint, EngineTime, Failure, Fault, FinishReason,
    GenerationRequest, Moment, Outcome, Prompt, PromptContent, RequestEnd, RequestReport, StrategyError,
};

use crate::engine_view::EngineView;
use crate::needs::Needs;
use crate::v0_1::bindings::{embedder, failure_selector, generator, observer, types};
use crate::v0_1::extras;
use crate::v0_1::logprobs;
use crate::v0_1::timing;

/// What a generator is sent for one choice.
pub(crate) fn request(choice: &Choice, needs: &Needs, view: &EngineView) -> types::Request {
    let request = &choice.request;
    let sampling = &request.sampling;
    let wishes = &request.wishes;
    types::Request {
        id: choice.request_id.to_string(),
        endpoint: endpoint(request.endpoint),
        model: request.model.clone(),
        prompt: prompt(&choice.prompt().content),
        prompt_tokens: choice.prompt().n_tokens,
        // The contract promises at least 1; the host cuts to the 0 that an echo of the prompt alone asks for.
        max_tokens: choice.max_tokens.max(1),
        max_tokens_given: sampling.max_tokens.is_some(),
        min_tokens: sampling.min_tokens,
        ignore_eos: sampling.ignore_eos,
        stop: sampling.stop.clone(),
        streaming: request.streaming,
        choices: request.n_choices(),
        choice_index: choice.index,
        number: choice.number,
        seed: choice.seed,
        tools: wishes.tools.iter().map(tool).collect(),
        tool_choice: match &wishes.tool_choice {
            ToolChoice::None => types::ToolChoice::None,
            ToolChoice::Auto => types::ToolChoice::Auto,
            ToolChoice::Required => types::ToolChoice::Required,
            ToolChoice::Function(name) => types::ToolChoice::Function(name.clone()),
        },
        parallel_tool_calls: wishes.parallel_tool_calls,
        format: match &wishes.format {
            OutputFormat::Free => types::OutputFormat::Free,
            OutputFormat::JsonObject => types::OutputFormat::JsonObject,
            OutputFormat::JsonSchema(schema) => types::OutputFormat::JsonSchema(schema.clone()),
            OutputFormat::Choice(choices) => types::OutputFormat::Choice(choices.clone()),
            OutputFormat::Regex(regex) => types::OutputFormat::Regex(regex.clone()),
            OutputFormat::Other(kind, text) => types::OutputFormat::Other((kind.clone(), text.clone())),
        },
        reasoning_effort: wishes.reasoning_effort.clone(),
        headers: headers(request, needs),
        raw_body: raw_body(request, needs),
        extras: extras::of_choice(choice, needs, view),
    }
}

/// What a failure selector is sent for one request.
pub(crate) fn arrival(arrival: &Arrival, needs: &Needs, view: &EngineView) -> failure_selector::Arrival {
    let request = &arrival.request;
    failure_selector::Arrival {
        id: arrival.request_id.to_string(),
        number: arrival.number,
        endpoint: endpoint(request.endpoint),
        model: request.model.clone(),
        streaming: request.streaming,
        choices: request.n_choices(),
        prompt_tokens: request.prompts.iter().map(|prompt| prompt.n_tokens).sum(),
        max_tokens: arrival.max_tokens.max(1),
        seed: arrival.seed,
        headers: headers(request, needs),
        prompt: if needs.prompt() { request.prompts.first().map(|first| prompt(&first.content)) } else { None },
        raw_body: raw_body(request, needs),
        extras: extras::of_arrival(request, arrival.arrived, needs, view),
    }
}

/// What an observer is told of a request that ended.
pub(crate) fn ending(ended: &RequestReport, needs: &Needs, view: &EngineView) -> observer::Ending {
    let RequestReport { choice, history, end, on_purpose } = ended;
    let request = &choice.request;
    let micros = |moment: Option<EngineTime>| {
        moment.map(|moment| u64::try_from(moment.since(history.arrived).as_micros()).unwrap_or(u64::MAX))
    };
    let (outcome, status) = match end {
        RequestEnd::Completed(reason) => (observer::Outcome::Completed(reason.as_str().to_owned()), 200),
        RequestEnd::Failed(error) => (observer::Outcome::Failed(error.to_string()), error.status()),
        RequestEnd::Aborted => (observer::Outcome::Aborted, 200),
    };
    observer::Ending {
        id: choice.request_id.to_string(),
        number: choice.number,
        endpoint: endpoint(request.endpoint),
        model: request.model.clone(),
        streaming: request.streaming,
        choices: request.n_choices(),
        outcome,
        status,
        on_purpose: *on_purpose,
        prompt_tokens: request.prompts.iter().map(|prompt| prompt.n_tokens).sum(),
        cached_tokens: history.cached_tokens,
        output_tokens: history.generated_tokens,
        scheduled_us: micros(history.scheduled),
        first_token_us: micros(history.first_token),
        last_token_us: micros(history.last_token),
        headers: headers(request, needs),
        extras: extras::of_arrival(request, choice.arrived, needs, view),
    }
}

/// What an embedder is sent.
pub(crate) fn embedding(request: &EmbeddingRequest, needs: &Needs) -> embedder::EmbeddingRequest {
    let input = |input: &Prompt| embedder::EmbeddingInput {
        prompt: prompt(&input.content),
        token_ids: input.token_ids.clone(),
    };
    embedder::EmbeddingRequest {
        id: request.request_id.to_string(),
        model: request.model.clone(),
        inputs: request.inputs.iter().map(input).collect(),
        dimensions: request.dimensions,
        seed: request.seed,
        headers: wanted(&request.headers, needs),
        extras: Vec::new(),
    }
}

/// What an embedder answered.
pub(crate) fn vectors(
    answer: Result<Vec<Vec<f32>>, types::CallError>,
    request: &EmbeddingRequest,
    plugin: &str,
) -> Result<Vec<Vec<f32>>, StrategyError> {
    let vectors = answer.map_err(|error| call_error(error, plugin))?;
    let invalid = |message: String| Err(Fault::InvalidOutput(message).of(plugin));
    if vectors.len() != request.inputs.len() {
        return invalid(format!("{} vectors for {} inputs", vectors.len(), request.inputs.len()));
    }
    let dimensions = request.dimensions as usize;
    for (index, vector) in vectors.iter().enumerate() {
        if vector.len() != dimensions {
            return invalid(format!("vector {index} has {} numbers, and not {dimensions}", vector.len()));
        }
        if let Some(number) = vector.iter().find(|number| !number.is_finite()) {
            return invalid(format!("vector {index} has {number}, which JSON has not"));
        }
    }
    Ok(vectors)
}

fn headers(request: &GenerationRequest, needs: &Needs) -> Vec<(String, String)> {
    wanted(&request.headers, needs)
}

fn wanted(headers: &[(String, String)], needs: &Needs) -> Vec<(String, String)> {
    headers.iter().filter(|(name, _)| needs.wants_header(name)).cloned().collect()
}

fn raw_body(request: &GenerationRequest, needs: &Needs) -> Option<String> {
    if needs.raw_body() { request.raw_body.clone() } else { None }
}

fn endpoint(endpoint: Endpoint) -> types::Endpoint {
    match endpoint {
        Endpoint::ChatCompletions => types::Endpoint::ChatCompletions,
        Endpoint::Completions => types::Endpoint::Completions,
        Endpoint::Responses => types::Endpoint::Responses,
        Endpoint::Messages => types::Endpoint::Messages,
        Endpoint::Generate => types::Endpoint::Generate,
    }
}

fn prompt(content: &PromptContent) -> types::Prompt {
    match content {
        PromptContent::Chat(messages) => types::Prompt::Chat(messages.iter().map(message).collect()),
        PromptContent::Text(text) => types::Prompt::Text(text.clone()),
        PromptContent::TokenIds(ids) => types::Prompt::TokenIds(ids.clone()),
    }
}

fn message(message: &request::Message) -> types::Message {
    types::Message {
        role: match message.role.as_str() {
            "system" => types::Role::System,
            "developer" => types::Role::Developer,
            "user" => types::Role::User,
            "assistant" => types::Role::Assistant,
            "tool" => types::Role::Tool,
            other => types::Role::Other(other.to_owned()),
        },
        name: message.name.clone(),
        parts: message.parts.iter().map(part).collect(),
        tool_calls: message.tool_calls.iter().map(tool_call).collect(),
        tool_call_id: message.tool_call_id.clone(),
    }
}

fn part(part: &request::ContentPart) -> types::ContentPart {
    match part {
        request::ContentPart::Text(text) => types::ContentPart::Text(text.clone()),
        request::ContentPart::Media { kind, n_tokens, .. } => {
            types::ContentPart::Media(types::Media { kind: kind.clone(), prompt_tokens: *n_tokens })
        }
        request::ContentPart::Other { kind, json } => types::ContentPart::Other((kind.clone(), json.clone())),
    }
}

fn tool(tool: &request::Tool) -> types::Tool {
    types::Tool { name: tool.name.clone(), description: tool.description.clone(), parameters: tool.parameters.clone() }
}

fn tool_call(call: &request::ToolCall) -> types::ToolCall {
    types::ToolCall { id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() }
}

/// What a generator answered.
pub(crate) fn completion(
    answer: Result<generator::Completion, types::CallError>,
    plugin: &str,
) -> Result<Completion, StrategyError> {
    let answer = answer.map_err(|error| call_error(error, plugin))?;
    Ok(Completion {
        reasoning: checked_content(answer.reasoning, plugin)?,
        content: checked_content(answer.content, plugin)?,
        token_limit: answer.token_limit,
        tool_calls: checked_calls(answer.tool_calls, plugin)?,
        finish: answer.finish.map(finish_reason),
        timing: timing::read(&answer.extras).map_err(|message| Fault::InvalidOutput(message).of(plugin))?,
        logprobs: logprobs::read(&answer.extras).map_err(|message| Fault::InvalidOutput(message).of(plugin))?,
    })
}

/// What a tool caller answered.
pub(crate) fn tool_calls(
    answer: Result<Vec<types::ToolCall>, types::CallError>,
    plugin: &str,
) -> Result<Vec<request::ToolCall>, StrategyError> {
    checked_calls(answer.map_err(|error| call_error(error, plugin))?, plugin)
}

/// Arguments must be the JSON text of an object, as clients will parse them.
fn checked_calls(calls: Vec<types::ToolCall>, plugin: &str) -> Result<Vec<request::ToolCall>, StrategyError> {
    let checked = |call: types::ToolCall| match serde_json::from_str::<&serde_json::value::RawValue>(&call.arguments) {
        Ok(value) if value.get().starts_with('{') => {
            Ok(request::ToolCall { id: call.id, name: call.name, arguments: call.arguments })
        }
        _ => {
            let (name, arguments) = (&call.name, &call.arguments);
            let message = format!("the arguments of its call of {name:?} are not a JSON object: {arguments:?}");
            Err(Fault::InvalidOutput(message).of(plugin))
        }
    };
    calls.into_iter().map(checked).collect()
}

/// A split that breaks the contract is the call's fault, and told as such.
fn checked_content(answer: Option<generator::Content>, plugin: &str) -> Result<Option<Content>, StrategyError> {
    let content = answer.map(content);
    let checked = content.as_ref().map_or(Ok(()), Content::check);
    checked.map_err(|message| Fault::InvalidOutput(message).of(plugin))?;
    Ok(content)
}

fn content(content: generator::Content) -> Content {
    match content {
        generator::Content::Text(text) => Content::Text(text),
        generator::Content::Split(split) => Content::Split { text: split.text, ends: split.ends },
        generator::Content::Pieces(pieces) => {
            let mut text = String::with_capacity(pieces.iter().map(String::len).sum());
            let ends = pieces
                .iter()
                .map(|piece| {
                    text.push_str(piece);
                    text.len() as u32
                })
                .collect();
            Content::Split { text, ends }
        }
        generator::Content::TokenIds(ids) => Content::TokenIds(ids),
    }
}

fn finish_reason(reason: generator::FinishReason) -> FinishReason {
    match reason {
        generator::FinishReason::Stop => FinishReason::Stop,
        generator::FinishReason::Length => FinishReason::Length,
        generator::FinishReason::ToolCalls => FinishReason::ToolCalls,
        generator::FinishReason::ContentFilter => FinishReason::ContentFilter,
        generator::FinishReason::Other(reason) => FinishReason::Other(reason),
    }
}

/// What a failure selector answered.
pub(crate) fn outcomes(
    answer: Result<Vec<failure_selector::Outcome>, types::CallError>,
    plugin: &str,
) -> Result<Vec<Outcome>, StrategyError> {
    let outcome = |outcome: failure_selector::Outcome| {
        let moment = match outcome.moment {
            failure_selector::Moment::OnArrival => Moment::OnArrival,
            failure_selector::Moment::OnSchedule => Moment::OnSchedule,
            failure_selector::Moment::AfterTokens(tokens) => Moment::AfterTokens(tokens),
            failure_selector::Moment::AfterMs(millis) => Moment::AfterTime(Duration::from_millis(millis.into())),
            failure_selector::Moment::AtEnd => Moment::AtEnd,
        };
        let failure = match outcome.failure {
            failure_selector::Failure::Error(error) => Failure::Error(Box::new(rejection(error, plugin)?)),
            failure_selector::Failure::Disconnect => Failure::Disconnect,
            failure_selector::Failure::Hang => Failure::Hang,
            failure_selector::Failure::Stall(millis) => Failure::Stall(Duration::from_millis(millis.into())),
            failure_selector::Failure::Malformed => Failure::Malformed,
            failure_selector::Failure::Other((kind, _)) => {
                let message = format!("it selected a failure of the kind {kind:?}, which this server does not know");
                return Err(Fault::InvalidOutput(message).of(plugin));
            }
        };
        Ok(Outcome { failure, moment })
    };
    answer.map_err(|error| call_error(error, plugin))?.into_iter().map(outcome).collect()
}

fn call_error(error: types::CallError, plugin: &str) -> StrategyError {
    match error {
        types::CallError::Internal(message) => Fault::Internal(message).of(plugin),
        types::CallError::Reject(error) => match rejection(error, plugin) {
            Ok(rejection) => StrategyError::Rejected(Box::new(rejection)),
            Err(invalid) => invalid,
        },
    }
}

fn rejection(error: types::ApiError, plugin: &str) -> Result<Rejection, StrategyError> {
    if !(400..600).contains(&error.status) {
        let message = format!("it rejected the request with status {}, which is not 400 to 599", error.status);
        return Err(Fault::InvalidOutput(message).of(plugin));
    }
    Ok(Rejection {
        plugin: Some(plugin.to_owned()),
        status: error.status,
        message: error.message,
        kind: error.kind,
        code: error.code,
        param: error.param,
        headers: error.headers,
    })
}
