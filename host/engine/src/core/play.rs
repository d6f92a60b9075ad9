//! Failures as they happen to a request.

use super::request::Request;
use super::{Core, Deadline};
use crate::clock::EngineTime;
use crate::failure::Failure;
use crate::mailbox::Delivery;
use crate::playback::{Pending, Played};
use crate::request::RequestNumber;
use crate::strategy::StrategyError;

impl Core {
    /// Plays the failures of a request as far as `at`.
    pub(super) fn play(&mut self, number: RequestNumber, at: EngineTime) {
        loop {
            let Some(request) = self.requests.get_mut(&number).filter(|request| !request.hangs) else { return };
            if let Some(deadline) = request.play_at.take() {
                self.deadlines.remove(&(deadline, Deadline::Playback(number)));
            }
            let all_generated = request.n_generating == 0;
            let Some(playback) = &mut request.playback else { return };
            let played = playback.next(at, all_generated);
            if let Played::Failure(failure) = &played {
                self.report.injected.push((number, failure.kind()));
            }
            match played {
                Played::Wait(until) => {
                    request.play_at = until;
                    self.deadlines.extend(until.map(|until| (until, Deadline::Playback(number))));
                    return;
                }
                Played::Over => {
                    self.deliveries.push((request.mailbox.clone(), Delivery::Complete));
                    self.report.requests.extend(self.requests.remove(&number).map(Request::completed));
                    return;
                }
                Played::PassOn(Pending::Failed(error)) => return self.end_request(number, Some(error)),
                Played::PassOn(Pending::Tokens { choice, end, n_tokens, .. }) => {
                    let id = request.ids[choice as usize];
                    let history = self.sequences.get(&id).map(|sequence| sequence.history).unwrap_or_default();
                    self.deliveries.push((request.mailbox.clone(), Delivery::Tokens { choice, end, history }));
                    if end == n_tokens {
                        // It kept its place until its client had its last token.
                        self.finished(id);
                    }
                }
                Played::Failure(Failure::Stall(time)) => playback.stall_until(at + time),
                Played::Failure(Failure::Malformed) => {
                    self.deliveries.push((request.mailbox.clone(), Delivery::Malformed));
                }
                Played::Failure(Failure::Error(error)) => {
                    return self.cut_off(number, Some(StrategyError::Rejected(error)), true);
                }
                Played::Failure(Failure::Disconnect) => {
                    return self.cut_off(number, Some(StrategyError::Disconnected), true);
                }
                Played::Failure(Failure::Hang) => return self.hang(number),
            }
        }
    }

    /// A request that hangs keeps its places and its blocks, and nothing more is done for it.
    fn hang(&mut self, number: RequestNumber) {
        let Some(request) = self.requests.get_mut(&number) else { return };
        request.hangs = true;
        self.deliveries.push((request.mailbox.clone(), Delivery::Hang { number }));
        let mut frozen = Vec::new();
        let ids = request.ids.clone();
        for id in &ids {
            self.catch_up(*id);
            self.take_out(*id);
            let Some(sequence) = self.sequences.get_mut(id) else { continue };
            self.calls_in_flight -= usize::from(sequence.awaits_answer());
            if let Some(due) = sequence.freeze() {
                frozen.push((due, Deadline::Token(*id)));
            }
        }
        for deadline in frozen {
            self.due_tokens().remove(&deadline);
        }
    }
}
