//! An output stream as Server-Sent Events. Chunks that fall due together leave in one write.

use std::io;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use rehearsal_engine::{DueTokens, OutputEvent, OutputStream, StrategyError};

use crate::api::error::ApiError;

/// Writes one endpoint's chunks, each as `data: …` and an empty line.
pub trait Chunks: Send + 'static {
    /// What comes before the first token.
    fn begin(&mut self, out: &mut Vec<u8>);
    /// Tokens that are due, one chunk each.
    fn tokens(&mut self, due: &DueTokens, out: &mut Vec<u8>);
    /// What comes after the last token.
    fn end(&mut self, out: &mut Vec<u8>);
}

/// An event that no client can parse.
const MALFORMED: &[u8] = b"data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \n\n";

const DONE: &[u8] = b"data: [DONE]\n\n";

/// Answers with a stream. Waits for the first token, so that what fails before it is a plain error answer, with a
/// status; and so that the first byte marks TTFT, as vLLM's does.
pub async fn respond(mut output: OutputStream, mut chunks: impl Chunks) -> Result<Response, ApiError> {
    let first = output.next().await.unwrap_or(Err(StrategyError::Lost))?;
    let mut begun = Vec::with_capacity(1024);
    chunks.begin(&mut begun);
    write_event(&first, &mut chunks, &mut begun);

    let frames = stream::unfold(Some(State::Going(output, chunks, begun)), |state| async move {
        let (mut output, mut chunks, mut frame) = match state? {
            State::Going(output, chunks, frame) => (output, chunks, frame),
            State::Cut => {
                // What was written before is flushed while there is nothing more to write; an error would drop it.
                tokio::task::yield_now().await;
                return Some((Err(cut()), None));
            }
        };
        // The first frame has its first token already.
        let mut event = if frame.is_empty() { output.next().await } else { output.take_due() };
        while let Some(due) = event {
            match due {
                Ok(event) => write_event(&event, &mut chunks, &mut frame),
                // What is written is sent; then the connection ends in the middle of the body.
                Err(StrategyError::Disconnected) => return Some((Ok(Bytes::from(frame)), Some(State::Cut))),
                Err(error) => {
                    write_error(error, &mut frame);
                    return Some((Ok(Bytes::from(frame)), None));
                }
            }
            event = output.take_due();
        }
        if output.is_finished() {
            chunks.end(&mut frame);
            frame.extend_from_slice(DONE);
            return Some((Ok(Bytes::from(frame)), None));
        }
        Some((Ok(Bytes::from(frame)), Some(State::Going(output, chunks, Vec::with_capacity(256)))))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    Ok((headers, Body::from_stream(frames)).into_response())
}

/// How far a stream has come.
enum State<C> {
    /// The next frame, as far as it is written.
    Going(OutputStream, C, Vec<u8>),
    /// It is to end in the middle.
    Cut,
}

fn write_event(event: &OutputEvent, chunks: &mut impl Chunks, out: &mut Vec<u8>) {
    match event {
        OutputEvent::Tokens(due) => chunks.tokens(due, out),
        OutputEvent::Malformed => out.extend_from_slice(MALFORMED),
    }
}

/// An answer whose body ends in the middle: the client sees a broken connection, not a clean end.
pub fn cut_connection() -> Response {
    let body = Body::from_stream(stream::once(async { Err::<Bytes, _>(cut()) }));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut on purpose")
}

/// The status has been sent: the client learns of it here.
fn write_error(error: StrategyError, out: &mut Vec<u8>) {
    tracing::warn!(%error, "a stream failed after its first byte");
    out.extend_from_slice(b"data: ");
    // Writing to a vector cannot fail, and an error body has nothing that JSON lacks.
    let _ = serde_json::to_writer(&mut *out, &ApiError::from(error).body());
    out.extend_from_slice(b"\n\n");
    out.extend_from_slice(DONE);
}
