//! Told, never asked: what a server tells of itself.

pub mod capture;
pub mod kv_events;
pub mod load;
pub mod logs;
pub mod metrics;
