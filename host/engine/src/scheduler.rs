//! Which sequences wait and which run. A state machine that is stepped: it has no clock and calls nothing.
//!
//! The lowest priority first, and of one priority first come, first served, as vLLM; with its default policy all have the
//! same. The head of the queue is admitted when a place is free and its prompt finds memory. Only one thing lets others
//! overtake it: its adapter, where `max_loras` others run.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::lora::Adapter;

/// Names a sequence for as long as the scheduler knows it. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(u64);

/// A request found no room in the waiting queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Sequences that were waiting.
    pub waiting: usize,
}

/// A sequence that left the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Which.
    pub id: SequenceId,
    /// The adapter that it runs with.
    pub adapter: Option<Arc<Adapter>>,
    /// Tokens of it that were found in the KV cache.
    pub cached_tokens: u32,
}

/// Why a sequence stays in the queue, and, but for the last of these, all behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// There is no memory for it.
    Memory,
    /// It can be in a later step of the batch.
    Step,
    /// It has not come to the queue yet: others overtake it.
    Outside,
}

/// How often sequences with adapters may overtake one that waits for its own. After that, adapters that run are left to
/// finish: else a steady flow for one of them would starve all others.
const MAX_OVERTAKEN: u32 = 16;

/// The waiting queue and the running batch.
#[derive(Debug)]
pub struct Scheduler {
    max_running: usize,
    max_waiting: usize,
    max_loras: usize,
    /// Sequences wait for steps, even where places are free.
    by_steps: bool,
    /// By priority.
    waiting: VecDeque<Waiting>,
    /// In the order of admission.
    running: Vec<Running>,
    /// How many sequences run with each adapter.
    adapters: BTreeMap<u32, usize>,
    /// Why the last step ended at a sequence, if it did: none overtakes that one.
    stays: Option<Stays>,
    /// How many the last step passed over, because of their adapters.
    n_deferred: usize,
    next_id: u64,
    adapters_version: u64,
}

#[derive(Debug)]
struct Waiting {
    id: SequenceId,
    priority: i64,
    adapter: Option<Arc<Adapter>>,
    overtaken: u32,
}

#[derive(Debug)]
struct Running {
    id: SequenceId,
    priority: i64,
    adapter: Option<Arc<Adapter>>,
}

impl Scheduler {
    /// A scheduler with nothing in it. `by_steps`: sequences leave the queue when a step is scheduled, and not before.
    pub fn new(max_num_seqs: NonZeroU32, max_waiting_queue_length: u32, max_loras: NonZeroU32, by_steps: bool) -> Self {
        Self {
            max_running: max_num_seqs.get() as usize,
            max_waiting: max_waiting_queue_length as usize,
            max_loras: max_loras.get() as usize,
            by_steps,
            waiting: VecDeque::new(),
            running: Vec::new(),
            adapters: BTreeMap::new(),
            stays: None,
            n_deferred: 0,
            next_id: 0,
            adapters_version: 0,
        }
    }

    /// Queues the `n` sequences of one request, all or none, all with the same adapter and priority. `n_fitting` is how many of them
    /// could start as far as memory goes. Call [`Self::schedule`] next.
    pub fn enqueue(
        &mut self,
        n: u32,
        adapter: Option<&Arc<Adapter>>,
        priority: i64,
        n_fitting: u32,
    ) -> Result<SmallVec<[SequenceId; 1]>, NoRoom> {
        let starves = adapter.is_some() && self.a_sequence_starves();
        let can_start = self.stays != Some(Stays::Memory) && self.may_run(adapter, starves);
        let free = if can_start { self.max_running - self.running.len() } else { 0 };
        // Those that wait for a step have places, which are only not taken yet.
        let most = if self.by_steps { usize::MAX } else { n.min(n_fitting) as usize };
        if self.waiting.len() + n as usize > self.max_waiting + free.min(most) {
            return Err(NoRoom { waiting: self.waiting.len() });
        }
        let ids: SmallVec<[_; 1]> = (self.next_id..).take(n as usize).map(SequenceId).collect();
        self.next_id += u64::from(n);
        self.adapters_version += u64::from(adapter.is_some());
        for id in &ids {
            let at = self.waiting.partition_point(|waiting| waiting.priority <= priority);
            self.waiting.insert(at, Waiting { id: *id, priority, adapter: adapter.cloned(), overtaken: 0 });
        }
        Ok(ids)
    }

    /// Admits from the head of the queue while places are free; returns the admitted sequences, in order. `allocate` finds
    /// memory for a sequence and says how many of its tokens are there already; or why it must wait, and so must all
    /// behind it.
    pub fn schedule(&mut self, mut allocate: impl FnMut(SequenceId) -> Result<u32, Stays>) -> Vec<Admitted> {
        let mut admitted = Vec::new();
        let (mut at, mut n_deferred) = (0, 0);
        let mut starves = false;
        self.stays = None;
        while self.running.len() < self.max_running && at < self.waiting.len() {
            let Waiting { id, adapter, overtaken, .. } = &self.waiting[at];
            if !self.may_run(adapter.as_ref(), starves) {
                starves |= *overtaken >= MAX_OVERTAKEN;
                (at, n_deferred) = (at + 1, n_deferred + 1);
                continue;
            }
            let cached_tokens = match allocate(*id) {
                Ok(cached_tokens) => cached_tokens,
                Err(Stays::Outside) => {
                    at += 1;
                    continue;
                }
                Err(stays) => {
                    self.stays = Some(stays);
                    break;
                }
            };
            let Some(Waiting { id, priority, adapter, .. }) = self.waiting.remove(at) else { break };
            self.running.push(Running { id, priority, adapter: adapter.clone() });
            if let Some(adapter) = &adapter {
                self.adapters_version += 1;
                *self.adapters.entry(adapter.id).or_default() += 1;
                self.waiting.range_mut(..at).for_each(|skipped| skipped.overtaken += 1);
            }
            admitted.push(Admitted { id, adapter, cached_tokens });
        }
        self.n_deferred = n_deferred;
        self.debug_assert_invariants();
        admitted
    }

