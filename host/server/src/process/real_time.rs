//! Real time, for what the engine's clock does not stand for: the patience of clients, of peers and of people. Nothing else
//! in this crate sleeps or times anything.

pub(crate) use tokio::time::{
    Instant, Interval, MissedTickBehavior, Sleep, interval, interval_at, sleep, sleep_until, timeout,
};
