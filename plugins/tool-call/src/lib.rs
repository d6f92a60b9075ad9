//! Calls offered tools, with arguments that their JSON Schemas admit.

mod spaced;

use rehearsal_sdk::{
    CallError, Description, Plugin, Prompt, Request, Rng, RngExt, Role, Tool, ToolCall, ToolCaller, ToolChoice, export,
    rng,
};
use rehearsal_synthesis::json_schema::{self, Bounds};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The plugin, with its configuration.
pub struct ToolCalls {
    bounds: Bounds,
    /// Chance, in percent, of one more call, as long as there are tools left for it.
    extra_call: u8,
}

/// What it can be configured with; what is left out is as [`Bounds`] has it. Chances are in percent.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    max_tool_call_integer_param: Option<i64>,
    min_tool_call_integer_param: Option<i64>,
    max_tool_call_number_param: Option<f64>,
    min_tool_call_number_param: Option<f64>,
    max_tool_call_array_param_length: Option<u32>,
    min_tool_call_array_param_length: Option<u32>,
    #[schemars(range(max = 100))]
    tool_call_not_required_param_probability: Option<u8>,
    #[schemars(range(max = 100))]
    object_tool_call_not_required_field_probability: Option<u8>,
    #[schemars(range(max = 100))]
    tool_call_extra_call_probability: Option<u8>,
}

/// Chance, in percent, of one more call, where nothing is said of it.
const EXTRA_CALL: u8 = 45;

impl Plugin for ToolCalls {
    type Config = Config;

    fn describe() -> Description {
        let summary = "calls offered tools with arguments made up from their schemas";
        Description::new("tool-call", env!("CARGO_PKG_VERSION"), summary)
    }

    fn new(config: Config) -> Result<Self, String> {
        let usual = Bounds::default();
        let length = |given: Option<u32>, usual| given.map_or(usual, |length| length as usize);
        let bounds = Bounds {
            integer: (
                config.min_tool_call_integer_param.unwrap_or(usual.integer.0),
                config.max_tool_call_integer_param.unwrap_or(usual.integer.1),
            ),
            number: (
                config.min_tool_call_number_param.unwrap_or(usual.number.0),
                config.max_tool_call_number_param.unwrap_or(usual.number.1),
            ),
            array_length: (
                length(config.min_tool_call_array_param_length, usual.array_length.0),
                length(config.max_tool_call_array_param_length, usual.array_length.1),
            ),
            optional_property: config.tool_call_not_required_param_probability.unwrap_or(usual.optional_property),
            optional_field: config.object_tool_call_not_required_field_probability.unwrap_or(usual.optional_field),
        };
        in_order("tool-call-integer-param", bounds.integer.0, bounds.integer.1)?;
        in_order("tool-call-number-param", bounds.number.0, bounds.number.1)?;
        in_order("tool-call-array-param-length", bounds.array_length.0, bounds.array_length.1)?;
        Ok(Self { bounds, extra_call: config.tool_call_extra_call_probability.unwrap_or(EXTRA_CALL) })
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
    use rehearsal_sdk::config;

    use super::*;

    fn plugin(config: &str) -> ToolCalls {
        ToolCalls::new(config::read(config).unwrap()).unwrap()
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
        let config = config::read(r#"{"min-tool-call-integer-param": 200}"#).unwrap();
        let error = ToolCalls::new(config).err().unwrap();
        assert_eq!(error, "min-tool-call-integer-param is 200, which is more than max-tool-call-integer-param, 100");
    }
}
