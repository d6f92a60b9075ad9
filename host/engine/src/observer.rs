//! What is told of an engine's steps: metrics, event publishers, logs. An observer cannot answer, fail or delay anything.

use crate::report::StepReport;

/// Told of every step in which anything happened, in order, while the engine is locked. Must not block, and must not
/// ask the engine anything.
pub trait EngineObserver: Send + Sync {
    /// One step was made.
    fn observe(&self, report: &StepReport);
}
