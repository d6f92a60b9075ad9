//! A circuit breaker, as gateways have them: after so many requests that failed one after the other it is open, and refuses
//! requests with 503 for a while; then one is let through on trial, and how that ends decides. `{"failures": 5, "open_ms": 30000}`.
//!
//! What it knows is in its state, which all calls share: `failures` counts, `open` is there while it is open, and `on trial` names
//! the request that may close it.

use rehearsal_sdk::{
    ApiError, Arrival, CallError, Description, Ending, FailureSelector, Observer, Outcome, Plugin, export, state,
};
use schemars::JsonSchema;
use serde::Deserialize;

const FAILURES: &str = "failures";
const OPEN: &str = "open";
const ON_TRIAL: &str = "on trial";

/// The plugin, which is its configuration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// As many in a row open it.
    #[schemars(range(min = 1, max = 1_000_000))]
    failures: i64,
    /// For how long nothing is let through then, in milliseconds of the engine's clock.
    #[schemars(range(min = 1, max = 86_400_000))]
    open_ms: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, open_ms: 30_000 }
    }
}

impl Plugin for Breaker {
    type Config = Self;

    fn describe() -> Description {
        Description::new("breaker", env!("CARGO_PKG_VERSION"), "refuses requests while too many fail")
    }

    fn new(config: Self) -> Result<Self, String> {
        Ok(config)
    }
}

impl Breaker {
    fn open(&self) {
        // Nothing of this is large: it cannot fail.
        let _ = state::set(OPEN, b"");
        state::expire(OPEN, self.open_ms);
    }

    fn is_tripped(&self) -> bool {
        state::number(FAILURES) >= self.failures
    }
}

impl FailureSelector for Breaker {
    fn select(&self, arrival: &Arrival) -> Result<Vec<Outcome>, CallError> {
        if !self.is_tripped() {
            return Ok(Vec::new());
        }
        let goes_on_trial = state::get(OPEN).is_none()
            && state::compare_and_swap(ON_TRIAL, None, arrival.id.as_bytes()).map_err(CallError::Internal)?;
        if goes_on_trial {
            // Should its end never be told, another may try.
            state::expire(ON_TRIAL, self.open_ms);
            return Ok(Vec::new());
        }
        let seconds = self.open_ms.div_ceil(1000).to_string();
        let error = ApiError::new(503, "the circuit is open").with_code("circuit_open");
        Ok(vec![Outcome::now(error.with_header("retry-after", seconds))])
    }
}

impl Observer for Breaker {
    fn finished(&self, ending: &Ending) {
        // What it refused itself says nothing.
        if ending.on_purpose {
            return;
        }
        let was_on_trial = state::get(ON_TRIAL).is_some_and(|id| id == ending.id.as_bytes());
        if was_on_trial {
            state::remove(ON_TRIAL);
        }
        if ending.status < 500 {
            if was_on_trial || !self.is_tripped() {
                state::remove(FAILURES);
            }
        } else if was_on_trial
            || matches!(state::add_within(FAILURES, 1, 0, self.failures), Ok(Some(n)) if n == self.failures)
        {
            self.open();
        }
    }
}

export!(Breaker: failure_selector, observer);

#[cfg(test)]
mod tests {
    use super::*;

    fn arrives(breaker: &Breaker, id: &str) -> bool {
        breaker.select(&Arrival { id: id.into(), ..Arrival::default() }).unwrap().is_empty()
    }

    fn ends(breaker: &Breaker, id: &str, status: u16) {
        breaker.finished(&Ending { id: id.into(), status, ..Ending::default() });
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_on_trial_decides() {
        let breaker = Breaker { failures: 2, ..Breaker::default() };
        for (id, status) in [("a", 500), ("b", 200), ("c", 503), ("d", 500)] {
            assert!(arrives(&breaker, id));
            ends(&breaker, id, status);
        }
        assert!(!arrives(&breaker, "e"), "c and d have failed");
        breaker.finished(&Ending { id: "e".into(), status: 503, on_purpose: true, ..Ending::default() });
        // Natively nothing expires.
        state::remove(OPEN);
        assert!(arrives(&breaker, "f") && !arrives(&breaker, "g"), "one is on trial");
        ends(&breaker, "f", 500);
        assert!(!arrives(&breaker, "h"));
        state::remove(OPEN);
        assert!(arrives(&breaker, "i"));
        ends(&breaker, "i", 200);
        assert!(arrives(&breaker, "j") && arrives(&breaker, "k"));
    }
}
