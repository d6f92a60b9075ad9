//! `rehearsal_kv_…`: KV-cache events that did not reach subscribers, and what waits for them. Ours, not vLLM's.

use prometheus::{IntCounter, IntGauge, Registry, Result};

use super::families::add;

/// What is measured of publishing.
#[derive(Clone)]
pub struct KvEventMetrics {
    /// Events that were never published.
    pub dropped: IntCounter,
    /// Messages that a subscriber was too slow for, each counted for itself.
    pub messages_dropped: IntCounter,
    /// Subscribers that are connected.
    pub subscribers: IntGauge,
    /// Bytes that wait to be sent to them; a message counts for each.
    pub waiting_bytes: IntGauge,
}

impl KvEventMetrics {
    /// Registers the families.
    pub(crate) fn register(registry: &Registry) -> Result<Self> {
        let counter = |name: &str, help: &str| add(registry, IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| add(registry, IntGauge::new(name, help));
        Ok(Self {
            dropped: counter(
                "rehearsal_kv_events_dropped_total",
                "KV-cache events that were dropped because too many waited to be sent.",
            )?,
            messages_dropped: counter(
                "rehearsal_kv_event_messages_dropped_total",
                "Messages of KV-cache events that were dropped because their subscriber did not read.",
            )?,
            subscribers: gauge("rehearsal_kv_event_subscribers", "Subscribers to KV-cache events.")?,
            waiting_bytes: gauge(
                "rehearsal_kv_event_waiting_bytes",
                "Bytes of KV-cache events that wait for subscribers.",
            )?,
        })
    }
}
