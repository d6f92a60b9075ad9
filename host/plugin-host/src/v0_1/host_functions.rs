//! What a guest can call: the served model's tokenizer, the server's log, its plugin's state.

use std::time::Duration;

use tracing::{debug, error, info, trace, warn};

use crate::guest::Guest;
use crate::log_budget::Ruling;
use crate::observer::PluginEvent;
use crate::v0_1::bindings::log::Level;
use crate::v0_1::bindings::{log, state, tokenizer, types};

/// Text above this size is tokenized off the serving threads.
const LARGE_TEXT: usize = 4 << 10;

/// Log lines that one call may write, and bytes of each; the rest is dropped, and one line says so.
const LOG_LINES: u32 = 100;
const LOG_BYTES: usize = 4 << 10;

/// Moves the call off the serving threads before work whose length the guest decides: epochs bound only guest code.
async fn before_work_on(bytes: usize) {
    if bytes > LARGE_TEXT {
        tokio::task::yield_now().await;
    }
}

impl types::Host for Guest {}

impl tokenizer::Host for Guest {
    async fn count(&mut self, text: String) -> u32 {
        before_work_on(text.len()).await;
        self.shared.tokenizer.count(&text)
    }

    async fn encode(&mut self, text: String) -> Vec<u32> {
        before_work_on(text.len()).await;
        self.shared.tokenizer.encode(&text)
    }

    async fn decode(&mut self, ids: Vec<u32>) -> String {
        before_work_on(ids.len() * size_of::<u32>()).await;
        self.shared.tokenizer.decode(&ids)
    }
}

impl log::Host for Guest {
    fn log(&mut self, level: Level, message: String) {
        if let Some(said) = self.shared.said_on_trial() {
            return said.push_line(&format!("{}: {message}", name(level)));
        }
        self.logged += 1;
        let (plugin, request) = (self.shared.name.as_str(), &*self.request_id);
        if self.logged > LOG_LINES {
            if self.logged == LOG_LINES + 1 && self.shared.log_budget.take() == Ruling::Logged {
                warn!(plugin, request, lines = LOG_LINES, "the plugin logs too much, the rest of this call is dropped");
            }
            return self.shared.tell(PluginEvent::LineDropped);
        }
        match self.shared.log_budget.take() {
            Ruling::Logged => {}
            ruling => {
                if ruling == Ruling::FirstDropped {
                    warn!(plugin, "the plugin has logged too much for a while, lines of it are dropped and counted");
                }
                return self.shared.tell(PluginEvent::LineDropped);
            }
        }
        let message = &message[..message.floor_char_boundary(LOG_BYTES)];
        match level {
            Level::Trace => trace!(plugin, request, "{message}"),
            Level::Debug => debug!(plugin, request, "{message}"),
            Level::Info => info!(plugin, request, "{message}"),
            Level::Warn => warn!(plugin, request, "{message}"),
            Level::Error => error!(plugin, request, "{message}"),
        }
    }

    fn enabled(&mut self, level: Level) -> bool {
        match level {
            _ if self.shared.is_on_trial() => true,
            Level::Trace => tracing::enabled!(tracing::Level::TRACE),
            Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
            Level::Info => tracing::enabled!(tracing::Level::INFO),
            Level::Warn => tracing::enabled!(tracing::Level::WARN),
            Level::Error => tracing::enabled!(tracing::Level::ERROR),
        }
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

impl state::Host for Guest {
    fn get(&mut self, key: String) -> Option<Vec<u8>> {
        self.shared.state.get(&key)
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), String> {
        self.shared.state.set(key, value)
    }

    fn increment(&mut self, key: String, by: i64) -> i64 {
        self.shared.state.increment(key, by).unwrap_or_else(|full| {
            // The contract gives it no way to fail; a plugin that fills its state with counters is told in the log.
            warn!(plugin = self.shared.name, "{full}");
            by
        })
    }

    fn remove(&mut self, key: String) {
        self.shared.state.remove(&key);
    }

    fn compare_and_swap(&mut self, key: String, expected: Option<Vec<u8>>, value: Vec<u8>) -> Result<bool, String> {
        self.shared.state.compare_and_swap(key, expected.as_deref(), value)
    }

    fn add_within(&mut self, key: String, by: i64, least: i64, most: i64) -> Result<Option<i64>, String> {
        self.shared.state.add_within(key, by, least, most)
    }

    fn expire(&mut self, key: String, after_ms: u64) -> bool {
        self.shared.state.expire(&key, Duration::from_millis(after_ms))
    }

    fn keys(&mut self, prefix: String) -> Vec<String> {
        self.shared.state.keys(&prefix)
    }
}
