//! The process: what the user typed becomes a [`config::Config`], that becomes a [`replica::Replica`], that answers HTTP.
//!
//! Read `main.rs` first, then [`replica`]. Requests come in through [`routes`]. Those that generate are read by a file of
//! [`surface`], judged in [`generate`], answered by the engine, and written by the same file; the others are [`api`]'s.
//! What happened is told to [`telemetry`].
//!
//! Invariants:
//! - The environment is read in [`args`] alone.
//! - Status codes of domain errors stand in `wire/errors.rs` and nowhere else.
//! - Every accepted socket has `TCP_NODELAY`: [`process::serve`].

pub mod args;
pub mod commands;
pub mod config;

pub mod live_config;
pub mod registry;
pub mod replica;
pub mod response_store;
pub mod routes;
pub mod routing;

pub mod wire;

pub mod prompts;

pub mod sleep;
pub mod surface;

pub mod generate;

pub mod api;

pub mod process;
pub mod telemetry;

mod nearest;
pub mod plugin_tools;
mod progress;
pub mod said;
