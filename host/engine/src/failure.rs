//! Failures on purpose: what fails, and when. A policy decides it once per request; here it is played.
//!
//! The player stands between the sequences and the client. While it waits for a moment it passes on what falls due;
//! a request that hangs is no longer driven, so it keeps its places, as a real engine's would.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use crate::output::{DueTokens, OutputEvent};
use crate::request::GenerationRequest;
use crate::strategy_error::{Rejection, StrategyError};

/// A hang ends after this long, even if the client is more patient.
const HANG_LIMIT: Duration = Duration::from_secs(600);

/// Decides which requests fail, how and when.
pub trait FailurePolicy: Send + Sync {
    /// The name that errors give it.
    fn name(&self) -> &str;

    /// What is to happen to one request, in order. Empty: it goes well. Asked once, when the request arrives.
    fn select<'a>(&'a self, arrival: &'a Arrival) -> BoxFuture<'a, Result<Vec<Outcome>, StrategyError>>;
}

/// A request as a policy sees it: before it is split into choices.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The request.
    pub request: Arc<GenerationRequest>,
    /// Suffix of its ids on the wire.
    pub request_id: Arc<str>,
    /// Counts accepted requests from 0.
    pub number: u64,
    /// The policy's only randomness.
    pub seed: u64,
    /// Most output tokens of its first choice.
    pub max_tokens: u32,
}

/// One thing that is to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What.
    pub failure: Failure,
    /// When. A moment that the request does not reach passes by.
    pub moment: Moment,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// An error answer; after the first byte, an error event.
    Error(Box<Rejection>),
    /// The connection is cut.
    Disconnect,
    /// Nothing more is sent until the client gives up.
    Hang,
    /// Nothing is sent for so long; then it goes on as if nothing had been.
    Stall(Duration),
    /// Bytes that are not JSON: one event of a stream, or the whole body.
    Malformed,
}

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At once.
    OnArrival,
    /// When the first choice leaves the waiting queue.
    OnSchedule,
    /// After so many output tokens of all choices together.
    AfterTokens(u32),
    /// So long after arrival.
    AfterTime(Duration),
    /// After the last token.
    AtEnd,
}

/// Where sequences wait for the player, so that a failure finds them where they are even if no time passes.
pub(crate) struct Gate {
    scheduled: Notify,
    passed_on: Semaphore,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { scheduled: Notify::new(), passed_on: Semaphore::new(0) }
    }

    /// A sequence left the queue. Gives the player a turn before anything else happens.
    pub(crate) async fn is_scheduled(&self) {
        self.scheduled.notify_one();
        tokio::task::yield_now().await;
    }

    /// A sequence sent its last token: it keeps its place until the client has it.
    pub(crate) async fn until_passed_on(&self) {
        // Never closed; were it, there would be nothing to wait for.
        if let Ok(permit) = self.passed_on.acquire().await {
            permit.forget();
        }
    }
}

type Event = Result<OutputEvent, StrategyError>;

/// Plays what `policy` selects for a request, whose choices `sequences` drives and send to `due`.
pub(crate) async fn play(
    policy: Arc<dyn FailurePolicy>,
    arrival: Arrival,
    gate: Arc<Gate>,
    sequences: impl Future<Output = ()> + Send,
    due: mpsc::UnboundedReceiver<Event>,
    client: mpsc::UnboundedSender<Event>,
) {
    let arrived_at = Instant::now();
    let mut player =
        Player { sequences: Some(Box::pin(sequences)), due, client, gate, held: None, sent: 0, arrived_at };
    let outcomes = match policy.select(&arrival).await {
        Ok(outcomes) => outcomes,
        Err(error) => return player.send(Err(error)),
    };
    for Outcome { failure, moment } in outcomes {
        if !player.reach(moment).await {
            return;
        }
        match failure {
            Failure::Error(error) => return player.send(Err(StrategyError::Rejected(error))),
            Failure::Disconnect => return player.send(Err(StrategyError::Disconnected)),
            Failure::Hang => {
                sleep(HANG_LIMIT).await;
                return player.send(Err(StrategyError::Disconnected));
            }
            Failure::Stall(time) => player.stall(time).await,
            Failure::Malformed => player.send(Ok(OutputEvent::Malformed)),
        }
    }
    while player.pass_on(u32::MAX).await {}
}

struct Player<'a> {
    /// None once all have ended.
    sequences: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
    due: mpsc::UnboundedReceiver<Event>,
    client: mpsc::UnboundedSender<Event>,
    gate: Arc<Gate>,
    /// What is left of an event that a moment fell into.
    held: Option<DueTokens>,
    /// Tokens that were passed on.
    sent: u32,
    arrived_at: Instant,
}

impl Player<'_> {
    /// Passes on what falls due until `moment`; false if the request has ended before.
    async fn reach(&mut self, moment: Moment) -> bool {
        let gate = self.gate.clone();
        match moment {
            Moment::OnArrival => true,
            Moment::OnSchedule => loop {
                tokio::select! {
                    biased;
                    () = gate.scheduled.notified() => return true,
                    passed = self.pass_on(u32::MAX) => if !passed { return false },
                }
            },
            Moment::AfterTokens(tokens) => {
                while self.sent < tokens {
                    if !self.pass_on(tokens).await {
                        return false;
                    }
                }
                true
            }
            Moment::AfterTime(time) => {
                let moment = sleep_until(self.arrived_at + time);
                tokio::pin!(moment);
                loop {
                    tokio::select! {
                        biased;
                        () = &mut moment => return true,
                        passed = self.pass_on(u32::MAX) => if !passed { return false },
                    }
                }
            }
            Moment::AtEnd => {
                while self.pass_on(u32::MAX).await {}
                true
            }
        }
    }

    /// Waits for the next event and passes it on, up to `limit` tokens in all; false if there is none. Nothing is lost
    /// if it is dropped while it waits.
    async fn pass_on(&mut self, limit: u32) -> bool {
        let event = match self.held.take() {
            Some(held) => Ok(OutputEvent::Tokens(held)),
            None => match self.next_due().await {
                Some(event) => event,
                None => return false,
            },
        };
        let event = event.map(|event| match event {
            OutputEvent::Tokens(mut tokens) => {
                let room = (limit - self.sent) as usize;
                if tokens.tokens.len() > room {
                    let cut = tokens.tokens.start + room;
                    self.held = Some(DueTokens { tokens: cut..tokens.tokens.end, ..tokens.clone() });
                    tokens.tokens.end = cut;
                }
                self.sent += tokens.tokens.len() as u32;
                if tokens.is_last() {
                    self.gate.passed_on.add_permits(1);
                }
                OutputEvent::Tokens(tokens)
            }
            OutputEvent::Malformed => event,
        });
        self.send(event);
        true
    }

    async fn next_due(&mut self) -> Option<Event> {
        loop {
            let Some(sequences) = &mut self.sequences else { return self.due.recv().await };
            tokio::select! {
                biased;
                event = self.due.recv() => return event,
                () = sequences => self.sequences = None,
            }
        }
    }

    /// Sends nothing for a while; the sequences go on.
    async fn stall(&mut self, time: Duration) {
        let end = sleep(time);
        tokio::pin!(end);
        while let Some(sequences) = &mut self.sequences {
            tokio::select! {
                biased;
                () = &mut end => return,
                () = sequences => self.sequences = None,
            }
        }
        end.await;
    }

    fn send(&self, event: Event) {
        // Fails only when the stream is dropped, and then this task is aborted.
        let _ = self.client.send(event);
    }
}

#[cfg(test)]
mod tests;
