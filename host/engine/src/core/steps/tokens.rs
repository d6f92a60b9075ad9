//! Tokens as they come out of steps. Sequences whose clients are told of each are told one by one; of the others, sums.

use super::super::Core;
use super::super::progress::Progress;
use super::super::sequence::Pace;
use super::batch::Flight;
use super::progress;
use crate::clock::EngineTime;
use crate::report::{EndedStep, SequenceEvent};
use crate::scheduler::SequenceId;

impl Core {
    /// A step has ended at `at`.
    pub(super) fn step_ended(&mut self, flight: &Flight, finishing: &[SequenceId], at: EngineTime) {
        let Some(steps) = &mut self.steps else { return };
        let before = steps.ended.replace((flight.step, at));
        let Flight { start, counts, all_ranks, n_decoding: decoded, .. } = *flight;
        let gap = before.map_or_else(Default::default, |(_, before)| at.since(before));
        self.report.steps.push(EndedStep { start, counts, all_ranks, decoded, gap });
        for id in &flight.preempted {
            self.token_after_preemption(*id, at);
        }
        let streams = self.steps.as_mut().map(|steps| std::mem::take(&mut steps.batch.streams)).unwrap_or_default();
        for id in &streams {
            self.token_of_stream(*id, flight.step, at);
        }
        if let Some(steps) = &mut self.steps {
            // A failure that is played with a token may have ended some.
            let go_on = streams.into_iter().filter(|id| self.sequences.contains_key(id));
            steps.batch.streams = go_on.collect();
        }
        for id in flight.prefilled.iter().filter(|id| !flight.preempted.contains(id)) {
            self.prompt_ended(*id, flight.step, at);
        }
        for id in finishing {
            let progress = progress(&self.sequences, *id);
            if matches!(progress, Progress::Decoding(decoding) if decoding.last == flight.step) {
                self.last_token(*id, at);
            }
        }
    }

    /// A sequence's prompt, or what it had when it was preempted, is computed, and with it comes a token, unless its strategy
    /// has not answered.
    fn prompt_ended(&mut self, id: SequenceId, step: u64, at: EngineTime) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let is_due = match sequence.progress {
            Progress::Prefilled { step: own, .. } => own == step,
            // It was scheduled to go on meanwhile.
            Progress::Decoding(decoding) => decoding.since > step,
            Progress::Out | Progress::Prefilling { .. } => false,
        };
        if !is_due {
            return;
        }
        sequence.prefill_ended(at);
        if sequence.output.is_none() {
            sequence.progress = Progress::Out;
            return;
        }
        let tells = sequence.tells_each_token();
        self.one_token(id, at);
        if tells
            && let Some(sequence) = self.sequences.get(&id)
            && sequence.generated() < sequence.n_tokens
            && let Some(steps) = &mut self.steps
        {
            steps.batch.streams.push(id);
        }
    }

    /// One that was preempted gets what was scheduled before that.
    fn token_after_preemption(&mut self, id: SequenceId, at: EngineTime) {
        let Some(sequence) = self.sequences.get(&id) else { return };
        if let Some(output) = sequence.output.clone() {
            let end = (sequence.generated() + 1).min(output.n_tokens());
            if let Some(kv_cache) = &mut self.kv_cache {
                kv_cache.append(id, &output.token_ids()[..end]);
            }
            self.one_token(id, at);
        }
    }

    /// One token more, told by itself.
    fn one_token(&mut self, id: SequenceId, at: EngineTime) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let start = sequence.generated();
        let end = (start + 1).min(sequence.n_tokens);
        let gap = sequence.generate(end, at);
        self.report.sequences.push(sequence.report(SequenceEvent::Tokens { n: end - start, gap }));
        if end == sequence.n_tokens {
            self.take_out(id);
        }
        self.told_to(id, start, end, at);
    }

    /// One token more of a sequence whose client is told of each; metrics know of it by the sum.
    fn token_of_stream(&mut self, id: SequenceId, step: u64, at: EngineTime) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let Progress::Decoding(decoding) = sequence.progress else { return };
        // Its last one is the end of it.
        if !decoding.generates(step) || decoding.last == step {
            return;
        }
        let end = decoding.generated(step) as usize;
        sequence.generate(end, at);
        self.told_to(id, end - 1, end, at);
    }

    fn last_token(&mut self, id: SequenceId, at: EngineTime) {
        self.catch_up(id);
        self.take_out(id);
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let end = sequence.n_tokens;
        sequence.generate(end, at);
        self.told_to(id, end - 1, end, at);
    }

    fn told_to(&mut self, id: SequenceId, start: usize, end: usize, at: EngineTime) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        if end == sequence.n_tokens {
            sequence.pace = Pace::Over;
        } else if !sequence.tells_each_token() {
            return;
        }
        self.pass_on(id, start..end, at);
    }

    /// Brings what is known of a sequence up to the step that ended last.
    pub(in crate::core) fn catch_up(&mut self, id: SequenceId) {
        let Some(steps) = &self.steps else { return };
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let decoding = match (sequence.progress, steps.ended) {
            (Progress::Decoding(decoding), Some((step, at))) if step >= decoding.since => {
                let end = decoding.generated(step.min(decoding.last)) as usize;
                if end > sequence.generated() {
                    sequence.generate(end, at);
                }
                true
            }
            _ => false,
        };
        let (Some(kv_cache), Some(output)) = (&mut self.kv_cache, &sequence.output) else { return };
        let generated = &output.token_ids()[..sequence.generated()];
        if decoding {
            // It has the blocks for these.
            kv_cache.grow(id, generated);
        } else {
            kv_cache.append(id, generated);
        }
    }

    /// A sequence is in no further step.
    pub(in crate::core) fn take_out(&mut self, id: SequenceId) {
        let (Some(steps), Some(sequence)) = (&mut self.steps, self.sequences.get_mut(&id)) else { return };
        steps.batch.leave(id, std::mem::take(&mut sequence.progress));
    }

    /// The same, of one that is preempted.
    pub(in crate::core) fn take_out_preempted(&mut self, id: SequenceId) {
        let (Some(steps), Some(sequence)) = (&mut self.steps, self.sequences.get_mut(&id)) else { return };
        steps.batch.preempted(id, std::mem::take(&mut sequence.progress));
    }

    /// The strategy of a sequence has answered, or its KV cache has come from elsewhere: what is left of it is a token to be
    /// computed in the next step.
    pub(in crate::core) fn go_on_in_steps(&mut self, id: SequenceId, computed: Option<u32>) {
        let Some(steps) = &mut self.steps else { return };
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        if sequence.progress == Progress::Out
            && let Some(computed) = computed
        {
            sequence.progress = Progress::Prefilling { computed, all: computed + 1 };
            steps.batch.prefilling.push(id);
        }
        self.is_unsettled = true;
    }
}
