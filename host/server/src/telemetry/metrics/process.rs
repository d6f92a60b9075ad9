//! `process_…`: the process itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;

use crate::process::real_time::Instant;

/// How long what was read counts: reading the open files of a process takes longer the more there are, and routers scrape
/// twenty times a second.
const FRESH: Duration = Duration::from_secs(1);

/// Processor time, memory and open files, as vLLM's Python client names them.
pub(super) struct Process {
    collector: ProcessCollector,
    read: Mutex<Option<(Instant, Vec<MetricFamily>)>>,
}

impl Process {
    pub(super) fn new() -> Self {
        Self { collector: ProcessCollector::for_self(), read: Mutex::default() }
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match &*read {
            Some((at, families)) if at.elapsed() < FRESH => families.clone(),
            _ => {
                let mut families = self.collector.collect();
                // Python's client does not tell of it.
                families.retain(|family| family.name() != "process_threads");
                *read = Some((Instant::now(), families.clone()));
                families
            }
        }
    }
}