    /// Whether a sequence may run as far as adapters go. Behind one that `starves`, only those without any may.
    fn may_run(&self, adapter: Option<&Arc<Adapter>>, starves: bool) -> bool {
        match adapter {
            None => true,
            Some(_) if starves => false,
            Some(adapter) => self.adapters.contains_key(&adapter.id) || self.adapters.len() < self.max_loras,
        }
    }

    fn a_sequence_starves(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.overtaken >= MAX_OVERTAKEN)
    }

    /// Forgets a sequence, waiting or running. Call [`Self::schedule`] next: a place may be free.
    pub fn remove(&mut self, id: SequenceId) {
        if self.stop(id).is_none()
            && let Some(at) = self.waiting.iter().position(|waiting| waiting.id == id)
            && let Some(Waiting { adapter: Some(_), .. }) = self.waiting.remove(at)
        {
            self.adapters_version += 1;
        }
    }

    /// Of the running sequences with the highest priority the one that was admitted last: it is preempted if memory runs
    /// out.
    pub fn last_running(&self) -> Option<SequenceId> {
        // Of equal ones, the last.
        self.running.iter().max_by_key(|running| running.priority).map(|running| running.id)
    }

    /// Puts a running sequence before all of its priority that wait, however many these are.
    pub fn preempt(&mut self, id: SequenceId) {
        if let Some(Running { priority, adapter, .. }) = self.stop(id) {
            let at = self.waiting.partition_point(|waiting| waiting.priority < priority);
            self.waiting.insert(at, Waiting { id, priority, adapter, overtaken: 0 });
        }
    }

    /// Takes a sequence out of the running batch, if it is in it.
    fn stop(&mut self, id: SequenceId) -> Option<Running> {
        let at = self.running.iter().position(|running| running.id == id)?;
        let stopped = self.running.remove(at);
        if let Some(adapter) = &stopped.adapter
            && let Some(running) = self.adapters.get_mut(&adapter.id)
        {
            self.adapters_version += 1;
            *running -= 1;
            if *running == 0 {
                self.adapters.remove(&adapter.id);
            }
        }
        Some(stopped)
    }

    /// The next sequence that is queued will have this id; all before it have lower ones.
    pub fn next_id(&self) -> SequenceId {
        SequenceId(self.next_id)
    }

    /// Whether this sequence runs.
    pub fn runs(&self, id: SequenceId) -> bool {
        self.running.iter().any(|running| running.id == id)
    }

    /// Whether sequences run with this adapter.
    pub fn runs_adapter(&self, adapter: u32) -> bool {
        self.adapters.contains_key(&adapter)
    }

    /// Counts changes of which adapters run and wait.
    pub fn adapters_version(&self) -> u64 {
        self.adapters_version
    }

    /// Names of the adapters that run, each once, in the order of admission.
    pub fn running_adapters(&self) -> Vec<String> {
        names_once(self.running.iter().filter_map(|running| running.adapter.as_deref()))
    }

    /// Names of the adapters that wait, each once, in the order of the queue.
    pub fn waiting_adapters(&self) -> Vec<String> {
        names_once(self.waiting.iter().filter_map(|waiting| waiting.adapter.as_deref()))
    }

    /// How many run.
    pub fn n_running(&self) -> usize {
        self.running.len()
    }

    /// How many wait.
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many of those that wait were passed over, because of their adapters.
    pub fn n_deferred(&self) -> usize {
        self.n_deferred
    }

    fn debug_assert_invariants(&self) {
        debug_assert!(self.running.len() <= self.max_running);
        debug_assert!(self.adapters.len() <= self.max_loras);
        debug_assert_eq!(
            self.adapters.values().sum::<usize>(),
            self.running.iter().filter(|running| running.adapter.is_some()).count()
        );
        let may_wait = self.running.len() == self.max_running || self.stays.is_some() || self.by_steps;
        debug_assert!(may_wait || self.waiting.iter().all(|waiting| waiting.adapter.is_some()), "no reason to wait");
        // In a crowd, that would take longer than the step.
        let is_crowded = self.waiting.len() * self.running.len() > 1000;
        debug_assert!(is_crowded || self.waiting.iter().all(|waiting| !self.runs(waiting.id)));
    }
}

fn names_once<'a>(adapters: impl Iterator<Item = &'a Adapter>) -> Vec<String> {
    let mut distinct: Vec<&Adapter> = Vec::new();
    for adapter in adapters {
        if !distinct.iter().any(|known| known.id == adapter.id) {
            distinct.push(adapter);
        }
    }
    distinct.into_iter().map(|adapter| adapter.name.clone()).collect()
}

#[cfg(test)]
mod tests;
