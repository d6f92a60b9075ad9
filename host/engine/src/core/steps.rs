//! An engine whose batch goes in steps, as vLLM's: those that run get a token each, and what room is left in the step goes to
//! prompts, in chunks. What a step is to compute is decided when it is scheduled; tokens come out when it ends.
//!
//! Two things differ from vLLM's order. Sequences that decode come before the chunks of prompts that were begun, which matters
//! only where `long-prefill-token-threshold` lets others start behind such a chunk, and the step is full. And what is preempted for
//! a chunk, after its own was scheduled, gives its share of the step back to nothing.

mod batch;
mod prefill;
mod tokens;

use std::time::Duration;

use fnv::FnvHashMap;
use smallvec::SmallVec;

use super::progress::{Decoding, Progress};
use super::sequence::Sequence;
use super::{Core, Deadline};
use crate::clock::EngineTime;
use crate::config::StepConfig;
use crate::latency::Lockstep;
use crate::scheduler::SequenceId;
use crate::seed::{self, EngineRng, Purpose};

use batch::{Batch, Flight};

/// What an engine that steps knows beside its sequences.
pub(super) struct Steps {
    config: StepConfig,
    /// Among the ranks that step together.
    rank: usize,
    batch: Batch,
    rng: EngineRng,
    block_size: Option<u64>,
    /// The step that ended last, and when.
    ended: Option<(u64, EngineTime)>,
}

impl Steps {
    pub(super) fn new(config: StepConfig, block_size: Option<u32>, engine_seed: u64) -> Self {
        let rank = config.lockstep.as_ref().map_or(0, Lockstep::join);
        let rng = seed::rng(Purpose::Steps, &[engine_seed]);
        let (batch, block_size) = (Batch::default(), block_size.map(u64::from));
        Self { config, rank, batch, rng, block_size, ended: None }
    }

    /// Nothing happened for so long. Returns when the step that runs ends then.
    pub(super) fn delay(&mut self, late: Duration) -> Option<EngineTime> {
        self.batch.delay(late);
        self.batch.ends_at()
    }

    /// Steps that may be scheduled and not have ended: with asynchronous scheduling, one beside the one that runs.
    fn depth(&self) -> usize {
        if self.config.async_scheduling { 2 } else { 1 }
    }
}

impl Core {
    /// Schedules as many steps as may be ahead of those that have ended.
    pub(super) fn schedule_steps(&mut self, at: EngineTime) {
        while !self.stands_still() && self.may_schedule() && self.schedule_step(at) {}
    }

    /// Whether a step may be scheduled now. While one runs, the next one waits for the answers of strategies that are asked: their
    /// sequences are to be in it, and it begins no later for that.
    fn may_schedule(&self) -> bool {
        let Some(steps) = &self.steps else { return false };
        let is_asked = |id| self.sequences.get(&id).is_some_and(|sequence| sequence.output.is_none());
        let n_flights = steps.batch.n_flights();
        n_flights == 0 || (n_flights < steps.depth() && !steps.batch.joining().any(is_asked))
    }

    /// Schedules the next step; false if there is nothing to be computed in it.
    fn schedule_step(&mut self, at: EngineTime) -> bool {
        let n_preemptions = self.n_preemptions;
        self.join_decoding();
        self.make_room_for_decoding();
        let Some(steps) = &mut self.steps else { return false };
        let mut chunks = prefill::Chunks::new(&steps.config, steps.batch.decode_counts());
        self.go_on_prefilling(&mut chunks);
        if self.n_preemptions == n_preemptions {
            self.admit_to_step(&mut chunks, at);
        }
        let prefill::Chunks { counts: chunk_counts, prefilled, .. } = chunks;
        let Some(steps) = &mut self.steps else { return false };
        // Those that were preempted for chunks do not decode in it.
        let mut counts = steps.batch.decode_counts();
        counts += chunk_counts;
        if counts.sequences == 0 && counts.prefill_tokens == 0 {
            return false;
        }
        let start = steps.batch.start(at);
        let lockstep = steps.config.lockstep.as_ref();
        let all_ranks = lockstep.map_or(counts, |lockstep| lockstep.with_others(steps.rank, counts, at));
        let end = start + steps.config.time.sample(&all_ranks, steps.config.spread, &mut steps.rng);
        if let Some(lockstep) = lockstep {
            lockstep.begin(steps.rank, counts, end);
        }
        let was_idle = steps.batch.n_flights() == 0;
        let (step, n_decoding) = (steps.batch.next(), steps.batch.decode_counts().sequences);
        let preempted = SmallVec::new();
        let flight = Flight { step, start, end, counts, all_ranks, prefilled, preempted, n_decoding };
        steps.batch.schedule(flight, |id| progress(&self.sequences, id));
        if was_idle {
            self.deadlines.insert((end, Deadline::Step));
        }
        true
    }

