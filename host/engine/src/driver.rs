//! What steps an engine: each change of its state, and a task that wakes when something falls due. The only place from
//! which mailboxes are filled and observers told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::{Clock, EngineTime, Stepped, real_sleep};
use crate::core::Core;
use crate::mailbox::Delivery;
use crate::observer::EngineObserver;
use crate::request::RequestNumber;
use crate::strategy::StrategyError;

/// A hang that is played ends after this long in real time, even if the client is more patient.
const HANG_LIMIT: Duration = Duration::from_secs(600);

/// An engine's state with its clock and its observers. Its task ends with it.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

struct Shared {
    this: Weak<Self>,
    clock: Clock,
    observers: Vec<Arc<dyn EngineObserver>>,
    state: Mutex<State>,
    /// Something falls due before the task wakes.
    sooner: Notify,
}

struct State {
    core: Core,
    /// When the task wakes by itself; `None`: never.
    wakes_at: Option<EngineTime>,
    /// Of streams whose mailboxes were filled; woken when the lock is released.
    wakers: SmallVec<[Waker; 4]>,
}

impl Driver {
    /// Drives `core` from now on. Must be called within a tokio runtime.
    pub(crate) fn new(core: Core, clock: Clock, observers: Vec<Arc<dyn EngineObserver>>) -> Self {
        let state = Mutex::new(State { core, wakes_at: None, wakers: SmallVec::new() });
        let shared =
            Arc::new_cyclic(|this| Shared { this: this.clone(), clock, observers, state, sooner: Notify::new() });
        let mut task = JoinSet::new();
        if !shared.clock.add(shared.this.clone()) {
            task.spawn(shared.clone().run());
        }
        Self { shared, _task: task }
    }

    /// Changes the engine's state, and does what follows from that at this moment.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Core, EngineTime) -> T) -> T {
        self.shared.change(change)
    }

    /// Looks at the engine's state.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&self.shared.lock().core)
    }
}

impl Shared {
    /// Wakes when something falls due, for ever.
    async fn run(self: Arc<Self>) {
        loop {
            let deadline = {
                let mut state = self.lock();
                self.do_all_due(&mut state, self.clock.now());
                let deadline = state.core.next_deadline();
                state.wakes_at = deadline;
                self.release(state);
                deadline
            };
            tokio::select! {
                () = self.clock.sleep_until(deadline) => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Core, EngineTime) -> T) -> T {
        let standing = self.clock.stand_still();
        let mut state = self.lock();
        // Asked for under the lock, so that the moments of steps never go backwards.
        let now = self.clock.now();
        self.do_all_due(&mut state, now);
        let result = change(&mut state.core, now);
        self.step(&mut state, now);
        self.release(state);
        drop(standing);
        result
    }

    /// Moment by moment, all that is due until `now`.
    fn do_all_due(&self, state: &mut State, now: EngineTime) {
        while let Some(due) = state.core.next_due(now) {
            self.step(state, due);
        }
    }

    /// Does what is due at one moment. Observers know of it before any client can.
    fn step(&self, state: &mut State, at: EngineTime) {
        state.core.step(at);
        if !state.core.report().is_empty() {
            for observer in &self.observers {
                // One that panics, because nothing reads standard error any more, must not take the engine with it. The
                // panic has been reported where it happened.
                let _ = catch_unwind(AssertUnwindSafe(|| observer.observe(state.core.report())));
            }
            state.core.clear_report();
        }
        for (mailbox, delivery) in state.core.take_deliveries() {
            if let Delivery::Hang { number } = delivery {
                mailbox.hold(self.end_hang(number));
            }
            state.wakers.extend(mailbox.put(delivery));
        }
    }

    /// Ends a request that hangs, when its time has come; nothing if it is dropped before.
    fn end_hang(&self, number: RequestNumber) -> JoinSet<()> {
        let mut task = JoinSet::new();
        let shared = self.this.clone();
        task.spawn(async move {
            real_sleep(HANG_LIMIT).await;
            if let Some(shared) = shared.upgrade() {
                shared.change(|core, _| core.request_failed(number, StrategyError::Disconnected));
            }
        });
        task
    }

    /// Unlocks the state, and wakes whatever waits for what was done to it.
    fn release(&self, mut state: MutexGuard<'_, State>) {
        let mut wakers = std::mem::take(&mut state.wakers);
        let is_sooner =
            state.core.next_deadline().is_some_and(|next| state.wakes_at.is_none_or(|wakes_at| next < wakes_at));
        if is_sooner {
            state.wakes_at = state.core.next_deadline();
        }
        let no_call_in_flight = state.core.calls_in_flight() == 0;
        drop(state);
        if is_sooner {
            self.sooner.notify_one();
        }
        if no_call_in_flight {
            self.clock.no_call_in_flight();
        }
        wakers.drain(..).for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take all later requests with it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stepped for Shared {
    fn next_deadline(&self) -> Option<EngineTime> {
        self.lock().core.next_deadline()
    }

    fn calls_in_flight(&self) -> usize {
        self.lock().core.calls_in_flight()
    }

    fn catch_up(&self, now: EngineTime) {
        let mut state = self.lock();
        self.do_all_due(&mut state, now);
        self.release(state);
    }
}
