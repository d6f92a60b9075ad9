//! What the core knows of one sequence: how far it is, and when its next token is due.

use std::sync::Arc;
use std::time::Duration;

use super::progress::Progress;
use crate::clock::EngineTime;
use crate::history::SequenceHistory;
use crate::latency::{LatencyModel, Load, PrefillCounts};
use crate::mailbox::Mailbox;
use crate::output::CompletionOutput;
use crate::report::{SequenceEvent, SequenceReport};
use crate::seed::EngineRng;
use crate::strategy::Choice;

/// A sequence that has not ended.
pub(super) struct Sequence {
    pub(super) choice: Arc<Choice>,
    pub(super) mailbox: Arc<Mailbox>,
    /// Failures may be played on its request.
    pub(super) is_played: bool,
    pub(super) rng: EngineRng,
    pub(super) history: SequenceHistory,
    /// Known once the strategy has answered.
    pub(super) output: Option<Arc<CompletionOutput>>,
    /// Of its output, so that a token need not look at it.
    pub(super) n_tokens: usize,
    pub(super) pace: Pace,
    /// Where the engine steps, how far it is in its steps.
    pub(super) progress: Progress,
    /// Of those that left the queue, which it was the last time.
    pub(super) place: u64,
    /// When the KV cache of all that it has is there; `None` while it waits.
    prefilled_at: Option<EngineTime>,
    call: Call,
}

/// When its next token is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Then. A deadline stands for it.
    Due(EngineTime),
    /// Not known: it waits, or its strategy has not answered. Not before this moment.
    NotBefore(EngineTime),
    /// Never: it has generated its last token, or it hangs.
    Over,
}

/// How far its strategy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    NotAsked,
    InFlight,
    Returned,
}

impl Sequence {
    /// One that took its place in the queue at `at`.
    pub(super) fn new(
        choice: Arc<Choice>,
        mailbox: Arc<Mailbox>,
        is_played: bool,
        rng: EngineRng,
        at: EngineTime,
    ) -> Self {
        Self {
            choice,
            mailbox,
            is_played,
            rng,
            history: SequenceHistory { arrived: at, ..Default::default() },
            output: None,
            n_tokens: 0,
            pace: Pace::NotBefore(at),
            progress: Progress::Out,
            place: 0,
            prefilled_at: None,
            call: Call::NotAsked,
        }
    }

    /// It leaves the queue at `at`. Returns when its next token is due, if that is known.
    pub(super) fn admit(
        &mut self,
        cached_tokens: u32,
        at: EngineTime,
        latency: &dyn LatencyModel,
        load: Load,
    ) -> Option<EngineTime> {
        self.scheduled(cached_tokens, at);
        let prefilled_at = at + self.prefill_time(cached_tokens, latency, load);
        self.prefilled_at = Some(prefilled_at);
        self.pace()
    }

    /// The same where the engine steps. Returns when its KV cache has come, if that was computed elsewhere.
    pub(super) fn admit_to_steps(
        &mut self,
        cached_tokens: u32,
        at: EngineTime,
        latency: &dyn LatencyModel,
        load: Load,
    ) -> Option<EngineTime> {
        self.scheduled(cached_tokens, at);
        if self.pace == Pace::Over || !self.is_prefilled_elsewhere() {
            self.prefilled_at = Some(EngineTime::NEVER);
            return None;
        }
        let fetched_at = at + self.prefill_time(cached_tokens, latency, load);
        (self.prefilled_at, self.pace) = (Some(fetched_at), Pace::Due(fetched_at));
        Some(fetched_at)
    }

    fn scheduled(&mut self, cached_tokens: u32, at: EngineTime) {
        if self.history.scheduled.is_none() {
            (self.history.scheduled, self.history.cached_tokens) = (Some(at), cached_tokens);
        }
    }

    fn prefill_time(&mut self, cached_tokens: u32, latency: &dyn LatencyModel, load: Load) -> Duration {
        let counts = PrefillCounts {
            prompt_tokens: self.choice.prompt().n_tokens + self.history.generated_tokens,
            cached_tokens,
            remote_prefill: self.is_prefilled_elsewhere(),
        };
        latency.first_token(counts, load, &mut self.rng)
    }

    /// Whether another server computes its prompt. Only the first time: it does not keep it.
    pub(super) fn is_prefilled_elsewhere(&self) -> bool {
        self.choice.request.remote_prefill && self.generated() == 0
    }

    /// Tokens that a step must compute before the next one can come: its prompt's, and those that were generated. Where there is
    /// none, one stands for the beginning.
    pub(super) fn n_to_compute(&self) -> u32 {
        (self.choice.prompt().n_tokens + self.history.generated_tokens).max(1)
    }

    /// What another server computed is here. Returns how many of its tokens are computed, if its strategy has answered.
    pub(super) fn fetched(&mut self, at: EngineTime) -> Option<u32> {
        if let Pace::Due(_) = self.pace {
            self.pace = Pace::NotBefore(at);
        }
        self.output.as_ref().map(|_| self.n_to_compute() - 1)
    }

