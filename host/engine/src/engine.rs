//! Where requests go in and outputs come out.
//!
//! [`Engine::submit`] does everything that decides an order before it returns: number, seed, place in the queue. The
//! request then has a task in which each of its sequences waits for its place, asks the strategy during the simulated
//! prefill, and paces what it got. The scheduler is stepped under a lock that is never held across an await.

mod output_stream;
mod sequence;
mod state;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::EngineConfig;
use crate::failure::{self, Arrival, Gate};
use crate::kv_cache::{BlockHasher, CachedSequence, ExtraKeys};
use crate::latency::{LatencyModel, Load};
use crate::observer::{EngineEvent, EngineObserver};
use crate::request::{GenerationRequest, Prompt};
use crate::scheduler::SequenceId;
use crate::seed::{self, Purpose};
use crate::strategy::{Choice, Strategies};
use crate::tokenizer::Tokenizer;

pub use output_stream::OutputStream;
use sequence::Sequence;
pub use state::EngineStatus;
use state::{Preempted, State};

/// One simulated vLLM engine.
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    config: EngineConfig,
    latency: Box<dyn LatencyModel>,
    tokenizer: Arc<dyn Tokenizer>,
    observers: Vec<Arc<dyn EngineObserver>>,
    /// Names the blocks of the KV cache, if one is simulated.
    hasher: Option<Arc<BlockHasher>>,
    state: Mutex<State>,
    /// Sequences that run, for those who ask at each token.
    running: AtomicUsize,
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
        let hasher = config.kv_cache.as_ref().map(|kv_cache| {
            let (block_size, seed) = (kv_cache.block_size as usize, kv_cache.hash_seed.as_deref());
            Arc::new(BlockHasher::new(kv_cache.algorithm, block_size, seed, config.seed, kv_cache.model.clone()))
        });
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(&config, hasher.clone())),
                config,
                latency: Box::new(latency),
                tokenizer,
                observers,
                hasher,
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
    ///
    /// Where a KV cache is simulated, each prompt must have its token ids and fit into it, or it would wait for ever and
    /// everybody behind it too.
    pub fn submit(&self, request: GenerationRequest, strategies: Strategies) -> Result<OutputStream, QueueFull> {
        let n_choices = request.n_choices();
        let request = Arc::new(request);
        let cached = self.shared.hasher.as_ref().map(|hasher| cached_sequences(&request, hasher));
        let mut state = self.shared.lock();
        let (number, ids) = state
            .enqueue(&request, cached)
            .map_err(|no_room| QueueFull { waiting: no_room.waiting, wanted: n_choices })?;

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
                let admitted = state.await_admission(id);
                let choice = self.choice(&request, &request_id, number, index);
                let sequence = Sequence::new(self.shared.clone(), id, choice, gate.clone(), events.clone());
                sequence.run(admitted, strategies.clone())
            })
            .collect();
        drop(events);
        self.shared.settle(&mut state);
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
        self.shared.lock().load()
    }

    /// Who runs, who waits and how full the KV cache is, at this moment.
    pub fn status(&self) -> EngineStatus {
        self.shared.lock().status()
    }

    /// Forgets what could be found in the KV cache; false, and nothing happens, while any block of it is held.
    /// `preempt_running` first takes all running sequences their blocks away; they recompute them.
    pub fn reset_prefix_cache(&self, preempt_running: bool) -> bool {
        let mut state = self.shared.lock();
        let is_reset = state.reset_prefix_cache(preempt_running);
        self.shared.settle(&mut state);
        is_reset
    }

    fn choice(&self, request: &Arc<GenerationRequest>, request_id: &Arc<str>, number: u64, index: u32) -> Choice {
        let seed = match request.sampling.seed {
            Some(seed) => seed::derive(Purpose::Answer, &[seed as u64, index.into()]),
            None => seed::derive(Purpose::Answer, &[self.shared.config.seed, number, index.into()]),
        };
        let mut choice =
            Choice { request: request.clone(), request_id: request_id.clone(), number, index, max_tokens: 0, seed };
        let left = self.shared.config.most_output_tokens(choice.prompt().n_tokens);
        choice.max_tokens = request.sampling.max_tokens.unwrap_or(left).min(left);
        choice
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take all later requests with it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After every change: gives free places to those who wait longest, and tells what happened in the KV cache.
    fn settle(&self, state: &mut State) {
        state.admit(Instant::now());
        self.running.store(state.load().0, Ordering::Relaxed);
        self.tell_kv_cache(state);
    }

    fn tell_kv_cache(&self, state: &mut State) {
        let events = state.take_kv_cache_events();
        if !events.is_empty() {
            let events = events.into();
            self.observers.iter().for_each(|observer| observer.observe_kv_cache(&events));
        }
    }

    /// Room in the KV cache for the tokens before `end` of an output of which those before `sent` were sent. An error
    /// says that the sequence had to make way, and how many tokens it may send all the same.
    fn make_room(&self, id: SequenceId, output_ids: &[u32], sent: usize, end: usize) -> Result<(), Preempted> {
        if self.hasher.is_none() {
            return Ok(());
        }
        let mut state = self.lock();
        let before = state.load();
        let result = state.make_room(id, &output_ids[..end], sent);
        // Nearly always nobody made way, and then nobody can be let in: a token must not cost a look at the queue.
        if state.load() == before {
            self.tell_kv_cache(&mut state);
        } else {
            self.settle(&mut state);
        }
        result
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

/// What the KV cache has to know of each choice; choices of one prompt are neighbours.
fn cached_sequences(request: &GenerationRequest, hasher: &BlockHasher) -> Vec<CachedSequence> {
    let keys = ExtraKeys { adapter: request.adapter.clone(), cache_salt: request.cache_salt.clone() };
    let sequence = |prompt: &Prompt| {
        debug_assert_eq!(prompt.token_ids.len(), prompt.n_tokens as usize, "a prompt with its ids");
        CachedSequence::new(prompt.token_ids.clone(), keys.clone(), hasher)
    };
    let n = request.sampling.n as usize;
    request.prompts.iter().map(sequence).flat_map(|sequence| std::iter::repeat_n(sequence, n)).collect()
}

#[cfg(test)]
pub(crate) mod tests;
