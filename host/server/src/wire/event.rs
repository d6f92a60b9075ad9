//! Server-Sent Events: data alone, as OpenAI's API has them, or with names, as Anthropic's and the Responses API do.

use serde::Serialize;

/// Appends `data: …` and an empty line.
pub fn write_data(out: &mut Vec<u8>, data: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    // Writing to a vector cannot fail, and events have nothing that JSON lacks.
    let _ = serde_json::to_writer(&mut *out, data);
    out.extend_from_slice(b"\n\n");
}

/// Appends `event: …`, `data: …` and an empty line.
pub fn write_event(out: &mut Vec<u8>, name: &str, data: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    write_data(out, data);
}
