//! What a guest can call: the served model's tokenizer, the server's log, its plugin's state. And what it needs to be
//! a guest at all: the data of its store.

use std::sync::Arc;

use tracing::{debug, error, info, trace, warn};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::account::Account;
use crate::bindings::log::Level;
use crate::bindings::{log, state, tokenizer, types};
use crate::limits::{Limits, MemoryLimiter};
use crate::runtime::TICK;
use crate::sandbox::{self, OutputTail};

/// Text above this size is tokenized off the serving threads.
const LARGE_TEXT: usize = 4 << 10;

/// Log lines that one call may write, and bytes of each; the rest is dropped, and one line says so.
const LOG_LINES: u32 = 100;
const LOG_BYTES: usize = 4 << 10;

/// The data of one guest's store.
pub(crate) struct Guest {
    account: Arc<Account>,
    request_id: Arc<str>,
    wasi: WasiCtx,
    table: ResourceTable,
    output: OutputTail,
    logged: u32,
    pub(crate) limiter: MemoryLimiter,
    /// Slices that the call has run, and may run.
    pub(crate) ticks: u64,
    pub(crate) tick_budget: u64,
}

impl Guest {
    pub(crate) fn new(account: Arc<Account>, limits: &Limits, request_id: Arc<str>, seed: u64) -> Self {
        let output = OutputTail::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(crate::limits::HANDLES);
        Self {
            account,
            request_id,
            wasi: sandbox::wasi(seed, &output),
            table,
            output,
            logged: 0,
            limiter: MemoryLimiter::new(limits),
            ticks: 0,
            tick_budget: (limits.cpu.as_micros() / TICK.as_micros()).max(1) as u64,
        }
    }

    /// Makes an instance that has served one call ready for the next.
    pub(crate) fn renew(&mut self, request_id: Arc<str>, seed: u64) {
        self.request_id = request_id;
        self.wasi = sandbox::wasi(seed, &self.output);
        self.output.clear();
        self.logged = 0;
        self.ticks = 0;
    }

    /// What the guest printed last.
    pub(crate) fn printed(&self) -> String {
        self.output.text()
    }
}

/// Moves the call off the serving threads before work whose length the guest decides: epochs bound only guest code.
async fn before_work_on(bytes: usize) {
    if bytes > LARGE_TEXT {
        tokio::task::yield_now().await;
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for Guest {}

impl tokenizer::Host for Guest {
    async fn count(&mut self, text: String) -> u32 {
        before_work_on(text.len()).await;
        self.account.tokenizer.count(&text)
    }

    async fn encode(&mut self, text: String) -> Vec<u32> {
        before_work_on(text.len()).await;
        self.account.tokenizer.encode(&text)
    }

    async fn decode(&mut self, ids: Vec<u32>) -> String {
        before_work_on(ids.len() * size_of::<u32>()).await;
        self.account.tokenizer.decode(&ids)
    }
}

impl log::Host for Guest {
    fn log(&mut self, level: Level, message: String) {
        self.logged += 1;
        let (plugin, request) = (self.account.name.as_str(), &*self.request_id);
        if self.logged > LOG_LINES {
            if self.logged == LOG_LINES + 1 {
                warn!(plugin, request, lines = LOG_LINES, "the plugin logs too much, the rest of this call is dropped");
            }
            return;
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
            Level::Trace => tracing::enabled!(tracing::Level::TRACE),
            Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
            Level::Info => tracing::enabled!(tracing::Level::INFO),
            Level::Warn => tracing::enabled!(tracing::Level::WARN),
            Level::Error => tracing::enabled!(tracing::Level::ERROR),
        }
    }
}

impl state::Host for Guest {
    fn get(&mut self, key: String) -> Option<Vec<u8>> {
        self.account.state.get(&key)
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), String> {
        self.account.state.set(key, value)
    }

    fn increment(&mut self, key: String, by: i64) -> i64 {
        self.account.state.increment(key, by).unwrap_or_else(|full| {
            // The contract gives it no way to fail; a plugin that fills its state with counters is told in the log.
            warn!(plugin = self.account.name, "{full}");
            by
        })
    }

    fn remove(&mut self, key: String) {
        self.account.state.remove(&key);
    }
}
