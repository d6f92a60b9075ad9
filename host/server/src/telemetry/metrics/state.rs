//! How things stand: what runs, what waits and why, whether the engine sleeps; and what was turned away or set back.

use prometheus::{Gauge, IntCounter, IntGauge, Result};
use rehearsal_engine::{SequenceEvent, StepReport};

use super::families::Families;

pub(super) struct State {
    running: IntGauge,
    waiting: IntGauge,
    waiting_for_capacity: IntGauge,
    deferred: IntGauge,
    kv_cache_usage: Gauge,
    /// Awake, asleep with the weights elsewhere, asleep without them.
    sleep: [IntGauge; 3],
    preemptions: IntCounter,
    refused: IntCounter,
}

impl State {
    pub(super) fn new(families: &Families<'_>) -> Result<Self> {
        let [waiting_for_capacity, deferred] = families.int_gauges(
            "vllm:num_requests_waiting_by_reason",
            "Requests that wait for a place or for memory (capacity), and those that wait for their adapter (deferred).",
            "reason",
            ["capacity", "deferred"],
        )?;
        // Tokens in the queue are not limited here.
        let [refused, _] = families.counters_of_the_server(
            "vllm:admission_rejections_total",
            "Requests that found no room in the waiting queue.",
            "reason",
            ["max_num_queued_reqs", "max_num_queued_tokens"],
        )?;
        Ok(Self {
            running: families.int_gauge("vllm:num_requests_running", "Requests that run.")?,
            waiting: families.int_gauge("vllm:num_requests_waiting", "Requests that wait for a place.")?,
            waiting_for_capacity,
            deferred,
            kv_cache_usage: families.gauge(
                "vllm:kv_cache_usage_perc",
                "Share of the KV cache's blocks that running requests hold, from 0 to 1.",
            )?,
            sleep: families.int_gauges(
                "vllm:engine_sleep_state",
                "1 for the state that the engine is in: awake, or asleep with the weights given away or dropped.",
                "sleep_state",
                ["awake", "weights_offloaded", "discard_all"],
            )?,
            preemptions: families.counter(
                "vllm:num_preemptions_total",
                "Times that a running request was preempted because no block was free.",
            )?,
            refused,
        })
    }

    pub(super) fn observe(&self, report: &StepReport) {
        let counts = &report.counts;
        self.running.set(counts.running as i64);
        self.waiting.set(counts.waiting as i64);
        self.waiting_for_capacity.set(counts.waiting.saturating_sub(counts.deferred) as i64);
        self.deferred.set(counts.deferred as i64);
        self.kv_cache_usage.set(counts.kv_cache_usage());
        self.refused.inc_by(report.refused.into());
        let preempted = report.sequences.iter().filter(|sequence| matches!(sequence.event, SequenceEvent::Preempted));
        self.preemptions.inc_by(preempted.count() as u64);
    }

    /// The level at which the engine sleeps; 0: it is awake.
    pub(super) fn look(&self, sleep_level: u8) {
        for (level, state) in (0..).zip(&self.sleep) {
            state.set(i64::from(level == sleep_level));
        }
    }
}
