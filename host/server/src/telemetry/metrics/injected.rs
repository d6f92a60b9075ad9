//! `rehearsal_injected_failures_total`: failures that were asked for, and happened. Ours, not vLLM's.

use prometheus::{IntCounterVec, Opts, Registry, Result};
use rehearsal_engine::{EngineObserver, Failure, StepReport};

use super::families::add;

/// Counts failures by their kinds.
pub struct InjectedFailures(IntCounterVec);

impl InjectedFailures {
    /// Registers the family, with a row for each kind.
    pub(super) fn register(registry: &Registry) -> Result<Self> {
        let opts = Opts::new(
            "rehearsal_injected_failures_total",
            "Failures that happened on purpose, by kind; a request may have several.",
        );
        let family = add(registry, IntCounterVec::new(opts, &["kind"]))?;
        for kind in Failure::KINDS {
            family.with_label_values(&[kind]);
        }
        Ok(Self(family))
    }
}

impl EngineObserver for InjectedFailures {
    fn observe(&self, report: &StepReport) {
        for (_, kind) in &report.injected {
            self.0.with_label_values(&[kind]).inc();
        }
    }
}
