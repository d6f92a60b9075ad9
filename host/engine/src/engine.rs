//! Where requests go in and outputs come out.
//!
//! [`Engine::submit`] does everything that decides an order before it returns: number, seed, place in the queue. The
//! request then has a task in which each of its sequences waits for its place, asks the strategy during the simulated
//! prefill, and paces what it got. The scheduler is stepped under a lock that is never held across an await.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::future::{join_all, try_join};
use futures::stream::Stream;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::EngineConfig;
use crate::failure::{self, Arrival, Gate};
use crate::latency::{LatencyModel, PrefillCounts};
use crate::observer::{EngineEvent, EngineObserver};
use crate::output::{Completion, CompletionOutput, DueTokens, FinishReason, OutputEvent};
use crate::pacing::{pace, wait_until};
use crate::request::{GenerationRequest, ToolChoice};
use crate::scheduler::{Scheduler, SequenceId};
use crate::seed::{self, Purpose};
use crate::strategy::{Choice, Strategies, StrategyError};
use crate::tokenizer::Tokenizer;

/// One simulated vLLM engine.
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    config: EngineConfig,
    latency: Box<dyn LatencyModel>,
    tokenizer: Arc<dyn Tokenizer>,
    observers: Vec<Arc<dyn EngineObserver>>,
    state: Mutex<State>,
}

/// What the lock protects.
struct State {
    scheduler: Scheduler,
    /// Sequences that wait, each with the way to tell its task that it is admitted.
    waiting: HashMap<SequenceId, oneshot::Sender<()>>,
    /// Requests accepted so far.
    next_number: u64,
}

/// The waiting queue has no room for the request's sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the waiting queue is full: {waiting} sequences wait, {wanted} more do not fit")]
pub struct QueueFull {
    /// Sequences that were waiting.
    pub waiting: usize,
    /// Sequences that the request would have added.
    pub wanted: u32,
}

impl Engine {
    /// An engine with nothing to do. `observers` are told of every event, in this order.
    pub fn new(
        config: EngineConfig,
        latency: impl LatencyModel + 'static,
        tokenizer: Arc<dyn Tokenizer>,
        observers: Vec<Arc<dyn EngineObserver>>,
    ) -> Self {
        let state = State {
            scheduler: Scheduler::new(config.max_num_seqs, config.max_waiting_queue_length),
            waiting: HashMap::new(),
            next_number: 0,
        };
        let latency = Box::new(latency);
        Self { shared: Arc::new(Shared { config, latency, tokenizer, observers, state: Mutex::new(state) }) }
    }

    /// The tokenizer of the served model.
    pub fn tokenizer(&self) -> &dyn Tokenizer {
        &*self.shared.tokenizer
    }

    /// What the engine was built with.
    pub fn config(&self) -> &EngineConfig {
        &self.shared.config
    }

    /// Accepts a request, or refuses it whole. Must be called within a tokio runtime. Dropping the stream aborts the
    /// request: its places are free at once and its strategy calls are cancelled.
    pub fn submit(&self, request: GenerationRequest, strategies: Strategies) -> Result<OutputStream, QueueFull> {
        let n_choices = request.n_choices();
        let request = Arc::new(request);
        let mut state = self.shared.lock();
        let ids = state
            .scheduler
            .enqueue(n_choices)
            .map_err(|no_room| QueueFull { waiting: no_room.waiting, wanted: n_choices })?;
        let number = state.next_number;
        state.next_number += 1;

        let request_id: Arc<str> = match &request.id {
            Some(id) => id.as_str().into(),
            None => format!("{:016x}", seed::derive(Purpose::Id, &[self.shared.config.seed, number])).into(),
        };
        let (client, receiver) = mpsc::unbounded_channel();
        // With failures to play, somebody stands between the sequences and the client.
        let gate = strategies.failure_policy.as_ref().map(|_| Arc::new(Gate::new()));
        let (events, due) = match &gate {
            Some(_) => mpsc::unbounded_channel(),
            None => (client.clone(), mpsc::unbounded_channel().1),
        };
        let sequences: Vec<_> = (0..)
            .zip(ids)
            .map(|(index, id)| {
                let (admit, admitted) = oneshot::channel();
                state.waiting.insert(id, admit);
                let choice = self.choice(&request, &request_id, number, index);
                let sequence = Sequence::new(self.shared.clone(), id, choice, gate.clone(), events.clone());
                sequence.run(admitted, strategies.clone())
            })
            .collect();
        drop(events);
        state.admit();
        drop(state);
        // One task for all choices, so that those that fall due together come out in the order of their indices.
        let sequences = async move { drop(join_all(sequences).await) };
        let mut task = JoinSet::new();
        let may_fail = strategies.failure_policy.is_some();
        match strategies.failure_policy.zip(gate) {
            None => drop(task.spawn(sequences)),
            Some((policy, gate)) => {
                let arrival = self.arrival(request, request_id.clone(), number);
                drop(task.spawn(failure::play(policy, arrival, gate, sequences, due, client)));
            }
        }
        Ok(OutputStream { request_id, receiver, unfinished: n_choices, may_fail, task })
    }

