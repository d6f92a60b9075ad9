//! One call of a guest: a turn, an instance, a first slice here, the rest elsewhere.
//!
//! A call is polled once on the thread that asked. Good plugins end within that slice (at most two epochs). One that
//! does not is moved, store and all, to threads where it delays no tokens: to the guests' own, or, if it computes on
//! while its version is known to spin, to some that run only where the processor would be idle.

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
use crate::patience::{Slices, until_idle, within};
use crate::real_time::{Instant, timeout};
use crate::stage::PATIENCE;
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
        let slices = Slices::default();
        let (instances, of_call) = (self.clone(), slices.clone());
        let mut call: Call<T> = Box::pin(async move {
            // All that a call holds goes with it, wherever it runs and however it ends.
            let _held = (permit, instances.prepared.runtime.ticking());
            instances.run(caller, of_call, init, work).await
        });
        let (wall, stages) = (self.prepared.limits.wall, &self.stages);
        if stages.may_run_here(self.age()) {
            let slice = poll_fn(|context| {
                let spent = ThreadTime::now();
                let polled = call.as_mut().poll(context);
                // A slice also ends when the machine stalls this thread, or before a host function that may take long.
                let is_at_fault = polled.is_pending() && spent.elapsed() > AT_FAULT;
                Poll::Ready((polled, is_at_fault))
            });
            match slice.await {
                (Poll::Ready(result), _) => return result,
                (Poll::Pending, true) => stages.went_past_its_slice(self.age()),
                (Poll::Pending, false) => {}
            }
        }
        self.shared.tell(PluginEvent::Offloaded);
        let result = timeout(wall, self.off_the_serving_threads(call, &slices)).await;
        let has_spun = match &result {
            Ok(Err(CallError::Fault { fault: Fault::CpuTime(_), .. })) => true,
            Ok(_) => false,
            // Where its code may run for as long as the call may take.
            Err(_) => slices.time() > wall / 2,
        };
        if has_spun {
            stages.spun(self.age());
        }
        result.unwrap_or_else(|_| Err(Fault::WallTime(wall).into()))
    }

    /// Runs a call to its end on the guests' threads. Few calls at a time compute there for longer than [`PATIENCE`], and
    /// none while its version is known to spin: it goes to the background.
    async fn off_the_serving_threads<T: Send + 'static>(
        &self,
        mut call: Call<T>,
        slices: &Slices,
    ) -> Result<T, CallError> {
        let (runtime, stages) = (&self.prepared.runtime, &self.stages);
        loop {
            match elsewhere(runtime.guest_threads(), within(PATIENCE, call)).await? {
                Ok(result) => return result,
                Err(computing) => call = computing,
            }
            let spins = || stages.spins(self.age());
            let _turn = if spins() { None } else { stages.long_turn().await };
            // Those whose turn it was may have shown that.
            if spins() {
                return elsewhere(runtime.background_threads(), call).await?;
            }
            match elsewhere(runtime.guest_threads(), until_idle(slices.clone(), call)).await? {
                Ok(result) => return result,
                Err(idle) => call = idle,
            }
        }
    }

    async fn run<T, F>(&self, caller: Caller, slices: Slices, init: Init, work: F) -> Result<T, CallError>
    where
        F: for<'a> FnOnce(&'a mut Store<Guest>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<T>>,
    {
        let mut live = match self.take_idle() {
            Some(mut live) => {
                live.store.data_mut().renew(caller.request_id, caller.seed, slices);
                live.store.set_epoch_deadline(SLICE_EPOCHS);
                live
            }
            None => self.instance(caller, slices, init).await?,
        };
        let result = work(&mut live.store, &live.exports).await;
        self.shared.used_memory(live.store.data().limiter.peak);
        match result {
            Ok(result) => {
                self.log_output(live.store.data());
                self.stages.ended_well(self.age());
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
    async fn instance(&self, caller: Caller, slices: Slices, init: Init) -> Result<Live, CallError> {
        let start = Instant::now();
        let guest = Guest::new(self.shared.clone(), &self.prepared.limits, caller.request_id, caller.seed, slices);
        let mut store = Store::new(&self.prepared.runtime.engine, guest);
        store.limiter(|guest| &mut guest.limiter);
        store.set_hostcall_fuel(RESULT_BYTES);
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(SLICE_EPOCHS);
        store.epoch_deadline_callback(|mut context| {
            let guest = context.data_mut();
            if guest.slices.add() > guest.most_slices {
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
