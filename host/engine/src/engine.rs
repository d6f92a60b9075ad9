//! Where requests go in and outputs come out.
//!
//! [`Engine::submit`] does everything that decides an order before it returns: number, seed, place in the queue. What
//! follows is asked for in the request's own future ([`OutputStream`]), and falls due in the core's steps.

use std::future::poll_fn;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::answer::Questions;
use crate::clock::{Clock, EngineTime};
use crate::config::EngineConfig;
use crate::core::{Core, Pause};
use crate::driver::Driver;
use crate::failure::Arrival;
use crate::kv_cache::{BlockHasher, CachedSequence, ExtraKeys};
use crate::latency::LatencyModel;
use crate::mailbox::Mailbox;
use crate::observer::EngineObserver;
use crate::output_stream::OutputStream;
use crate::request::{GenerationRequest, Prompt, RequestNumber};
use crate::seed::{self, Purpose};
use crate::strategy::{Choice, Strategies};
use crate::tokenizer::Tokenizer;

/// One simulated vLLM engine.
pub struct Engine {
    config: EngineConfig,
    tokenizer: Arc<dyn Tokenizer>,
    /// Names the blocks of the KV cache, if one is simulated.
    hasher: Option<Arc<BlockHasher>>,
    driver: Arc<Driver>,
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
    /// An engine with nothing to do, whose time is `clock`'s. `observers` are told of every step, in this order. Must be
    /// called within a tokio runtime.
    pub fn new(
        config: EngineConfig,
        latency: impl LatencyModel + 'static,
        tokenizer: Arc<dyn Tokenizer>,
        clock: Clock,
        observers: Vec<Arc<dyn EngineObserver>>,
    ) -> Self {
        let hasher = config.kv_cache.as_ref().map(|kv_cache| {
            let (block_size, seed) = (kv_cache.block_size as usize, kv_cache.hash_seed.as_deref());
            Arc::new(BlockHasher::new(kv_cache.algorithm, block_size, seed, config.seed, kv_cache.model.clone()))
        });
        let core = Core::new(&config, Box::new(latency), hasher.clone(), clock.as_manual().is_some());
        Self { config, tokenizer, hasher, driver: Arc::new(Driver::new(core, clock, observers)) }
    }

    /// What the engine was built with.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Accepts a request, or refuses it whole. Must be called within a tokio runtime. Dropping the stream aborts the
    /// request: its places are free at once and its strategy calls are cancelled.
    ///
    /// Where a KV cache is simulated, each prompt must have its token ids and fit into it, or it would wait for ever and
    /// everything behind it too.
    pub fn submit(&self, request: GenerationRequest, strategies: Strategies) -> Result<OutputStream, QueueFull> {
        let n_choices = request.n_choices();
        let request = Arc::new(request);
        let cached = if self.hasher.is_some() { self.cached_sequences(&request) } else { Vec::new() };
        let may_fail = strategies.failure_policy.is_some();
        let mailbox = Arc::new(Mailbox::new(n_choices, may_fail));
        let sequences = self
            .driver
            .change(|core, now| {
                let choices = |number| self.choices(&request, number, now);
                core.submit(&request, cached, &mailbox, may_fail, now, choices)
            })
            .map_err(|no_room| QueueFull { waiting: no_room.waiting, wanted: n_choices })?;
        let first = &sequences[0].1;
        let (number, request_id) = (first.number, first.request_id.clone());
        let seed = || seed::derive(Purpose::Failure, &[self.config.seed, number]);
        let arrival = may_fail.then(|| Arrival { seed: seed(), ..first.arrival() });
        let questions = Questions {
            driver: self.driver.clone(),
            mailbox,
            strategies,
            seed: self.config.seed,
            tokenizer: self.tokenizer.clone(),
            wants_ids: self.hasher.is_some() || request.needs_output_ids(),
            sequences,
            arrival,
        };
        Ok(OutputStream::new(request, request_id, number, questions))
    }

    /// From now on, things take as long as `latency` says; what is due already stays so.
    pub fn set_latency(&self, latency: impl LatencyModel + 'static) {
        self.driver.change(|core, _| core.set_latency(Box::new(latency)));
    }

    /// Forgets what could be found in the KV cache; false, and nothing happens, while any block of it is held.
    /// `preempt_running` first takes all running sequences their blocks away; they recompute them.
    pub fn reset_prefix_cache(&self, preempt_running: bool) -> bool {
        self.driver.change(|core, _| core.reset_prefix_cache(preempt_running))
    }

    /// Pauses; ready when everything stands still, or when it is told to go on before that. Requests that come
    /// meanwhile are queued. Where everything stands still already it stays so, but for what [`Pause::Abort`] ends. A
    /// request that hangs is not waited for, but what it leaves no place for is.
    pub async fn pause(&self, pause: Pause) {
        let mailbox = Arc::new(Mailbox::new(0, false));
        self.driver.change(|core, now| core.pause(pause, &mailbox, now));
        // Nothing is put into it but the end.
        poll_fn(|context| mailbox.poll_take(context)).await;
    }

    /// Goes on after a pause.
    pub fn resume(&self) {
        self.driver.change(|core, now| core.resume(now));
    }

    /// Whether it is paused, or about to be.
    pub fn is_paused(&self) -> bool {
        self.driver.look(Core::is_paused)
    }

    /// What the KV cache has to know of each choice; choices of one prompt are neighbours.
    fn cached_sequences(&self, request: &GenerationRequest) -> Vec<CachedSequence> {
        let keys = ExtraKeys { adapter: request.adapter.clone(), cache_salt: request.cache_salt.clone() };
        let hasher = self.hasher.as_deref().filter(|_| self.config.reuses_prefixes());
        let sequence = |prompt: &Prompt| {
            debug_assert_eq!(prompt.token_ids.len(), prompt.n_tokens as usize, "a prompt with its ids");
            CachedSequence::new(prompt.token_ids.clone(), keys.clone(), hasher)
        };
        let n = request.sampling.n as usize;
        request.prompts.iter().map(sequence).flat_map(|sequence| std::iter::repeat_n(sequence, n)).collect()
    }

    fn choices(
        &self,
        request: &Arc<GenerationRequest>,
        number: RequestNumber,
        arrived: EngineTime,
    ) -> SmallVec<[Arc<Choice>; 1]> {
        let request_id: Arc<str> = match &request.id {
            Some(id) => id.as_str().into(),
            None => format!("{:016x}", seed::derive(Purpose::Id, &[self.config.seed, number])).into(),
        };
        let choice = |index| Arc::new(self.choice(request, &request_id, number, index, arrived));
        (0..request.n_choices()).map(choice).collect()
    }

    fn choice(
        &self,
        request: &Arc<GenerationRequest>,
        request_id: &Arc<str>,
        number: RequestNumber,
        index: u32,
        arrived: EngineTime,
    ) -> Choice {
        let seed = match request.sampling.seed {
            Some(seed) => seed::derive(Purpose::Answer, &[seed as u64, index.into()]),
            None => seed::derive(Purpose::Answer, &[self.config.seed, number, index.into()]),
        };
        let (request, request_id) = (request.clone(), request_id.clone());
        let mut choice = Choice { request, request_id, number, index, max_tokens: 0, seed, arrived, cached_tokens: 0 };
        let left = self.config.most_output_tokens(choice.prompt().n_tokens);
        choice.max_tokens = choice.request.sampling.max_tokens.unwrap_or(left).min(left);
        choice
    }
}

#[cfg(test)]
pub(crate) mod tests;
