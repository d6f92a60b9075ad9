//! Contradictions that vLLM looks for before the types of the fields, in the raw JSON: what is found here comes before
//! everything that is of the wrong type. Each endpoint has its own order.

use serde_json::{Map, Value};

use super::fields;
use crate::config::RequestLimits;
use crate::wire::errors::ApiError;
use crate::wire::fields::{Fields, is_truthy};
use crate::wire::invalid::Invalid;
use crate::wire::{python, schema};

type Object = Map<String, Value>;

/// A conversation is continued or answered, not both.
pub fn generation_prompt(object: &Object) -> Result<(), ApiError> {
    if is_truthy(Fields(object).given("continue_final_message"))
        && is_truthy(Fields(object).given("add_generation_prompt"))
    {
        let message = "add_generation_prompt must be false where continue_final_message is true";
        return Err(ApiError::invalid(message));
    }
    Ok(())
}

/// `stream_options` says how to stream, so there must be a stream.
pub fn stream_options(object: &Object) -> Result<(), ApiError> {
    if is_truthy(Fields(object).given("stream_options")) && !is_truthy(Fields(object).given("stream")) {
        return Err(ApiError::invalid_param("stream_options", "stream_options needs `stream=True`"));
    }
    Ok(())
}

/// One constraint at most, and none beside a tool that was named. `param` is what errors name.
pub fn structured_outputs(object: &Object, param: Option<&'static str>) -> Result<(), ApiError> {
    let Some(given) = Fields(object).raw("structured_outputs") else { return Ok(()) };
    let Some(structured) = given.as_object() else {
        // So vLLM does, too.
        let message = format!("structured_outputs must be an object, it is {}", python::text(given));
        return Err(ApiError::Internal(message));
    };
    let n_constraints =
        ["json", "regex", "choice"].iter().filter(|name| Fields(structured).raw(name).is_some()).count();
    if n_constraints > 1 {
        let message = "only one kind of constraint can be used for structured outputs ('json', 'regex' or 'choice')";
        return Err(ApiError::Invalid { message: message.into(), param, value: None });
    }
    let choice = Fields(object).given("tool_choice");
    let is_named = choice.is_some_and(|choice| !["none", "auto", "required"].iter().any(|word| choice == word));
    if n_constraints > 0 && is_named && param.is_none() {
        return Err(ApiError::invalid("structured outputs and a tool that is named cannot be had together"));
    }
    if Fields(structured).raw("structural_tag").is_some() {
        let message = "structured_outputs: structural tags are not simulated";
        return Err(ApiError::invalid_param("structured_outputs", message));
    }
    Ok(())
}

/// A format of a schema has one.
pub fn response_format(object: &Object) -> Result<(), ApiError> {
    let Some(format) = Fields(object).within("response_format") else { return Ok(()) };
    let refused = |message: &str| Err(ApiError::invalid_param("response_format", message));
    match format.text("type") {
        Some("json_schema") if format.raw("json_schema").is_none() => {
            refused("a response_format of type 'json_schema' must have the field 'json_schema'")
        }
        Some("structural_tag") => refused("response_format: structural tags are not simulated"),
        _ => Ok(()),
    }
}

/// A salt has 1 to 128 characters, and none that separate names elsewhere.
pub fn cache_salt(object: &Object) -> Result<(), ApiError> {
    let is_fine = match Fields(object).given("cache_salt") {
        None | Some(Value::Null) => true,
        Some(Value::String(salt)) => {
            !salt.is_empty() && salt.chars().count() <= 128 && !salt.contains(['@', '/', '\\', '\0'])
        }
        Some(_) => false,
    };
    let message = "cache_salt must have 1 to 128 characters, none of them @, /, \\ or NUL";
    if is_fine { Ok(()) } else { Err(ApiError::invalid_param("cache_salt", message)) }
}

