//! Where requests go in and outputs come out.
//!
//! [`Engine::submit`] does everything that decides an order before it returns: number, seed, place in the queue. The
//! request then has a task in which each of its sequences waits for its place, asks the strategy during the simulated
//! prefill, and paces what it got. The scheduler is stepped under a lock that is never held across an await.

mod output_stream;
mod sequence;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::EngineConfig;
use crate::failure::{self, Arrival, Gate};
use crate::latency::{LatencyModel, Load};
use crate::lora::AdapterCache;
use crate::observer::{EngineEvent, EngineObserver};
use crate::request::GenerationRequest;
use crate::scheduler::{Scheduler, SequenceId};
use crate::seed::{self, Purpose};
use crate::strategy::{Choice, Strategies};
use crate::tokenizer::Tokenizer;

pub use output_stream::OutputStream;
use sequence::Sequence;

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
    /// Sequences that run, for those who ask at each token.
    running: AtomicUsize,
}

/// What a sequence is told when it leaves the queue.
struct Admission {
    /// Its adapter was not in memory.
    loads_adapter: bool,
}

/// What the lock protects.
struct State {
    scheduler: Scheduler,
    /// Those in memory.
    adapters: AdapterCache,
    /// Sequences that wait, each with the way to tell its task that it is admitted.
    waiting: HashMap<SequenceId, oneshot::Sender<Admission>>,
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
            scheduler: Scheduler::new(config.max_num_seqs, config.max_waiting_queue_length, config.max_loras),
            adapters: AdapterCache::new(config.max_cpu_loras.get() as usize),
            waiting: HashMap::new(),
            next_number: 0,
        };
        let latency = Box::new(latency);
        Self {
            shared: Arc::new(Shared {
                config,
                latency,
                tokenizer,
                observers,
                state: Mutex::new(state),
                running: AtomicUsize::new(0),
            }),
        }
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
            .enqueue(n_choices, request.adapter.as_ref().map(|adapter| adapter.id))
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
        self.shared.admit(&mut state);
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

    /// Gives free places to those who wait longest.
    fn admit(&self, state: &mut State) {
        let State { scheduler, adapters, waiting, .. } = state;
        for (id, adapter) in scheduler.schedule() {
            let loads_adapter = adapter.is_some_and(|id| adapters.use_adapter(id, |id| scheduler.runs_adapter(id)));
            if let Some(admit) = waiting.remove(&id) {
                // Fails only if its task was aborted meanwhile; that gives the place back when it is dropped.
                let _ = admit.send(Admission { loads_adapter });
            }
        }
        self.running.store(state.scheduler.n_running(), Ordering::Relaxed);
    }

    /// How busy it is at this moment.
    fn load(&self) -> Load {
        let max_num_seqs = self.config.max_num_seqs.get() as usize;
        Load { running: self.running.load(Ordering::Relaxed), max_num_seqs }
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

#[cfg(test)]
pub(crate) mod tests;
