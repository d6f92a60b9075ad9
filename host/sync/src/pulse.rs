//! A thread that beats while it is wanted, and sleeps while it is not.

use std::sync::{Arc, OnceLock};

use crate::primitives::{AtomicBool, AtomicUsize, Ordering, fence, thread};

/// Between one thread that beats and those that want it to.
#[derive(Debug)]
pub struct Pulse {
    n_wanting: AtomicUsize,
    is_asleep: AtomicBool,
    is_stopped: AtomicBool,
    beating: OnceLock<thread::Thread>,
}

/// Keeps the thread beating until it is dropped.
#[derive(Debug)]
pub struct Beat(Arc<Pulse>);

impl Pulse {
    /// It is not wanted yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            n_wanting: AtomicUsize::new(0),
            is_asleep: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            beating: OnceLock::new(),
        })
    }

    /// Says which thread is to be woken. What began to want it before may go unheard, so this comes first.
    pub fn is_of(&self, thread: thread::Thread) {
        let _ = self.beating.set(thread);
    }

    /// Wants the thread to beat, from now on, and wakes it if it sleeps.
    pub fn want(self: &Arc<Self>) -> Beat {
        self.n_wanting.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.is_asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        Beat(self.clone())
    }

    /// Whether anything wants it to beat.
    pub fn is_wanted(&self) -> bool {
        self.n_wanting.load(Ordering::SeqCst) > 0
    }

    /// Whether it is to end.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// The thread is to end, and is woken for that.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// On the thread that beats: sleeps until it is wanted or stopped.
    ///
    /// It says that it sleeps before it looks once more whether it is wanted; what wants it says so before it looks whether it
    /// sleeps. So one of the two sees the other; the fences say so in a way that loom takes at its word.
    pub fn sleep(&self) {
        self.is_asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        while !self.is_wanted() && !self.is_stopped() {
            thread::park();
        }
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    fn wake(&self) {
        if let Some(thread) = self.beating.get() {
            thread.unpark();
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.n_wanting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(all(test, loom))]
mod every_order {
    use super::*;

    /// A thread that sleeps once, then waits to be stopped; the model deadlocks, and so fails, if a wake-up is lost.
    fn beating(pulse: &Arc<Pulse>) -> thread::JoinHandle<()> {
        let on_thread = pulse.clone();
        let handle = thread::spawn(move || {
            while !on_thread.is_stopped() {
                on_thread.sleep();
                thread::yield_now();
            }
        });
        pulse.is_of(handle.thread().clone());
        handle
    }

    #[test]
    fn one_that_is_wanted_or_stopped_wakes() {
        loom::model(|| {
            let pulse = Pulse::new();
            let on_thread = pulse.clone();
            let sleeper = thread::spawn(move || on_thread.sleep());
            pulse.is_of(sleeper.thread().clone());
            let beat = pulse.want();
            sleeper.join().unwrap();
            assert!(pulse.is_wanted());
            drop(beat);
            assert!(!pulse.is_wanted());
        });
    }

    #[test]
    fn it_stops_although_nothing_wants_it() {
        loom::model(|| {
            let pulse = Pulse::new();
            let handle = beating(&pulse);
            pulse.stop();
            handle.join().unwrap();
        });
    }

    #[test]
    fn of_two_that_want_it_each_is_seen() {
        loom::model(|| {
            let pulse = Pulse::new();
            let on_thread = pulse.clone();
            let sleeper = thread::spawn(move || {
                on_thread.sleep();
                on_thread.is_wanted()
            });
            pulse.is_of(sleeper.thread().clone());
            let other = {
                let pulse = pulse.clone();
                thread::spawn(move || pulse.want())
            };
            let mine = pulse.want();
            let others = other.join().unwrap();
            assert!(sleeper.join().unwrap());
            drop((mine, others));
            assert!(!pulse.is_wanted());
        });
    }
}
