//! Everything that one engine knows, stepped from moment to moment. Not async, without a clock, and it calls nothing: what
//! it decides is in the report of the step and in what it delivers.
//!
//! Each method that changes anything is told when that is, and is followed by [`Core::step`] for the same moment. Moments
//! never go backwards, and none is passed before all that is due at it was done. At one moment, failures that are played
//! come first, and sequences follow in the order of their arrival.

mod admit;
mod end;
mod generate;
mod incoming;
mod invariants;
mod pause;
mod play;
mod progress;
mod request;
mod sequence;
mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;

use fnv::FnvHashMap;
use smallvec::SmallVec;

use crate::clock::EngineTime;
use crate::config::EngineConfig;
use crate::kv_cache::{BlockHasher, KvCache};
use crate::latency::LatencyModel;
use crate::lora::AdapterCache;
use crate::mailbox::{Delivery, Mailbox};
use crate::report::{AdapterNames, Counts, StepReport};
use crate::request::RequestNumber;
use crate::scheduler::{Scheduler, SequenceId};
use crate::strategy::Choice;

pub use pause::Pause;
use pause::Paused;
use request::Request;
use sequence::Sequence;
use steps::Steps;

/// The sequences of one request, with what their strategies are asked.
pub(crate) type Sequences = SmallVec<[(SequenceId, Arc<Choice>); 1]>;

/// The engine's state.
pub(crate) struct Core {
    latency: Box<dyn LatencyModel>,
    max_num_seqs: usize,
    priorities_count: bool,
    seed: u64,
    scheduler: Scheduler,
    kv_cache: Option<KvCache>,
    /// Adapters in memory.
    adapters: AdapterCache,
    /// The batch goes in steps; `None`: each sequence at its own pace.
    steps: Option<Steps>,
    requests: FnvHashMap<RequestNumber, Request>,
    sequences: FnvHashMap<SequenceId, Sequence>,
    /// Nothing that is due is done while a component call is in flight.
    waits_for_calls: bool,
    /// What falls due, and when.
    deadlines: BTreeSet<(EngineTime, Deadline)>,
    /// It does not go on until it is told to.
    paused: Option<Paused>,
    next_number: RequestNumber,
    /// Component calls that were asked for and have not returned.
    calls_in_flight: usize,
    n_preemptions: u64,
    /// Times that a sequence left the queue.
    n_admitted: u64,
    /// A place, a block or a turn may be free.
    is_unsettled: bool,
    /// Of the scheduler, when adapters were last reported.
    adapters_reported: u64,
    report: StepReport,
    deliveries: Vec<(Arc<Mailbox>, Delivery)>,
}

/// What falls due, in the order in which it is done at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deadline {
    Playback(RequestNumber),
    /// A step ends, or a request has come so far that it can be in one.
    Step,
    Token(SequenceId),
}

impl Core {
    /// An engine with nothing to do. `waits_for_calls`: nothing that is due is done while a component call is in flight,
    /// so that the order of what happens at one moment does not depend on which call returns first.
    pub(crate) fn new(
        config: &EngineConfig,
        latency: Box<dyn LatencyModel>,
        hasher: Option<Arc<BlockHasher>>,
        waits_for_calls: bool,
    ) -> Self {
        let kv_cache = config.kv_cache.as_ref().zip(hasher);
        let block_size = kv_cache.as_ref().map(|(config, _)| config.block_size);
        Self {
            latency,
            max_num_seqs: config.max_num_seqs.get() as usize,
            priorities_count: config.priorities_count,
            seed: config.seed,
            scheduler: Scheduler::new(
                config.max_num_seqs,
                config.max_waiting_queue_length,
                config.max_loras,
                config.steps.is_some(),
            ),
            kv_cache: kv_cache.map(|(config, hasher)| KvCache::new(config, hasher)),
            adapters: AdapterCache::new(config.max_cpu_loras.get() as usize),
            steps: config.steps.clone().map(|steps| Steps::new(steps, block_size, config.seed)),
            requests: FnvHashMap::default(),
            sequences: FnvHashMap::default(),
            waits_for_calls,
            deadlines: BTreeSet::new(),
            paused: None,
            next_number: 0,
            calls_in_flight: 0,
            n_preemptions: 0,
            n_admitted: 0,
            is_unsettled: false,
            adapters_reported: 0,
            report: StepReport::default(),
            deliveries: Vec::new(),
        }
    }

