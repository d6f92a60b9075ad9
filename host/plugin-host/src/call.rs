//! One call of a guest: a turn, an instance, a first slice here, the rest elsewhere.
//!
//! A call is polled once on the thread that asked. Good plugins end within that slice (at most two epochs). One that
//! does not is moved, store and all, to threads where it delays no tokens: to the guests' own, or, while its
//! version is known to spin, to some that run only where the processor would be idle.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cpu_time::ThreadTime;
use futures::future::BoxFuture;
use rehearsal_engine::Fault;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tracing::debug;
use wasmtime::{Error, Store, UpdateDeadline};

use crate::error::CallError;
use crate::guest::Guest;
use crate::instances::{Instances, Live, Prepared};
use crate::limits::{BudgetSpent, HANDLES, MemoryDenied, RESULT_BYTES};
use crate::log_budget::Ruling;
use crate::observer::PluginEvent;
use crate::panic_text;
use crate::patience::within;
use crate::real_time::{Instant, timeout};
use crate::stage::Stage;
use crate::v0_1::exports::Exports;

/// Epochs that a slice may see begin. With 1 it could end within its first microsecond.
const SLICE_EPOCHS: u64 = 2;

/// CPU time in a slice that shows that the guest has used it up itself.
const AT_FAULT: Duration = Duration::from_micros(500);

/// The request that asks, for logs and for the guest's randomness.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) request_id: Arc<str>,
    pub(crate) seed: u64,
}

impl Caller {
    pub(crate) fn of(request_id: &Arc<str>, seed: u64) -> Self {
        Self { request_id: request_id.clone(), seed }
    }
}

/// Whether an instance is initialised before it is asked. `describe` alone comes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Init {
    Before,
    Not,
}

/// What is left of a call, wherever it goes on.
type Call<T> = BoxFuture<'static, Result<T, CallError>>;

/// Runs `work` on other threads; aborted when this future is dropped, because the client has gone away.
async fn elsewhere<T: Send + 'static>(
    threads: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, CallError> {
    let mut task = JoinSet::new();
    task.spawn_on(work, threads);
    match task.join_next().await {
        Some(Ok(result)) => Ok(result),
        Some(Err(lost)) => Err(Fault::Trap(lost.to_string()).into()),
        None => Err(Fault::Trap("the call was lost".into()).into()),
    }
}

impl Instances {
    /// Calls the guest within its limits. `work` is what to ask of the instance.
    pub(crate) async fn call<T, F>(self: &Arc<Self>, caller: Caller, init: Init, work: F) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Store<Guest>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<T>> + Send + 'static,
    {
        let permit = self.shared.turn().await?;
        let instances = self.clone();
        let mut call: Call<T> = Box::pin(async move {
            // All that a call holds goes with it, wherever it runs and however it ends.
            let _held = (permit, instances.prepared.runtime.ticking());
            instances.run(caller, init, work).await
        });
        let (limits, stages) = (&self.prepared.limits, &self.stages);
        if stages.first_stage(self.age()) == Stage::Here {
            let slice = poll_fn(|context| {
                let spent = ThreadTime::now();
                let polled = call.as_mut().poll(context);
                // A slice also ends when the machine stalls this thread, or before a host function that may take long.
                let is_at_fault = polled.is_pending() && spent.elapsed() > AT_FAULT;
                Poll::Ready((polled, is_at_fault))
            });
            match slice.await {
                (Poll::Ready(result), _) => return result,
                (Poll::Pending, true) => stages.went_past_here(self.age()),
                (Poll::Pending, false) => {}
            }
        }
        self.shared.tell(PluginEvent::Offloaded);
        let Ok(result) = timeout(limits.wall, self.off_the_serving_threads(call)).await else {
            return Err(Fault::WallTime(limits.wall).into());
        };
        if let Err(CallError::Fault { fault: Fault::CpuTime(_), .. }) = &result {
            stages.spun(self.age());
        }
        result
    }

