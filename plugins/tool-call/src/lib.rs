//! Calls offered tools, with arguments that their JSON Schemas admit.

mod spaced;

use rehearsal_sdk::json_schema::{self, Bounds};
use rehearsal_sdk::{
    CallError, Description, Plugin, Prompt, Request, Rng, RngExt, Role, Tool, ToolCall, ToolCaller, ToolChoice, export,
    rng,
};
use serde_json::Value;

/// The plugin, with its configuration.
pub struct ToolCalls {
    bounds: Bounds,
    /// Chance, in percent, of one more call, as long as there are tools left for it.
    extra_call: u8,
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "max-tool-call-integer-param": {"type": "integer"},
    "min-tool-call-integer-param": {"type": "integer"},
    "max-tool-call-number-param": {"type": "number"},
    "min-tool-call-number-param": {"type": "number"},
    "max-tool-call-array-param-length": {"type": "integer", "minimum": 0},
    "min-tool-call-array-param-length": {"type": "integer", "minimum": 0},
    "tool-call-not-required-param-probability": {"type": "integer", "minimum": 0, "maximum": 100},
    "object-tool-call-not-required-field-probability": {"type": "integer", "minimum": 0, "maximum": 100},
    "tool-call-extra-call-probability": {"type": "integer", "minimum": 0, "maximum": 100}
  }
}"#;

impl Plugin for ToolCalls {
    fn describe() -> Description {
        let summary = "calls offered tools with arguments made up from their schemas";
        Description::new("tool-call", env!("CARGO_PKG_VERSION"), summary).with_config_schema(CONFIG_SCHEMA)
    }

    fn new(config: &str) -> Result<Self, String> {
        let config: Value = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let usual = Bounds::default();
        let integer = |key: &str, usual: i64| config.get(key).and_then(Value::as_i64).unwrap_or(usual);
        let number = |key: &str, usual: f64| config.get(key).and_then(Value::as_f64).unwrap_or(usual);
        let bounds = Bounds {
            integer: (
                integer("min-tool-call-integer-param", usual.integer.0),
                integer("max-tool-call-integer-param", usual.integer.1),
            ),
            number: (
                number("min-tool-call-number-param", usual.number.0),
                number("max-tool-call-number-param", usual.number.1),
            ),
            array_length: (
                integer("min-tool-call-array-param-length", usual.array_length.0 as i64) as usize,
                integer("max-tool-call-array-param-length", usual.array_length.1 as i64) as usize,
            ),
            optional_property: integer("tool-call-not-required-param-probability", 50) as u8,
            optional_field: integer("object-tool-call-not-required-field-probability", 50) as u8,
        };
        in_order("tool-call-integer-param", bounds.integer.0, bounds.integer.1)?;
        in_order("tool-call-number-param", bounds.number.0, bounds.number.1)?;
        in_order("tool-call-array-param-length", bounds.array_length.0, bounds.array_length.1)?;
        Ok(Self { bounds, extra_call: integer("tool-call-extra-call-probability", 45) as u8 })
    }
}

fn in_order<T: PartialOrd + std::fmt::Display>(key: &str, min: T, max: T) -> Result<(), String> {
    if min <= max { Ok(()) } else { Err(format!("min-{key} is {min}, which is more than max-{key}, {max}")) }
}

impl ToolCaller for ToolCalls {
    fn call_tools(&self, request: &Request) -> Result<Vec<ToolCall>, CallError> {
        let mut rng = rng(request.seed);
        let tools: Vec<&Tool> = match &request.tool_choice {
            ToolChoice::None => Vec::new(),
            // An answer to a result: the loop of an agent ends here.
            ToolChoice::Auto if ends_with_a_tool_result(&request.prompt) => Vec::new(),
            ToolChoice::Auto => self.draw_tools(0, request, &mut rng),
            ToolChoice::Required => self.draw_tools(1, request, &mut rng),
            ToolChoice::Function(name) => match request.tools.iter().find(|tool| tool.name == *name) {
                Some(tool) => vec![tool],
                None => {
                    let message = format!("tool_choice names the function {name:?}, which `tools` does not have");
                    return Err(CallError::reject(400, message));
                }
            },
        };
        // vLLM reads the calls that it demands and writes them anew, in Python.
        let write = match &request.tool_choice {
            ToolChoice::Required => spaced::json,
            _ => Value::to_string,
        };
        tools.into_iter().map(|tool| self.call(tool, write, &mut rng)).collect()
    }
}

