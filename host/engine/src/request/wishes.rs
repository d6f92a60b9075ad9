//! What a client wants beyond plain text.

/// What a client offers (tools) and asks for (format, reasoning) beyond plain text.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it may or must call.
    pub tool_choice: ToolChoice,
    /// False: at most one call.
    pub parallel_tool_calls: bool,
    /// What the content must look like.
    pub format: OutputFormat,
    /// `low`, `medium`, `high`, …
    pub reasoning_effort: Option<String>,
}

/// A function that the model may call.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The function's name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments, as JSON text.
    pub parameters: String,
}

/// OpenAI's `tool_choice`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// No calls.
    #[default]
    None,
    /// The model decides.
    Auto,
    /// At least one call.
    Required,
    /// This function.
    Function(String),
}

/// `response_format` and `structured_outputs`.
#[derive(Debug, Clone, Default)]
pub enum OutputFormat {
    /// Any text.
    #[default]
    Free,
    /// Any JSON object.
    JsonObject,
    /// JSON that this schema admits, as JSON text.
    JsonSchema(String),
    /// One of these strings.
    Choice(Vec<String>),
    /// Text that this expression matches.
    Regex(String),
    /// Kind and text of anything else.
    Other(String, String),
}
