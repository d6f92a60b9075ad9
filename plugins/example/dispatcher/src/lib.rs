//! Calls the tools that it is told to call, if they are offered: `{"calls": [{"tool": "weather", "arguments": {"city": "Oslo"}}]}`.
//! Once it has their results, it leaves the answer to the generator.

use rehearsal_sdk::{CallError, Description, Plugin, Request, ToolCall, ToolCaller, ToolChoice, export};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The plugin, which is its configuration.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dispatcher {
    /// In their order.
    calls: Vec<Call>,
}

/// A call that is made where its tool is offered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Call {
    tool: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

impl Plugin for Dispatcher {
    type Config = Self;

    fn describe() -> Description {
        Description::new("dispatcher", env!("CARGO_PKG_VERSION"), "calls the tools that it is told to call")
    }

    fn new(config: Self) -> Result<Self, String> {
        Ok(config)
    }
}

impl ToolCaller for Dispatcher {
    fn call_tools(&self, request: &Request) -> Result<Vec<ToolCall>, CallError> {
        let is_wanted = |call: &&Call| match &request.tool_choice {
            ToolChoice::None => false,
            ToolChoice::Auto => request.tool_results().next().is_none(),
            ToolChoice::Required => true,
            ToolChoice::Function(name) => call.tool == *name,
        };
        let is_offered = |call: &&Call| request.tools.iter().any(|tool| tool.name == call.tool);
        let most = if request.parallel_tool_calls { usize::MAX } else { 1 };
        let calls = self.calls.iter().filter(is_wanted).filter(is_offered).take(most);
        let calls: Vec<_> = calls
            .map(|call| ToolCall {
                id: None,
                name: call.tool.clone(),
                arguments: Value::Object(call.arguments.clone()).to_string(),
            })
            .collect();
        let is_demanded = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Function(_));
        if calls.is_empty() && is_demanded {
            return Err(CallError::reject(400, "a call is demanded, and of none of the tools that this plugin calls"));
        }
        Ok(calls)
    }
}

export!(Dispatcher: tool_caller);

#[cfg(test)]
mod tests {
    use rehearsal_sdk::{Tool, config};

    use super::*;

    fn called(tool_choice: ToolChoice) -> Result<Vec<String>, CallError> {
        let dispatcher: Dispatcher =
            config::read(r#"{"calls": [{"tool": "add", "arguments": {"a": 1}}, {"tool": "search"}]}"#).unwrap();
        let tool = |name: &str| Tool { name: name.into(), description: None, parameters: "{}".into() };
        let request = Request { tools: vec![tool("add"), tool("other")], tool_choice, ..Request::chat("go") };
        dispatcher.call_tools(&request).map(|calls| calls.into_iter().map(|call| call.name + &call.arguments).collect())
    }

    #[test]
    fn what_is_offered_is_called_if_it_is_wanted() {
        let add = Ok(vec![r#"add{"a":1}"#.to_owned()]);
        assert_eq!(called(ToolChoice::Auto), add);
        assert_eq!(called(ToolChoice::Function("add".into())), add);
        assert_eq!(called(ToolChoice::None), Ok(Vec::new()));
        assert!(called(ToolChoice::Function("other".into())).is_err());
    }
}
