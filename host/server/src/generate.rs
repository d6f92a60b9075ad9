//! What every generating endpoint does between reading a body and writing an answer: route, judge, submit, and then wait
//! for all of it or pass it on as it falls due.

mod envelope;
mod incoming;
mod judge;
mod request;
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
use rehearsal_engine::tokenizer::aside;
use rehearsal_engine::{OutputEvent, OutputStream, StrategyError};

use crate::config::RequestLimits;
use crate::replica::Replica;
use crate::telemetry::logs::requests::log_accepted;
use crate::wire::errors::ApiError;
use crate::wire::json;
use request::{Refused, generation_request};

pub use envelope::{Answer, Envelope, TokenCounts};
pub use incoming::{Incoming, RequestId, Sampling};
pub use judge::{Judged, count, judge};
pub use request::named;
pub use request_metrics::RequestMetrics;
pub use runs::{Run, Streaming};
pub use sse::Events;
pub use surface::Surface;
pub use transfer::{Form, Leg, PrefillResult, TopLevel, Transfer};
pub use validate::Format;

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
