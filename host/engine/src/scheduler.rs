//! Who waits and who runs. A state machine that is stepped: it has no clock and calls nobody.
//!
//! First come, first served, as vLLM's default policy: the head of the queue is admitted when a place is free, and
//! nobody overtakes it.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroU32;

/// Names a sequence for as long as the scheduler knows it. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(u64);

/// A request found no room in the waiting queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Sequences that were waiting.
    pub waiting: usize,
}

/// The waiting queue and the running batch.
#[derive(Debug)]
pub struct Scheduler {
    max_running: usize,
    max_waiting: usize,
    waiting: VecDeque<SequenceId>,
    running: HashSet<SequenceId>,
    next_id: u64,
}

impl Scheduler {
    /// A scheduler with nobody in it.
    pub fn new(max_num_seqs: NonZeroU32, max_waiting_queue_length: u32) -> Self {
        Self {
            max_running: max_num_seqs.get() as usize,
            max_waiting: max_waiting_queue_length as usize,
            waiting: VecDeque::new(),
            running: HashSet::new(),
            next_id: 0,
        }
    }

    /// Queues the `n` sequences of one request, all or none. Call [`Self::schedule`] next.
    pub fn enqueue(&mut self, n: u32) -> Result<Vec<SequenceId>, NoRoom> {
        let free = self.max_running - self.running.len();
        if self.waiting.len() + n as usize > self.max_waiting + free {
            return Err(NoRoom { waiting: self.waiting.len() });
        }
        let ids: Vec<_> = (self.next_id..).take(n as usize).map(SequenceId).collect();
        self.next_id += u64::from(n);
        self.waiting.extend(&ids);
        Ok(ids)
    }

    /// Admits from the head of the queue while places are free; returns who was admitted, in order.
    pub fn schedule(&mut self) -> Vec<SequenceId> {
        let free = self.max_running - self.running.len();
        let admitted: Vec<_> = self.waiting.drain(..free.min(self.waiting.len())).collect();
        self.running.extend(&admitted);
        self.debug_assert_invariants();
        admitted
    }

    /// Forgets a sequence, waiting or running. Call [`Self::schedule`] next: a place may be free.
    pub fn remove(&mut self, id: SequenceId) {
        if !self.running.remove(&id) {
            self.waiting.retain(|waiting| *waiting != id);
        }
    }

    /// How many run.
    pub fn n_running(&self) -> usize {
        self.running.len()
    }

    /// How many wait.
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    fn debug_assert_invariants(&self) {
        debug_assert!(self.running.len() <= self.max_running);
        debug_assert!(self.waiting.is_empty() || self.running.len() == self.max_running, "somebody waits for nothing");
        debug_assert!(self.waiting.iter().all(|id| !self.running.contains(id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduler(max_num_seqs: u32, max_waiting: u32) -> Scheduler {
        Scheduler::new(NonZeroU32::new(max_num_seqs).unwrap(), max_waiting)
    }

    #[test]
    fn admits_in_order_of_arrival_as_places_free_up() {
        let mut scheduler = scheduler(2, 10);
        let ids: Vec<_> = (0..4).flat_map(|_| scheduler.enqueue(1).unwrap()).collect();
        assert_eq!(scheduler.schedule(), ids[..2]);
        scheduler.remove(ids[1]);
        assert_eq!(scheduler.schedule(), ids[2..3]);
        assert_eq!((scheduler.n_running(), scheduler.n_waiting()), (2, 1));
    }

    #[test]
    fn a_request_that_does_not_fit_is_refused_whole() {
        let mut scheduler = scheduler(2, 1);
        assert_eq!(scheduler.enqueue(4), Err(NoRoom { waiting: 0 }));
        assert_eq!(scheduler.enqueue(3).unwrap().len(), 3);
        scheduler.schedule();
        assert_eq!(scheduler.enqueue(1), Err(NoRoom { waiting: 1 }));
    }

    #[test]
    fn with_no_waiting_room_only_free_places_count() {
        let mut scheduler = scheduler(1, 0);
        scheduler.enqueue(1).unwrap();
        scheduler.schedule();
        assert_eq!(scheduler.enqueue(1), Err(NoRoom { waiting: 0 }));
    }

    #[test]
    fn a_waiting_sequence_can_leave() {
        let mut scheduler = scheduler(1, 10);
        let ids: Vec<_> = (0..3).flat_map(|_| scheduler.enqueue(1).unwrap()).collect();
        scheduler.schedule();
        scheduler.remove(ids[1]);
        scheduler.remove(ids[0]);
        assert_eq!(scheduler.schedule(), ids[2..]);
    }
}