    fn arrival(&self, request: Arc<GenerationRequest>, request_id: Arc<str>, number: u64) -> Arrival {
        let seed = seed::derive(Purpose::Failure, &[self.shared.config.seed, number]);
        let max_tokens = self.choice(&request, &request_id, number, 0).max_tokens;
        Arrival { request, request_id, number, seed, max_tokens }
    }

    /// Sequences that run and that wait, at this moment.
    pub fn load(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.scheduler.n_running(), state.scheduler.n_waiting())
    }

    fn choice(&self, request: &Arc<GenerationRequest>, request_id: &Arc<str>, number: u64, index: u32) -> Choice {
        let seed = match request.sampling.seed {
            Some(seed) => seed::derive(Purpose::Answer, &[seed as u64, index.into()]),
            None => seed::derive(Purpose::Answer, &[self.shared.config.seed, number, index.into()]),
        };
        let mut choice =
            Choice { request: request.clone(), request_id: request_id.clone(), number, index, max_tokens: 0, seed };
        let left = self.shared.config.max_model_len.saturating_sub(choice.prompt().n_tokens).max(1);
        choice.max_tokens = request.sampling.max_tokens.unwrap_or(left).min(left);
        choice
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take all later requests with it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, choice: &Choice, event: EngineEvent<'_>) {
        if self.observers.is_empty() {
            return;
        }
        let at = Instant::now();
        for observer in &self.observers {
            observer.observe(choice, event, at);
        }
    }
}

impl State {
    /// Gives free places to those who wait longest.
    fn admit(&mut self) {
        for id in self.scheduler.schedule() {
            if let Some(admit) = self.waiting.remove(&id) {
                // Fails only if its task was aborted meanwhile; that gives the place back when it is dropped.
                let _ = admit.send(());
            }
        }
    }
}

/// A sequence's place, waiting or running, and its duty to report one end. Both end when it is dropped.
struct Sequence {
    shared: Arc<Shared>,
    id: SequenceId,
    choice: Choice,
    /// Where to wait for failures to be played, if they are.
    gate: Option<Arc<Gate>>,
    /// Unbounded, but holds at most the choice's `max_tokens` events: a slow client must not hold its place longer.
    events: mpsc::UnboundedSender<Result<OutputEvent, StrategyError>>,
    ended: bool,
}

impl Sequence {
    fn new(
        shared: Arc<Shared>,
        id: SequenceId,
        choice: Choice,
        gate: Option<Arc<Gate>>,
        events: mpsc::UnboundedSender<Result<OutputEvent, StrategyError>>,
    ) -> Self {
        shared.tell(&choice, EngineEvent::Queued);
        Self { shared, id, choice, gate, events, ended: false }
    }

    async fn run(mut self, admitted: oneshot::Receiver<()>, strategies: Strategies) {
        if admitted.await.is_err() {
            return;
        }
        let start = Instant::now();
        self.shared.tell(&self.choice, EngineEvent::Scheduled);
        if let Some(gate) = &self.gate {
            gate.is_scheduled().await;
        }
        let mut rng =
            seed::rng(Purpose::Latency, &[self.shared.config.seed, self.choice.number, self.choice.index.into()]);
        let counts = PrefillCounts {
            prompt_tokens: self.choice.prompt().n_tokens,
            remote_prefill: self.choice.request.remote_prefill,
        };
        let prefilled_at = start + self.shared.latency.first_token(counts, &mut rng);

        let prefill = async {
            wait_until(prefilled_at).await;
            Ok(())
        };
        let (output, answered_at) = match try_join(self.output(&strategies), prefill).await {
            Ok((answer, ())) => answer,
            Err(error) => return self.fail(error),
        };

        // The first token waits for the slower of the two; the rest follow from it.
        let first_token_at = prefilled_at.max(answered_at);
        let (shared, choice, events) = (&self.shared, &self.choice, &self.events);
        let next_gap = || shared.latency.next_token(&mut rng);
        let n_tokens = output.n_tokens();
        let mut last = None;
        pace(first_token_at, n_tokens, next_gap, |tokens| {
            shared.tell(choice, EngineEvent::Tokens(tokens.len()));
            let due = DueTokens { choice: choice.index, output: output.clone(), tokens };
            if due.is_last() {
                last = Some(due);
            } else {
                // Fails only when the stream is dropped, and then this task is aborted.
                let _ = events.send(Ok(OutputEvent::Tokens(due)));
            }
        })
        .await;
        let Some(last) = last else { return };
        let last = Ok(OutputEvent::Tokens(last));
        match self.gate.clone() {
            // The place is free before the client can know that the answer is complete.
            None => {
                self.end(EngineEvent::Finished(output.finish_reason()));
                let _ = self.events.send(last);
            }
            Some(gate) => {
                let _ = self.events.send(last);
                gate.until_passed_on().await;
                self.end(EngineEvent::Finished(output.finish_reason()));
            }
        }
    }

