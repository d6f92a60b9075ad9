//! Shorthand for errors, and for what is to happen to a request.

use crate::{ApiError, CallError, Failure, Moment, Outcome};

impl ApiError {
    /// An error answer with this status, 400 to 599, and this message. The host fills in what is left out as vLLM has it.
    ///
    /// ```
    /// use rehearsal_sdk::ApiError;
    ///
    /// let error = ApiError::new(429, "not so fast").with_code("rate_limit_exceeded").with_header("retry-after", "7");
    /// assert_eq!((error.status, error.code.as_deref()), (429, Some("rate_limit_exceeded")));
    /// ```
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), kind: None, code: None, param: None, headers: Vec::new() }
    }

    /// The same with this `type`.
    ///
    /// ```
    /// let error = rehearsal_sdk::ApiError::new(429, "not so fast").with_kind("tokens");
    /// assert_eq!(error.kind.as_deref(), Some("tokens"));
    /// ```
    pub fn with_kind(self, kind: &str) -> Self {
        Self { kind: Some(kind.into()), ..self }
    }

    /// The same with this `code`; else it is the status.
    ///
    /// ```
    /// let error = rehearsal_sdk::ApiError::new(503, "the circuit is open").with_code("circuit_open");
    /// assert_eq!(error.code.as_deref(), Some("circuit_open"));
    /// ```
    pub fn with_code(self, code: &str) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    /// The same with a header of its answer.
    ///
    /// ```
    /// let error = rehearsal_sdk::ApiError::new(503, "later").with_header("retry-after", "1");
    /// assert_eq!(error.headers, [("retry-after".to_owned(), "1".to_owned())]);
    /// ```
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl CallError {
    /// An error answer with this status, 400 to 599, and this message.
    ///
    /// ```
    /// use rehearsal_sdk::{ApiError, CallError};
    ///
    /// assert_eq!(CallError::reject(422, "no"), CallError::Reject(ApiError::new(422, "no")));
    /// ```
    pub fn reject(status: u16, message: impl Into<String>) -> Self {
        Self::Reject(ApiError::new(status, message))
    }
}

impl Outcome {
    /// This error, when the request arrives: its client sees the status.
    ///
    /// ```
    /// use rehearsal_sdk::{ApiError, Moment, Outcome};
    ///
    /// assert_eq!(Outcome::now(ApiError::new(503, "unlucky")).moment, Moment::OnArrival);
    /// ```
    pub fn now(error: ApiError) -> Self {
        Self { failure: Failure::Error(error), moment: Moment::OnArrival }
    }

    /// This failure at that moment.
    ///
    /// ```
    /// use rehearsal_sdk::{Failure, Moment, Outcome};
    ///
    /// assert_eq!(Outcome::at(Moment::AfterTokens(5), Failure::Disconnect).failure, Failure::Disconnect);
    /// ```
    pub fn at(moment: Moment, failure: Failure) -> Self {
        Self { failure, moment }
    }
}
