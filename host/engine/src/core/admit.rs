//! Sequences leave the queue, and their strategies are asked.

use super::{Core, Deadline};
use crate::clock::EngineTime;
use crate::latency::Load;
use crate::mailbox::Delivery;
use crate::report::SequenceEvent;
use crate::scheduler::{Admitted, SequenceId, Stays};

impl Core {
    /// Gives free places and memory to the sequences that wait longest.
    pub(super) fn admit(&mut self, at: EngineTime) {
        if self.steps.is_some() {
            return self.schedule_steps(at);
        }
        let (kv_cache, paused) = (&mut self.kv_cache, &self.paused);
        let allocate = |id| match kv_cache {
            _ if paused.as_ref().is_some_and(|paused| !paused.admits(id)) => Err(Stays::Memory),
            Some(kv_cache) => kv_cache.allocate(id).ok_or(Stays::Memory),
            None => Ok(0),
        };
        let admitted = self.scheduler.schedule(allocate);
        self.admitted(admitted, at);
    }

    /// These sequences have left the queue.
    pub(super) fn admitted(&mut self, admitted: Vec<Admitted>, at: EngineTime) {
        for Admitted { id, adapter, cached_tokens } in admitted {
            let loads_adapter = adapter
                .is_some_and(|adapter| self.adapters.use_adapter(adapter.id, |id| self.scheduler.runs_adapter(id)));
            // All that are admitted at this moment count.
            let load = self.load();
            // A failure that another choice played may have ended it.
            let Some(sequence) = self.sequences.get_mut(&id) else { continue };
            let is_first = sequence.history.scheduled.is_none();
            self.n_admitted += 1;
            sequence.place = self.n_admitted;
            let due = match self.steps {
                None => sequence.admit(cached_tokens, at, &*self.latency, load),
                Some(_) => sequence.admit_to_steps(cached_tokens, at, &*self.latency, load),
            };
            let event = if is_first { SequenceEvent::Scheduled } else { SequenceEvent::Resumed };
            self.report.sequences.push(sequence.report(event));
            if loads_adapter {
                self.report.sequences.push(sequence.report(SequenceEvent::AdapterLoaded));
            }
            let number = sequence.choice.number;
            if let Some(due) = due {
                self.due_tokens().insert((due, Deadline::Token(id)));
            }
            if let Some(playback) = self.requests.get_mut(&number).and_then(|request| request.playback.as_mut()) {
                playback.scheduled();
                self.play(number, at);
            }
            self.ask(id);
        }
    }

    /// Has the strategy of a running sequence asked, once, unless a failure is to be selected first or keeps it from that.
    pub(super) fn ask(&mut self, id: SequenceId) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let Some(request) = self.requests.get(&sequence.choice.number) else { return };
        if request.may_ask() && sequence.ask() {
            self.calls_in_flight += 1;
            let cached_tokens = sequence.history.cached_tokens;
            let delivery = Delivery::Admitted { choice: sequence.choice.index, cached_tokens };
            self.deliveries.push((sequence.mailbox.clone(), delivery));
        }
    }

    /// How busy it is.
    pub(super) fn load(&self) -> Load {
        Load { running: self.scheduler.n_running(), max_num_seqs: self.max_num_seqs }
    }
}
