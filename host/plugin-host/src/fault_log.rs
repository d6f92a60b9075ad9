//! A plugin that breaks again and again is told of once in a while, by cause.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rehearsal_engine::PluginFault;
use tracing::warn;

use crate::real_time::Instant;

/// Between two warnings of the same cause.
const PERIOD: Duration = Duration::from_secs(10);

/// When each cause was told of.
#[derive(Debug, Default)]
pub(crate) struct FaultLog(Mutex<HashMap<&'static str, Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    n_suppressed: u64,
}

impl FaultLog {
    /// Warns of a fault, unless its cause was told of not long ago.
    pub(crate) fn warn(&self, PluginFault { plugin, fault, said }: &PluginFault) {
        let cause = fault.kind();
        let Some(suppressed) = self.take_at(cause, Instant::now()) else { return };
        // Between quotation marks: a guest's line must not look like one of the log's.
        let error = format!("plugin {plugin:?}{fault}");
        warn!(plugin, cause, error, said = said.trim(), suppressed, "a call failed");
    }

    /// How many were not told of since the last one; `None` if this is one of them.
    fn take_at(&self, cause: &'static str, now: Instant) -> Option<u64> {
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match causes.get_mut(cause) {
            Some(told) if now.saturating_duration_since(told.at) < PERIOD => {
                told.n_suppressed += 1;
                None
            }
            _ => {
                let before = causes.insert(cause, Told { at: now, n_suppressed: 0 });
                Some(before.map_or(0, |told| told.n_suppressed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_of_once_in_a_while_with_how_often_it_was_not() {
        let (log, start) = (FaultLog::default(), Instant::now());
        let take = |cause, seconds| log.take_at(cause, start + Duration::from_secs(seconds));
        assert_eq!((take("trap", 0), take("trap", 1), take("trap", 9)), (Some(0), None, None));
        assert_eq!(take("timeout", 5), Some(0), "another cause");
        assert_eq!((take("trap", 10), take("trap", 20)), (Some(2), Some(0)));
    }
}
