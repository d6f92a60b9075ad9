//! How a server rests, beside its engine: memory that was given away, requests that are refused.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::wire::errors::ApiError;

/// What vLLM keeps on a GPU, by the names that `/wake_up` knows.
const MEMORY: [&str; 2] = ["weights", "kv_cache"];

/// At first it does not rest.
#[derive(Debug, Default)]
pub struct Rest(Mutex<Resting>);

#[derive(Debug, Default)]
struct Resting {
    /// Memory that was given away.
    asleep: Vec<&'static str>,
    /// New requests are refused, not queued.
    refuses: bool,
}

impl Rest {
    /// Fails if new requests are refused.
    pub fn check(&self) -> Result<(), ApiError> {
        if self.lock().refuses { Err(ApiError::Paused) } else { Ok(()) }
    }

    /// Refuses new requests, or takes them again.
    pub fn refuse(&self, refuses: bool) {
        self.lock().refuses = refuses;
    }

    /// Gives all memory away.
    pub fn fall_asleep(&self) {
        self.lock().asleep = MEMORY.to_vec();
    }

    /// Takes the memory of these names back, or all if there are none; whether all is there then.
    pub fn wake(&self, tags: &[String]) -> bool {
        let mut resting = self.lock();
        resting.asleep.retain(|memory| !tags.is_empty() && !tags.iter().any(|tag| tag == memory));
        resting.asleep.is_empty()
    }

    /// Whether memory was given away.
    pub fn is_asleep(&self) -> bool {
        !self.lock().asleep.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Resting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
