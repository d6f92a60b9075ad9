//! `rehearsal_plugin_…`: what the plugins do, how long it takes, and what goes wrong. Ours, not vLLM's.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use rehearsal_engine::{EngineObserver, SequenceEvent, StepReport, StrategyError};
use rehearsal_plugin_host::{PluginEvent, PluginInfo, PluginObserver, PluginStatus};

use super::families::add;

/// From a tenth of what the smallest plugin takes to the usual wall limit.
const SECONDS: [f64; 13] = [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 0.1, 0.5, 2.0];

/// What is measured of each plugin, by its configured name.
#[derive(Clone)]
pub struct PluginMetrics {
    calls: IntCounterVec,
    call_seconds: HistogramVec,
    instantiate_seconds: HistogramVec,
    offloaded: IntCounterVec,
    outlasted: IntCounterVec,
    reloads: IntCounterVec,
    lines_dropped: IntCounterVec,
    endings_dropped: IntCounterVec,
    waiting: IntGaugeVec,
    peak_memory: IntGaugeVec,
    state: IntGaugeVec,
    info: IntGaugeVec,
}

impl PluginMetrics {
    /// Registers the families.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name, help, labels: &[&str]| add(registry, IntCounterVec::new(opts(name, help), labels));
        let gauge = |name, help, labels: &[&str]| add(registry, IntGaugeVec::new(opts(name, help), labels));
        let histogram = |name, help| {
            let opts = HistogramOpts::from(opts(name, help)).buckets(SECONDS.to_vec());
            add(registry, HistogramVec::new(opts, &["plugin"]))
        };
        Ok(Self {
            calls: counter("calls_total", "Calls that ended, by how.", &["plugin", "outcome"])?,
            call_seconds: histogram("call_seconds", "How long calls took, waiting for their turn included.")?,
            instantiate_seconds: histogram("instantiate_seconds", "How long fresh instances took to come to be.")?,
            offloaded: counter("offloaded_calls_total", "Calls that did not end on a serving thread.", &["plugin"])?,
            outlasted: counter(
                "outlasted_prefills_total",
                "Answers that were ready only after the simulated prefill, and so delayed the first token.",
                &["plugin"],
            )?,
            reloads: counter(
                "reloads_total",
                "New versions found on disk, by whether they serve.",
                &["plugin", "outcome"],
            )?,
            lines_dropped: counter("log_lines_dropped_total", "Lines of a plugin that logs too much.", &["plugin"])?,
            endings_dropped: counter(
                "endings_dropped_total",
                "Ends of requests that a plugin was not told of, because it takes too long over them.",
                &["plugin"],
            )?,
            waiting: gauge("waiting_calls", "Calls that wait for their turn.", &["plugin"])?,
            peak_memory: gauge("peak_memory_bytes", "The most memory that any instance has had.", &["plugin"])?,
            state: gauge("state_bytes", "What a plugin keeps between calls.", &["plugin"])?,
            info: gauge("info", "1 for the version that serves.", &["plugin", "version", "sha256"])?,
        })
    }

    /// Prints zeros for what has not happened yet.
    pub fn expect(&self, plugins: impl Iterator<Item = PluginStatus>) {
        for PluginStatus { info: PluginInfo { name, .. }, .. } in plugins {
            self.calls.with_label_values(&[&*name, "ok"]);
            self.call_seconds.with_label_values(&[&name]);
            self.instantiate_seconds.with_label_values(&[&name]);
            self.offloaded.with_label_values(&[&name]);
            self.outlasted.with_label_values(&[&name]);
            self.lines_dropped.with_label_values(&[&name]);
            self.endings_dropped.with_label_values(&[&name]);
            for outcome in ["ok", "failed"] {
                self.reloads.with_label_values(&[&*name, outcome]);
            }
        }
    }

    /// Takes over what is known only at this moment.
    pub(super) fn look(&self, plugins: impl Iterator<Item = PluginStatus>) {
        self.info.reset();
        for PluginStatus { info, waiting, peak_memory, state, .. } in plugins {
            self.waiting.with_label_values(&[&info.name]).set(waiting as i64);
            self.peak_memory.with_label_values(&[&info.name]).set(peak_memory as i64);
            self.state.with_label_values(&[&info.name]).set(state as i64);
            self.info.with_label_values(&[&info.name, &info.version, &info.sha256]).set(1);
        }
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("rehearsal_plugin_{name}"), help)
}

/// The label for how a call ended: the code of the error that a client sees, without its prefix.
fn outcome(result: Result<(), &StrategyError>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(StrategyError::Plugin(fault)) => fault.fault.kind(),
        Err(_) => "rejected",
    }
}

impl PluginObserver for PluginMetrics {
    fn observe(&self, plugin: &str, event: PluginEvent<'_>) {
        match event {
            PluginEvent::Instantiated(took) => {
                self.instantiate_seconds.with_label_values(&[plugin]).observe(took.as_secs_f64());
            }
            PluginEvent::Offloaded => self.offloaded.with_label_values(&[plugin]).inc(),
            PluginEvent::Ended(took, result) => {
                self.calls.with_label_values(&[plugin, outcome(result)]).inc();
                self.call_seconds.with_label_values(&[plugin]).observe(took.as_secs_f64());
            }
            PluginEvent::Abandoned => self.calls.with_label_values(&[plugin, "abandoned"]).inc(),
            PluginEvent::LineDropped => self.lines_dropped.with_label_values(&[plugin]).inc(),
            PluginEvent::EndingDropped => self.endings_dropped.with_label_values(&[plugin]).inc(),
            PluginEvent::Reloaded(_) => self.reloads.with_label_values(&[plugin, "ok"]).inc(),
            PluginEvent::NotReloaded(_) => self.reloads.with_label_values(&[plugin, "failed"]).inc(),
        }
    }
}

impl EngineObserver for PluginMetrics {
    fn observe(&self, report: &StepReport) {
        for sequence in &report.sequences {
            if let SequenceEvent::Answered { plugin, lateness } = &sequence.event
                && *lateness > Duration::ZERO
            {
                self.outlasted.with_label_values(&[plugin]).inc();
            }
        }
    }
}
