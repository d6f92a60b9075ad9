//! Where logs go: standard error, as text or as JSON lines.

use rehearsal_engine::{Choice, EngineEvent, EngineObserver};
use tokio::time::Instant;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

/// Installs the subscriber. Once per process; a second call changes nothing.
pub fn init(config: &LogConfig) {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // Fails only if one is installed.
    let _ = if config.json { logs.json().flatten_event(true).try_init() } else { logs.try_init() };
}

/// Logs what happens in the engine and an operator may want to know.
pub struct EngineLog;

impl EngineObserver for EngineLog {
    fn observe(&self, choice: &Choice, event: EngineEvent<'_>, _at: Instant) {
        if let EngineEvent::AdapterLoaded = event
            && let Some(adapter) = &choice.request.adapter
        {
            info!(adapter = adapter.name, "adapter brought into memory");
        }
    }
}