    /// Its strategy has answered at `at`. Returns how many of its tokens are computed, if it waited for that and not for a step.
    pub(super) fn answer_in_steps(&mut self, output: Arc<CompletionOutput>, at: EngineTime) -> Option<u32> {
        self.call = Call::Returned;
        self.n_tokens = output.n_tokens();
        self.output = Some(output);
        let waits_for_it = self.prefilled_at.is_some_and(|prefilled_at| prefilled_at <= at);
        (waits_for_it && matches!(self.pace, Pace::NotBefore(_))).then(|| self.n_to_compute() - 1)
    }

    /// A step has computed all that it had.
    pub(super) fn prefill_ended(&mut self, at: EngineTime) {
        self.prefilled_at = Some(at);
    }

    /// Whether each of its tokens is told when it falls due: others need the last one only.
    pub(super) fn tells_each_token(&self) -> bool {
        self.is_played || self.choice.request.streaming
    }

    /// Its strategy has answered at `at`: the first token waits for the slower of the two. Returns when it is due, if that
    /// is known.
    pub(super) fn answer(&mut self, output: Arc<CompletionOutput>, at: EngineTime) -> Option<EngineTime> {
        self.call = Call::Returned;
        self.n_tokens = output.n_tokens();
        self.output = Some(output);
        if let Pace::NotBefore(before) = self.pace {
            self.pace = Pace::NotBefore(before.max(at));
        }
        self.pace()
    }

    /// Sets its pace if it runs and has an output.
    fn pace(&mut self) -> Option<EngineTime> {
        let (Some(prefilled_at), Some(output), Pace::NotBefore(before)) = (self.prefilled_at, &self.output, self.pace)
        else {
            return None;
        };
        let due = match (output.timing(), self.history.scheduled) {
            (Some(timing), Some(scheduled)) if self.generated() == 0 => timing.first_token(scheduled, prefilled_at),
            _ => prefilled_at,
        };
        let due = due.max(before);
        self.pace = Pace::Due(due);
        Some(due)
    }

    /// It goes back into the queue. Returns the deadline that no longer stands.
    pub(super) fn preempt(&mut self) -> Option<EngineTime> {
        self.history.preemptions += 1;
        self.prefilled_at = None;
        match self.pace {
            Pace::Due(due) => {
                self.pace = Pace::NotBefore(due);
                Some(due)
            }
            Pace::NotBefore(_) | Pace::Over => None,
        }
    }

    /// What lies after `since` comes so much later. Returns when its next token is due, if that is known.
    pub(super) fn delay(&mut self, since: EngineTime, late: Duration) -> Option<EngineTime> {
        self.prefilled_at = self.prefilled_at.map(|at| if at > since { at + late } else { at });
        match &mut self.pace {
            Pace::Due(due) => {
                *due = *due + late;
                Some(*due)
            }
            Pace::NotBefore(_) | Pace::Over => None,
        }
    }

    /// Nothing is due any more. Returns the deadline that no longer stands.
    pub(super) fn freeze(&mut self) -> Option<EngineTime> {
        self.call = Call::Returned;
        match std::mem::replace(&mut self.pace, Pace::Over) {
            Pace::Due(due) => Some(due),
            Pace::NotBefore(_) | Pace::Over => None,
        }
    }

    /// Whether its strategy is to be asked now; true once.
    pub(super) fn ask(&mut self) -> bool {
        let is_first = self.call == Call::NotAsked && self.prefilled_at.is_some();
        if is_first {
            self.call = Call::InFlight;
        }
        is_first
    }

    /// Whether its strategy was asked and has not answered.
    pub(super) fn awaits_answer(&self) -> bool {
        self.call == Call::InFlight
    }

    /// When the KV cache of all that it has is there; `None` while it waits.
    pub(super) fn prefilled_at(&self) -> Option<EngineTime> {
        self.prefilled_at
    }

    /// Tokens that were generated.
    pub(super) fn generated(&self) -> usize {
        self.history.generated_tokens as usize
    }

    /// How many of its tokens are generated once those that are due at `at` are, each a gap after the one before; and when
    /// the next one is due. An empty output is due once.
    pub(super) fn due_at(
        &mut self,
        at: EngineTime,
        mut next_gap: impl FnMut(&mut EngineRng) -> Duration,
    ) -> (usize, EngineTime) {
        let (mut end, mut due) = (self.generated(), at);
        while end < self.n_tokens && due <= at {
            end += 1;
            if end < self.n_tokens {
                let gap = next_gap(&mut self.rng);
                due = due + self.output.as_ref().map_or(gap, |output| output.gap(end, gap));
            }
        }
        (end, due)
    }

    /// It has generated the tokens before `end`, the last ones at `at`. Returns how long after those before.
    pub(super) fn generate(&mut self, end: usize, at: EngineTime) -> Option<Duration> {
        self.history.generated_tokens = end as u32;
        self.history.first_token.get_or_insert(at);
        self.history.last_token.replace(at).map(|before| at.since(before))
    }

    pub(super) fn report(&self, event: SequenceEvent) -> SequenceReport {
        SequenceReport { choice: self.choice.clone(), history: self.history, event }
    }

    pub(super) fn into_report(self, event: SequenceEvent) -> SequenceReport {
        SequenceReport { choice: self.choice, history: self.history, event }
    }
}
