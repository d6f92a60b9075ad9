//! Prompts in steps: chunk by chunk, each with the blocks that it fills.

use smallvec::SmallVec;

use super::super::progress::Progress;
use super::super::sequence::Pace;
use super::super::{Core, Deadline};
use crate::clock::EngineTime;
use crate::config::StepConfig;
use crate::latency::StepCounts;
use crate::scheduler::{SequenceId, Stays};

/// The room of a step, and what of it prompts take.
pub(super) struct Chunks {
    room: u32,
    threshold: u32,
    is_chunked: bool,
    pub(super) counts: StepCounts,
    /// Sequences whose prompts are complete with this step.
    pub(super) prefilled: SmallVec<[SequenceId; 4]>,
}

impl Chunks {
    /// What the sequences that decode leave.
    pub(super) fn new(config: &StepConfig, decoding: StepCounts) -> Self {
        let threshold = config.long_prefill_token_threshold;
        Self {
            room: config.max_num_batched_tokens.get().saturating_sub(decoding.sequences),
            threshold: if threshold == 0 { u32::MAX } else { threshold },
            is_chunked: config.chunked_prefill,
            counts: StepCounts::default(),
            prefilled: SmallVec::new(),
        }
    }

    /// How many of the tokens that are left of a prompt this step has room for.
    fn chunk(&self, left: u32) -> u32 {
        let most = left.min(self.threshold);
        if most > self.room && !self.is_chunked { 0 } else { most.min(self.room) }
    }

    /// A chunk of so many tokens behind `computed` ones. A single one is computed as those of decoding sequences are.
    fn take(&mut self, computed: u32, chunk: u32) {
        self.room -= chunk;
        if chunk == 1 {
            self.counts.sequences += 1;
            self.counts.context += u64::from(computed) + 1;
        } else {
            self.counts.prefill_tokens += chunk;
            self.counts.prefill_pairs += f64::from(chunk) * (f64::from(computed) + f64::from(chunk) / 2.0);
        }
    }
}

impl Core {
    /// The next chunks of prompts that were begun.
    pub(super) fn go_on_prefilling(&mut self, chunks: &mut Chunks) {
        let Some(steps) = &self.steps else { return };
        for id in steps.batch.prefilling.clone() {
            let Some(sequence) = self.sequences.get(&id) else { continue };
            let Progress::Prefilling { computed, all } = sequence.progress else { continue };
            let chunk = chunks.chunk(all - computed);
            if chunk > 0 && self.make_room_for_prompt(id, computed + chunk) {
                self.prefill(id, computed, chunk, all, chunks);
            }
        }
    }

    /// Blocks for the first tokens of a sequence; false, and it is preempted, if that takes its own.
    fn make_room_for_prompt(&mut self, id: SequenceId, n_tokens: u32) -> bool {
        loop {
            let Some(kv_cache) = &mut self.kv_cache else { return true };
            if kv_cache.advance(id, n_tokens as usize) {
                return true;
            }
            let Some(last) = self.scheduler.last_running() else { return false };
            self.preempt(last);
            if last == id {
                return false;
            }
        }
    }

    /// Gives free places, memory and what room is left in the step to the sequences that wait longest.
    pub(super) fn admit_to_step(&mut self, chunks: &mut Chunks, at: EngineTime) {
        let Some(steps) = &self.steps else { return };
        let (overhead, batch) = (steps.config.overhead, &steps.batch);
        let (kv_cache, paused, sequences) = (&mut self.kv_cache, &self.paused, &self.sequences);
        let mut begun: SmallVec<[(SequenceId, u32, u32, u32); 4]> = SmallVec::new();
        let mut ready_at: Option<EngineTime> = None;
        let allocate = |id| {
            let sequence = sequences.get(&id).ok_or(Stays::Step)?;
            if paused.as_ref().is_some_and(|paused| !paused.admits(id)) {
                return Err(Stays::Memory);
            }
            let through = sequence.history.arrived + overhead;
            if through > at {
                ready_at = ready_at.into_iter().chain([through]).min();
                return Err(Stays::Outside);
            }
            if batch.awaits_token(id) {
                return Err(Stays::Step);
            }
            if sequence.pace == Pace::Over || sequence.is_prefilled_elsewhere() {
                // It is in no step, or not before its KV cache has come.
                return kv_cache.as_mut().map_or(Ok(0), |kv_cache| kv_cache.allocate(id).ok_or(Stays::Memory));
            }
            let all = sequence.n_to_compute();
            let mut is_full = chunks.room == 0;
            if is_full {
                return Err(Stays::Step);
            }
            let hits = match kv_cache {
                Some(kv_cache) => kv_cache
                    .begin(id, |hits| {
                        let chunk = chunks.chunk(all - hits);
                        is_full = chunk == 0;
                        (chunk > 0).then(|| hits + chunk)
                    })
                    .ok_or(if is_full { Stays::Step } else { Stays::Memory })?,
                None if chunks.chunk(all) == 0 => return Err(Stays::Step),
                None => 0,
            };
            let chunk = chunks.chunk(all - hits);
            chunks.take(hits, chunk);
            begun.push((id, hits, chunk, all));
            Ok(hits)
        };
        let admitted = self.scheduler.schedule(allocate);
        self.deadlines.extend(ready_at.map(|ready_at| (ready_at, Deadline::Step)));
        for (id, hits, chunk, all) in begun {
            self.prefill_to(id, hits + chunk, all, chunks);
        }
        self.admitted(admitted, at);
    }

    /// A chunk of this sequence is in the next step.
    fn prefill(&mut self, id: SequenceId, computed: u32, chunk: u32, all: u32, chunks: &mut Chunks) {
        chunks.take(computed, chunk);
        self.prefill_to(id, computed + chunk, all, chunks);
    }

    fn prefill_to(&mut self, id: SequenceId, computed: u32, all: u32, chunks: &mut Chunks) {
        let Some(steps) = &mut self.steps else { return };
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let batch = &mut steps.batch;
        let position = batch.prefilling.iter().position(|prefilling| *prefilling == id);
        if computed < all {
            sequence.progress = Progress::Prefilling { computed, all };
            if position.is_none() {
                batch.prefilling.push(id);
            }
            return;
        }
        if let Some(position) = position {
            batch.prefilling.remove(position);
        }
        sequence.progress = Progress::Prefilled { step: batch.next(), base: sequence.history.generated_tokens + 1 };
        batch.joining.push(id);
        chunks.prefilled.push(id);
    }
}
