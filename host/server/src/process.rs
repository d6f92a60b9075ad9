//! The life of the process: addresses, connections, signals, reloading.

pub mod closing;
mod connection;
pub mod listen;
pub(crate) mod real_time;
pub mod reload;
pub mod serve;
pub mod signals;
pub(crate) mod stale_socket;
pub mod tls;
