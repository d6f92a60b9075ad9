//! The time of day, for what is shown to others. What is timed follows `tokio::time`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since 1970; zero on a machine that lives before.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
