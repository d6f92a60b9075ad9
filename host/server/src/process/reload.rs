//! When plugins are loaded again: on SIGHUP, and with `--watch-plugins` when their files change.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rehearsal_plugin_host::{PluginHost, Watch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::process::real_time::{MissedTickBehavior, interval};

/// From one look at the files to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Begins to listen for SIGHUP.
pub fn signals() -> Result<Signal> {
    signal(SignalKind::hangup()).context("cannot listen for SIGHUP")
}

/// Reloads plugins for as long as it is polled. One reload at a time: signals that come meanwhile make one more.
pub async fn keep(mut hangup: Signal, plugins: Arc<PluginHost>, watch: bool) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut files = Watch::default();
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                info!(signal = "SIGHUP", "reloading plugins that changed");
                plugins.reload().await;
            }
            _ = ticks.tick(), if watch => files.look(&plugins).await,
        }
    }
}
