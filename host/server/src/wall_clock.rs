//! The time of day, for what is shown to others. What is timed follows `tokio::time`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Zoned;
use jiff::tz::TimeZone;

/// Since 1970; zero on a machine that lives before.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// In the machine's time zone, for logs.
pub(crate) fn local() -> Zoned {
    Zoned::now()
}

/// In UTC, for chat templates.
pub(crate) fn utc() -> Zoned {
    Zoned::now().with_time_zone(TimeZone::UTC)
}
