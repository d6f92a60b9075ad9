//! The body of an answer with something that is to end with it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

/// What ends with a body; it is dropped just after that.
pub(crate) trait Guard: Send + Unpin + 'static {
    /// The body was sent whole.
    fn whole(&mut self) {}
}

struct Guarded<G> {
    // First, so that it is dropped first.
    body: Body,
    guard: G,
}

/// The same body; `guard` is dropped when it was sent, or when its client has left.
pub(crate) fn guarded(body: Body, guard: impl Guard) -> Body {
    Body::new(Guarded { body, guard })
}

impl<G: Guard> HttpBody for Guarded<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let is_whole = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => self.body.is_end_stream(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if is_whole {
            self.guard.whole();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
