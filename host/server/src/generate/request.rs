//! What the engine is asked.

use std::sync::Arc;

use axum::http::HeaderMap;
use rehearsal_engine::{Endpoint, GenerationRequest};

use super::incoming::{Incoming, RequestId};
use super::judge::{Judged, judge};
use super::transfer::Leg;
use super::validate::{self, Format};
use crate::config::RequestLimits;
use crate::replica::Replica;
use crate::telemetry::{capture, traces};
use crate::wire::errors::ApiError;

/// The lowest number is the most urgent.
const PRIORITY_HEADER: &str = "x-vllm-priority";

/// Why a request is not accepted.
pub(super) enum Refused {
    /// Before anything was sent.
    Before(ApiError),
    /// Where a stream has begun.
    InEngine(ApiError),
}

impl Refused {
    pub(super) fn into_error(self) -> ApiError {
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

/// What the engine is asked.
pub(super) fn generation_request(
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

/// A router may say how urgent a request is, whatever its body says.
fn priority(headers: &HeaderMap) -> Option<i64> {
    headers.get(PRIORITY_HEADER)?.to_str().ok()?.trim().parse().ok()
}
