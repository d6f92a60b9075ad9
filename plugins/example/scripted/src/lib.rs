//! Answers from a script: `{"turns": [{"user": "hello", "assistant": "Hi!"}, …], "otherwise": "I did not get that."}`.
//! A turn answers the conversation's last user message if its `user` is part of it. Components have no files: the
//! script is the plugin's configuration.

use rehearsal_sdk::{CallError, Completion, Description, Generator, Plugin, Request, export};
use schemars::JsonSchema;
use serde::Deserialize;

/// The plugin, which is its script.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scripted {
    /// The first that fits wins.
    turns: Vec<Turn>,
    /// The answer where none fits; else that is an error.
    otherwise: Option<String>,
}

/// What is looked for in what the user says, and what is answered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Turn {
    user: String,
    assistant: String,
}

impl Plugin for Scripted {
    type Config = Self;

    fn describe() -> Description {
        Description::new("scripted", env!("CARGO_PKG_VERSION"), "answers from a script")
    }

    fn new(mut script: Self) -> Result<Self, String> {
        script.turns.iter_mut().for_each(|turn| turn.user = turn.user.to_lowercase());
        Ok(script)
    }
}

impl Generator for Scripted {
    fn generate(&self, request: &Request) -> Result<Completion, CallError> {
        let said = request.last_user_text().to_lowercase();
        let turn = self.turns.iter().find(|turn| said.contains(&turn.user));
        match turn.map(|turn| &turn.assistant).or(self.otherwise.as_ref()) {
            Some(answer) => Ok(Completion::text(answer)),
            None => Err(CallError::reject(422, format!("the script has no answer to {said:?}"))),
        }
    }
}

export!(Scripted: generator);

#[cfg(test)]
mod tests {
    use rehearsal_sdk::config;

    use super::*;

    fn scripted(script: &str) -> Scripted {
        Scripted::new(config::read(script).unwrap()).unwrap()
    }

    #[test]
    fn the_first_turn_that_fits_answers() {
        let script = r#"{"turns": [{"user": "Hello", "assistant": "Hi!"}, {"user": "", "assistant": "Go on."}]}"#;
        let scripted = scripted(script);
        assert_eq!(scripted.generate(&Request::chat("well, hello there")), Ok(Completion::text("Hi!")));
        assert_eq!(scripted.generate(&Request::chat("so")), Ok(Completion::text("Go on.")));
    }

    #[test]
    fn what_is_not_in_the_script_is_rejected() {
        let scripted = scripted(r#"{"turns": []}"#);
        let Err(CallError::Reject(error)) = scripted.generate(&Request::chat("so")) else { panic!() };
        assert_eq!(error.status, 422);
    }
}