impl ToolCalls {
    /// At least `min` tools, evenly up to one of each; then perhaps more. A tool may come twice.
    fn draw_tools<'a>(&self, min: usize, request: &'a Request, rng: &mut impl Rng) -> Vec<&'a Tool> {
        let tools = &request.tools;
        if tools.is_empty() {
            return Vec::new();
        }
        let most = if request.parallel_tool_calls { tools.len() } else { 1 };
        let mut count = min + usize::from(min == 0 && rng.random_bool(0.5));
        while count > 0 && count < most && rng.random_range(0..100) < u32::from(self.extra_call) {
            count += 1;
        }
        (0..count).map(|_| &tools[rng.random_range(0..tools.len())]).collect()
    }

    fn call(&self, tool: &Tool, write: fn(&Value) -> String, rng: &mut impl Rng) -> Result<ToolCall, CallError> {
        let reject =
            |reason: &str| CallError::reject(400, format!("the parameters of the tool {:?}: {reason}", tool.name));
        let schema: Value = serde_json::from_str(&tool.parameters).map_err(|error| reject(&error.to_string()))?;
        let arguments = match schema {
            Value::Null => Ok(Value::Object(Default::default())),
            // Arguments are an object, whatever else the schema leaves open.
            Value::Object(mut schema) => {
                let kinds = schema.entry("type").or_insert("object".into());
                if kinds.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "object")) {
                    *kinds = "object".into();
                }
                json_schema::value_for(&Value::Object(schema), &self.bounds, rng)
            }
            other => json_schema::value_for(&other, &self.bounds, rng),
        };
        match arguments {
            Ok(arguments @ Value::Object(_)) => {
                Ok(ToolCall { id: None, name: tool.name.clone(), arguments: write(&arguments) })
            }
            Ok(other) => Err(reject(&format!("they must describe an object, not {other}"))),
            Err(reason) => Err(reject(&reason)),
        }
    }
}

fn ends_with_a_tool_result(prompt: &Prompt) -> bool {
    match prompt {
        Prompt::Chat(messages) => messages.last().is_some_and(|message| matches!(message.role, Role::Tool)),
        Prompt::Text(_) | Prompt::TokenIds(_) => false,
    }
}

export!(ToolCalls: tool_caller);

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(config: &str) -> ToolCalls {
        ToolCalls::new(config).unwrap()
    }

    fn offering(n_tools: usize, tool_choice: ToolChoice) -> Request {
        let tool = |index| Tool {
            name: format!("tool-{index}"),
            description: None,
            parameters: r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#.into(),
        };
        Request { tools: (0..n_tools).map(tool).collect(), tool_choice, ..Request::chat("hi") }
    }

    fn counts(request: &Request) -> Vec<usize> {
        (0..500).map(|seed| plugin("{}").call_tools(&Request { seed, ..request.clone() }).unwrap().len()).collect()
    }

    #[test]
    fn the_tool_choice_decides_how_many_calls_there_may_be() {
        let auto = counts(&offering(3, ToolChoice::Auto));
        assert!((0..=3).all(|count| auto.contains(&count)) && auto.iter().all(|count| *count <= 3));
        let required = counts(&offering(3, ToolChoice::Required));
        assert!((1..=3).all(|count| required.contains(&count)) && !required.contains(&0));
        assert!(counts(&offering(3, ToolChoice::Function("tool-1".into()))).iter().all(|count| *count == 1));
        let alone = Request { parallel_tool_calls: false, ..offering(3, ToolChoice::Required) };
        assert!(counts(&alone).iter().all(|count| *count == 1));
    }

    #[test]
    fn a_tool_result_is_answered_with_text_unless_a_call_is_demanded() {
        let after_result = |tool_choice| {
            let mut request = offering(1, tool_choice);
            let Prompt::Chat(messages) = &mut request.prompt else { unreachable!() };
            messages[0].role = Role::Tool;
            request
        };
        assert!(counts(&after_result(ToolChoice::Auto)).iter().all(|count| *count == 0));
        assert!(counts(&after_result(ToolChoice::Required)).iter().all(|count| *count == 1));
    }

    #[test]
    fn what_cannot_be_called_is_a_400_that_says_why() {
        let rejected = |request: &Request| match plugin("{}").call_tools(request) {
            Err(CallError::Reject(error)) => (error.status, error.message),
            other => panic!("{other:?}"),
        };
        let (status, message) = rejected(&offering(1, ToolChoice::Function("ghost".into())));
        assert_eq!((status, message.contains("\"ghost\"")), (400, true));
        for (parameters, reason) in [
            (r#"{"type": "object", "required": ["a"], "properties": {"a": false}}"#, "admits nothing"),
            (r#"{"type": "string"}"#, "must describe an object"),
            ("not json", "the parameters of the tool \"tool-0\""),
        ] {
            let mut request = offering(1, ToolChoice::Required);
            request.tools[0].parameters = parameters.into();
            let (status, message) = rejected(&request);
            assert!(status == 400 && message.contains(reason), "{message}");
        }
    }

    #[test]
    fn a_configuration_that_contradicts_itself_is_refused() {
        let error = ToolCalls::new(r#"{"min-tool-call-integer-param": 200}"#).err().unwrap();
        assert_eq!(error, "min-tool-call-integer-param is 200, which is more than max-tool-call-integer-param, 100");
    }
}
