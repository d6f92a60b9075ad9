//! What every generating endpoint does between reading a body and writing an answer: route, judge, submit, and then wait
//! for all of it or pass it on as it falls due.

mod envelope;
mod incoming;
mod request_metrics;
mod runs;
mod sse;
mod surface;
mod transfer;
mod validate;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::StreamExt;
use rehearsal_engine::request::Wishes;
use rehearsal_engine::tokenizer::aside;
use rehearsal_engine::{
    Adapter, Endpoint, GenerationRequest, OutputEvent, OutputStream, SamplingParams, StrategyError,
};

use crate::config::RequestLimits;
use crate::prompts::conversation::Conversation;
use crate::prompts::{CountedPrompt, Input, PromptOptions, Truncation};
use crate::replica::Replica;
use crate::telemetry::capture;
use crate::telemetry::logs::requests::log_accepted;
use crate::telemetry::traces;
use crate::wire::errors::ApiError;
use crate::wire::json;

pub use envelope::{Answer, Envelope, TokenCounts};
pub use incoming::{Incoming, RequestId, Sampling};
pub use request_metrics::RequestMetrics;
pub use runs::{Run, Streaming};
pub use sse::Events;
pub use surface::Surface;
pub use transfer::{Form, Leg, PrefillResult, TopLevel, Transfer};
pub use validate::Format;

/// By it a router pins a request to a rank.
const RANK_HEADER: &str = "x-data-parallel-rank";

/// The lowest number is the most urgent.
const PRIORITY_HEADER: &str = "x-vllm-priority";

/// Answers a request of the surface `S`, in one piece or as a stream.
pub async fn create<S: Surface>(State(replica): State<Arc<Replica>>, headers: HeaderMap, body: Bytes) -> Response {
    match read::<S>(&headers, &body, &replica.limits) {
        Ok((surface, incoming)) => respond(surface, incoming, &headers, &body, &replica).await,
        Err(error) => S::failed(error),
    }
}

/// Reads a request of the surface `S`.
pub fn read<S: Surface>(headers: &HeaderMap, body: &[u8], limits: &RequestLimits) -> Result<(S, Incoming), ApiError> {
    match S::read(json::object(headers, body)?, limits) {
        // Told once more, and exactly.
        Err(error @ ApiError::Fields(_)) => match json::exact(body) {
            Some(object) => S::read(object, limits),
            None => Err(error),
        },
        read => read,
    }
}

/// Answers a request that was read.
pub async fn respond<S: Surface>(
    surface: S,
    incoming: Incoming,
    headers: &HeaderMap,
    body: &[u8],
    replica: &Arc<Replica>,
) -> Response {
    let answering = replica.load.begin();
    let answered = async {
        let stream = incoming.stream;
        let (envelope, output) = match submit(incoming, S::ID_PREFIX, headers, body, replica) {
            Ok(accepted) => accepted,
            // The status has left by then.
            Err(Refused::InEngine(error)) if stream => return Ok(sse::refused::<S::Events>(&error)),
            Err(Refused::InEngine(error) | Refused::Before(error)) => return Err(error),
        };
        if stream {
            let (events, stands_still) = (surface.events(envelope), replica.clock.as_manual().is_some());
            let held = (answering, replica.metrics.connections.open_stream());
            return sse::respond(output, events, replica.answers.keep_alive, stands_still, held).await;
        }
        Ok(written(surface, &collect(output, envelope).await?))
    };
    answered.await.unwrap_or_else(S::failed)
}

/// A request that the engine has accepted, and that is answered in one piece.
pub struct Begun<S> {
    surface: S,
    envelope: Envelope,
    output: OutputStream,
}

/// Judges a request and hands it to the engine, to be answered later.
pub fn begin<S: Surface>(
    surface: S,
    incoming: Incoming,
    headers: &HeaderMap,
    body: &[u8],
    replica: &Replica,
) -> Result<(Envelope, Begun<S>), ApiError> {
    let (envelope, output) = submit(incoming, S::ID_PREFIX, headers, body, replica).map_err(Refused::into_error)?;
    Ok((envelope.clone(), Begun { surface, envelope, output }))
}

