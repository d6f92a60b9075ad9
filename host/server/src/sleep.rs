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
    /// At which it sleeps; 0: it is awake.
    level: u8,
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

    /// Gives all memory away, at level 1 to be taken back as it was, at level 2 to be filled anew.
    pub fn fall_asleep(&self, level: u8) {
        let mut state = self.lock();
        (state.asleep, state.level) = (MEMORY.to_vec(), level);
    }

    /// Takes the memory of these names back, or all if there are none; whether all is there then.
    pub fn wake(&self, tags: &[String]) -> bool {
        let mut state = self.lock();
        state.asleep.retain(|memory| !tags.is_empty() && !tags.iter().any(|tag| tag == memory));
        if state.asleep.is_empty() {
            state.level = 0;
        }
        state.asleep.is_empty()
    }

    /// The level at which it sleeps; 0: it is awake.
    pub fn level(&self) -> u8 {
        self.lock().level
    }

    /// Whether memory was given away.
    pub fn is_asleep(&self) -> bool {
        !self.lock().asleep.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
