//! `rehearsal_…`: connections, and clients that were too slow. Ours, not vLLM's.

use prometheus::{IntCounter, IntGauge, Registry, Result};

use super::families::add;

/// What is measured of connections.
#[derive(Clone)]
pub struct ConnectionMetrics {
    /// That are open.
    pub open: IntGauge,
    /// That were closed at once, because there were too many.
    pub refused: IntCounter,
    open_streams: IntGauge,
    /// Clients that were cut off because they took nothing for too long.
    pub stalled: IntCounter,
    /// Bodies that paused for too long.
    pub slow_bodies: IntCounter,
}

impl ConnectionMetrics {
    /// Registers the families.
    pub(super) fn register(registry: &Registry) -> Result<Self> {
        let counter = |name: &str, help: &str| add(registry, IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| add(registry, IntGauge::new(name, help));
        Ok(Self {
            open: gauge("rehearsal_open_connections", "Connections of clients.")?,
            refused: counter(
                "rehearsal_refused_connections_total",
                "Connections closed at once: there were too many.",
            )?,
            open_streams: gauge("rehearsal_open_streams", "Answers that are being streamed.")?,
            stalled: counter(
                "rehearsal_send_timeouts_total",
                "Clients cut off because they did not take their answers.",
            )?,
            slow_bodies: counter("rehearsal_body_timeouts_total", "Requests whose bodies paused for too long.")?,
        })
    }
}

impl ConnectionMetrics {
    /// Counts an answer that is being streamed, to a client that reads or does not, until the guard is dropped.
    pub fn open_stream(&self) -> OpenStream {
        self.open_streams.inc();
        OpenStream(self.open_streams.clone())
    }
}

/// An answer that is being streamed.
pub struct OpenStream(IntGauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