/// Log-probabilities of chosen tokens: only where an answer has any to tell.
fn logprob_token_ids(object: &Object) -> Result<(), ApiError> {
    const NAME: &str = "logprob_token_ids";
    // A text completion wants a number of them, a chat wants them or not.
    let is_text = object.contains_key("prompt");
    let wants_logprobs = match Fields(object).given("logprobs") {
        Some(Value::Number(_)) if is_text => true,
        logprobs => is_truthy(logprobs),
    };
    let (is_chosen, echoes) =
        (is_truthy(Fields(object).given(NAME)), is_text && is_truthy(Fields(object).given("echo")));
    let searches_beams = is_truthy(Fields(object).given("use_beam_search"));
    if is_chosen && searches_beams {
        return Err(ApiError::invalid_param(NAME, "logprob_token_ids: not with use_beam_search"));
    }
    if searches_beams && echoes && wants_logprobs {
        return Err(ApiError::invalid_param("echo", "echo with logprobs: not with use_beam_search"));
    }
    if is_chosen && echoes && Fields(object).given("max_tokens").and_then(Value::as_i64) == Some(0) {
        return Err(ApiError::invalid_param(NAME, "logprob_token_ids: not where only the prompt is echoed"));
    }
    if is_chosen && !wants_logprobs {
        return Err(ApiError::invalid_param(NAME, "logprob_token_ids needs `logprobs`"));
    }
    Ok(())
}

