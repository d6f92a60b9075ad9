//! Tokens that are due: room for them, what else is preempted for it, and their way to the client.

use std::ops::Range;

use super::request::Request;
use super::sequence::Pace;
use super::{Core, Deadline};
use crate::clock::EngineTime;
use crate::mailbox::Delivery;
use crate::playback::Pending;
use crate::report::SequenceEvent;
use crate::request::RequestNumber;
use crate::scheduler::SequenceId;

impl Core {
    /// Tokens of a sequence are due.
    pub(super) fn generate(&mut self, id: SequenceId, at: EngineTime) {
        if self.steps.is_some() {
            // What was computed elsewhere is here.
            let computed = self.sequences.get_mut(&id).and_then(|sequence| sequence.fetched(at));
            return self.go_on_in_steps(id, computed);
        }
        let load = self.load();
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let start = sequence.generated();
        let (due, next_due) = sequence.due_at(at, |rng| self.latency.next_token(load, rng));
        // Without a KV cache there is always room, and the output need not be looked at.
        let end = if self.kv_cache.is_some() { self.make_room(id, due) } else { due };
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let is_last = end == sequence.n_tokens;
        let has_tokens = end > start || is_last;
        if has_tokens {
            let gap = sequence.generate(end, at);
            self.report.sequences.push(sequence.report(SequenceEvent::Tokens { n: end - start, gap }));
        }
        if is_last {
            sequence.pace = Pace::Over;
        } else if end == due {
            sequence.pace = Pace::Due(next_due);
            self.due_tokens().insert((next_due, Deadline::Token(id)));
        } else {
            // What it has no room for is due as soon as it runs again.
            sequence.pace = Pace::NotBefore(at);
        }
        if has_tokens {
            self.pass_on(id, start..end, at);
        }
        // Unless a failure has ended it.
        if end < due && self.sequences.contains_key(&id) {
            self.preempt(id);
        }
    }

    /// Tokens of a sequence go to its client, through the failures of its request if there are any.
    pub(super) fn pass_on(&mut self, id: SequenceId, tokens: Range<usize>, at: EngineTime) {
        let Some(sequence) = self.sequences.get(&id) else { return };
        let (choice, number, n_tokens) = (sequence.choice.index, sequence.choice.number, sequence.n_tokens);
        let is_last = tokens.end == n_tokens;
        if !sequence.is_played {
            let delivery = Delivery::Tokens { choice, end: tokens.end, history: sequence.history };
            self.deliveries.push((sequence.mailbox.clone(), delivery));
            if is_last {
                self.finish(id);
            }
            return;
        }
        let Some(request) = self.requests.get_mut(&number) else { return };
        request.n_generating -= u32::from(is_last);
        if let Some(playback) = &mut request.playback {
            playback.push(Pending::Tokens { choice, start: tokens.start, end: tokens.end, n_tokens });
            self.play(number, at);
        }
    }

    /// Room for a running sequence to have generated the tokens before `end`; returns how many it may generate. While no
    /// block is free, the sequence that was admitted last is preempted, as in vLLM. If that is the one that asks, there is
    /// not enough room. The one that was admitted first never is preempted, so that there is always progress.
    pub(super) fn make_room(&mut self, id: SequenceId, end: usize) -> usize {
        let Some(output) = self.sequences.get(&id).and_then(|sequence| sequence.output.clone()) else { return end };
        loop {
            let Some(kv_cache) = &mut self.kv_cache else { return end };
            let may_generate = kv_cache.grow(id, &output.token_ids()[..end]);
            if may_generate == end {
                return end;
            }
            match self.scheduler.last_running() {
                Some(last) if last != id => self.preempt(last),
                _ => return may_generate,
            }
        }
    }

    /// Takes a running sequence its place and its blocks away. It waits before all others.
    pub(super) fn preempt(&mut self, id: SequenceId) {
        self.n_preemptions += 1;
        self.catch_up(id);
        self.take_out_preempted(id);
        self.scheduler.preempt(id);
        if let Some(kv_cache) = &mut self.kv_cache {
            kv_cache.release(id);
        }
        self.is_unsettled = true;
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let due = sequence.preempt();
        self.report.sequences.push(sequence.report(SequenceEvent::Preempted));
        if let Some(due) = due {
            self.due_tokens().remove(&(due, Deadline::Token(id)));
        }
    }

    /// The client of a sequence has its last token; of a request without failures, which that may be the end of.
    fn finish(&mut self, id: SequenceId) {
        let Some(number) = self.finished(id) else { return };
        let Some(request) = self.requests.get_mut(&number) else { return };
        request.n_generating -= 1;
        if request.n_generating == 0 {
            self.deliveries.push((request.mailbox.clone(), Delivery::Complete));
            self.report.requests.extend(self.requests.remove(&number).map(Request::completed));
        }
    }

    /// Ends a sequence as its output does; the number of its request.
    pub(super) fn finished(&mut self, id: SequenceId) -> Option<RequestNumber> {
        let sequence = self.sequences.get(&id)?;
        let (number, reason) = (sequence.choice.number, sequence.output.as_ref()?.finish_reason().clone());
        self.end(id, SequenceEvent::Finished(reason));
        Some(number)
    }
}
