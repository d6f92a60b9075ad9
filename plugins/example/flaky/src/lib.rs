//! Fails every third request of each tenant, as the header `x-tenant-id` names them. The count outlives the instances:
//! the host keeps it.

use rehearsal_sdk::{
    ApiError, Arrival, CallError, Description, Failure, FailureSelector, Moment, Outcome, Plugin, export, state,
};

/// The plugin; it has nothing to configure.
pub struct Flaky;

impl Plugin for Flaky {
    fn describe() -> Description {
        let mut description =
            Description::new("flaky", env!("CARGO_PKG_VERSION"), "fails every third request of a tenant");
        description.needs = vec!["header:x-tenant-id".into()];
        description
    }

    fn new(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }
}

impl FailureSelector for Flaky {
    fn select(&self, arrival: &Arrival) -> Result<Vec<Outcome>, CallError> {
        let Some((_, tenant)) = arrival.headers.iter().find(|(name, _)| name == "x-tenant-id") else {
            return Ok(Vec::new());
        };
        if state::increment(&format!("requests of {tenant}"), 1) % 3 != 0 {
            return Ok(Vec::new());
        }
        let error = ApiError {
            status: 503,
            message: format!("the third request of {tenant} is unlucky"),
            kind: None,
            code: None,
            param: None,
            headers: vec![("retry-after".into(), "1".into())],
        };
        Ok(vec![Outcome { failure: Failure::Error(error), moment: Moment::OnArrival }])
    }
}

export!(Flaky: failure_selector);
