//! The epoch, by which guest code is interrupted: how long one is, and what makes it advance.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rehearsal_sync::{Beat, Pulse};
use wasmtime::EngineWeak;

use crate::real_time::{Instant, sleep_thread};

/// One epoch. Guest code that runs longer than two of them yields.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without any call after which the ticker sleeps until the next one.
const IDLE_TICKS: u32 = 100;

/// The thread that advances the epoch, on absolute deadlines: relative sleeps of 1 ms would each be half as long again.
pub(crate) struct Ticker {
    pulse: Arc<Pulse>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Until it is dropped.
    pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let pulse = Pulse::new();
        let of_thread = pulse.clone();
        let thread = thread::Builder::new().name("epoch".into()).spawn(move || run(&of_thread, &engine))?;
        pulse.is_of(thread.thread().clone());
        Ok(Self { pulse, thread: Some(thread) })
    }

    /// Keeps the epoch advancing until the guard is dropped.
    pub(crate) fn ticking(&self) -> Beat {
        self.pulse.want()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.pulse.stop();
        if let Some(thread) = self.thread.take() {
            // Fails only if the ticker panicked, which it has no way to.
            let _ = thread.join();
        }
    }
}

fn run(pulse: &Pulse, engine: &EngineWeak) {
    let mut next = Instant::now();
    let mut idle = 0;
    while !pulse.is_stopped() {
        idle = if pulse.is_wanted() { 0 } else { idle + 1 };
        if idle > IDLE_TICKS {
            pulse.sleep();
            idle = 0;
            next = Instant::now();
        }
        next += TICK;
        sleep_thread(next.saturating_duration_since(Instant::now()));
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
    }
}
