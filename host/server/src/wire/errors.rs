//! What a client is told when something is wrong: vLLM's body, and the only place that knows status codes.

use std::sync::LazyLock;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use regex_lite::Regex;
use rehearsal_engine::{Fault, PluginFault, QueueFull, StrategyError};
use serde::Serialize;
use serde_json::Value;

use super::broken;
use super::invalid::Invalid;

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

    /// The body, with the status inside it.
    pub fn body(&self) -> ErrorBody {
        let (status, kind) = self.status_and_type();
        let mut error = ErrorObject {
            message: match self {
                // In a plugin's own words.
                Self::Strategy(_) => self.to_string(),
                _ => without_paths(self.to_string()),
            },
            kind: kind.into(),
            param: None,
            code: Value::from(status.as_u16()),
        };
        match self {
            Self::UnsupportedMediaType
            | Self::BadRequest(_)
            | Self::UnreadableBody
            | Self::Internal(_)
            | Self::UnknownPlugin { .. }
            | Self::InvalidUserInput(_)
            | Self::UnknownAdapter { .. }
            | Self::UnknownPoolingModel { .. }
            | Self::BodyTooLarge { .. }
            | Self::BodyStalled
            | Self::BodyBroken(_)
            | Self::Stopping
            | Self::Paused
            | Self::QueueFull(_) => {}
            Self::Fields(fields) => error.param = Some(fields.first.clone()),
            Self::Invalid { param, .. } => error.param = param.map(str::to_owned),
            Self::UnknownModel { .. } => error.param = Some("model".into()),
            Self::InvalidRequest { param, .. } => error.param = Some((*param).into()),
            Self::UnknownResponse { .. } => error.param = Some("response_id".into()),
            Self::Strategy(StrategyError::Rejected(rejection)) => {
                error.kind = rejection.kind.clone().unwrap_or(error.kind);
                error.param = rejection.param.clone();
                error.code = rejection.code.clone().map_or(error.code, Value::String);
            }
            Self::Strategy(StrategyError::Plugin(fault)) => error.code = plugin_code(fault.fault.kind()).into(),
            Self::Strategy(_) => {}
        }
        ErrorBody { error }
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        self.status_and_type().0
    }

    /// The answer, in the shape of another API.
    pub fn with_body(self, body: &impl Serialize) -> Response {
        match self {
            Self::Strategy(StrategyError::Disconnected) => return broken::cut_connection(),
            Self::Strategy(StrategyError::Malformed) => return broken::malformed(),
            // The framework's own, in its own shape.
            Self::UnreadableBody => return detail(self.status(), &self.to_string()),
            _ => {}
        }
        let mut response = (self.status(), Json(body)).into_response();
        for (name, value) in self.headers() {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else { continue };
            if !FRAMING.contains(&name.as_str()) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }

    fn status_and_type(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnsupportedMediaType | Self::BadRequest(_) | Self::UnreadableBody | Self::Fields(_) => {
                (StatusCode::BAD_REQUEST, "Bad Request")
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
            Self::Invalid { .. } => (StatusCode::BAD_REQUEST, "BadRequestError"),
            Self::InvalidUserInput(_) => (StatusCode::BAD_REQUEST, "InvalidUserInput"),
            Self::InvalidRequest { .. } => (StatusCode::BAD_REQUEST, "invalid_request_error"),
            Self::UnknownResponse { .. } => (StatusCode::NOT_FOUND, "invalid_request_error"),
            Self::UnknownModel { .. }
            | Self::UnknownPoolingModel { .. }
            | Self::UnknownAdapter { .. }
            | Self::UnknownPlugin { .. } => (StatusCode::NOT_FOUND, "NotFoundError"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "BadRequestError"),
            Self::BodyStalled => (StatusCode::REQUEST_TIMEOUT, "BadRequestError"),
            Self::BodyBroken(_) => (StatusCode::BAD_REQUEST, "BadRequestError"),
            Self::Stopping | Self::Paused => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableError"),
            Self::QueueFull(_) => (StatusCode::TOO_MANY_REQUESTS, "RateLimitError"),
            Self::Strategy(error) => {
                let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let kind = match error {
                    StrategyError::Rejected(_) => usual_type(status),
                    StrategyError::Plugin(_) => "plugin_error",
                    StrategyError::Disconnected | StrategyError::Malformed => "",
                    StrategyError::Lost => "InternalServerError",
                };
                (status, kind)
            }
        }
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        if let Self::Strategy(error) = self {
            if let Some(plugin) = error.plugin() {
                headers.push(("x-rehearsal-plugin".into(), plugin.into()));
            }
            match error {
                StrategyError::Rejected(rejection) => headers.extend(rejection.headers.iter().cloned()),
                StrategyError::Plugin(PluginFault { fault: Fault::Saturated { .. }, .. }) => {
                    headers.push(("retry-after".into(), "1".into()));
                }
                _ => {}
            }
        }
        headers
    }
}

/// vLLM shows no paths and no addresses of its own, and takes what a client sent for such, too.
fn without_paths(message: String) -> String {
    static HIDDEN: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        let regex = |pattern: &str| Regex::new(pattern).expect("patterns that are tried by a test");
        [
            (regex(r" at 0x[0-9a-fA-F]+>"), ">"),
            (regex(r#"\n?\s*File "[^"]+", line \d+, in \S+(\n\s+.*)?"#), ""),
            (regex(r"/(?:home|usr|opt|var|tmp|root|lib|mnt|srv)(?:/[\w.\-]+)+"), "<path>"),
            (regex(r"(?:/[\w\-]+)+/[\w\-]+\.\w+"), "<path>"),
        ]
    });
    if !message.contains(['/', '"']) && !message.contains(" at 0x") {
        return message;
    }
    let hide = |message: String, (regex, shown): &(Regex, &str)| regex.replace_all(&message, *shown).into_owned();
    HIDDEN.iter().fold(message, hide).trim().to_owned()
}

/// The type that vLLM and OpenAI's clients go with a status.
fn usual_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "AuthenticationError",
        403 => "PermissionDeniedError",
        404 => "NotFoundError",
        422 => "UnprocessableEntityError",
        429 => "RateLimitError",
        400..=499 => "BadRequestError",
        _ => "InternalServerError",
    }
}

/// `{"error": {…}}`
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    error: ErrorObject,
}

#[derive(Debug, Serialize)]
struct ErrorObject {
    message: String,
    #[serde(rename = "type")]
    kind: String,
    param: Option<String>,
    /// The status, but a plugin may say more in words.
    code: Value,
}

/// Headers that decide where a message ends: only the server sets them.
const FRAMING: [&str; 4] = ["content-length", "transfer-encoding", "connection", "content-type"];

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.body();
        self.with_body(&body)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_addresses_are_not_shown() {
        let shown = |message: &str| without_paths(message.to_owned());
        assert_eq!(
            shown("see /models/a/b.txt and <f at 0x12ab> in http://x.y/z/q.html"),
            "see <path> and <f> in http://x.y<path>"
        );
        assert_eq!(shown("n must be at least 1, got 0"), "n must be at least 1, got 0");
    }
}
