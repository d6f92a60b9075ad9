//! A request's body, read before its endpoint sees it: no larger than it may be, and no slower.

use std::future::{pending, poll_fn};
use std::num::NonZero;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::tokenizer::aside;
use tokio::sync::Semaphore;

use crate::config::ConnectionConfig;
use crate::generate::Surface;
use crate::process::closing::Closing;
use crate::process::real_time::sleep;
use crate::replica::Replica;
use crate::surface::messages::Messages;
use crate::telemetry::metrics::ConnectionMetrics;
use crate::wire::errors::ApiError;

/// A body above this size, in bytes, is read beside the serving threads.
const LARGE: usize = 64 << 10;

/// Of such bodies, half as many as there are processors are read at a time.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    Semaphore::new((processors / 2).max(1))
});

/// Without a body there is nothing to wait for; nor where there is no endpoint that would read it.
pub(super) async fn read(State(replica): State<Arc<Replica>>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() || request.extensions().get::<MatchedPath>().is_none() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match whole(body, length, &replica.connections, &replica.closing, &replica.metrics.connections).await {
        Ok(body) => {
            let n_bytes = body.len();
            answer(n_bytes, next.run(Request::from_parts(head, body.into()))).await
        }
        // In the shape of the API that was called.
        Err(error) if head.uri.path().starts_with("/v1/messages") => Messages::failed(error),
        Err(error) => error.into_response(),
    }
}

/// Answers. What a large body makes of work, reading it and making tokens of it, is done before anything is waited for; so
/// the first step is taken where it holds up none of those that this thread serves, and few at a time.
async fn answer(n_bytes: usize, answering: impl Future<Output = Response>) -> Response {
    let mut answering = pin!(answering);
    if n_bytes > LARGE {
        // The semaphore is never closed.
        let _turn = TURNS.acquire().await;
        let step = poll_fn(|context| Poll::Ready(aside(n_bytes, || answering.as_mut().poll(context)))).await;
        if let Poll::Ready(response) = step {
            return response;
        }
    }
    answering.await
}

/// All of it. `length` is what its client says that it has.
async fn whole(
    body: Body,
    length: Option<usize>,
    limits: &ConnectionConfig,
    closing: &Closing,
    metrics: &ConnectionMetrics,
) -> Result<Bytes, ApiError> {
    let most = limits.most_body_bytes.unwrap_or(usize::MAX);
    if length.is_some_and(|length| length > most) {
        return Err(ApiError::BodyTooLarge { most });
    }
    let mut body = pin!(body);
    let (mut first, mut read) = (None, Vec::new());
    loop {
        let stalled = async {
            match limits.body_timeout {
                Some(time) => sleep(time).await,
                None => pending().await,
            }
        };
        let frame = tokio::select! {
            biased;
            frame = poll_fn(|context| body.as_mut().poll_frame(context)) => frame,
            () = closing.begun() => return Err(ApiError::Stopping),
            () = stalled => {
                metrics.slow_bodies.inc();
                return Err(ApiError::BodyStalled);
            }
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| ApiError::BodyBroken(error.to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        if piece.len() > most - read.len() {
            return Err(ApiError::BodyTooLarge { most });
        }
        // Most bodies come in one piece, which need not be copied.
        match first.take() {
            None if read.is_empty() => first = Some(piece),
            None => read.extend_from_slice(&piece),
            Some(before) => {
                read.reserve_exact(length.unwrap_or(0).max(before.len() + piece.len()));
                read.extend_from_slice(&before);
                read.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| read.into()))
}
