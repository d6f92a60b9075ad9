//! An engine that is told to pause, and to go on. Failures on purpose are not held: they stand for networks and servers that
//! fail whatever the engine does.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::sequence::Sequence;
use super::{Core, Deadline};
use crate::clock::EngineTime;
use crate::mailbox::{Delivery, Mailbox};
use crate::output::{CompletionOutput, FinishReason};
use crate::playback::Playback;
use crate::report::SequenceEvent;
use crate::scheduler::SequenceId;

/// What becomes of requests that were accepted when an engine pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// They end with what they have.
    Abort,
    /// They are finished first.
    Wait,
    /// They go on afterwards.
    Keep,
}

/// A pause, as it goes.
pub(super) struct Paused {
    /// Sequences from here on wait for it to end. Those before are finished first, or everything stands still.
    finishes: Option<SequenceId>,
    /// Since when everything stands still.
    since: EngineTime,
    /// Tokens that were due later than that.
    held: BTreeSet<(EngineTime, Deadline)>,
    /// To be completed when everything stands still.
    waiting: Vec<Arc<Mailbox>>,
}

impl Paused {
    /// Whether a sequence may leave the queue.
    pub(super) fn admits(&self, id: SequenceId) -> bool {
        self.finishes.is_some_and(|before| id < before)
    }

    /// How many tokens are held.
    pub(super) fn n_held(&self) -> usize {
        self.held.len()
    }
}

impl Core {
    /// Pauses; `mailbox` is complete when everything stands still. New requests are queued.
    pub(crate) fn pause(&mut self, pause: Pause, mailbox: &Arc<Mailbox>, at: EngineTime) {
        if pause == Pause::Abort {
            self.abort_all();
        }
        let finishes = Some(self.scheduler.next_id());
        let paused = self.paused.get_or_insert_with(|| Paused {
            finishes,
            since: at,
            held: BTreeSet::new(),
            waiting: Vec::new(),
        });
        paused.waiting.push(mailbox.clone());
        if pause != Pause::Wait {
            self.stand_still(at);
        }
    }

    /// Goes on. Tokens are due as much later as everything stood still.
    pub(crate) fn resume(&mut self, at: EngineTime) {
        let Some(paused) = self.paused.take() else { return };
        self.deliveries.extend(paused.waiting.into_iter().map(|mailbox| (mailbox, Delivery::Complete)));
        self.is_unsettled = true;
        if paused.finishes.is_some() {
            return;
        }
        let late = at.since(paused.since);
        let ends_at = self.steps.as_mut().and_then(|steps| steps.delay(late));
        self.deadlines.extend(ends_at.map(|ends_at| (ends_at, Deadline::Step)));
        for (id, sequence) in &mut self.sequences {
            if let Some(due) = sequence.delay(paused.since, late) {
                self.deadlines.insert((due, Deadline::Token(*id)));
            }
        }
    }

    /// The moment that it is, for what is generated.
    pub(super) fn generating_at(&self, at: EngineTime) -> EngineTime {
        self.paused.as_ref().filter(|paused| paused.finishes.is_none()).map_or(at, |paused| paused.since)
    }

    /// Whether nothing is computed.
    pub(super) fn stands_still(&self) -> bool {
        self.paused.as_ref().is_some_and(|paused| paused.finishes.is_none())
    }

    /// Whether it is paused, or about to be.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Where tokens are due: at their moments, or not before everything goes on.
    pub(super) fn due_tokens(&mut self) -> &mut BTreeSet<(EngineTime, Deadline)> {
        match &mut self.paused {
            Some(Paused { finishes: None, held, .. }) => held,
            _ => &mut self.deadlines,
        }
    }

    /// Whether this is to be done, now or later.
    pub(super) fn holds(&self, deadline: &(EngineTime, Deadline)) -> bool {
        self.deadlines.contains(deadline) || self.paused.as_ref().is_some_and(|paused| paused.held.contains(deadline))
    }

    /// After a step: stands still as soon as all is finished that is to be finished before.
    pub(super) fn settle(&mut self, at: EngineTime) {
        let Some(paused) =
            self.paused.as_ref().filter(|paused| paused.finishes.is_some() || !paused.waiting.is_empty())
        else {
            return;
        };
        let hangs = |number| self.requests.get(&number).is_some_and(|request| request.hangs);
        let is_waited_for = |(id, sequence): (_, &Sequence)| paused.admits(id) && !hangs(sequence.choice.number);
        if !self.sequences.iter().any(|(id, sequence)| is_waited_for((*id, sequence))) {
            self.stand_still(at);
        }
    }

    /// From `at` on, unless it did before.
    fn stand_still(&mut self, at: EngineTime) {
        let Some(paused) = &mut self.paused else { return };
        if paused.finishes.take().is_some() {
            paused.since = at;
            let is_token = |(_, deadline): &(EngineTime, Deadline)| matches!(deadline, Deadline::Token(_));
            paused.held = self.deadlines.iter().filter(|deadline| is_token(deadline)).copied().collect();
            self.deadlines.retain(|(_, deadline)| matches!(deadline, Deadline::Playback(_)));
        }
        self.deliveries.extend(paused.waiting.drain(..).map(|mailbox| (mailbox, Delivery::Complete)));
    }

    /// Ends every request with what it has, but for those that hang.
    fn abort_all(&mut self) {
        let mut numbers: Vec<_> = self.requests.iter().filter(|(_, request)| !request.hangs).collect();
        numbers.sort_unstable_by_key(|(number, _)| **number);
        let ended: Vec<_> = numbers.into_iter().map(|(number, request)| (*number, request.ids.clone())).collect();
        for (number, ids) in ended {
            let Some(request) = self.requests.get(&number) else { continue };
            let mailbox = request.mailbox.clone();
            if let Some(error) = request.playback.as_ref().and_then(Playback::error).cloned() {
                // What it has is an error that stalls.
                self.end_request(number, Some(error));
                continue;
            }
            for id in ids {
                self.catch_up(id);
                let Some(sequence) = self.sequences.get(&id) else { continue };
                let (choice, end) = (sequence.choice.index, sequence.generated());
                let output = match &sequence.output {
                    Some(output) if end == output.n_tokens() => output.clone(),
                    Some(output) => Arc::new(output.aborted(end)),
                    None => Arc::new(CompletionOutput::nothing(sequence.choice.seed)),
                };
                let history = sequence.history;
                self.deliveries.push((mailbox.clone(), Delivery::Output { choice, output }));
                self.deliveries.push((mailbox.clone(), Delivery::Tokens { choice, end, history }));
                self.end(id, SequenceEvent::Finished(FinishReason::Abort));
            }
            self.end_request(number, None);
            self.deliveries.push((mailbox, Delivery::Complete));
        }
    }
}
