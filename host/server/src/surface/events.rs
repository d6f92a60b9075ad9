//! Named events, as Anthropic's API and OpenAI's Responses have them.

use serde::Serialize;

/// Appends `event: …`, `data: …` and an empty line.
pub(crate) fn write_event(out: &mut Vec<u8>, name: &str, data: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Writing to a vector cannot fail, and events have nothing that JSON lacks.
    let _ = serde_json::to_writer(&mut *out, data);
    out.extend_from_slice(b"\n\n");
}
