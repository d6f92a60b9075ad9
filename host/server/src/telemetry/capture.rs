//! The requests as they were received, and what became of them: what a gateway's tests want to see.

mod captured;
mod layer;

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rehearsal_engine::{Clock, EngineObserver, EngineTime, SequenceEvent, StepReport};
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::config::CaptureConfig;
use captured::Captured;
pub use captured::Received;
pub use layer::{capture, tag};

/// All requests that are kept take no more than this.
const MOST_BYTES: usize = 64 << 20;

/// Keeps the last requests of a server.
pub struct Capture {
    kept: Mutex<Kept>,
    /// Told when a request has arrived.
    arrived: Notify,
    clock: Clock,
    rank: u32,
    n_requests: usize,
    file: Option<(Mutex<NonBlocking>, WorkerGuard)>,
}

#[derive(Default)]
struct Kept {
    /// In the order of arrival.
    requests: VecDeque<Captured>,
    /// The number of the first of them.
    first: u64,
    n_bytes: usize,
    /// When the first request of all arrived.
    begun: Option<EngineTime>,
}

impl Capture {
    /// Keeps what `config` says, if anything. Fails if its file cannot be written.
    pub fn new(config: &CaptureConfig, rank: u32, clock: Clock) -> Result<Option<Arc<Self>>, String> {
        let CaptureConfig { n_requests, file } = config;
        if *n_requests == 0 && file.is_none() {
            return Ok(None);
        }
        let file = file.as_deref().map(open).transpose()?;
        let (kept, arrived) = (Mutex::default(), Notify::new());
        Ok(Some(Arc::new(Self { kept, arrived, clock, rank, n_requests: *n_requests, file })))
    }

    /// A request has arrived; returns its number.
    fn add(&self, received: Received) -> u64 {
        let now = self.clock.now();
        let mut kept = self.lock();
        let begun = *kept.begun.get_or_insert(now);
        let captured = Captured::new(received, now.since(begun), self.rank);
        kept.n_bytes += captured.n_bytes();
        kept.requests.push_back(captured);
        let number = kept.first + kept.requests.len() as u64 - 1;
        while kept.requests.len() > 1 && self.is_too_much(&kept) {
            kept.drop_first();
        }
        drop(kept);
        self.arrived.notify_waiters();
        number
    }

    /// Whether the first request is to be forgotten.
    fn is_too_much(&self, kept: &Kept) -> bool {
        // One that is not answered yet has still to be written down, as long as there is room.
        let may_go = self.file.is_none() || kept.requests.front().is_none_or(Captured::is_answered);
        kept.n_bytes > MOST_BYTES || (kept.requests.len() > self.n_requests.max(1) && may_go)
    }

    /// A request was answered with this status, whole or not; none if its client left before there was one.
    fn answered(&self, number: u64, status: Option<u16>, is_whole: bool) {
        let mut kept = self.lock();
        let Some(captured) = kept.get(number) else { return };
        captured.answered(status, is_whole);
        let Some((file, _)) = &self.file else { return };
        let line = captured.line();
        drop(kept);
        // One that the disk has no room for is lost, and nothing else.
        let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
    }

    /// The last `n` requests that `is_wanted`, oldest first, as JSON.
    pub fn last(&self, n: usize, is_wanted: impl Fn(&Received) -> bool) -> Vec<Box<RawValue>> {
        let kept = self.lock();
        let mut last: Vec<_> = kept
            .requests
            .iter()
            .rev()
            .filter(|captured| is_wanted(&captured.received))
            .take(n.min(self.n_requests))
            .map(Captured::json)
            .collect();
        last.reverse();
        last
    }

    /// Ready once `n` requests that `is_wanted` have arrived, those before included.
    pub async fn wait(&self, n: usize, is_wanted: impl Fn(&Received) -> bool) {
        loop {
            let arrived = self.arrived.notified();
            if self.lock().requests.iter().filter(|captured| is_wanted(&captured.received)).count() >= n {
                return;
            }
            arrived.await;
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        let mut kept = self.lock();
        while !kept.requests.is_empty() {
            kept.drop_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get(&mut self, number: u64) -> Option<&mut Captured> {
        let at = number.checked_sub(self.first)?;
        self.requests.get_mut(usize::try_from(at).ok()?)
    }

    fn drop_first(&mut self) {
        if let Some(dropped) = self.requests.pop_front() {
            self.first += 1;
            self.n_bytes -= dropped.n_bytes();
        }
    }
}

impl EngineObserver for Capture {
    fn observe(&self, report: &StepReport) {
        let ended = report.sequences.iter().filter(|sequence| {
            matches!(sequence.event, SequenceEvent::Finished(_) | SequenceEvent::Failed(_) | SequenceEvent::Aborted)
        });
        for sequence in ended {
            let Some(tag) = sequence.choice.request.tag else { continue };
            if let Some(captured) = self.lock().get(tag) {
                captured.ended(sequence);
            }
        }
    }
}

fn open(path: &Path) -> Result<(Mutex<NonBlocking>, WorkerGuard), String> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.map_err(|error| format!("capture-file: {} cannot be written: {error}", path.display()))?;
    let (writer, guard) = NonBlockingBuilder::default().lossy(false).thread_name("capture").finish(file);
    Ok((Mutex::new(writer), guard))
}
