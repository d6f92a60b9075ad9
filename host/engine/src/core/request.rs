//! What the core knows of a request as a whole.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::clock::EngineTime;
use crate::mailbox::Mailbox;
use crate::playback::Playback;
use crate::scheduler::SequenceId;

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
}

impl Request {
    pub(super) fn new(ids: SmallVec<[SequenceId; 1]>, mailbox: Arc<Mailbox>, playback: Option<Playback>) -> Self {
        let n_generating = ids.len() as u32;
        Self { ids, mailbox, playback, play_at: None, n_generating, hangs: false }
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
