//! Answers from a script: `{"turns": [{"user": "hello", "assistant": "Hi!"}, …], "otherwise": "I did not get that."}`.
//! A turn answers the conversation's last user message if its `user` is part of it. Components have no files: the
//! script is the plugin's configuration.

use rehearsal_sdk::{CallError, Completion, Description, Generator, Plugin, Request, export};
use serde_json::Value;

/// The plugin, with its script.
pub struct Scripted {
    /// What is looked for, in lower case, and what is answered; the first that fits wins.
    turns: Vec<(String, String)>,
    otherwise: Option<String>,
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "required": ["turns"],
  "additionalProperties": false,
  "properties": {
    "turns": {"type": "array", "items": {
      "type": "object", "required": ["user", "assistant"], "additionalProperties": false,
      "properties": {"user": {"type": "string"}, "assistant": {"type": "string"}}
    }},
    "otherwise": {"type": "string"}
  }
}"#;

impl Plugin for Scripted {
    fn describe() -> Description {
        Description::new("scripted", env!("CARGO_PKG_VERSION"), "answers from a script")
            .with_config_schema(CONFIG_SCHEMA)
    }

    fn new(config: &str) -> Result<Self, String> {
        // The host has checked it against the schema.
        let config: Value = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let turns = config["turns"].as_array().into_iter().flatten();
        Ok(Self {
            turns: turns.map(|turn| (text(&turn["user"]).to_lowercase(), text(&turn["assistant"]))).collect(),
            otherwise: config.get("otherwise").map(text),
        })
    }
}

impl Generator for Scripted {
    fn generate(&self, request: &Request) -> Result<Completion, CallError> {
        let said = request.last_user_text().to_lowercase();
        let turn = self.turns.iter().find(|(user, _)| said.contains(user.as_str())).map(|(_, assistant)| assistant);
        match turn.or(self.otherwise.as_ref()) {
            Some(answer) => Ok(Completion::text(answer)),
            None => Err(CallError::reject(422, format!("the script has no answer to {said:?}"))),
        }
    }
}

export!(Scripted: generator);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_turn_that_fits_answers() {
        let script = r#"{"turns": [{"user": "Hello", "assistant": "Hi!"}, {"user": "", "assistant": "Go on."}]}"#;
        let scripted = Scripted::new(script).unwrap();
        assert_eq!(scripted.generate(&Request::chat("well, hello there")), Ok(Completion::text("Hi!")));
        assert_eq!(scripted.generate(&Request::chat("so")), Ok(Completion::text("Go on.")));
    }

    #[test]
    fn what_is_not_in_the_script_is_rejected() {
        let scripted = Scripted::new(r#"{"turns": []}"#).unwrap();
        let Err(CallError::Reject(error)) = scripted.generate(&Request::chat("so")) else { panic!() };
        assert_eq!(error.status, 422);
    }
}
