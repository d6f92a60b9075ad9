//! What holds after every step, looked at in debug builds.

use super::sequence::Pace;
use super::{Core, Deadline, Paused};
use crate::clock::EngineTime;

impl Core {
    pub(super) fn debug_assert_invariants(&self) {
        // In a crowd, looking at all of it would take longer than the step.
        if cfg!(debug_assertions) && self.sequences.len() <= 64 {
            let in_flight = self.sequences.values().filter(|sequence| sequence.awaits_answer()).count();
            let selecting = self.requests.values().filter(|request| request.is_selecting()).count();
            assert_eq!(self.calls_in_flight, in_flight + selecting);
            assert_eq!(self.scheduler.n_running() + self.scheduler.n_waiting(), self.sequences.len());
            for (id, sequence) in &self.sequences {
                assert!(self.requests.contains_key(&sequence.choice.number), "a sequence without a request");
                let due = matches!(sequence.pace, Pace::Due(due) if self.holds(&(due, Deadline::Token(*id))));
                assert_eq!(due, matches!(sequence.pace, Pace::Due(_)), "{id:?} is due and has no deadline");
                assert_eq!(
                    self.scheduler.runs(*id),
                    sequence.prefilled_at().is_some(),
                    "{id:?} does not know whether it runs"
                );
            }
            let due = self.sequences.values().filter(|sequence| matches!(sequence.pace, Pace::Due(_))).count();
            let played = self.requests.values().filter(|request| request.play_at.is_some()).count();
            let held = self.paused.as_ref().map_or(0, Paused::n_held);
            let is_step = |(_, deadline): &&(EngineTime, Deadline)| *deadline == Deadline::Step;
            let of_steps = self.deadlines.iter().filter(is_step).count();
            assert_eq!(self.deadlines.len() + held, due + played + of_steps, "a deadline of nothing");
            self.debug_assert_steps();
        }
    }
}