    /// From now on, things take as long as `latency` says.
    pub(crate) fn set_latency(&mut self, latency: Box<dyn LatencyModel>) {
        self.latency = latency;
    }

    /// Forgets what could be found in the KV cache; false, and nothing happens, while any block of it is held.
    /// `preempt_running` first preempts all running sequences.
    pub(crate) fn reset_prefix_cache(&mut self, preempt_running: bool) -> bool {
        while preempt_running
            && self.kv_cache.is_some()
            && let Some(last) = self.scheduler.last_running()
        {
            self.preempt(last);
        }
        self.kv_cache.as_mut().is_none_or(KvCache::reset)
    }

    /// Does all that is due at `at`, the changes before it included. What happened is in [`Self::report`].
    pub(crate) fn step(&mut self, at: EngineTime) {
        loop {
            // A failure that is played on what was admitted frees its place again.
            while std::mem::take(&mut self.is_unsettled) {
                self.admit(at);
            }
            if self.next_due(at).is_none() {
                break;
            }
            let Some((due, deadline)) = self.deadlines.pop_first() else { break };
            debug_assert_eq!(due, at, "a deadline was missed by a step");
            match deadline {
                Deadline::Playback(number) => self.play(number, at),
                Deadline::Step => self.step_due(at),
                Deadline::Token(id) => self.generate(id, at),
            }
        }
        self.settle(at);
        self.report.at = at;
        self.report.counts = self.counts();
        if self.scheduler.adapters_version() != self.adapters_reported {
            self.adapters_reported = self.scheduler.adapters_version();
            self.report.adapters = Some(self.adapter_names());
        }
        self.report.kv_cache = self.kv_cache.as_mut().and_then(KvCache::take_events);
        debug_assert!(!self.is_unsettled, "a place may be free");
        self.debug_assert_invariants();
    }

    /// What happened since [`Self::clear_report`], in the order in which it happened.
    pub(crate) fn report(&self) -> &StepReport {
        &self.report
    }

    /// Forgets what happened, once it was told.
    pub(crate) fn clear_report(&mut self) {
        let StepReport { at: _, counts: _, sequences, steps, requests, injected, refused, kv_cache, adapters } =
            &mut self.report;
        sequences.clear();
        steps.clear();
        requests.clear();
        injected.clear();
        *refused = 0;
        *kv_cache = None;
        *adapters = None;
    }

    /// What is to be put into mailboxes, in order.
    pub(crate) fn take_deliveries(&mut self) -> std::vec::Drain<'_, (Arc<Mailbox>, Delivery)> {
        self.deliveries.drain(..)
    }

    /// The next moment until `now` at which something is due and can be done.
    pub(crate) fn next_due(&self, now: EngineTime) -> Option<EngineTime> {
        let can_be_done = !self.waits_for_calls || self.calls_in_flight == 0;
        self.next_deadline().filter(|due| can_be_done && *due <= now)
    }

    /// The next moment at which something falls due by itself.
    pub(crate) fn next_deadline(&self) -> Option<EngineTime> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// Component calls that were asked for and have not returned.
    pub(crate) fn calls_in_flight(&self) -> usize {
        self.calls_in_flight
    }

    /// How things stand.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            running: self.scheduler.n_running(),
            waiting: self.scheduler.n_waiting(),
            deferred: self.scheduler.n_deferred(),
            preemptions: self.n_preemptions,
            kv_cache_blocks: self.kv_cache.as_ref().map(KvCache::usage),
        }
    }

    /// The adapters of sequences.
    pub(crate) fn adapter_names(&self) -> AdapterNames {
        AdapterNames { running: self.scheduler.running_adapters(), waiting: self.scheduler.waiting_adapters() }
    }
}

#[cfg(test)]
mod tests;
