//! What threads share without a lock: counts with a bound, and a thread that sleeps while there is nothing to do. It stands by
//! itself so that loom can try every order of its steps:
//! `RUSTFLAGS='--cfg loom' cargo test -p rehearsal-sync --target-dir target/loom`.

mod bounded_count;
mod pulse;

pub use bounded_count::{BoundedCount, Place};
pub use pulse::{Beat, Pulse};

/// The same names from the standard library, or from loom, which stands in for it.
mod primitives {
    #[cfg(loom)]
    pub(crate) use loom::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence},
        thread,
    };
    #[cfg(not(loom))]
    pub(crate) use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence},
        thread,
    };
}
