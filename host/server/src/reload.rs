//! When plugins are loaded again: on SIGHUP, and with `--watch-plugins` when their files change.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rehearsal_plugin_host::Watch;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use crate::app::App;

/// From one look at the files to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Starts what reloads `app`'s plugins, for as long as the runtime runs. One reload at a time: signals that come
/// meanwhile make one more.
pub fn start(app: Arc<App>, watch: bool) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut files = Watch::default();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    info!(signal = "SIGHUP", "reloading plugins that changed");
                    app.plugins.reload().await;
                }
                _ = ticks.tick(), if watch => files.look(&app.plugins).await,
            }
        }
    });
    Ok(())
}
