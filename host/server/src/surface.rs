//! The endpoints that generate, one file each.

pub mod chat_completions;
pub mod completions;
pub mod openai;