/// Log-probabilities: numbers of them, and not of a stream's prompt. `counts` names the fields that are numbers.
pub fn logprobs(object: &Object, counts: &[&'static str]) -> Result<(), ApiError> {
    logprob_token_ids(object)?;
    for name in counts {
        let Some(value) = Fields(object).raw(name) else { continue };
        let is_number = value.is_number() || value.is_boolean();
        let number =
            if value.is_boolean() { f64::from(u8::from(value == true)) } else { value.as_f64().unwrap_or(0.0) };
        if !is_number {
            return Err(ApiError::invalid_value(name, python::text(value), format!("{name} must be an integer")));
        }
        if *name == "prompt_logprobs" && is_truthy(Fields(object).given("stream")) && (number > 0.0 || number == -1.0) {
            return Err(ApiError::invalid_param(name, "prompt_logprobs cannot be streamed"));
        }
        if number < 0.0 && number != -1.0 {
            let message = format!("{name} must be 0 or more, or -1 for all");
            return Err(ApiError::invalid_value(name, python::text(value), message));
        }
        if *name == "top_logprobs" && number != 0.0 && !is_truthy(Fields(object).given("logprobs")) {
            return Err(ApiError::invalid_param(name, "top_logprobs needs `logprobs` to be true"));
        }
    }
    Ok(())
}

/// Tokens of thought: -1 or more.
pub fn thinking_token_budget(object: &Object) -> Result<(), ApiError> {
    let Some(budget) = Fields(object).raw("thinking_token_budget") else { return Ok(()) };
    if budget.is_number() && !budget.is_f64() && budget.as_i64().is_none_or(|budget| budget >= -1) {
        return Ok(());
    }
    let message = "thinking_token_budget must be 0 or more, or -1 for no limit";
    Err(ApiError::invalid_value("thinking_token_budget", python::text(budget), message))
}

/// Which tools there are, and which of them is to be called.
pub fn tools(object: &Object) -> Result<(), ApiError> {
    let tools = Fields(object).given("tools").filter(|tools| !tools.is_null());
    if tools.and_then(Value::as_array).is_some_and(Vec::is_empty) {
        return Err(ApiError::invalid_param("tools", "tools must not be an empty list: name a tool or leave it out"));
    }
    let Some(choice) = Fields(object).given("tool_choice").filter(|choice| !choice.is_null() && *choice != "none")
    else {
        return Ok(());
    };
    let Some(tools) = tools else { return Err(ApiError::invalid_param("tool_choice", "tool_choice needs `tools`")) };
    let Some(named) = choice.as_object() else {
        if choice == "auto" || choice == "required" {
            return Ok(());
        }
        let message =
            format!("tool_choice must be none, auto, required or name a tool, it is {}", python::text(choice));
        return Err(ApiError::invalid_param("tool_choice", message));
    };
    const FORM: &str = r#"write {"type": "function", "function": {"name": "my_function"}}"#;
    let Some(function) = Fields(named).object("function") else {
        return Err(ApiError::invalid_param("tool_choice.function", format!("tool_choice names no function: {FORM}")));
    };
    let Some(name) = Fields(function).text("name").filter(|name| !name.is_empty()) else {
        let message = format!("the function of tool_choice has no name: {FORM}");
        return Err(ApiError::invalid_param("tool_choice.function.name", message));
    };
    let Some(tools) = tools.as_array() else { return Ok(()) };
    for tool in tools {
        match tool.get("function").map(|function| function.get("name")) {
            Some(Some(offered)) if offered == name => return Ok(()),
            Some(Some(_)) => {}
            // So vLLM does, too.
            Some(None) => return Err(ApiError::Internal("a tool has no name".into())),
            None => return Err(ApiError::invalid("a tool has no function")),
        }
    }
    Err(ApiError::unknown_tool(name))
}

/// Calls in a message are a list.
pub fn messages(object: &Object) -> Result<(), ApiError> {
    match Fields(object).given("messages") {
        None | Some(Value::Array(_) | Value::Object(_) | Value::String(_)) => Ok(()),
        Some(other) => Err(ApiError::invalid(format!("messages must be a list, it is {}", python::text(other)))),
    }
}

/// As [`messages`], of what is in them.
pub fn tool_calls(object: &Object) -> Result<(), ApiError> {
    for message in Fields(object).list("messages") {
        match message.get("tool_calls") {
            None | Some(Value::Null | Value::Array(_) | Value::Object(_) | Value::String(_)) => {}
            Some(other) => {
                return Err(ApiError::invalid(format!("tool_calls must be a list, it is {}", python::text(other))));
            }
        }
    }
    Ok(())
}

/// The calls of an assistant's message, which pydantic only looks at when they are used: errors name the call, but not the
/// message.
pub fn calls_of_assistants(object: &Object, limits: &RequestLimits) -> Result<(), ApiError> {
    for message in Fields(object).list("messages").iter().filter(|message| message["role"] == "assistant") {
        let calls: Vec<Value> = match message.get("tool_calls") {
            Some(Value::Array(calls)) => calls.clone(),
            // What Python makes a list of.
            Some(Value::Object(calls)) => calls.keys().cloned().map(Value::String).collect(),
            Some(Value::String(calls)) => calls.chars().map(|c| Value::String(c.into())).collect(),
            _ => continue,
        };
        let mut invalid = Invalid::default();
        for (index, call) in calls.iter().enumerate() {
            invalid.append(schema::check_value(call, &fields::ASSISTANT_CALL, &format!("body.{index}"), limits));
        }
        invalid.or_ok()?;
    }
    Ok(())
}

/// A text completion has a prompt, and not too many of them.
pub fn prompt(object: &Object, limits: &RequestLimits) -> Result<(), ApiError> {
    let prompt = Fields(object).given("prompt");
    if let Some(Value::Array(prompts)) = prompt {
        let most = limits.prompts;
        if prompts.len() > most && !prompts[0].is_number() {
            let n_prompts = prompts.len();
            let message =
                format!("prompt has {n_prompts} prompts, at most {most} are allowed by VLLM_MAX_COMPLETION_PROMPTS");
            return Err(ApiError::invalid_param("prompt", message));
        }
        if prompts.is_empty() {
            return Err(ApiError::invalid("the prompt cannot be empty"));
        }
    }
    if let Some(Value::Array(embeds)) = Fields(object).given("prompt_embeds")
        && embeds.len() > limits.prompts
    {
        return Err(ApiError::invalid_param("prompt_embeds", "prompt_embeds has too many prompts"));
    }
    let is_empty = matches!(prompt, None | Some(Value::Null)) || prompt.is_some_and(|prompt| prompt == "");
    if is_empty && !is_truthy(Fields(object).given("prompt_embeds")) {
        return Err(ApiError::invalid_param("prompt", "prompt must be given and not be empty"));
    }
    Ok(())
}
