//! Where logs go: standard error or files, as text with klog's headers or as JSON lines.

pub mod access;
mod files;
mod line;
pub mod requests;
pub mod stats;
mod verbosity;

use std::sync::LazyLock;

use prometheus::IntCounter;
use rehearsal_engine::{EngineObserver, SequenceEvent, StepReport};
use tracing::info;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogConfig;
use files::Sinks;
use line::KlogFormat;
use verbosity::Verbosity;

/// Lines of all servers of the process that were not written. One subscriber writes for all.
pub static DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    let (name, help) = ("rehearsal_log_lines_dropped_total", "Lines of the log that could not be written.");
    IntCounter::new(name, help).expect("the name is a metric's")
});

/// Keeps log files open; writes what waits when it is dropped.
#[derive(Debug)]
#[must_use = "what waits is written when it is dropped"]
pub struct LogGuard {
    _writers: Vec<WorkerGuard>,
}

/// Installs the subscriber. Once per process; a second call changes nothing. Fails if a log file cannot be made.
pub fn init(config: &LogConfig) -> Result<LogGuard, String> {
    let (sinks, guards) = Sinks::open(config.files.as_ref())?;
    let filter = Verbosity::new(&config.filter, config.vmodule.clone());
    let layer = tracing_subscriber::fmt::layer().with_writer(sinks).log_internal_errors(false);
    // Fails only if one is installed.
    let _ = if config.json {
        let layer = layer.json().flatten_event(true).with_filter(filter);
        tracing_subscriber::registry().with(layer).try_init()
    } else {
        let format = KlogFormat::new(config.headers, config.backtrace.clone());
        let is_terminal = config.files.is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr());
        let layer = layer.with_ansi(is_terminal).event_format(format).with_filter(filter);
        tracing_subscriber::registry().with(layer).try_init()
    };
    Ok(LogGuard { _writers: guards })
}

/// Logs what happens in the engine and an operator may want to know.
pub struct EngineLog;

impl EngineObserver for EngineLog {
    fn observe(&self, report: &StepReport) {
        for sequence in &report.sequences {
            if let SequenceEvent::AdapterLoaded = sequence.event
                && let Some(adapter) = &sequence.choice.request.adapter
            {
                info!(adapter = adapter.name, "adapter brought into memory");
            }
        }
    }
}
