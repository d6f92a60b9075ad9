//! The failures that have names: what an inference service answers on a bad day.

use rehearsal_sdk::ApiError;

/// All of them.
pub(crate) const KINDS: [&str; 6] =
    ["rate_limit", "invalid_api_key", "context_length", "server_error", "invalid_request", "model_not_found"];

/// Whether there is a failure of this name.
pub(crate) fn check(kind: &str) -> Result<(), String> {
    match KINDS.contains(&kind) {
        true => Ok(()),
        false => Err(format!("{kind:?} is no type of failure; known are {}", KINDS.join(", "))),
    }
}

/// The error of a name that was checked.
pub(crate) fn error(kind: &str, model: &str) -> ApiError {
    match kind {
        "rate_limit" => {
            plain(429, format!("Rate limit reached for {model} on requests per min: limit 3, used 3, requested 1"))
        }
        "invalid_api_key" => plain(401, "Incorrect API key provided".into()),
        "context_length" => {
            let message = "This model's maximum context length is 4096 tokens, the messages have 4500".into();
            ApiError { param: Some("messages".into()), ..plain(400, message) }
        }
        "invalid_request" => {
            let message = "Invalid request: the parameter 'model' is missing".into();
            ApiError { param: Some("model".into()), ..plain(400, message) }
        }
        "model_not_found" => {
            let message = format!("The model `{model}-nonexistent` does not exist");
            ApiError { param: Some("model".into()), ..plain(404, message) }
        }
        _ => plain(503, "The server is overloaded or not ready yet".into()),
    }
}

/// An error whose type the host knows by its status. One that asks for patience says for how long.
pub(crate) fn plain(status: u16, message: String) -> ApiError {
    let error = ApiError::new(status, message);
    if status == 429 { error.with_header("retry-after", "1") } else { error }
}
