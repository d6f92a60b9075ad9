//! What the engine's lock protects: who waits, who runs, and the memory that they share. Not async; each step is
//! followed by [`State::admit`].

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::EngineConfig;
use crate::kv_cache::{BlockHasher, CachedSequence, KvCache, KvCacheEvent};
use crate::lora::AdapterCache;
use crate::request::GenerationRequest;
use crate::scheduler::{Admitted, NoRoom, Scheduler, SequenceId};

/// What a sequence is told when it leaves the queue.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) at: Instant,
    /// Its adapter was not in memory.
    pub(super) loads_adapter: bool,
    /// Tokens of it that were found in the KV cache.
    pub(super) cached_tokens: u32,
}

/// A sequence had to make way.
#[derive(Debug)]
pub(super) struct Preempted {
    /// How many tokens of its output it had room for.
    pub(super) may_send: usize,
    /// Tells when it runs again.
    pub(super) readmitted: oneshot::Receiver<Admission>,
}

/// The engine at one moment, as its metrics report it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EngineStatus {
    /// Sequences that run.
    pub running: usize,
    /// Sequences that wait.
    pub waiting: usize,
    /// Times that a running sequence had to make way, since the start.
    pub preemptions: u64,
    /// Blocks of the KV cache that running sequences hold, and all blocks; none without one.
    pub kv_cache_blocks: Option<(usize, usize)>,
    /// Names of the adapters of running sequences, each once, in order of admission.
    pub running_adapters: Vec<String>,
    /// Names of the adapters of waiting sequences, each once, in order of the queue.
    pub waiting_adapters: Vec<String>,
}

pub(super) struct State {
    scheduler: Scheduler,
    kv_cache: Option<KvCache>,
    /// Those in memory.
    adapters: AdapterCache,
    /// Sequences that wait, each with the way to tell its task that it is admitted.
    waiting: HashMap<SequenceId, oneshot::Sender<Admission>>,
    /// Sequences that were preempted and do not know it yet, each with what it will wait for.
    preempted: HashMap<SequenceId, oneshot::Receiver<Admission>>,
    /// Requests accepted so far.
    next_number: u64,
    /// Times that a sequence had to make way.
    n_preemptions: u64,
}

impl State {
    pub(super) fn new(config: &EngineConfig, hasher: Option<Arc<BlockHasher>>) -> Self {
        let kv_cache = config.kv_cache.as_ref().zip(hasher);
        Self {
            scheduler: Scheduler::new(config.max_num_seqs, config.max_waiting_queue_length, config.max_loras),
            kv_cache: kv_cache.map(|(config, hasher)| KvCache::new(config, hasher)),
            adapters: AdapterCache::new(config.max_cpu_loras.get() as usize),
            waiting: HashMap::new(),
            preempted: HashMap::new(),
            next_number: 0,
            n_preemptions: 0,
        }
    }

    /// Queues a request's choices, or none of them. Returns its number and their ids.
    pub(super) fn enqueue(
        &mut self,
        request: &GenerationRequest,
        cached: Option<Vec<CachedSequence>>,
    ) -> Result<(u64, Vec<SequenceId>), NoRoom> {
        let cached = cached.unwrap_or_default();
        let n_choices = request.n_choices();
        let n_fitting = self.kv_cache.as_ref().map_or(n_choices, |kv_cache| kv_cache.n_fitting(&cached));
        let ids = self.scheduler.enqueue(n_choices, request.adapter.as_ref(), n_fitting)?;
        if let Some(kv_cache) = &mut self.kv_cache {
            ids.iter().zip(cached).for_each(|(id, sequence)| kv_cache.insert(*id, sequence));
        }
        let number = self.next_number;
        self.next_number += 1;
        Ok((number, ids))
    }

    /// What a waiting sequence waits for.
    pub(super) fn await_admission(&mut self, id: SequenceId) -> oneshot::Receiver<Admission> {
        let (admit, admitted) = oneshot::channel();
        self.waiting.insert(id, admit);
        admitted
    }

    /// Gives free places and memory to those who wait longest.
    pub(super) fn admit(&mut self, at: Instant) {
        let kv_cache = &mut self.kv_cache;
        let allocate = |id| match kv_cache {
            Some(kv_cache) => kv_cache.allocate(id),
            None => Some(0),
        };
        for Admitted { id, adapter, cached_tokens } in self.scheduler.schedule(allocate) {
            let runs = |id| self.scheduler.runs_adapter(id);
            let loads_adapter = adapter.is_some_and(|adapter| self.adapters.use_adapter(adapter.id, runs));
            if let Some(admit) = self.waiting.remove(&id) {
                // Fails only if its task was aborted meanwhile; that gives the place back when it is dropped.
                let _ = admit.send(Admission { at, loads_adapter, cached_tokens });
            }
        }
    }

    /// Room for a running sequence to send `output_ids`, of which `sent` were sent. While no block is free, whoever was
    /// admitted last makes way, as in vLLM; that may be the sequence itself. The one admitted first never has to, so
    /// that somebody always gets on.
    pub(super) fn make_room(&mut self, id: SequenceId, output_ids: &[u32], sent: usize) -> Result<(), Preempted> {
        let mut may_send = sent;
        loop {
            if let Some(readmitted) = self.preempted.remove(&id) {
                return Err(Preempted { may_send, readmitted });
            }
            let Some(kv_cache) = &mut self.kv_cache else { return Ok(()) };
            may_send = kv_cache.grow(id, output_ids);
            if may_send == output_ids.len() {
                return Ok(());
            }
            let Some(last) = self.scheduler.last_running() else { return Ok(()) };
            self.preempt(last);
        }
    }

    fn preempt(&mut self, id: SequenceId) {
        self.n_preemptions += 1;
        self.scheduler.preempt(id);
        if let Some(kv_cache) = &mut self.kv_cache {
            kv_cache.release(id);
        }
        let readmitted = self.await_admission(id);
        // Preempted again before it noticed: it waits for the later admission.
        self.preempted.insert(id, readmitted);
    }

    /// Forgets a sequence, wherever it is.
    pub(super) fn remove(&mut self, id: SequenceId) {
        self.waiting.remove(&id);
        self.preempted.remove(&id);
        self.scheduler.remove(id);
        if let Some(kv_cache) = &mut self.kv_cache {
            kv_cache.remove(id);
        }
    }

    pub(super) fn reset_prefix_cache(&mut self, preempt_running: bool) -> bool {
        while preempt_running
            && self.kv_cache.is_some()
            && let Some(last) = self.scheduler.last_running()
        {
            self.preempt(last);
        }
        self.kv_cache.as_mut().is_none_or(KvCache::reset)
    }

    pub(super) fn take_kv_cache_events(&mut self) -> Vec<KvCacheEvent> {
        self.kv_cache.as_mut().map(KvCache::take_events).unwrap_or_default()
    }

    /// Sequences that run and that wait.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.scheduler.n_running(), self.scheduler.n_waiting())
    }

    pub(super) fn status(&self) -> EngineStatus {
        let (running, waiting) = self.load();
        EngineStatus {
            running,
            waiting,
            preemptions: self.n_preemptions,
            kv_cache_blocks: self.kv_cache.as_ref().map(KvCache::usage),
            running_adapters: once_each(self.scheduler.running_adapters().map(|adapter| adapter.name.as_str())),
            waiting_adapters: once_each(self.scheduler.waiting_adapters().map(|adapter| adapter.name.as_str())),
        }
    }
}

fn once_each<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for name in names {
        if !distinct.iter().any(|known| known == name) {
            distinct.push(name.to_owned());
        }
    }
    distinct
}
