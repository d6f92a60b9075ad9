//! Told, never asked: what a server tells of itself.

mod bounded_writer;
pub mod capture;
pub(crate) mod guarded_body;
pub mod kv_events;
pub mod live;
pub mod load;
pub mod logs;
pub mod metrics;
pub mod traces;
