//! The HTTP API: one file per endpoint, the wire formats, and what errors look like.

pub mod cache;
pub mod chat_completions;
pub mod clock;
pub mod completions;
pub mod load;
pub mod lora;
pub mod metrics;
pub mod models;
pub mod plugins;
pub mod probes;
pub mod tokenize;

pub mod body;
pub mod fields;
pub mod openai;

pub(crate) mod broken;
pub mod error;
