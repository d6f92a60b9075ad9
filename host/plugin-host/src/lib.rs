//! Strategies that are WebAssembly components: loaded at start, called through the engine's traits.
//!
//! The way of a call: an engine trait, implemented in `strategy` → `v0_1::ask` (`convert`: domain to WIT records and back) → `call`
//! (a permit, an instance, a first slice on the caller's thread, the rest on the guest runtime).
//!
//! The files below stand in an order in which each imports only from those before it; `v0_1::ask` alone comes after `plugin`.
//!
//! Invariants:
//! - No other crate names wasmtime, and this one knows no HTTP.
//! - A component has no network, no files, no real clock and no true randomness: `sandbox`.
//! - Guest code never runs to its end on the threads that pace and serve: `call`.
//! - What breaks the contract is found at start, by one trial of everything a plugin exports: `loader`.

mod error;
mod panic_text;
mod patience;
mod real_time;
pub mod regular_file;
pub mod signature;

mod limits;
mod log_budget;
mod needs;
mod state;

mod contract;
mod epoch;
mod sandbox;

mod engine_view;

mod info;
mod spec;
mod stage;

mod fault_log;
mod observer;
mod shared;

mod guest;
mod v0_1;

mod runtime;

mod call;
mod instances;
mod plugin;

mod loader;
mod reload;
mod replica;
mod strategy;

mod endings;

mod host;
mod watch;

pub use contract::Interface;
pub use engine_view::EngineView;
pub use error::{LoadError, quoted};
pub use host::{PluginHost, Plugins, Reconfigured};
pub use info::{LastCallError, LastReload, PluginInfo, PluginStatus};
pub use limits::Limits;
pub use loader::{MAX_COMPONENT_BYTES, interfaces, sha256};
pub use needs::Needs;
pub use observer::{PluginEvent, PluginObserver};
pub use shared::Surroundings;
pub use spec::{PluginSource, PluginSpec};
pub use state::StateEntry;
pub use watch::Watch;

#[cfg(test)]
mod tests;