    /// Something about steps is due: one ends, or a request has come through the API server.
    pub(super) fn step_due(&mut self, at: EngineTime) {
        while let Some((flight, finishing)) = self.steps.as_mut().and_then(|steps| steps.batch.take_ended(at)) {
            self.step_ended(&flight, &finishing, at);
        }
        let ends_at = self.steps.as_ref().and_then(|steps| steps.batch.ends_at());
        self.deadlines.extend(ends_at.map(|ends_at| (ends_at, Deadline::Step)));
        self.is_unsettled = true;
    }

    /// Those whose prompts are scheduled whole decode from the next step on, if it is known what.
    fn join_decoding(&mut self) {
        let Some(steps) = &mut self.steps else { return };
        let next = steps.batch.next();
        for id in std::mem::take(&mut steps.batch.joining) {
            let Some(sequence) = self.sequences.get_mut(&id) else { continue };
            let Progress::Prefilled { base, .. } = sequence.progress else { continue };
            let Some(output) = &sequence.output else {
                steps.batch.joining.push(id);
                continue;
            };
            let n_prompt = sequence.choice.prompt().n_tokens;
            let Some(more) = (sequence.n_tokens as u32).checked_sub(base).filter(|more| *more > 0) else { continue };
            let last = next + u64::from(more) - 1;
            let is_too_late = steps.config.async_scheduling && output.ends_by_itself();
            let decoding = Decoding { since: next, base, n_prompt, last, until: last + u64::from(is_too_late) };
            sequence.progress = Progress::Decoding(decoding);
            steps.batch.join(id, decoding, steps.block_size);
        }
    }

    /// Blocks for the tokens of the next step. While none is free, sequences are preempted, as in vLLM.
    fn make_room_for_decoding(&mut self) {
        let Some(steps) = &mut self.steps else { return };
        let Some(block_size) = steps.block_size else { return };
        let step = steps.batch.next();
        let mut crossing = steps.batch.take_crossing(block_size, |id| progress(&self.sequences, id));
        crossing.sort_unstable_by_key(|(id, _)| (self.sequences.get(id).map(|sequence| sequence.place), *id));
        crossing.dedup_by_key(|(id, _)| *id);
        for (id, decoding) in crossing {
            if progress(&self.sequences, id) != Progress::Decoding(decoding) {
                continue;
            }
            let end = decoding.generated(step) as usize;
            if self.make_room(id, end) < end {
                self.preempt(id);
            } else if let Some(steps) = &mut self.steps {
                steps.batch.cross_at(id, &decoding, step + block_size);
            }
        }
    }

    /// The sums are those of the sequences.
    pub(super) fn debug_assert_steps(&self) {
        let Some(steps) = &self.steps else { return };
        let next = steps.batch.next();
        let decoding = self.sequences.values().filter_map(|sequence| match sequence.progress {
            Progress::Decoding(decoding) if decoding.until >= next => Some(decoding.context(next)),
            _ => None,
        });
        let contexts: Vec<_> = decoding.collect();
        let counts = steps.batch.decode_counts();
        assert_eq!((counts.sequences as usize, counts.context), (contexts.len(), contexts.iter().sum()));
        let prefilling = steps.batch.prefilling.iter().filter(|id| {
            self.sequences.get(id).is_some_and(|sequence| matches!(sequence.progress, Progress::Prefilling { .. }))
        });
        assert_eq!(prefilling.count(), steps.batch.prefilling.len(), "a prompt of nothing");
    }
}

/// How far a sequence is; one that has ended is in no step.
fn progress(sequences: &FnvHashMap<SequenceId, Sequence>, id: SequenceId) -> Progress {
    sequences.get(&id).map_or(Progress::Out, |sequence| sequence.progress)
}
