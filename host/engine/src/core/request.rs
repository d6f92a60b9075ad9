//! What the core knows of a request as a whole.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Sequences;
use crate::clock::EngineTime;
use crate::history::SequenceHistory;
use crate::mailbox::Mailbox;
use crate::output::FinishReason;
use crate::playback::Playback;
use crate::report::{RequestEnd, RequestReport, SequenceEvent, SequenceReport};
use crate::scheduler::SequenceId;
use crate::strategy::{Choice, StrategyError};

/// A request that has not ended.
pub(super) struct Request {
    /// Its sequences by index, those that have ended included.
    pub(super) ids: SmallVec<[SequenceId; 1]>,
    pub(super) mailbox: Arc<Mailbox>,
    /// Its failures; `None` if it cannot fail on purpose.
    pub(super) playback: Option<Playback>,
    /// When its failures go on by themselves.
    pub(super) play_at: Option<EngineTime>,
    /// Sequences whose last token has not been generated.
    pub(super) n_generating: u32,
    /// It is stuck for good.
    pub(super) hangs: bool,
    /// Its first choice.
    first: Arc<Choice>,
    /// Of its sequences that have ended.
    history: SequenceHistory,
    /// Why the last of those ended.
    finish: FinishReason,
}

impl Request {
    /// One with these sequences, which took their places at `at`; there is at least one.
    pub(super) fn new(
        sequences: &Sequences,
        mailbox: Arc<Mailbox>,
        playback: Option<Playback>,
        at: EngineTime,
    ) -> Self {
        Self {
            ids: sequences.iter().map(|(id, _)| *id).collect(),
            mailbox,
            playback,
            play_at: None,
            n_generating: sequences.len() as u32,
            hangs: false,
            first: sequences[0].1.clone(),
            history: SequenceHistory { arrived: at, ..Default::default() },
            finish: FinishReason::Abort,
        }
    }

    /// One of its sequences has ended.
    pub(super) fn add(&mut self, SequenceReport { history, event, .. }: &SequenceReport) {
        self.history.merge(history);
        if let SequenceEvent::Finished(reason) = event {
            self.finish = reason.clone();
        }
    }

    /// It has ended, its client has everything.
    pub(super) fn completed(self) -> Arc<RequestReport> {
        let end = RequestEnd::Completed(self.finish.clone());
        self.report(end, false)
    }

    /// It has ended before its time: with an error, or because its client has gone away.
    pub(super) fn cut_off(self, error: Option<StrategyError>, on_purpose: bool) -> Arc<RequestReport> {
        self.report(error.map_or(RequestEnd::Aborted, RequestEnd::Failed), on_purpose)
    }

    fn report(self, end: RequestEnd, on_purpose: bool) -> Arc<RequestReport> {
        Arc::new(RequestReport { choice: self.first, history: self.history, end, on_purpose })
    }

    /// Whether strategies may be asked.
    pub(super) fn may_ask(&self) -> bool {
        !self.hangs && !self.is_selecting()
    }

    /// Whether its failure policy has yet to say what is to happen.
    pub(super) fn is_selecting(&self) -> bool {
        self.playback.as_ref().is_some_and(|playback| !playback.is_selected())
    }
}
