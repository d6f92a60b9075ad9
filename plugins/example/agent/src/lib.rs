//! An agent with a script: `{"steps": [{"tool": "search", "arguments": {"query": "tea"}}], "answer": "I found: {result}"}`. Each
//! result that comes back takes it one step further; after the last, it answers, with that result in the place of `{result}`.

use rehearsal_sdk::{
    CallError, Completion, Description, Generator, Plugin, Request, ToolCall, ToolCaller, ToolChoice, export,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The plugin, which is its script.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Calls, one after the other.
    steps: Vec<Step>,
    /// What is said in the end.
    answer: String,
}

/// One call.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Step {
    tool: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

impl Plugin for Agent {
    type Config = Self;

    fn describe() -> Description {
        Description::new("agent", env!("CARGO_PKG_VERSION"), "calls tools one after the other, then answers")
    }

    fn new(script: Self) -> Result<Self, String> {
        Ok(script)
    }
}

impl ToolCaller for Agent {
    fn call_tools(&self, request: &Request) -> Result<Vec<ToolCall>, CallError> {
        let is_allowed = |step: &&Step| match &request.tool_choice {
            ToolChoice::None => false,
            ToolChoice::Auto | ToolChoice::Required => request.tools.iter().any(|tool| tool.name == step.tool),
            ToolChoice::Function(name) => step.tool == *name,
        };
        let step = self.steps.get(request.tool_results().count()).filter(is_allowed);
        match (step, &request.tool_choice) {
            (Some(step), _) => {
                let arguments = Value::Object(step.arguments.clone()).to_string();
                Ok(vec![ToolCall { id: None, name: step.tool.clone(), arguments }])
            }
            (None, ToolChoice::None | ToolChoice::Auto) => Ok(Vec::new()),
            (None, _) => Err(CallError::reject(400, "a call is demanded, and the script has none here")),
        }
    }
}

impl Generator for Agent {
    fn generate(&self, request: &Request) -> Result<Completion, CallError> {
        let result = request.tool_results().last().map(|(_, text)| text).unwrap_or_default();
        Ok(Completion::text(self.answer.replace("{result}", &result)))
    }
}

export!(Agent: generator, tool_caller);

#[cfg(test)]
mod tests {
    use rehearsal_sdk::{Message, Prompt, Role, Tool, config};

    use super::*;

    #[test]
    fn results_take_it_further_until_it_answers() {
        let agent: Agent =
            config::read(r#"{"steps": [{"tool": "a"}, {"tool": "b"}], "answer": "Done: {result}"}"#).unwrap();
        let tool = |name: &str| Tool { name: name.into(), description: None, parameters: "{}".into() };
        let mut request =
            Request { tools: vec![tool("a"), tool("b")], tool_choice: ToolChoice::Auto, ..Request::chat("go") };
        let mut called = Vec::new();
        while let [call] = &agent.call_tools(&request).unwrap()[..] {
            called.push(call.name.clone());
            let Prompt::Chat(messages) = &mut request.prompt else { unreachable!() };
            messages.push(Message::new(Role::Tool, &format!("result of {}", call.name)));
        }
        assert_eq!(called, ["a", "b"]);
        assert_eq!(agent.generate(&request), Ok(Completion::text("Done: result of b")));
    }
}
