//! Failures on purpose as they are played: data beside a request, advanced in the core's steps.
//!
//! What falls due goes through here on its way to the client. A playback that waits for a moment passes it on; one that
//! stalls keeps it back; one that hangs passes on nothing any more.

use std::collections::VecDeque;

use crate::clock::EngineTime;
use crate::failure::{Failure, Moment, Outcome};
use crate::strategy::StrategyError;

/// The failures of one request, and how far they have come.
#[derive(Debug)]
pub(crate) struct Playback {
    arrived: EngineTime,
    /// What is still to happen; `None` until the policy has said.
    outcomes: Option<VecDeque<Outcome>>,
    /// Nothing is passed on before.
    stalled_until: Option<EngineTime>,
    is_scheduled: bool,
    /// What fell due and was not passed on yet.
    pending: VecDeque<Pending>,
    /// Tokens that were passed on, of all choices together.
    passed_on: u32,
}

/// Something on its way to the client.
#[derive(Debug)]
pub(crate) enum Pending {
    /// The tokens of a choice from `start` to `end`, of `n_tokens` in all.
    Tokens { choice: u32, start: usize, end: usize, n_tokens: usize },
    /// A strategy failed.
    Failed(StrategyError),
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Played {
    /// This goes to the client.
    PassOn(Pending),
    /// This happens.
    Failure(Failure),
    /// Nothing before this moment, or before something else changes.
    Wait(Option<EngineTime>),
    /// Everything has happened.
    Over,
}

impl Playback {
    /// Of a request that arrived just now.
    pub(crate) fn new(arrived: EngineTime) -> Self {
        Self {
            arrived,
            outcomes: None,
            stalled_until: None,
            is_scheduled: false,
            pending: VecDeque::new(),
            passed_on: 0,
        }
    }

    /// The policy has said what is to happen.
    pub(crate) fn select(&mut self, outcomes: Vec<Outcome>) {
        self.outcomes = Some(outcomes.into());
    }

    /// Whether the policy has said what is to happen: before that, no strategy is asked.
    pub(crate) fn is_selected(&self) -> bool {
        self.outcomes.is_some()
    }

    /// A choice left the queue.
    pub(crate) fn scheduled(&mut self) {
        self.is_scheduled = true;
    }

    /// Something fell due.
    pub(crate) fn push(&mut self, pending: Pending) {
        if let (Some(Pending::Tokens { choice: same, end: before, .. }), Pending::Tokens { choice, end, .. }) =
            (self.pending.back_mut(), &pending)
            && same == choice
        {
            *before = *end;
        } else {
            self.pending.push_back(pending);
        }
    }

    /// The error of a strategy that has not been passed on yet.
    pub(crate) fn error(&self) -> Option<&StrategyError> {
        self.pending.iter().find_map(|pending| match pending {
            Pending::Failed(error) => Some(error),
            Pending::Tokens { .. } => None,
        })
    }

    /// Nothing is passed on before this moment.
    pub(crate) fn stall_until(&mut self, until: EngineTime) {
        self.stalled_until = Some(until);
    }

    /// What is to be done at `now`; to be called until it says to wait or that everything is over. `all_generated`: no
    /// choice will push anything any more.
    pub(crate) fn next(&mut self, now: EngineTime, all_generated: bool) -> Played {
        let Some(outcomes) = &mut self.outcomes else { return Played::Wait(None) };
        if let Some(until) = self.stalled_until {
            if now < until {
                return Played::Wait(Some(until));
            }
            self.stalled_until = None;
        }
        let moment = outcomes.front().map(|outcome| outcome.moment);
        let is_reached = match moment {
            None => false,
            Some(Moment::OnArrival) => true,
            Some(Moment::OnSchedule) => self.is_scheduled,
            Some(Moment::AfterTokens(tokens)) => self.passed_on >= tokens,
            Some(Moment::AfterTime(time)) => now >= self.arrived + time,
            Some(Moment::AtEnd) => all_generated && self.pending.is_empty(),
        };
        if is_reached && let Some(Outcome { failure, .. }) = outcomes.pop_front() {
            return Played::Failure(failure);
        }
        let room = match moment {
            Some(Moment::AfterTokens(tokens)) => (tokens - self.passed_on) as usize,
            _ => usize::MAX,
        };
        match self.pass_on(room) {
            Some(pending) => Played::PassOn(pending),
            // A moment that the request did not reach passes by, and so does what was to follow.
            None if all_generated => Played::Over,
            None => Played::Wait(match moment {
                Some(Moment::AfterTime(time)) => Some(self.arrived + time),
                _ => None,
            }),
        }
    }

    /// What fell due first, of tokens as many as there is room for.
    fn pass_on(&mut self, room: usize) -> Option<Pending> {
        let first = self.pending.front_mut()?;
        if let Pending::Tokens { choice, start, end, n_tokens } = first {
            let passed = (*end - *start).min(room);
            self.passed_on += passed as u32;
            if *start + passed < *end {
                let part =
                    Pending::Tokens { choice: *choice, start: *start, end: *start + passed, n_tokens: *n_tokens };
                *start += passed;
                return Some(part);
            }
        }
        self.pending.pop_front()
    }
}
