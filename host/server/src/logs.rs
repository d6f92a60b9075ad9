//! Where logs go: standard error, as text or as JSON lines.

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
