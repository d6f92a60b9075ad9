//! Plays a stream that was recorded, each token at its microsecond: `{"stream": [{"at_us": 41200, "text": "It"}, {"at_us": 53900,
//! "text": " was"}, …]}`. Times count from when the request leaves the queue. Where its client reads as fast as the one that
//! recorded, it sees what that one saw.

use std::time::Duration;

use rehearsal_sdk::{CallError, Completion, Description, Generator, Plugin, Request, export};
use schemars::JsonSchema;
use serde::Deserialize;

/// The plugin, with its recording.
pub struct Recorded {
    pieces: Vec<String>,
    ttft: Duration,
    delays: Vec<Duration>,
}

/// What was recorded.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    #[schemars(length(min = 1))]
    stream: Vec<Token>,
}

/// One token.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// When it came, in microseconds.
    at_us: u64,
    text: String,
}

impl Plugin for Recorded {
    type Config = Recording;

    fn describe() -> Description {
        Description::new("recorded", env!("CARGO_PKG_VERSION"), "plays a recorded stream")
    }

    fn new(Recording { stream }: Recording) -> Result<Self, String> {
        let at = |token: &Token| Duration::from_micros(token.at_us);
        let mut delays = Vec::new();
        for (index, pair) in stream.windows(2).enumerate() {
            let delay = at(&pair[1]).checked_sub(at(&pair[0]));
            delays.push(delay.ok_or_else(|| format!("stream[{}] comes before stream[{index}]", index + 1))?);
        }
        Ok(Self {
            ttft: stream.first().map(at).unwrap_or_default(),
            pieces: stream.into_iter().map(|token| token.text).collect(),
            delays,
        })
    }
}

impl Generator for Recorded {
    fn generate(&self, _: &Request) -> Result<Completion, CallError> {
        Ok(Completion::pieces(self.pieces.clone())
            .with_ttft(self.ttft)
            .with_delays(&self.delays)
            .replacing_the_latency_model())
    }
}

export!(Recorded: generator);

#[cfg(test)]
mod tests {
    use rehearsal_sdk::{Content, config};

    use super::*;

    fn recorded(stream: &str) -> Result<Recorded, String> {
        Recorded::new(config::read(stream)?)
    }

    #[test]
    fn a_recording_becomes_tokens_and_delays() {
        let stream =
            r#"{"stream": [{"at_us": 40, "text": "It"}, {"at_us": 53, "text": " was"}, {"at_us": 53, "text": "."}]}"#;
        let completion = recorded(stream).unwrap().generate(&Request::chat("play")).unwrap();
        assert_eq!(completion.content, Some(Content::Pieces(vec!["It".into(), " was".into(), ".".into()])));
        let extras = [("ttft-us", "40"), ("delays-us", "[13,0]"), ("timing", "\"replace\"")];
        assert_eq!(completion.extras, extras.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn time_that_goes_back_is_refused() {
        let stream = r#"{"stream": [{"at_us": 40, "text": "a"}, {"at_us": 39, "text": "b"}]}"#;
        assert_eq!(recorded(stream).err().as_deref(), Some("stream[1] comes before stream[0]"));
    }
}