impl<S: Surface> Begun<S> {
    /// Waits for the answer.
    pub async fn finish(self) -> Result<Response, ApiError> {
        Ok(written(self.surface, &collect(self.output, self.envelope).await?))
    }
}

/// Why a request is not accepted.
enum Refused {
    /// Before anything was sent.
    Before(ApiError),
    /// Where a stream has begun.
    InEngine(ApiError),
}

impl Refused {
    fn into_error(self) -> ApiError {
        match self {
            Self::Before(error) | Self::InEngine(error) => error,
        }
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Before(error)
    }
}

/// Judges a request and hands it to the engine.
fn submit(
    incoming: Incoming,
    id_prefix: &'static str,
    headers: &HeaderMap,
    body: &[u8],
    replica: &Replica,
) -> Result<(Envelope, OutputStream), Refused> {
    let strategies = replica.routing.load().strategies(incoming.model.as_deref(), headers)?;
    let transfer = incoming.transfer;
    let has_whole_id = matches!(incoming.request_id, RequestId::Whole(Some(_)));
    let id_prefix = if has_whole_id { "" } else { id_prefix };
    let (request, format) = generation_request(incoming, id_prefix, headers, body, replica)?;
    replica.sleep.check().map_err(Refused::InEngine)?;
    let output = replica.engine.submit(request, strategies).map_err(ApiError::from)?;
    let id = format!("{id_prefix}{}", output.request_id());
    let envelope = Envelope::new(id, &output, transfer, format, replica);
    log_accepted(&envelope.id, &envelope.request, &replica.log);
    Ok((envelope, output))
}

/// A request whose prompts fit and whose numbers are in range.
pub struct Judged {
    /// The model, if it is an adapter.
    pub adapter: Option<Arc<Adapter>>,
    /// What is to be answered.
    pub prompts: Vec<CountedPrompt>,
    /// How to sample.
    pub params: SamplingParams,
}

/// Judges what vLLM judges before its engine sees anything, in vLLM's order.
pub fn judge(incoming: &mut Incoming, headers: &HeaderMap, replica: &Replica) -> Result<Judged, ApiError> {
    check_rank(headers, replica.rank)?;
    let adapter = replica.adapter(incoming.model.as_deref())?;
    let Incoming { endpoint, sampling, wishes, .. } = &*incoming;
    let (limits, engine) = (&replica.limits, replica.engine.config());
    validate::tools(wishes, limits)?;
    if let Input::Conversation(conversation) = &incoming.input {
        conversation.check_trust(limits)?;
    }
    if *endpoint != Endpoint::Generate {
        // Tokens in, tokens out: as many as there is room for.
        validate::lengths(sampling, engine.max_model_len)?;
    }
    let options = PromptOptions {
        truncation: Truncation::new(sampling.truncate_prompt_tokens, sampling.truncates_right, engine.max_model_len),
        add_special_tokens: incoming.add_special_tokens,
        wants_ids: incoming.wants_token_ids,
        may_be_empty: sampling.least_max_tokens == 0,
    };
    let input = std::mem::replace(&mut incoming.input, Input::Prompts(Vec::new()));
    let prompts = replica.prompts.of(input, &options)?;
    for counted in &prompts {
        validate::window(&incoming.sampling, counted, limits, engine)?;
    }
    let params = validate::sampling(&incoming.sampling, &prompts, limits, engine)?;
    Ok(Judged { adapter, prompts, params })
}

/// What the client calls its request; a header wins where only the suffix is the client's to say.
pub fn named(request_id: RequestId, headers: &HeaderMap) -> Option<String> {
    match request_id {
        RequestId::Whole(id) => id,
        RequestId::Suffix(id) => {
            let named = headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
            named.map(str::to_owned).or(id)
        }
    }
}

