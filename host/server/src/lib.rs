//! The process: what the user typed becomes a [`config::Config`], that becomes an [`app::App`], that answers HTTP.
//!
//! Read `main.rs` first, then [`app`]. Requests come in through [`routes`], are read and judged by [`api`] and
//! [`validate`], go to the engine, and leave as JSON or through [`sse`].
//!
//! Invariants:
//! - The environment is read in [`args`] alone.
//! - Status codes of domain errors stand in `api/error.rs` and nowhere else.
//! - Every accepted socket has `TCP_NODELAY`: [`serve`].

pub mod args;
pub mod commands;
pub mod config;

pub mod answerers;
pub mod app;
pub mod routes;

pub mod access;
pub mod listen;
pub mod serve;
pub mod signals;
pub mod tls;

pub mod api;
pub mod prompts;
pub mod tokenizer;
pub mod validate;

pub mod load;
pub mod sse;
pub mod transfer;

pub mod kv_events;
pub mod logs;
pub mod metrics;
mod nearest;
pub mod plugin_tools;
mod real_time;
pub mod reload;
pub mod said;
mod stale_socket;
mod wall_clock;
