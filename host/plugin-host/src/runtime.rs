//! wasmtime, configured for many short calls that cannot be trusted: pooled instances, an epoch that bounds every
//! slice of guest code, and threads of their own for calls that take longer than a slice.

use std::sync::Arc;

use rehearsal_sync::Beat;
use tokio::runtime::Handle;
use tracing::{debug, warn};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Cache, CacheConfig, Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::epoch::Ticker;
use crate::error::{LoadError, LoadProblem};
use crate::guest::Guest;
use crate::limits::{Limits, TABLE_ELEMENTS};
use crate::v0_1::bindings::{log, state, tokenizer, types};

/// Core instances that one component may be made of: Rust's are 4, Python's 14.
const CORE_INSTANCES_PER_COMPONENT: u32 = 20;

/// Threads for calls that take long, and as many for what spins.
pub(crate) const GUEST_THREADS: usize = 2;

/// What all plugins share.
pub(crate) struct Runtime {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) linker: Linker<Guest>,
    /// For calls that take long, and for those of versions that spin.
    threads: Option<(tokio::runtime::Runtime, tokio::runtime::Runtime)>,
    ticker: Ticker,
}

impl Runtime {
    /// A runtime with room for the instances that `limits` admit in each of so many replicas.
    pub(crate) fn new<'a>(limits: impl Iterator<Item = &'a Limits>, n_replicas: u32) -> Result<Self, LoadError> {
        let problem = |problem: LoadProblem| LoadError::new("*", problem);
        let engine = engine(limits, n_replicas).map_err(|error| problem(LoadProblem::Runtime(error)))?;
        let linker = linker(&engine).map_err(|error| problem(LoadProblem::Runtime(error)))?;
        let threads = |error| problem(LoadProblem::Threads(error));
        let guest_threads = guest_threads("guest", || {}).map_err(threads)?;
        let background_threads = self::guest_threads("guest-background", give_way).map_err(threads)?;
        let ticker = Ticker::start(engine.weak()).map_err(threads)?;
        Ok(Self { engine, linker, threads: Some((guest_threads, background_threads)), ticker })
    }

    /// Where calls go on that did not end in their first slice.
    pub(crate) fn guest_threads(&self) -> &Handle {
        self.threads.as_ref().expect("only drop takes them").0.handle()
    }

    /// Where calls go on that compute for long though their version is known to spin.
    pub(crate) fn background_threads(&self) -> &Handle {
        self.threads.as_ref().expect("only drop takes them").1.handle()
    }

    /// Keeps the epoch ticking until the guard is dropped.
    pub(crate) fn ticking(self: &Arc<Self>) -> Beat {
        self.ticker.ticking()
    }
}

fn guest_threads(name: &str, on_start: impl Fn() + Send + Sync + 'static) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(GUEST_THREADS)
        .thread_name(name)
        .enable_time()
        .on_thread_start(on_start)
        .build()
}

/// Where cores are few, a guest that spins must not compete with the threads that pace tokens. A mere niceness would
/// still let it finish its share of 3 ms before a thread that wakes up.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let this = thread_priority::thread_native_id();
        if let Err(error) = thread_priority::set_thread_priority_and_policy(this, ThreadPriority::Min, idle) {
            debug!(?error, "background threads keep their priority");
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some((guests, background)) = self.threads.take() {
            // Not joined: a drop may happen in an async context, where waiting is not allowed.
            guests.shutdown_background();
            background.shutdown_background();
        }
    }
}

fn engine<'a>(limits: impl Iterator<Item = &'a Limits>, n_replicas: u32) -> wasmtime::Result<wasmtime::Engine> {
    let (mut calls, mut memory) = (0, 0);
    for limits in limits {
        calls += limits.concurrency;
        memory = memory.max(limits.memory);
    }
    // Twice, because a call that was given up keeps its slot for a moment, and reloads overlap.
    let instances = u32::try_from(2 * calls.max(1)).unwrap_or(u32::MAX).saturating_mul(n_replicas);

    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances, memory)));
    wasmtime::Engine::new(&config).or_else(|error| {
        let limit =
            address_space_limit().map(|bytes| format!("the address space is limited to {bytes} bytes (ulimit -v)"));
        let why = limit.unwrap_or_else(|| format!("{error:#}"));
        warn!(why, "no pool of instances, calls will cost more");
        let mut on_demand = self::config();
        on_demand.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        // Where addresses are few, memories take what they need, and grow by moving.
        on_demand.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(1 << 20);
        wasmtime::Engine::new(&on_demand)
    })
}

/// `None` if there is none, or if this system does not tell.
fn address_space_limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?.split_whitespace().next()?;
    soft.parse().ok()
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Calls are 2 to 4 times cheaper without it, and no interface of ours is async.
        .concurrency_support(false)
        // Deterministic on every machine.
        .wasm_relaxed_simd(false);
    if let Some(target) = baseline_target() {
        config.target(target).expect("cranelift compiles for what this program was compiled for");
    }
    match Cache::new(CacheConfig::new()) {
        Ok(cache) => drop(config.cache(Some(cache))),
        // A read-only file system: components are compiled at each start, 50 ms each.
        Err(error) => debug!(error = format!("{error:#}"), "no cache of compiled components"),
    }
    config
}

/// Any processor of this architecture, so that components that were compiled into an image need not be compiled again on
/// another machine. What newer processors add is worth some 2 % of a call. `None`: for this machine alone.
fn baseline_target() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("x86_64-unknown-linux-gnu"),
        ("linux", "aarch64") => Some("aarch64-unknown-linux-gnu"),
        _ => None,
    }
}

fn pool(instances: u32, memory: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_stacks(instances)
        .max_memories_per_component(2)
        .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memory_size(memory)
        .table_elements(TABLE_ELEMENTS)
        .pagemap_scan(wasmtime::Enabled::Auto)
        .linear_memory_keep_resident(if kernel_has_pagemap_scan() { 512 << 10 } else { 64 << 10 })
        // Memory that guests have touched stays resident for the next call, in at most so many idle slots.
        .max_unused_warm_slots(16)
        .table_keep_resident(64 << 10);
    pool
}

/// Linux 6.7 and later can tell which pages a guest touched; without that, keeping more resident costs more than it saves.
fn kernel_has_pagemap_scan() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.trim().parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 7)
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    tokenizer::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
    state::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
    types::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
    Ok(linker)
}
