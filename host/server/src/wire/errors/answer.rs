//! An error as an answer: its status, its body, its headers.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rehearsal_engine::{Fault, PluginFault, StrategyError};
use serde::Serialize;
use serde_json::Value;

use super::hidden_paths::without_paths;
use super::{ApiError, detail, plugin_code};
use crate::wire::broken;

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

impl ApiError {
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.body();
        self.with_body(&body)
    }
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
