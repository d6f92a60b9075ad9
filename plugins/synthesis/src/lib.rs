//! Text and JSON that a plugin makes up: values for JSON Schemas, answers in the format that a request asks for, sentences.
//!
//! A crate beside the SDK, so that a plugin which makes nothing up does not carry it.

pub mod json_schema;
mod sentences;
mod structured;

pub use sentences::sentences;
pub use structured::structured;
