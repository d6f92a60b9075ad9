//! Data-parallel ranks of a mixture of experts: they share the experts, so that a step of one takes as long as what all of
//! them compute at that time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StepCounts;
use crate::clock::EngineTime;

/// Ranks that step together. Clones are the same ranks; each engine that is built with one is a further rank.
#[derive(Debug, Clone, Default)]
pub struct Lockstep(Arc<Mutex<Vec<RankStep>>>);

/// The latest step of a rank.
#[derive(Debug, Clone, Copy, Default)]
struct RankStep {
    end: EngineTime,
    counts: StepCounts,
}

impl PartialEq for Lockstep {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Lockstep {
    /// A further rank; its number.
    pub(crate) fn join(&self) -> usize {
        let mut ranks = self.lock();
        ranks.push(RankStep::default());
        ranks.len() - 1
    }

    /// What all ranks compute in a step of `counts` that `rank` schedules at `at`: of the others, their latest steps, if they have not
    /// ended. With asynchronous scheduling these are as far ahead as this one.
    pub(crate) fn with_others(&self, rank: usize, counts: StepCounts, at: EngineTime) -> StepCounts {
        let mut all = counts;
        let ranks = self.lock();
        let others = ranks.iter().enumerate().filter(|(other, step)| *other != rank && step.end > at);
        others.for_each(|(_, step)| all += step.counts);
        all
    }

    /// The latest step of `rank` computes this, until `end`.
    pub(crate) fn begin(&self, rank: usize, counts: StepCounts, end: EngineTime) {
        self.lock()[rank] = RankStep { end, counts };
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RankStep>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
