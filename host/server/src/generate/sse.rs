//! An output stream as Server-Sent Events. Events that fall due together leave in one write.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use rehearsal_engine::{DueTokens, OutputEvent, OutputStream, StrategyError};

use crate::process::real_time::timeout;
use crate::telemetry::load::Answering;
use crate::telemetry::metrics::OpenStream;
use crate::wire::broken;
use crate::wire::errors::ApiError;
use crate::wire::event::write_data;

/// Writes the events of one answer.
pub trait Events: Send + 'static {
    /// What leaves as soon as the request is accepted.
    fn accepted(&mut self, _: &mut Vec<u8>) {}
    /// What comes before the first token.
    fn begin(&mut self, out: &mut Vec<u8>);
    /// Tokens that are due.
    fn tokens(&mut self, due: &DueTokens, out: &mut Vec<u8>);
    /// What comes after the last token.
    fn end(&mut self, out: &mut Vec<u8>);
    /// What a client is told of an error that ends the stream.
    fn failed(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        Self::refused(error, out);
    }
    /// The same where nothing was written yet.
    fn refused(error: &ApiError, out: &mut Vec<u8>) {
        write_data(out, &error.body());
    }
    /// Whether the stream ends with `[DONE]`, however it went.
    const ENDS_WITH_DONE: bool = true;
}

/// A stream that tells of nothing but an error.
pub(super) fn refused<E: Events>(error: &ApiError) -> Response {
    let mut frame = Vec::new();
    E::refused(error, &mut frame);
    done::<E>(&mut frame);
    (HEADERS, Body::from(frame)).into_response()
}

const HEADERS: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];

/// An event that no client can parse.
const MALFORMED: &[u8] = b"data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \n\n";

const DONE: &[u8] = b"data: [DONE]\n\n";

/// A comment, which clients skip and proxies take for life.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// A frame that has so many bytes is sent.
const FRAME: usize = 32 << 10;

/// Real time for which the status of a stream waits for what its strategy says: a rejection that is late only because the
/// machine is busy should have the status that it has on an idle one.
const VERDICT_LIMIT: Duration = Duration::from_secs(1);

/// Answers with a stream. Its status leaves as soon as the request is accepted, as vLLM's does; but what is known right
/// away is told with a status of its own: what fails on arrival, and what the strategy of a request that need not queue
/// says within [`VERDICT_LIMIT`], without a limit while engine time `stands_still`. With `keep_alive` the stream is never silent
/// for longer than that. `held` is given up when the last byte was handed over.
pub(super) async fn respond<E: Events>(
    mut output: OutputStream,
    events: E,
    keep_alive: Option<Duration>,
    stands_still: bool,
    held: (Answering, OpenStream),
) -> Result<Response, ApiError> {
    let mut stream = Stream { events, begun: false, _held: held };
    let mut frame = Vec::with_capacity(1024);
    if stands_still {
        output.verdict().await;
    } else {
        // One that is late is told as an event of the stream.
        let limit = keep_alive.map_or(VERDICT_LIMIT, |keep_alive| keep_alive.min(VERDICT_LIMIT));
        let _ = timeout(limit, output.verdict()).await;
    }
    let first = output.take_due().transpose()?;
    stream.events.accepted(&mut frame);
    if let Some(first) = first {
        stream.write_event(&first, &mut frame);
    }
    // A body is polled only as its client reads it, and what the client has got may be no answer yet.
    output.ask_in_task();
    let frames = stream::unfold(Some(State::Going(output, stream, frame)), move |state| async move {
        let (mut output, mut stream, mut frame) = match state? {
            State::Going(output, stream, frame) => (output, stream, frame),
            State::Cut => {
                // What was written before is flushed while there is nothing more to write; an error would drop it.
                tokio::task::yield_now().await;
                return Some((Err(broken::cut()), None));
            }
        };
        // The first frame may have something already.
        let mut event = if frame.is_empty() {
            match next(&mut output, keep_alive).await {
                Next::Event(event) => event,
                Next::Silence => {
                    let going = State::Going(output, stream, Vec::with_capacity(256));
                    return Some((Ok(Bytes::from_static(KEEP_ALIVE)), Some(going)));
                }
            }
        } else {
            output.take_due()
        };
        while let Some(due) = event {
            match due {
                Ok(event) => stream.write_event(&event, &mut frame),
                // What is written is sent; then the connection ends in the middle of the body.
                Err(StrategyError::Disconnected) => return Some((Ok(Bytes::from(frame)), Some(State::Cut))),
                Err(error) => {
                    tracing::warn!(%error, "a stream failed after its first byte");
                    stream.events.failed(&ApiError::from(error), &mut frame);
                    done::<E>(&mut frame);
                    return Some((Ok(Bytes::from(frame)), None));
                }
            }
            // A client that was away is not told everything at once, which would have to be kept for it.
            event = if frame.len() < FRAME { output.take_due() } else { None };
        }
        if output.is_finished() {
            stream.events.end(&mut frame);
            done::<E>(&mut frame);
            return Some((Ok(Bytes::from(frame)), None));
        }
        Some((Ok(Bytes::from(frame)), Some(State::Going(output, stream, Vec::with_capacity(256)))))
    });
    Ok((HEADERS, Body::from_stream(frames)).into_response())
}

/// How far a stream has come.
enum State<C> {
    /// The next frame, as far as it is written.
    Going(OutputStream, Stream<C>, Vec<u8>),
    /// It is to end in the middle.
    Cut,
}

/// What writes a stream.
struct Stream<C> {
    events: C,
    /// Whether what comes before the first token was written.
    begun: bool,
    _held: (Answering, OpenStream),
}

/// What comes next.
enum Next {
    /// `None` at the end.
    Event(Option<Result<OutputEvent, StrategyError>>),
    /// Nothing, for so long that the stream must say that it is alive.
    Silence,
}

/// Waits for the next event, but no longer than a stream may be silent; `None`: for as long as it takes.
async fn next(output: &mut OutputStream, keep_alive: Option<Duration>) -> Next {
    match keep_alive {
        None => Next::Event(output.next().await),
        Some(longest) => timeout(longest, output.next()).await.map_or(Next::Silence, Next::Event),
    }
}

impl<C: Events> Stream<C> {
    fn write_event(&mut self, event: &OutputEvent, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.events.begin(out);
        }
        match event {
            OutputEvent::Tokens(due) => self.events.tokens(due, out),
            OutputEvent::Malformed => out.extend_from_slice(MALFORMED),
        }
    }
}

fn done<E: Events>(out: &mut Vec<u8>) {
    if E::ENDS_WITH_DONE {
        out.extend_from_slice(DONE);
    }
}
