//! The endpoints that generate, one file each: how a body is read, and how an answer is written. What happens between is
//! [`crate::generate`]'s.

pub mod chat_completions;
pub mod completions;
pub mod messages;
pub mod openai;
pub mod responses;
pub mod tokens;
