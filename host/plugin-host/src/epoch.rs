//! The epoch, by which guest code is interrupted: how long one is, and what makes it advance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::EngineWeak;

use crate::real_time::{Instant, sleep_thread};

/// One epoch. Guest code that runs longer than two of them yields.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without any call after which the ticker sleeps until the next one.
const IDLE_TICKS: u32 = 100;

/// The thread that advances the epoch, on absolute deadlines: relative sleeps of 1 ms would each be half as long again.
pub(crate) struct Ticker {
    shared: Arc<Pulse>,
    thread: Option<JoinHandle<()>>,
}

struct Pulse {
    calls: AtomicUsize,
    asleep: AtomicBool,
    stopped: AtomicBool,
    thread: std::sync::OnceLock<thread::Thread>,
}

/// A guard: while it lives, the epoch advances.
pub(crate) struct Ticking(Arc<Pulse>);

impl Ticker {
    /// Until it is dropped.
    pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let shared = Arc::new(Pulse {
            calls: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            thread: std::sync::OnceLock::new(),
        });
        let pulse = shared.clone();
        let thread = thread::Builder::new().name("epoch".into()).spawn(move || pulse.run(&engine))?;
        let _ = shared.thread.set(thread.thread().clone());
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Keeps the epoch advancing until the guard is dropped.
    pub(crate) fn ticking(&self) -> Ticking {
        self.shared.enter();
        Ticking(self.shared.clone())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Fails only if the ticker panicked, which it has no way to.
            let _ = thread.join();
        }
    }
}

impl Pulse {
    fn run(&self, engine: &EngineWeak) {
        let mut next = Instant::now();
        let mut idle = 0;
        while !self.stopped.load(Ordering::SeqCst) {
            idle = if self.calls.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                self.sleep();
                idle = 0;
                next = Instant::now();
            }
            next += TICK;
            sleep_thread(next.saturating_duration_since(Instant::now()));
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    }

    /// Says that it sleeps before it looks for calls once more; a call counts itself before it looks for sleep. So
    /// one of the two sees the other.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.calls.load(Ordering::SeqCst) == 0 && !self.stopped.load(Ordering::SeqCst) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn enter(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}
