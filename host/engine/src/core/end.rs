//! Requests and sequences end, each once.

use super::{Core, Deadline};
use crate::mailbox::Delivery;
use crate::report::SequenceEvent;
use crate::request::RequestNumber;
use crate::scheduler::SequenceId;
use crate::strategy::StrategyError;

impl Core {
    /// Ends a request and all of its sequences that have not ended: with an error, or because its client has gone away.
    pub(super) fn end_request(&mut self, number: RequestNumber, error: Option<StrategyError>) {
        self.cut_off(number, error, false);
    }

    /// The same, for a failure that was played on purpose if it was.
    pub(super) fn cut_off(&mut self, number: RequestNumber, error: Option<StrategyError>, on_purpose: bool) {
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
    pub(super) fn end(&mut self, id: SequenceId, event: SequenceEvent) {
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
}
