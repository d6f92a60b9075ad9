//! How a server sleeps or pauses, beside its engine: memory that was given away, requests that are refused.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::wire::errors::ApiError;

/// What vLLM keeps on a GPU, by the names that `/wake_up` knows.
const MEMORY: [&str; 2] = ["weights", "kv_cache"];

/// At first it is awake.
#[derive(Debug, Default)]
pub struct Sleep(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Memory that was given away.
    asleep: Vec<&'static str>,
    /// New requests are refused, not queued.
    refuses: bool,
}

impl Sleep {
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
        let mut state = self.lock();
        state.asleep.retain(|memory| !tags.is_empty() && !tags.iter().any(|tag| tag == memory));
        state.asleep.is_empty()
    }

    /// Whether memory was given away.
    pub fn is_asleep(&self) -> bool {
        !self.lock().asleep.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
