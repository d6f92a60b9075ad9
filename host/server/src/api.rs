//! What does not generate: one file per endpoint.

pub mod models;
pub mod tokenize;

pub mod count_tokens;
pub mod fake_metrics;
pub mod invocations;
pub mod kept_responses;
pub mod pooling;

pub mod admin_config;
pub mod cache;
pub mod clock;
pub mod load;
pub mod lora;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod plugin_state;
pub mod plugins;
pub mod probes;
pub mod render;
pub mod requests;
pub mod server_info;
pub mod sleep;
