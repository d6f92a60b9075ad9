//! An output stream as Server-Sent Events. Chunks that fall due together leave in one write.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use rehearsal_engine::{OutputEvent, OutputStream, StrategyError};

use crate::api::error::ApiError;

/// Writes one endpoint's chunks, each as `data: …` and an empty line.
pub trait Chunks: Send + 'static {
    /// What comes before the first token.
    fn begin(&mut self, out: &mut Vec<u8>);
    /// The tokens of one event, one chunk each.
    fn tokens(&mut self, event: &OutputEvent, out: &mut Vec<u8>);
    /// What comes after the last token.
    fn end(&mut self, out: &mut Vec<u8>);
}

const DONE: &[u8] = b"data: [DONE]\n\n";

/// Answers with a stream. Waits for the first token, so that what fails before it is a plain error answer, with a
/// status; and so that the first byte marks TTFT, as vLLM's does.
pub async fn respond(mut output: OutputStream, mut chunks: impl Chunks) -> Result<Response, ApiError> {
    let first = output.next().await.unwrap_or(Err(StrategyError::Lost))?;
    let mut begun = Vec::with_capacity(1024);
    chunks.begin(&mut begun);
    chunks.tokens(&first, &mut begun);

    let frames = stream::unfold(Some((output, chunks, begun)), |state| async move {
        let (mut output, mut chunks, mut frame) = state?;
        // The first frame has its first token already.
        let mut event = if frame.is_empty() { output.next().await } else { output.take_due() };
        while let Some(due) = event {
            match due {
                Ok(tokens) => chunks.tokens(&tokens, &mut frame),
                Err(error) => {
                    write_error(error, &mut frame);
                    return Some((frame_of(frame), None));
                }
            }
            event = output.take_due();
        }
        if output.is_finished() {
            chunks.end(&mut frame);
            frame.extend_from_slice(DONE);
            return Some((frame_of(frame), None));
        }
        Some((frame_of(frame), Some((output, chunks, Vec::with_capacity(256)))))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    Ok((headers, Body::from_stream(frames)).into_response())
}

fn frame_of(bytes: Vec<u8>) -> Result<Bytes, std::convert::Infallible> {
    Ok(Bytes::from(bytes))
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