    /// What the strategies answer, cut to what the client gets, and when it was ready.
    async fn output(&self, strategies: &Strategies) -> Result<(Arc<CompletionOutput>, Instant), StrategyError> {
        let (completion, plugin) = match self.tool_calls(strategies).await? {
            Some(calls) => calls,
            None => (strategies.generator.generate(&self.choice).await?, strategies.generator.name()),
        };
        let completion = self.with_call_ids(completion);
        let sampling = &self.choice.request.sampling;
        CompletionOutput::new(completion, self.choice.max_tokens, sampling, &*self.shared.tokenizer)
            .map(|output| (Arc::new(output), Instant::now()))
            .map_err(|message| StrategyError::InvalidOutput { plugin: plugin.to_owned(), message })
    }

    /// The calls of offered tools, and who made them up; none if text is to be generated.
    async fn tool_calls<'a>(&self, strategies: &'a Strategies) -> Result<Option<(Completion, &'a str)>, StrategyError> {
        let wishes = &self.choice.request.wishes;
        let Some(tool_caller) = &strategies.tool_caller else { return Ok(None) };
        if wishes.tools.is_empty() || wishes.tool_choice == ToolChoice::None {
            return Ok(None);
        }
        let mut tool_calls = tool_caller.call_tools(&self.choice).await?;
        if !wishes.parallel_tool_calls {
            tool_calls.truncate(1);
        }
        if tool_calls.is_empty() {
            return match &wishes.tool_choice {
                ToolChoice::None | ToolChoice::Auto => Ok(None),
                ToolChoice::Required | ToolChoice::Function(_) => Err(StrategyError::InvalidOutput {
                    plugin: tool_caller.name().to_owned(),
                    message: "it returned no call although the tool choice demands one".into(),
                }),
            };
        }
        // vLLM's quirk: a call that was demanded by name is a plain stop.
        let finish = matches!(wishes.tool_choice, ToolChoice::Function(_)).then_some(FinishReason::Stop);
        Ok(Some((Completion { tool_calls, finish, ..Default::default() }, tool_caller.name())))
    }

    /// Gives an id in vLLM's format to each call whose strategy did not.
    fn with_call_ids(&self, mut completion: Completion) -> Completion {
        for (call_idx, call) in (0..).zip(&mut completion.tool_calls) {
            call.id.get_or_insert_with(|| {
                let parts = [self.shared.config.seed, self.choice.number, self.choice.index.into(), call_idx];
                format!("chatcmpl-tool-{:016x}", seed::derive(Purpose::ToolCallId, &parts))
            });
        }
        completion
    }

    fn fail(mut self, error: StrategyError) {
        self.end(EngineEvent::Failed(&error));
        let _ = self.events.send(Err(error));
    }

    /// Reports the one terminal event and gives the place to whoever waits longest.
    fn end(&mut self, event: EngineEvent<'_>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        {
            let mut state = self.shared.lock();
            state.waiting.remove(&self.id);
            state.scheduler.remove(self.id);
            state.admit();
        }
        self.shared.tell(&self.choice, event);
    }
}

impl Drop for Sequence {
    fn drop(&mut self) {
        self.end(EngineEvent::Aborted);
    }
}

/// What comes out of one request: the events of all of its choices, as they fall due. Ends after the last token of
/// the last choice, or after the first error.
pub struct OutputStream {
    request_id: Arc<str>,
    receiver: mpsc::UnboundedReceiver<Result<OutputEvent, StrategyError>>,
    /// Choices whose last token was not taken yet; 0 after an error.
    unfinished: u32,
    /// Something may come after the last token: the end is when nobody can send any more.
    may_fail: bool,
    /// Aborted when the stream is dropped.
    task: JoinSet<()>,
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

#[cfg(test)]
pub(crate) mod tests;