/// What the engine is asked.
fn generation_request(
    mut incoming: Incoming,
    id_prefix: &'static str,
    headers: &HeaderMap,
    body: &[u8],
    replica: &Replica,
) -> Result<(GenerationRequest, Option<Format>), Refused> {
    let Judged { adapter, prompts, params } = judge(&mut incoming, headers, replica)?;
    let Incoming { endpoint, sampling, wishes, stream, transfer, request_id, cache_salt, .. } = incoming;
    let limits = &replica.limits;
    let last_id = replica.prompts.tokenizer().last_id();
    let format =
        validate::engine_side(&sampling, &wishes.format, &prompts, limits, last_id).map_err(Refused::InEngine)?;
    let needs = replica.plugins.needs();
    let request = GenerationRequest {
        id: named(request_id, headers),
        id_prefix,
        endpoint,
        model: adapter.as_ref().map_or_else(|| replica.reported_model(), |adapter| &adapter.name).to_owned(),
        adapter,
        prompts: prompts.into_iter().map(|counted| counted.prompt).collect(),
        sampling: params,
        priority: priority(headers).unwrap_or(incoming.priority),
        streaming: stream,
        cache_salt: cache_salt.as_deref().map(Arc::from),
        wants_token_ids: incoming.wants_token_ids,
        remote_prefill: transfer.is_some_and(|transfer| transfer.leg == Leg::Decode),
        separates_reasoning: separates_reasoning(endpoint, &replica.limits),
        wishes,
        headers: replica.needed_headers(headers),
        raw_body: needs.raw_body().then(|| String::from_utf8_lossy(body).into_owned()),
        tag: capture::tag(),
        traced: traces::traced(replica.traces.is_some(), headers, sampling.temperature, sampling.top_p),
    };
    Ok((request, format))
}

/// Texts and tokens are not parsed, as in vLLM.
fn separates_reasoning(endpoint: Endpoint, limits: &RequestLimits) -> bool {
    limits.has_reasoning_parser && !matches!(endpoint, Endpoint::Completions | Endpoint::Generate)
}

/// The length of a conversation's prompt, judged as that of a request without a limit.
pub fn count(
    model: Option<&str>,
    conversation: Conversation,
    wishes: &Wishes,
    replica: &Replica,
) -> Result<u32, ApiError> {
    replica.adapter(model)?;
    validate::tools(wishes, &replica.limits)?;
    conversation.check_trust(&replica.limits)?;
    let prompts = replica.prompts.of(Input::Conversation(Box::new(conversation)), &PromptOptions::default())?;
    for counted in &prompts {
        validate::window(&Sampling::default(), counted, &replica.limits, replica.engine.config())?;
    }
    Ok(prompts.iter().map(|counted| counted.prompt.n_tokens).sum())
}

/// A router may say how urgent a request is, whatever its body says.
fn priority(headers: &HeaderMap) -> Option<i64> {
    headers.get(PRIORITY_HEADER)?.to_str().ok()?.trim().parse().ok()
}

/// A router that pins a rank must have picked that rank's port. What is no number pins nothing, as in vLLM.
fn check_rank(headers: &HeaderMap, rank: u32) -> Result<(), ApiError> {
    let pinned = headers.get(RANK_HEADER).and_then(|value| value.to_str().ok()?.trim().parse::<i64>().ok());
    match pinned.filter(|pinned| *pinned != i64::from(rank)) {
        None => Ok(()),
        Some(pinned) => Err(ApiError::invalid_value(RANK_HEADER, pinned, format!("this is data-parallel rank {rank}"))),
    }
}

/// A whole answer; a long one is written where that holds up no other request.
fn written<S: Surface>(surface: S, answer: &Answer) -> Response {
    aside(answer.outputs.iter().map(|output| output.text().len()).sum(), || surface.whole(answer))
}

/// Waits for the end of every choice.
async fn collect(mut stream: OutputStream, envelope: Envelope) -> Result<Answer, StrategyError> {
    let mut outputs = vec![None; envelope.request.n_choices() as usize];
    stream.read_at_end();
    let mut counts = TokenCounts::default();
    let mut is_malformed = false;
    while let Some(event) = stream.next().await {
        match event? {
            OutputEvent::Tokens(due) => {
                counts.add(&due, &envelope);
                outputs[due.choice as usize] = Some(due.output);
            }
            OutputEvent::Malformed => is_malformed = true,
        }
    }
    if is_malformed {
        return Err(StrategyError::Malformed);
    }
    let outputs = outputs.into_iter().collect::<Option<Vec<_>>>().ok_or(StrategyError::Lost)?;
    Ok(Answer { envelope, outputs, counts })
}
