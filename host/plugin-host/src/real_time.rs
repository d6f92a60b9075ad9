//! Real time: limits of guests are about what they really take, whatever the engine's clock says. Nothing else in this
//! crate sleeps or times anything.

pub(crate) use std::thread::sleep as sleep_thread;

pub(crate) use tokio::time::{Instant, timeout};
