//! The requests as they were received, and what became of them: what a gateway's tests want to see.

mod captured;
mod layer;

use std::collections::{HashMap, VecDeque};
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntCounter;
use rehearsal_engine::{Clock, EngineObserver, EngineTime, SequenceEvent, StepReport};
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tracing_appender::non_blocking::WorkerGuard;

use crate::config::CaptureConfig;
use crate::telemetry::bounded_writer::BoundedWriter;
use captured::Captured;
pub use captured::Received;
pub use layer::{capture, tag};

/// All requests that are kept take no more than this, nor do those that wait to be written down.
const MOST_BYTES: usize = 64 << 20;

/// Keeps the last requests of a server.
pub struct Capture {
    requests: Mutex<Requests>,
    /// Told when a request has arrived.
    arrived: Notify,
    clock: Clock,
    rank: u32,
    /// Kept at most.
    n_kept: usize,
    file: Option<(BoundedWriter, WorkerGuard)>,
}

#[derive(Default)]
struct Requests {
    /// In the order of arrival.
    kept: VecDeque<Arc<Captured>>,
    n_bytes: usize,
    /// Those that are being answered, kept or not, by their numbers.
    open: HashMap<u64, Arc<Captured>>,
    /// Of the next one.
    number: u64,
    /// When the first request of all arrived.
    begun: Option<EngineTime>,
}

impl Capture {
    /// Keeps what `config` says, if anything. Fails if its file cannot be written.
    /// What cannot be written into it is counted.
    pub fn new(
        config: &CaptureConfig,
        rank: u32,
        clock: Clock,
        dropped: IntCounter,
    ) -> Result<Option<Arc<Self>>, String> {
        let CaptureConfig { n_requests, file } = config;
        if *n_requests == 0 && file.is_none() {
            return Ok(None);
        }
        let file = file.as_deref().map(|path| open(path, dropped)).transpose()?;
        let (requests, arrived) = (Mutex::default(), Notify::new());
        Ok(Some(Arc::new(Self { requests, arrived, clock, rank, n_kept: *n_requests, file })))
    }

    /// How many requests are kept at most.
    pub fn n_kept(&self) -> usize {
        self.n_kept
    }

    /// Bytes of those that are kept.
    pub fn n_bytes(&self) -> usize {
        self.lock().n_bytes
    }

    /// A request has arrived; returns its number.
    fn add(&self, received: Received) -> u64 {
        let now = self.clock.now();
        let mut requests = self.lock();
        let begun = *requests.begun.get_or_insert(now);
        let captured = Arc::new(Captured::new(received, now.since(begun), self.rank));
        let number = requests.number;
        requests.number += 1;
        requests.open.insert(number, captured.clone());
        requests.n_bytes += captured.n_bytes();
        requests.kept.push_back(captured);
        while requests.kept.len() > self.n_kept || (requests.n_bytes > MOST_BYTES && requests.kept.len() > 1) {
            requests.forget_first();
        }
        drop(requests);
        self.arrived.notify_waiters();
        number
    }

    /// A request was answered with this status, whole or not; none if its client left before there was one.
    fn answered(&self, number: u64, status: Option<u16>, is_whole: bool) {
        let Some(captured) = self.lock().open.remove(&number) else { return };
        captured.answered(status, is_whole);
        if let Some((file, _)) = &self.file {
            file.write(&captured.line());
        }
    }

    /// The last `n` requests that `is_wanted`, oldest first, as JSON.
    pub fn last(&self, n: usize, is_wanted: impl Fn(&Received) -> bool) -> Vec<Box<RawValue>> {
        let kept: Vec<_> = self.lock().kept.iter().cloned().collect();
        let wanted = kept.iter().rev().filter(|captured| is_wanted(&captured.received)).take(n);
        let mut last: Vec<_> = wanted.map(|captured| captured.json()).collect();
        last.reverse();
        last
    }

    /// Ready once `n` requests that `is_wanted` have arrived and are kept.
    pub async fn wait(&self, n: usize, is_wanted: impl Fn(&Received) -> bool) {
        loop {
            let arrived = self.arrived.notified();
            if self.lock().kept.iter().filter(|captured| is_wanted(&captured.received)).count() >= n {
                return;
            }
            arrived.await;
        }
    }

    /// Forgets all; what is not answered yet is still written down.
    pub fn clear(&self) {
        let mut requests = self.lock();
        while !requests.kept.is_empty() {
            requests.forget_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    fn forget_first(&mut self) {
        if let Some(forgotten) = self.kept.pop_front() {
            self.n_bytes -= forgotten.n_bytes();
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
            if let Some(captured) = self.lock().open.get(&tag) {
                captured.ended(sequence);
            }
        }
    }
}

fn open(path: &Path, dropped: IntCounter) -> Result<(BoundedWriter, WorkerGuard), String> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.map_err(|error| format!("capture-file: {} cannot be written: {error}", path.display()))?;
    Ok(BoundedWriter::new(file, "capture", MOST_BYTES, dropped))
}
