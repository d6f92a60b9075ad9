//! Fails every third request of each tenant, as the header `x-tenant-id` names them. The count outlives the instances:
//! the host keeps it.

use rehearsal_sdk::{
    ApiError, Arrival, CallError, Description, FailureSelector, NoConfig, Outcome, Plugin, export, state,
};

/// The plugin; it has nothing to configure.
pub struct Flaky;

impl Plugin for Flaky {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("flaky", env!("CARGO_PKG_VERSION"), "fails every third request of a tenant")
            .needing(["header:x-tenant-id"])
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

impl FailureSelector for Flaky {
    fn select(&self, arrival: &Arrival) -> Result<Vec<Outcome>, CallError> {
        let Some(tenant) = arrival.header("x-tenant-id") else { return Ok(Vec::new()) };
        if state::increment(&format!("requests of {tenant}"), 1) % 3 != 0 {
            return Ok(Vec::new());
        }
        let error = ApiError::new(503, format!("the third request of {tenant} is unlucky"));
        Ok(vec![Outcome::now(error.with_header("retry-after", "1"))])
    }
}

export!(Flaky: failure_selector);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_request_of_a_tenant_fails() {
        let of = |tenant: &str| Arrival { headers: vec![("x-tenant-id".into(), tenant.into())], ..Arrival::default() };
        let fails = |tenant: &str| !Flaky.select(&of(tenant)).unwrap().is_empty();
        assert_eq!(["ann", "bob", "ann", "ann", "bob", "bob"].map(fails), [false, false, false, true, false, true]);
        assert!(Flaky.select(&Arrival::default()).unwrap().is_empty(), "it has no tenant");
    }
}
