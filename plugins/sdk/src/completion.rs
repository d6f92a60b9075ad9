//! Shorthand for what plugins return most.

use std::time::Duration;

use crate::{ApiError, CallError, Completion, Content, Description};

impl Completion {
    /// An answer that the host splits into tokens, cuts and finishes.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            reasoning: None,
            content: Some(Content::Text(text.into())),
            tool_calls: Vec::new(),
            token_limit: None,
            finish: None,
            extras: Vec::new(),
        }
    }

    /// The same answer, cut by the host after `n_tokens`.
    pub fn limited_to(self, n_tokens: u32) -> Self {
        Self { token_limit: Some(n_tokens), ..self }
    }

    /// The same answer, whose first token comes so much later than the latency model says, in whole microseconds.
    pub fn with_ttft(self, ttft: Duration) -> Self {
        self.with_extra("ttft-us", ttft.as_micros().to_string())
    }

    /// The same answer, whose second token and those after it come so much later than the latency model says, each after
    /// the one before it, in whole microseconds.
    pub fn with_delays(self, delays: &[Duration]) -> Self {
        let micros: Vec<_> = delays.iter().map(|delay| delay.as_micros().to_string()).collect();
        self.with_extra("delays-us", format!("[{}]", micros.join(",")))
    }

    /// The same answer, whose own times take the place of the latency model's instead of being added to them.
    pub fn replacing_the_latency_model(self) -> Self {
        self.with_extra("timing", "\"replace\"")
    }

    /// The same answer with something that the contract has no field for: a name and JSON text, as `wit/README.md` lists them.
    pub fn with_extra(mut self, name: &str, json: impl Into<String>) -> Self {
        self.extras.push((name.into(), json.into()));
        self
    }
}

impl Description {
    /// A description with no needs and a configuration that may be any object.
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            needs: Vec::new(),
            config_schema: None,
            extras: Vec::new(),
        }
    }

    /// The same, with a JSON Schema that the host checks the configuration against.
    pub fn with_config_schema(self, schema: &str) -> Self {
        Self { config_schema: Some(schema.into()), ..self }
    }
}

impl CallError {
    /// An error answer with this status (400 to 599) and message.
    pub fn reject(status: u16, message: impl Into<String>) -> Self {
        Self::Reject(ApiError {
            status,
            message: message.into(),
            kind: None,
            code: None,
            param: None,
            headers: Vec::new(),
        })
    }
}
