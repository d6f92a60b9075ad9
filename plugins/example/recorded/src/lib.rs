//! Plays a stream that was recorded, each token at its microsecond: `{"stream": [{"at_us": 41200, "text": "It"}, {"at_us": 53900,
//! "text": " was"}, …]}`. Times count from when the request leaves the queue. Where its client reads as fast as the one that
//! recorded, it sees what that one saw.

use std::time::Duration;

use rehearsal_sdk::{CallError, Completion, Content, Description, Generator, Plugin, Request, export};
use serde_json::Value;

/// The plugin, with its recording.
pub struct Recorded {
    pieces: Vec<String>,
    ttft: Duration,
    delays: Vec<Duration>,
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "required": ["stream"],
  "additionalProperties": false,
  "properties": {
    "stream": {"type": "array", "minItems": 1, "items": {
      "type": "object", "required": ["at_us", "text"], "additionalProperties": false,
      "properties": {"at_us": {"type": "integer", "minimum": 0}, "text": {"type": "string"}}
    }}
  }
}"#;

impl Plugin for Recorded {
    fn describe() -> Description {
        Description::new("recorded", env!("CARGO_PKG_VERSION"), "plays a recorded stream")
            .with_config_schema(CONFIG_SCHEMA)
    }

    fn new(config: &str) -> Result<Self, String> {
        // The host has checked it against the schema.
        let config: Value = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let stream = config["stream"].as_array().map_or(&[][..], Vec::as_slice);
        let at = |token: &Value| Duration::from_micros(token["at_us"].as_u64().unwrap_or_default());
        let mut delays = Vec::new();
        for (index, pair) in stream.windows(2).enumerate() {
            let delay = at(&pair[1]).checked_sub(at(&pair[0]));
            delays.push(delay.ok_or_else(|| format!("stream[{}] comes before stream[{index}]", index + 1))?);
        }
        Ok(Self {
            pieces: stream.iter().filter_map(|token| token["text"].as_str()).map(str::to_owned).collect(),
            ttft: stream.first().map(at).unwrap_or_default(),
            delays,
        })
    }
}

impl Generator for Recorded {
    fn generate(&self, _: &Request) -> Result<Completion, CallError> {
        let completion = Completion { content: Some(Content::Pieces(self.pieces.clone())), ..Completion::text("") };
        Ok(completion.with_ttft(self.ttft).with_delays(&self.delays).replacing_the_latency_model())
    }
}

export!(Recorded: generator);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_becomes_tokens_and_delays() {
        let stream =
            r#"{"stream": [{"at_us": 40, "text": "It"}, {"at_us": 53, "text": " was"}, {"at_us": 53, "text": "."}]}"#;
        let completion = Recorded::new(stream).unwrap().generate(&Request::chat("play")).unwrap();
        assert_eq!(completion.content, Some(Content::Pieces(vec!["It".into(), " was".into(), ".".into()])));
        let extras = [("ttft-us", "40"), ("delays-us", "[13,0]"), ("timing", "\"replace\"")];
        assert_eq!(completion.extras, extras.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn time_that_goes_back_is_refused() {
        let stream = r#"{"stream": [{"at_us": 40, "text": "a"}, {"at_us": 39, "text": "b"}]}"#;
        assert_eq!(Recorded::new(stream).err().as_deref(), Some("stream[1] comes before stream[0]"));
    }
}
