//! Ids of traces and spans: the same seed, the same ids.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;
use rehearsal_engine::seed::{self, Purpose};

/// Draws ids from a seed.
#[derive(Debug)]
pub(super) struct SeededIds {
    seed: u64,
    n_drawn: AtomicU64,
}

impl SeededIds {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, n_drawn: AtomicU64::new(0) }
    }

    /// Never 0, which names nothing.
    fn draw(&self) -> u64 {
        let n = self.n_drawn.fetch_add(1, Ordering::Relaxed);
        seed::derive(Purpose::Trace, &[self.seed, n]).max(1)
    }
}

impl IdGenerator for SeededIds {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(u128::from(self.draw()) << 64 | u128::from(self.draw()))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(self.draw())
    }
}
