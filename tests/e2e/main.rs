//! The server from outside: a process, sockets, bytes. One test binary, because each one links wasmtime again.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod access;
mod admin_config;
mod answers;
mod bounds;
mod clients;
mod clock;
mod command_lines;
mod connections;
mod contract;
mod data_parallel;
mod determinism;
mod docs;
mod errors;
mod examples;
mod failures;
mod fake_metrics;
mod faults;
mod framework;
mod golden;
mod guests;
mod kv_cache;
mod languages;
mod life;
mod log_readers;
mod logprobs;
mod logs;
mod lora;
mod messages;
mod metrics;
mod odd_files;
mod openapi;
mod page;
mod plugin_dev;
mod plugin_metrics;
mod plugin_tools;
mod pooling;
mod queue;
mod reasoning;
mod recorded;
mod registry;
mod reload;
mod render;
mod request_metrics;
mod requests;
mod responses;
mod serving_flags;
mod sleep;
mod start;
mod structure;
mod structured;
mod timing;
mod tokenize;
mod tokens;
mod tools;
mod transfer;
mod vllm_requests;

use std::alloc::System;

use rehearsal_tests::{MISBEHAVE, Server};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts what is allocated in this process, for the test that asks what a server keeps.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The binary under test.
const EXE: &str = env!("CARGO_BIN_EXE_rehearsal");

/// A server for the model `m`.
async fn serve(args: &str) -> Server {
    let args: Vec<_> = ["--model", "m"].into_iter().chain(args.split_whitespace()).collect();
    Server::start(EXE, &args).await
}

/// A configuration file with the guest that misbehaves, as the plugin of this name, within these limits.
fn limits(plugin: &str, limits: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = format!("plugins: [{{name: {plugin}, path: {MISBEHAVE}, limits: {{{limits}}}}}]\n");
    std::fs::write(file.path(), config).unwrap();
    file.into_temp_path().keep().unwrap().to_str().unwrap().to_owned()
}
