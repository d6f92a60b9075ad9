//! What every generating endpoint does between reading a body and writing an answer.

pub mod sse;
pub mod transfer;
pub mod validate;
