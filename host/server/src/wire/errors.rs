//! What a client is told when something is wrong: vLLM's body, and the only place that knows status codes.

mod answer;
mod hidden_paths;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rehearsal_engine::{QueueFull, StrategyError};

use super::invalid::Invalid;
pub use answer::ErrorBody;

/// Everything that can be wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The body is not declared as JSON.
    #[error("1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed")]
    UnsupportedMediaType,
    /// What a handler finds wrong with a body that it reads by itself.
    #[error("{0}")]
    BadRequest(String),
    /// The body is larger than bodies may be.
    #[error("the request's body is larger than {most} bytes, the most that --max-body-size lets it have")]
    BodyTooLarge {
        /// In bytes.
        most: usize,
    },
    /// The client has sent nothing more of its body for too long.
    #[error("the request's body did not come: nothing of it for longer than --body-timeout lets it pause")]
    BodyStalled,
    /// The body is cut, or not what HTTP lets a body be.
    #[error("the request's body cannot be read: {0}")]
    BodyBroken(String),
    /// It has not been sent whole, and will not be waited for.
    #[error("this server is stopping")]
    Stopping,
    /// The body is no text in any Unicode encoding, or nested too deeply.
    #[error("There was an error parsing the body")]
    UnreadableBody,
    /// The body is not JSON, or its fields are of the wrong type.
    #[error(transparent)]
    Fields(#[from] Invalid),
    /// A value is out of its range, or contradicts another one.
    #[error("{message}{}", suffix(*.param, .value.as_deref()))]
    Invalid {
        /// What is wrong.
        message: String,
        /// The field at fault, where vLLM names it.
        param: Option<&'static str>,
        /// Its value, where vLLM repeats it.
        value: Option<String>,
    },
    /// What was asked of an adapter cannot be done.
    #[error("{0}")]
    InvalidUserInput(String),
    /// No adapter has this name.
    #[error("The lora adapter '{name}' cannot be found.")]
    UnknownAdapter {
        /// What the client asked for.
        name: String,
    },
    /// What OpenAI's Responses API calls an invalid request.
    #[error("{message}")]
    InvalidRequest {
        /// What is wrong.
        message: String,
        /// The field at fault.
        param: &'static str,
    },
    /// There is no such plugin.
    #[error("There is no plugin '{name}'.")]
    UnknownPlugin {
        /// What the client asked for.
        name: String,
    },
    /// No response of this id was kept.
    #[error("Response with id '{id}' not found.")]
    UnknownResponse {
        /// What the client asked for.
        id: String,
    },
    /// No such model is served.
    #[error("The model `{model}` does not exist. Valid aliases: {}.", served.join(", "))]
    UnknownModel {
        /// What the client asked for.
        model: String,
        /// What it could have asked for.
        served: Vec<String>,
    },
    /// What vLLM itself fails on.
    #[error("{0}")]
    Internal(String),
    /// The same where the request is for a model that does not generate.
    #[error("The model `{model}` does not exist.")]
    UnknownPoolingModel {
        /// What the client asked for.
        model: String,
    },
    /// The server was told to take no new requests.
    #[error("this server is paused: send the request again when it goes on")]
    Paused,
    /// The waiting queue has no room.
    #[error(transparent)]
    QueueFull(#[from] QueueFull),
    /// The plugin gave no output.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
}

/// vLLM repeats the field and its value behind the message.
fn suffix(param: Option<&str>, value: Option<&str>) -> String {
    match (param, value) {
        (Some(param), Some(value)) => format!(" (parameter={param}, value={value})"),
        (Some(param), None) => format!(" (parameter={param})"),
        (None, _) => String::new(),
    }
}

impl ApiError {
    /// A range or a contradiction that vLLM reports without naming a field.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), param: None, value: None }
    }

    /// One that names the field.
    pub fn invalid_param(param: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), param: Some(param), value: None }
    }

    /// One that names the field and repeats its value.
    pub fn invalid_value(param: &'static str, value: impl ToString, message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), param: Some(param), value: Some(value.to_string()) }
    }

    /// A tool that is to be called, and is not among those offered.
    pub fn unknown_tool(name: &str) -> Self {
        Self::invalid_param("tool_choice", format!("tool_choice names {name:?}, which is none of the tools"))
    }

    /// What was asked of an adapter cannot be done.
    pub fn invalid_user_input(message: impl ToString) -> Self {
        Self::InvalidUserInput(message.to_string())
    }
}

/// What the framework answers by itself.
pub fn detail(status: StatusCode, detail: &str) -> Response {
    (status, Json(serde_json::json!({ "detail": detail }))).into_response()
}

/// `error.code` of a plugin that broke in this way.
pub(crate) fn plugin_code(kind: &str) -> String {
    format!("plugin_{kind}")
}
