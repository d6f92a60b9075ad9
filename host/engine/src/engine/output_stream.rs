//! What a client's side of the engine sees of a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::Stream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::task::JoinSet;

use crate::output::OutputEvent;
use crate::strategy::StrategyError;

/// What comes out of one request: the events of all of its choices, as they fall due. Ends after the last token of
/// the last choice, or after the first error.
pub struct OutputStream {
    pub(super) request_id: Arc<str>,
    pub(super) receiver: mpsc::UnboundedReceiver<Result<OutputEvent, StrategyError>>,
    /// Choices whose last token was not taken yet; 0 after an error.
    pub(super) unfinished: u32,
    /// Something may come after the last token: the end is when nobody can send any more.
    pub(super) may_fail: bool,
    /// Aborted when the stream is dropped.
    pub(super) task: JoinSet<()>,
}

impl OutputStream {
    /// Suffix of the request's ids on the wire.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// What has fallen due and was not taken yet, without waiting.
    pub fn take_due(&mut self) -> Option<Result<OutputEvent, StrategyError>> {
        if self.is_finished() {
            return None;
        }
        match self.receiver.try_recv() {
            Ok(event) => Some(self.count(event)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => self.end(),
        }
    }

    /// Whether everything was taken: the last token of the last choice, or an error.
    pub fn is_finished(&self) -> bool {
        self.unfinished == 0 && !self.may_fail
    }

    fn count(&mut self, event: Result<OutputEvent, StrategyError>) -> Result<OutputEvent, StrategyError> {
        match &event {
            Ok(OutputEvent::Tokens(due)) if due.is_last() => self.unfinished -= 1,
            Ok(_) => {}
            Err(_) => {
                (self.unfinished, self.may_fail) = (0, false);
                self.task.abort_all();
            }
        }
        event
    }

    /// Nobody can send any more. If choices are missing, a task panicked, and the client must be told.
    fn end(&mut self) -> Option<Result<OutputEvent, StrategyError>> {
        self.may_fail = false;
        (self.unfinished > 0).then(|| self.count(Err(StrategyError::Lost)))
    }
}

impl Stream for OutputStream {
    type Item = Result<OutputEvent, StrategyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_finished() {
            return Poll::Ready(None);
        }
        self.receiver.poll_recv(context).map(|event| match event {
            Some(event) => Some(self.count(event)),
            None => self.end(),
        })
    }
}
