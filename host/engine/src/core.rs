//! Everything that one engine knows, stepped from moment to moment. Not async, without a clock, and it calls nothing: what
//! it decides is in the report of the step and in what it delivers.
//!
//! Each method that changes anything is told when that is, and is followed by [`Core::step`] for the same moment. Moments
//! never go backwards, and none is passed before all that is due at it was done. At one moment, failures that are played
//! come first, and sequences follow in the order of their arrival.

mod generate;
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
use crate::failure::Outcome;
use crate::kv_cache::{BlockHasher, CachedSequence, KvCache};
use crate::latency::{LatencyModel, Load};
use crate::lora::AdapterCache;
use crate::mailbox::{Delivery, Mailbox};
use crate::output::CompletionOutput;
use crate::playback::{Pending, Playback};
use crate::report::{AdapterNames, Counts, SequenceEvent, StepReport};
use crate::request::{GenerationRequest, RequestNumber};
use crate::scheduler::{Admitted, NoRoom, Scheduler, SequenceId, Stays};
use crate::seed::{self, Purpose};
use crate::strategy::{Choice, StrategyError};

pub use pause::Pause;
use pause::Paused;
use request::Request;
use sequence::{Pace, Sequence};
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

    /// Queues the choices of a request, all or none. `choices` makes them of the request's number. Returns their sequences.
    pub(crate) fn submit(
        &mut self,
        request: &GenerationRequest,
        cached: Vec<CachedSequence>,
        mailbox: &Arc<Mailbox>,
        may_fail: bool,
        at: EngineTime,
        choices: impl FnOnce(RequestNumber) -> SmallVec<[Arc<Choice>; 1]>,
    ) -> Result<Sequences, NoRoom> {
        let n_choices = request.n_choices();
        let n_fitting = self.kv_cache.as_ref().map_or(n_choices, |kv_cache| kv_cache.n_fitting(&cached));
        let priority = if self.priorities_count { request.priority } else { 0 };
        let queued = self.scheduler.enqueue(n_choices, request.adapter.as_ref(), priority, n_fitting);
        self.report.refused += u32::from(queued.is_err());
        let ids = queued?;
        if let Some(kv_cache) = &mut self.kv_cache {
            ids.iter().zip(cached).for_each(|(id, sequence)| kv_cache.insert(*id, sequence));
        }
        let number = self.next_number;
        self.next_number += 1;
        let sequences: Sequences = ids.iter().copied().zip(choices(number)).collect();
        for (id, choice) in &sequences {
            let rng = seed::rng(Purpose::Latency, &[self.seed, number, choice.index.into()]);
            let sequence = Sequence::new(choice.clone(), mailbox.clone(), may_fail, rng, at);
            self.report.sequences.push(sequence.report(SequenceEvent::Arrived));
            self.sequences.insert(*id, sequence);
        }
        let playback = may_fail.then(|| Playback::new(at));
        self.calls_in_flight += usize::from(may_fail);
        self.requests.insert(number, Request::new(&sequences, mailbox.clone(), playback, at));
        self.is_unsettled = true;
        Ok(sequences)
    }

    /// The failure policy has said what is to happen to a request.
    pub(crate) fn selected(&mut self, number: RequestNumber, outcomes: Vec<Outcome>, at: EngineTime) {
        let Some(request) = self.requests.get_mut(&number) else { return };
        let Some(playback) = &mut request.playback else { return };
        playback.select(outcomes);
        self.calls_in_flight -= 1;
        self.play(number, at);
        let Some(request) = self.requests.get(&number) else { return };
        let mailbox = request.mailbox.clone();
        for id in request.ids.clone() {
            self.ask(id);
        }
        self.deliveries.push((mailbox, Delivery::Selected));
    }

    /// The strategy has answered for a sequence: with `output`, of the plugin of this name.
    pub(crate) fn answered(&mut self, id: SequenceId, output: Arc<CompletionOutput>, plugin: &str, at: EngineTime) {
        let generating_at = self.generating_at(at);
        let Some(sequence) = self.sequences.get_mut(&id).filter(|sequence| sequence.awaits_answer()) else { return };
        self.calls_in_flight -= 1;
        let delivery = Delivery::Output { choice: sequence.choice.index, output: output.clone() };
        self.deliveries.push((sequence.mailbox.clone(), delivery));
        let lateness = sequence.prefilled_at().map_or_else(Default::default, |prefilled_at| at.since(prefilled_at));
        self.report.sequences.push(sequence.report(SequenceEvent::Answered { plugin: plugin.into(), lateness }));
        if self.steps.is_some() {
            let computed = sequence.answer_in_steps(output, at);
            self.go_on_in_steps(id, computed);
        } else if let Some(due) = sequence.answer(output, generating_at) {
            self.due_tokens().insert((due, Deadline::Token(id)));
        }
    }

    /// The strategy gave no output for a sequence, which ends its request.
    pub(crate) fn failed(&mut self, id: SequenceId, error: StrategyError, at: EngineTime) {
        let Some(sequence) = self.sequences.get(&id).filter(|sequence| sequence.awaits_answer()) else { return };
        let number = sequence.choice.number;
        self.end(id, SequenceEvent::Failed(error.clone()));
        let Some(request) = self.requests.get_mut(&number) else { return };
        request.n_generating -= 1;
        match &mut request.playback {
            None => self.end_request(number, Some(error)),
            Some(playback) => {
                playback.push(Pending::Failed(error));
                self.play(number, at);
            }
        }
    }

    /// A request ends with an error that is none of a sequence's.
    pub(crate) fn request_failed(&mut self, number: RequestNumber, error: StrategyError) {
        self.end_request(number, Some(error));
    }

    /// The client of a request has gone away.
    pub(crate) fn abort(&mut self, number: RequestNumber) {
        self.end_request(number, None);
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

    /// Gives free places and memory to the sequences that wait longest.
    fn admit(&mut self, at: EngineTime) {
        if self.steps.is_some() {
            return self.schedule_steps(at);
        }
        let (kv_cache, paused) = (&mut self.kv_cache, &self.paused);
        let allocate = |id| match kv_cache {
            _ if paused.as_ref().is_some_and(|paused| !paused.admits(id)) => Err(Stays::Memory),
            Some(kv_cache) => kv_cache.allocate(id).ok_or(Stays::Memory),
            None => Ok(0),
        };
        let admitted = self.scheduler.schedule(allocate);
        self.admitted(admitted, at);
    }

    /// These sequences have left the queue.
    fn admitted(&mut self, admitted: Vec<Admitted>, at: EngineTime) {
        for Admitted { id, adapter, cached_tokens } in admitted {
            let loads_adapter = adapter
                .is_some_and(|adapter| self.adapters.use_adapter(adapter.id, |id| self.scheduler.runs_adapter(id)));
            // All that are admitted at this moment count.
            let load = self.load();
            // A failure that another choice played may have ended it.
            let Some(sequence) = self.sequences.get_mut(&id) else { continue };
            let is_first = sequence.history.scheduled.is_none();
            self.n_admitted += 1;
            sequence.place = self.n_admitted;
            let due = match self.steps {
                None => sequence.admit(cached_tokens, at, &*self.latency, load),
                Some(_) => sequence.admit_to_steps(cached_tokens, at, &*self.latency, load),
            };
            let event = if is_first { SequenceEvent::Scheduled } else { SequenceEvent::Resumed };
            self.report.sequences.push(sequence.report(event));
            if loads_adapter {
                self.report.sequences.push(sequence.report(SequenceEvent::AdapterLoaded));
            }
            let number = sequence.choice.number;
            if let Some(due) = due {
                self.due_tokens().insert((due, Deadline::Token(id)));
            }
            if let Some(playback) = self.requests.get_mut(&number).and_then(|request| request.playback.as_mut()) {
                playback.scheduled();
                self.play(number, at);
            }
            self.ask(id);
        }
    }

    /// Has the strategy of a running sequence asked, once, unless a failure is to be selected first or keeps it from that.
    fn ask(&mut self, id: SequenceId) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let Some(request) = self.requests.get(&sequence.choice.number) else { return };
        if request.may_ask() && sequence.ask() {
            self.calls_in_flight += 1;
            let cached_tokens = sequence.history.cached_tokens;
            let delivery = Delivery::Admitted { choice: sequence.choice.index, cached_tokens };
            self.deliveries.push((sequence.mailbox.clone(), delivery));
        }
    }

    /// Ends a request and all of its sequences that have not ended: with an error, or because its client has gone away.
    fn end_request(&mut self, number: RequestNumber, error: Option<StrategyError>) {
        self.cut_off(number, error, false);
    }

    /// The same, for a failure that was played on purpose if it was.
    fn cut_off(&mut self, number: RequestNumber, error: Option<StrategyError>, on_purpose: bool) {
        let Some(request) = self.requests.get(&number) else { return };
        let is_selecting = request.playback.as_ref().is_some_and(|playback| !playback.is_selected());
        self.calls_in_flight -= usize::from(is_selecting);
        if let Some(deadline) = request.play_at {
            self.deadlines.remove(&(deadline, Deadline::Playback(number)));
        }
        for id in request.ids.clone() {
            self.end(id, SequenceEvent::Aborted);
        }
        let Some(request) = self.requests.remove(&number) else { return };
        if let Some(error) = error.clone() {
            self.deliveries.push((request.mailbox.clone(), Delivery::Failed(error)));
        }
        self.report.requests.push(request.cut_off(error, on_purpose));
    }

    /// Reports the one terminal event of a sequence, and frees its place and its blocks.
    fn end(&mut self, id: SequenceId, event: SequenceEvent) {
        self.catch_up(id);
        self.take_out(id);
        let Some(mut sequence) = self.sequences.remove(&id) else { return };
        self.calls_in_flight -= usize::from(sequence.awaits_answer());
        if let Some(due) = sequence.freeze() {
            self.due_tokens().remove(&(due, Deadline::Token(id)));
        }
        self.scheduler.remove(id);
        if let Some(kv_cache) = &mut self.kv_cache {
            kv_cache.remove(id);
        }
        self.is_unsettled = true;
        let report = sequence.into_report(event);
        if let Some(request) = self.requests.get_mut(&report.choice.number) {
            request.add(&report);
        }
        self.report.sequences.push(report);
    }

    /// How busy it is.
    fn load(&self) -> Load {
        Load { running: self.scheduler.n_running(), max_num_seqs: self.max_num_seqs }
    }

    fn debug_assert_invariants(&self) {
        // In a crowd, looking at all of it would take longer than the step.
        if cfg!(debug_assertions) && self.sequences.len() <= 64 {
            let in_flight = self.sequences.values().filter(|sequence| sequence.awaits_answer()).count();
            let selecting = self.requests.values().filter(|request| request.is_selecting()).count();
            assert_eq!(self.calls_in_flight, in_flight + selecting);
            assert_eq!(self.scheduler.n_running() + self.scheduler.n_waiting(), self.sequences.len());
            for (id, sequence) in &self.sequences {
                assert!(self.requests.contains_key(&sequence.choice.number), "a sequence without a request");
                let due = matches!(sequence.pace, Pace::Due(due) if self.holds(&(due, Deadline::Token(*id))));
                assert_eq!(due, matches!(sequence.pace, Pace::Due(_)), "{id:?} is due and has no deadline");
                assert_eq!(
                    self.scheduler.runs(*id),
                    sequence.prefilled_at().is_some(),
                    "{id:?} does not know whether it runs"
                );
            }
            let due = self.sequences.values().filter(|sequence| matches!(sequence.pace, Pace::Due(_))).count();
            let played = self.requests.values().filter(|request| request.play_at.is_some()).count();
            let held = self.paused.as_ref().map_or(0, Paused::n_held);
            let is_step = |(_, deadline): &&(EngineTime, Deadline)| *deadline == Deadline::Step;
            let of_steps = self.deadlines.iter().filter(is_step).count();
            assert_eq!(self.deadlines.len() + held, due + played + of_steps, "a deadline of nothing");
            self.debug_assert_steps();
        }
    }
}

#[cfg(test)]
mod tests;
