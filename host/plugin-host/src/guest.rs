//! The data of a guest's store: what the guest is given, and what is counted of it.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::epoch::TICK;
use crate::limits::{HANDLES, Limits, MemoryLimiter};
use crate::patience::Slices;
use crate::sandbox::{self, OutputTail};
use crate::shared::PluginShared;

/// The data of one guest's store.
pub(crate) struct Guest {
    /// What the plugin's instances share.
    pub(crate) shared: Arc<PluginShared>,
    pub(crate) request_id: Arc<str>,
    wasi: WasiCtx,
    table: ResourceTable,
    output: OutputTail,
    /// Lines that the call has logged.
    pub(crate) logged: u32,
    pub(crate) limiter: MemoryLimiter,
    /// Slices that the call has run, and may run.
    pub(crate) slices: Slices,
    pub(crate) most_slices: u64,
}

impl Guest {
    pub(crate) fn new(
        shared: Arc<PluginShared>,
        limits: &Limits,
        request_id: Arc<str>,
        seed: u64,
        slices: Slices,
    ) -> Self {
        let output = shared.said_on_trial().cloned().unwrap_or_default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Self {
            shared,
            request_id,
            wasi: sandbox::wasi(seed, &output),
            table,
            output,
            logged: 0,
            limiter: MemoryLimiter::new(limits),
            slices,
            most_slices: (limits.cpu.as_micros() / TICK.as_micros()).max(1) as u64,
        }
    }

    /// Makes an instance that has served one call ready for the next.
    pub(crate) fn renew(&mut self, request_id: Arc<str>, seed: u64, slices: Slices) {
        self.request_id = request_id;
        self.wasi = sandbox::wasi(seed, &self.output);
        self.output.clear();
        self.logged = 0;
        self.slices = slices;
    }

    /// What the guest printed last.
    pub(crate) fn printed(&self) -> String {
        self.output.text()
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
