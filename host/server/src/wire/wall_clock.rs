//! The time of day: for logs, and for where an engine's clock begins. What clients are told of time is that clock's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// Since 1970; zero on a machine that lives before.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// In the machine's time zone, for logs.
pub(crate) fn local() -> Zoned {
    Zoned::now()
}

/// A moment in UTC, so long after 1970, for chat templates.
pub(crate) fn utc(since_1970: Duration) -> Zoned {
    // Later than jiff's last year, it is that year.
    let since_1970 = SignedDuration::try_from(since_1970).unwrap_or(SignedDuration::MAX);
    Timestamp::from_duration(since_1970).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC)
}
