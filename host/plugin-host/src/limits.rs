//! What a call may use. Five axes, because each misses something: ticks of running code, wall time, memory, the size of
//! results, and the number of calls.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Limits of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time that guest code may run in one call; at least 1 ms.
    pub cpu: Duration,
    /// Time that one call may take, sleeping included.
    pub wall: Duration,
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// Calls that one instance serves; 1: a fresh one for each, which is what purity and determinism want.
    pub reuse: u32,
    /// Calls at once, at least 1.
    pub concurrency: usize,
    /// Calls that may wait for their turn; one more is refused.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(200),
            wall: Duration::from_secs(2),
            memory: 64 << 20,
            reuse: 1,
            concurrency: 32,
            waiting: 1024,
        }
    }
}

/// Bytes that one call may make the host allocate for its result.
pub(crate) const RESULT_BYTES: usize = 16 << 20;

/// Resource handles that one instance may hold.
pub(crate) const HANDLES: usize = 1024;

/// Elements of all tables of an instance. Python's and JavaScript's runtimes want some tens of thousands.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;

/// Guest code ran for longer than [`Limits::cpu`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the call's CPU budget is spent")]
pub(crate) struct BudgetSpent;

/// The guest asked for more than [`Limits::memory`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the instance's memory limit is reached")]
pub(crate) struct MemoryDenied;

/// Ends the call with a typed error where wasmtime's own limiter would let the guest go on and fail obscurely.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    memory: usize,
    /// The largest that any memory of the instance has been.
    pub(crate) peak: usize,
}

impl MemoryLimiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { memory: limits.memory, peak: 0 }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.memory {
            return Err(MemoryDenied.into());
        }
        self.peak = self.peak.max(desired);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}
