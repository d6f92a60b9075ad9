//! The bytes of a chunk. What all chunks of a request share is serialized once; a token costs its own text.

use std::io::Write;

use serde::Serialize;

use super::{PromptTokensDetails, Usage};
use crate::generate::{Envelope, PrefillResult, RequestMetrics};

/// Writes the frame around the choices of each chunk.
pub struct ChunkWriter {
    /// `data: {"id":…,"choices":[` — the same in every chunk.
    head: Vec<u8>,
    /// What follows the choices in a chunk that is not the last of its choice.
    tail: Vec<u8>,
    /// What follows the last one.
    last_tail: Vec<u8>,
    fingerprint: String,
}

impl ChunkWriter {
    /// A writer for one request. With usage to follow, vLLM leaves the fingerprint to that chunk.
    pub fn new(object: &str, envelope: &Envelope, include_usage: bool) -> Self {
        let Envelope { id, created, fingerprint, prefill, .. } = envelope;
        let head = format!(
            r#"data: {{"id":{},"object":"{object}","created":{created},"model":{},"choices":["#,
            json(id),
            json(&envelope.request.model)
        );
        let params = prefill.as_ref().and_then(PrefillResult::kv_transfer_params);
        let fingerprint = json(fingerprint);
        let shown = if include_usage { String::new() } else { format!(r#""system_fingerprint":{fingerprint},"#) };
        // Its fields, without the braces.
        let first_routers = prefill
            .as_ref()
            .and_then(PrefillResult::top_level)
            .map_or_else(String::new, |fields| format!(",{}", json(&fields).trim_matches(['{', '}'])));
        let last_tail = format!(r#",{shown}"kv_transfer_params":{}{first_routers}}}"#, json(&params));
        Self {
            head: head.into_bytes(),
            tail: br#","kv_transfer_params":null}"#.to_vec(),
            last_tail: last_tail.into_bytes(),
            fingerprint,
        }
    }

    /// A chunk with its own tail, which follows its usage so far, if that is wanted.
    pub fn special(&self, out: &mut Vec<u8>, usage: Option<&str>, tail: &str, choice: impl FnOnce(&mut Vec<u8>)) {
        self.chunk(out, usage, tail.as_bytes(), choice);
    }

    /// A chunk in the middle of a choice, or the last one of a choice.
    pub fn of_choice(&self, out: &mut Vec<u8>, usage: Option<&str>, is_last: bool, choice: impl FnOnce(&mut Vec<u8>)) {
        self.chunk(out, usage, if is_last { &self.last_tail } else { &self.tail }, choice);
    }

    /// The chunk of usage, in which vLLM drops nulls.
    pub fn usage(&self, out: &mut Vec<u8>, usage: Usage, metrics: Option<RequestMetrics>) {
        let details = usage.prompt_tokens_details.map_or_else(String::new, |details| {
            let PromptTokensDetails { cached_tokens, created_cache_tokens, multimodal_tokens } = details;
            let more = [("created_cache_tokens", created_cache_tokens), ("multimodal_tokens", multimodal_tokens)];
            let more = more.map(|(name, n)| n.map_or_else(String::new, |n| format!(r#","{name}":{n}"#))).concat();
            format!(r#","prompt_tokens_details":{{"cached_tokens":{cached_tokens}{more}}}"#)
        });
        let completion_details = usage.completion_tokens_details.map_or_else(String::new, |details| {
            format!(r#","completion_tokens_details":{{"reasoning_tokens":{}}}"#, details.reasoning_tokens)
        });
        let metrics = metrics.map_or_else(String::new, |metrics| format!(r#","metrics":{}"#, without_nulls(&metrics)));
        let tail = format!(
            r#","usage":{{"prompt_tokens":{},"total_tokens":{},"completion_tokens":{}{details}{completion_details}}},"system_fingerprint":{}{metrics}}}"#,
            usage.prompt_tokens, usage.total_tokens, usage.completion_tokens, self.fingerprint
        );
        self.chunk(out, None, tail.as_bytes(), |_| {});
    }

    fn chunk(&self, out: &mut Vec<u8>, usage: Option<&str>, tail: &[u8], choice: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.head);
        choice(out);
        out.push(b']');
        if let Some(usage) = usage {
            out.extend_from_slice(usage.as_bytes());
        }
        out.extend_from_slice(tail);
        out.extend_from_slice(b"\n\n");
    }
}

/// Appends `text` and `value` as JSON.
pub(crate) fn write_pair(out: &mut Vec<u8>, text: &str, value: &(impl Serialize + ?Sized)) {
    out.extend_from_slice(text.as_bytes());
    // Writing to a vector cannot fail, and strings and numbers are JSON.
    let _ = serde_json::to_writer(&mut *out, value);
}

/// Appends a number.
pub(crate) fn write_number(out: &mut Vec<u8>, text: &str, number: u32) {
    // As above.
    let _ = write!(out, "{text}{number}");
}

/// An object as JSON, of what is not null.
fn without_nulls(value: &impl Serialize) -> String {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    json(&value)
}

/// A value as JSON.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}
