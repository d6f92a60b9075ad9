//! The batch as it goes from step to step, in sums: a step costs work only for the sequences that join it, leave it, or
//! need a block in it.
//!
//! Steps are numbered in the order in which they are scheduled. With asynchronous scheduling one runs while the next is
//! scheduled already, so there is a front, [`Batch::next`], where sequences join and leave, and a back, where tokens come
//! out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use smallvec::SmallVec;

use super::super::progress::{Decoding, Progress};
use crate::clock::EngineTime;
use crate::latency::StepCounts;
use crate::scheduler::SequenceId;

/// Sequences to which something happens in one step.
type Ids = SmallVec<[SequenceId; 4]>;

/// A step that is scheduled and has not ended.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) step: u64,
    pub(super) start: EngineTime,
    pub(super) end: EngineTime,
    pub(super) counts: StepCounts,
    pub(super) all_ranks: StepCounts,
    /// Sequences whose prompts are complete with it.
    pub(super) prefilled: Ids,
    /// Sequences that were preempted since it was scheduled, and get their token of it all the same.
    pub(super) preempted: Ids,
    /// Sequences that have one more token of many.
    pub(super) n_decoding: u32,
}

/// All that is in steps.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The next step to be scheduled.
    next: u64,
    /// Sequences that decode in it, and their context.
    n_decoding: u32,
    context: u64,
    /// Sequences in the middle of their prompts, in the order of admission.
    pub(super) prefilling: Vec<SequenceId>,
    /// Those whose prompts are scheduled whole, and which may decode from the next step on.
    pub(super) joining: Vec<SequenceId>,
    /// Those whose clients are told of each token, once they had the first.
    pub(super) streams: Vec<SequenceId>,
    /// By step: which may need a block, which leave after it, which have their last token in it. Some have been preempted or
    /// have ended since; they are passed over then.
    crossing: BTreeMap<u64, Ids>,
    leaving: BTreeMap<u64, Ids>,
    finishing: BTreeMap<u64, Ids>,
    flights: VecDeque<Flight>,
    /// When the last scheduled step ends.
    busy_until: EngineTime,
}

impl Batch {
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Steps that are scheduled and have not ended.
    pub(super) fn n_flights(&self) -> usize {
        self.flights.len()
    }

    /// When the step before the next one ends, if that is after `at`: then the next begins.
    pub(super) fn start(&self, at: EngineTime) -> EngineTime {
        self.busy_until.max(at)
    }

    /// What the decoding sequences compute in the next step.
    pub(super) fn decode_counts(&self) -> StepCounts {
        StepCounts { sequences: self.n_decoding, context: self.context, ..StepCounts::default() }
    }

    /// A sequence decodes from the next step on.
    pub(super) fn join(&mut self, id: SequenceId, decoding: Decoding, block_size: Option<u64>) {
        self.n_decoding += 1;
        self.context += decoding.context(self.next);
        self.finishing.entry(decoding.last).or_default().push(id);
        self.leaving.entry(decoding.until).or_default().push(id);
        if let Some(block_size) = block_size {
            let over = (decoding.context(self.next) - 1) % block_size;
            self.cross_at(id, &decoding, self.next + (block_size - over) % block_size);
        }
    }

    /// It needs a block in this step, if it gets that far.
    pub(super) fn cross_at(&mut self, id: SequenceId, decoding: &Decoding, step: u64) {
        if step <= decoding.last {
            self.crossing.entry(step).or_default().push(id);
        }
    }

    /// Sequences that need a block in the next step, with how far they are then.
    pub(super) fn take_crossing(
        &mut self,
        block_size: u64,
        progress: impl Fn(SequenceId) -> Progress,
    ) -> SmallVec<[(SequenceId, Decoding); 4]> {
        let crossing = self.crossing.remove(&self.next).unwrap_or_default();
        let needing = crossing.into_iter().filter_map(|id| match progress(id) {
            Progress::Decoding(decoding) if decoding.crosses(self.next, block_size) => Some((id, decoding)),
            _ => None,
        });
        needing.collect()
    }

    /// A sequence is in no further step.
    pub(super) fn leave(&mut self, id: SequenceId, progress: Progress) {
        self.joining.retain(|joining| *joining != id);
        self.prefilling.retain(|prefilling| *prefilling != id);
        self.streams.retain(|stream| *stream != id);
        let Progress::Decoding(decoding) = progress else { return };
        if self.next <= decoding.until {
            self.n_decoding -= 1;
            self.context -= decoding.context(self.next);
        }
        let flights = self.flights.iter_mut().filter(|flight| decoding.generates(flight.step));
        flights.for_each(|flight| flight.n_decoding -= 1);
        if self.n_decoding == 0 {
            // What is left of those that left early would wait for steps that may never come.
            self.crossing.clear();
            self.leaving.clear();
            let next = self.next;
            self.finishing.retain(|step, _| *step < next);
        }
    }

    /// Tokens of it that are in flight come out all the same.
    pub(super) fn preempted(&mut self, id: SequenceId, progress: Progress) {
        for flight in &mut self.flights {
            let decodes = matches!(progress, Progress::Decoding(decoding) if decoding.generates(flight.step));
            if decodes || flight.prefilled.contains(&id) {
                flight.preempted.push(id);
            }
        }
        self.leave(id, progress);
    }

    /// Whether a sequence was preempted while a token of it is in flight: what it has is not known before that is out.
    pub(super) fn awaits_token(&self, id: SequenceId) -> bool {
        self.flights.iter().any(|flight| flight.preempted.contains(&id))
    }

    /// The next step is scheduled.
    pub(super) fn schedule(&mut self, mut flight: Flight, progress: impl Fn(SequenceId) -> Progress) {
        let (step, end) = (flight.step, flight.end);
        let mut leaving = self.leaving.remove(&step).unwrap_or_default();
        // One that was preempted and came back may be in it twice.
        leaving.sort_unstable();
        leaving.dedup();
        for id in leaving {
            if let Progress::Decoding(decoding) = progress(id)
                && decoding.until == step
            {
                flight.n_decoding -= u32::from(!decoding.generates(step));
                self.n_decoding -= 1;
                self.context -= decoding.context(step);
            }
        }
        self.flights.push_back(flight);
        // Each that stays has a token more.
        self.context += u64::from(self.n_decoding);
        (self.next, self.busy_until) = (step + 1, end);
    }

    /// Sequences that might decode in the next step, if it is known what.
    pub(super) fn joining(&self) -> impl Iterator<Item = SequenceId> {
        self.joining.iter().copied()
    }

    /// When the step at the back ends.
    pub(super) fn ends_at(&self) -> Option<EngineTime> {
        self.flights.front().map(|flight| flight.end)
    }

    /// The step at the back, if it ends at `at`; with the sequences that have their last token in it.
    pub(super) fn take_ended(&mut self, at: EngineTime) -> Option<(Flight, Ids)> {
        let flight = self.flights.pop_front_if(|flight| flight.end <= at)?;
        let finishing = self.finishing.remove(&flight.step).unwrap_or_default();
        Some((flight, finishing))
    }

    /// Nothing happened for so long.
    pub(super) fn delay(&mut self, late: Duration) {
        self.flights.iter_mut().for_each(|flight| flight.end = flight.end + late);
        self.busy_until = self.busy_until + late;
    }
}
