//! A request as its client sees it: what comes out of it, as it falls due.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::Stream;
use tokio::task::JoinSet;

use crate::answer::Questions;
use crate::driver::Driver;
use crate::mailbox::{Item, Mailbox};
use crate::output::OutputEvent;
use crate::request::{GenerationRequest, RequestNumber};
use crate::strategy::StrategyError;

/// What comes out of one request: the events of all of its choices, as they fall due. Ends after the last token of the
/// last choice, or after the first error. Dropping it aborts the request.
pub struct OutputStream {
    driver: Arc<Driver>,
    number: RequestNumber,
    request: Arc<GenerationRequest>,
    request_id: Arc<str>,
    mailbox: Arc<Mailbox>,
    asking: Asking,
}

/// Where the request's strategies are asked.
enum Asking {
    /// In the stream's own future: without any trip to another task. `None` once all have answered.
    Here(Option<BoxFuture<'static, ()>>),
    /// In a task, whether or not the stream is polled.
    InTask { _task: JoinSet<()> },
}

impl OutputStream {
    /// The stream of a request that the engine has accepted. A choice may have to be asked for while its client is still
    /// slow to read another: several are asked for in a task.
    pub(crate) fn new(
        request: Arc<GenerationRequest>,
        request_id: Arc<str>,
        number: RequestNumber,
        questions: Questions,
    ) -> Self {
        let (driver, mailbox) = (questions.driver.clone(), questions.mailbox.clone());
        let has_one_choice = questions.sequences.len() == 1;
        let asking = Asking::Here(Some(Box::pin(questions.ask())));
        let mut stream = Self { driver, number, request, request_id, mailbox, asking };
        if !has_one_choice {
            stream.ask_in_task();
        }
        stream
    }

    /// What was asked.
    pub fn request(&self) -> &Arc<GenerationRequest> {
        &self.request
    }

    /// Suffix of the request's ids on the wire.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// From now on, strategies are asked even if the stream is not polled.
    pub fn ask_in_task(&mut self) {
        if let Asking::Here(asking) = &mut self.asking
            && let Some(asking) = asking.take()
        {
            let mut task = JoinSet::new();
            task.spawn(asking);
            self.asking = Asking::InTask { _task: task };
        }
    }

    /// Waits until the strategies of all choices that left the queue have answered or failed; not for those that wait in
    /// it, and not for tokens. Afterwards an error may be there to be taken.
    pub async fn verdict(&mut self) {
        poll_fn(|context| {
            self.poll_asking(context);
            self.mailbox.poll_verdict(context)
        })
        .await;
    }

    /// From now on, the stream is woken when everything has fallen due, and not before: for answers in one piece.
    pub fn read_at_end(&mut self) {
        self.mailbox.read_at_end();
    }

    /// What has fallen due and was not taken yet, without waiting.
    pub fn take_due(&mut self) -> Option<Result<OutputEvent, StrategyError>> {
        self.mailbox.take().and_then(|item| self.event(item))
    }

    /// Whether everything was taken: the last token of the last choice, or an error.
    pub fn is_finished(&self) -> bool {
        self.mailbox.is_finished()
    }

    fn poll_asking(&mut self, context: &mut Context<'_>) {
        if let Asking::Here(asking) = &mut self.asking
            && asking.as_mut().is_some_and(|asking| asking.poll_unpin(context).is_ready())
        {
            *asking = None;
        }
    }

    /// What a client is to see; `None` if that is nothing more.
    fn event(&mut self, item: Item) -> Option<Result<OutputEvent, StrategyError>> {
        match item {
            Item::Tokens(due) => Some(Ok(OutputEvent::Tokens(due))),
            Item::Malformed => Some(Ok(OutputEvent::Malformed)),
            Item::Failed(error) => {
                self.asking = Asking::Here(None);
                Some(Err(error))
            }
            Item::Hang => {
                self.asking = Asking::Here(None);
                None
            }
        }
    }
}

impl Stream for OutputStream {
    type Item = Result<OutputEvent, StrategyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_asking(context);
        loop {
            let Some(item) = std::task::ready!(self.mailbox.poll_take(context)) else { return Poll::Ready(None) };
            if let Some(event) = self.event(item) {
                return Poll::Ready(Some(event));
            }
        }
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        // Its calls are cancelled before another sequence takes the place; those in a task as soon as that is polled.
        self.asking = Asking::Here(None);
        if !self.mailbox.is_finished() {
            self.driver.change(|core, _| core.abort(self.number));
        }
    }
}