    /// Runs a call to its end on the guests' threads, or in the background while its version is known to spin.
    ///
    /// A call that takes longer than those before it may spin, or may be the first large one. One at a time shows what
    /// they are, and the others wait for that; not for long, because it may also sleep.
    async fn off_the_serving_threads<T: Send + 'static>(&self, mut call: Call<T>) -> Result<T, CallError> {
        let Prepared { runtime, limits, .. } = &*self.prepared;
        let stages = &self.stages;
        let spins = || stages.first_stage(self.age()) == Stage::Background;
        while !spins() {
            let patience = stages.patience();
            match elsewhere(runtime.guest_threads(), within(patience, call)).await? {
                Ok(result) => return result,
                Err(unfinished) => call = unfinished,
            }
            let trial = timeout(limits.cpu, stages.trial()).await;
            if trial.is_ok() && !spins() && stages.patience() == patience {
                return elsewhere(runtime.guest_threads(), call).await?;
            }
        }
        elsewhere(runtime.background_threads(), call).await?
    }

    async fn run<T, F>(&self, caller: Caller, init: Init, work: F) -> Result<T, CallError>
    where
        F: for<'a> FnOnce(&'a mut Store<Guest>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<T>>,
    {
        let mut live = match self.take_idle() {
            Some(mut live) => {
                live.store.data_mut().renew(caller.request_id, caller.seed);
                live.store.set_epoch_deadline(SLICE_EPOCHS);
                live
            }
            None => self.instance(caller, init).await?,
        };
        let result = work(&mut live.store, &live.exports).await;
        self.shared.used_memory(live.store.data().limiter.peak);
        match result {
            Ok(result) => {
                self.log_output(live.store.data());
                self.stages.ended_well(live.store.data().ticks);
                if init == Init::Before {
                    self.give_back(live);
                }
                Ok(result)
            }
            // After a trap nothing in the store can be trusted: it is dropped.
            Err(error) => Err(self.judge(&error, live.store.data())),
        }
    }

    /// A fresh instance. Its limits are set before it exists: instantiation runs guest code too.
    async fn instance(&self, caller: Caller, init: Init) -> Result<Live, CallError> {
        let start = Instant::now();
        let guest = Guest::new(self.shared.clone(), &self.prepared.limits, caller.request_id, caller.seed);
        let mut store = Store::new(&self.prepared.runtime.engine, guest);
        store.limiter(|guest| &mut guest.limiter);
        store.set_hostcall_fuel(RESULT_BYTES);
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(SLICE_EPOCHS);
        store.epoch_deadline_callback(|mut context| {
            let guest = context.data_mut();
            guest.ticks += 1;
            if guest.ticks > guest.tick_budget {
                return Err(BudgetSpent.into());
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        match self.exports(&mut store, init).await {
            Ok(Ok(exports)) => {
                self.shared.tell(PluginEvent::Instantiated(start.elapsed()));
                Ok(Live { store, exports, served: 0 })
            }
            Ok(Err(refused)) => Err(CallError::Init(refused)),
            Err(error) => Err(self.judge(&error, store.data())),
        }
    }

    async fn exports(&self, store: &mut Store<Guest>, init: Init) -> wasmtime::Result<Result<Exports, String>> {
        let Prepared { pre, interfaces, config, .. } = &*self.prepared;
        let instance = pre.instantiate_async(&mut *store).await?;
        let exports = interfaces.load(&mut *store, &instance)?;
        if init == Init::Before
            && let Err(refused) = exports.lifecycle.call_init(&mut *store, config).await?
        {
            return Ok(Err(refused));
        }
        Ok(Ok(exports))
    }

    /// Which limit `error` is, or what the guest said when it crashed.
    fn judge(&self, error: &Error, guest: &Guest) -> CallError {
        self.log_output(guest);
        let limits = &self.prepared.limits;
        let said = guest.printed();
        let fault = if error.is::<BudgetSpent>() {
            Fault::CpuTime(limits.cpu)
        } else if error.is::<MemoryDenied>() {
            Fault::Memory(limits.memory)
        } else if format!("{error:#}").contains("fuel allocated for hostcalls") {
            // wasmtime has no type for it; a test of ours fails if it changes its words.
            Fault::OutputLimit(RESULT_BYTES)
        } else {
            Fault::Trap(panic_text::describe(error, &said))
        };
        CallError::Fault { fault, said }
    }

    /// Line by line, whatever the guest printed: as many as a call may log.
    fn log_output(&self, guest: &Guest) {
        if tracing::enabled!(tracing::Level::DEBUG) && !self.shared.is_on_trial() {
            let (plugin, request) = (self.name(), &*guest.request_id);
            for line in guest.printed().lines().filter(|line| !line.is_empty()) {
                match self.shared.log_budget.take() {
                    Ruling::Logged => debug!(plugin, request, "printed: {line}"),
                    _ => self.shared.tell(PluginEvent::LineDropped),
                }
            }
        }
    }
}
