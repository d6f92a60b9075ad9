//! What comes from outside: requests, clients that go away, and the answers of those that were asked for a request.

use std::sync::Arc;

use smallvec::SmallVec;

use super::request::Request;
use super::sequence::Sequence;
use super::{Core, Deadline, Sequences};
use crate::clock::EngineTime;
use crate::failure::Outcome;
use crate::kv_cache::CachedSequence;
use crate::mailbox::{Delivery, Mailbox};
use crate::output::CompletionOutput;
use crate::playback::{Pending, Playback};
use crate::report::SequenceEvent;
use crate::request::{GenerationRequest, RequestNumber};
use crate::scheduler::{NoRoom, SequenceId};
use crate::seed::{self, Purpose};
use crate::strategy::{Choice, StrategyError};

impl Core {
    /// Queues the choices of a request, all or none. `choices` makes them of the request's number. Returns their sequences.
    pub(crate) fn submit(
        &mut self,
        request: &GenerationRequest,
        cached: Vec<CachedSequence>,
        mailbox: &Arc<Mailbox>,
        may_fail: bool,
        at: EngineTime,
        choices: impl FnOnce(RequestNumber) -> SmallVec<[Arc<Choice>; 1]>,
    ) -> Result<Sequences, NoRoom> {
        let n_choices = request.n_choices();
        let n_fitting = self.kv_cache.as_ref().map_or(n_choices, |kv_cache| kv_cache.n_fitting(&cached));
        let priority = if self.priorities_count { request.priority } else { 0 };
        let queued = self.scheduler.enqueue(n_choices, request.adapter.as_ref(), priority, n_fitting);
        self.report.refused += u32::from(queued.is_err());
        let ids = queued?;
        if let Some(kv_cache) = &mut self.kv_cache {
            ids.iter().zip(cached).for_each(|(id, sequence)| kv_cache.insert(*id, sequence));
        }
        let number = self.next_number;
        self.next_number += 1;
        let sequences: Sequences = ids.iter().copied().zip(choices(number)).collect();
        for (id, choice) in &sequences {
            let rng = seed::rng(Purpose::Latency, &[self.seed, number, choice.index.into()]);
            let sequence = Sequence::new(choice.clone(), mailbox.clone(), may_fail, rng, at);
            self.report.sequences.push(sequence.report(SequenceEvent::Arrived));
            self.sequences.insert(*id, sequence);
        }
        let playback = may_fail.then(|| Playback::new(at));
        self.calls_in_flight += usize::from(may_fail);
        self.requests.insert(number, Request::new(&sequences, mailbox.clone(), playback, at));
        self.is_unsettled = true;
        Ok(sequences)
    }

    /// The failure policy has said what is to happen to a request.
    pub(crate) fn selected(&mut self, number: RequestNumber, outcomes: Vec<Outcome>, at: EngineTime) {
        let Some(request) = self.requests.get_mut(&number) else { return };
        let Some(playback) = &mut request.playback else { return };
        playback.select(outcomes);
        self.calls_in_flight -= 1;
        self.play(number, at);
        let Some(request) = self.requests.get(&number) else { return };
        let mailbox = request.mailbox.clone();
        for id in request.ids.clone() {
            self.ask(id);
        }
        self.deliveries.push((mailbox, Delivery::Selected));
    }

    /// The strategy has answered for a sequence: with `output`, of the plugin of this name.
    pub(crate) fn answered(&mut self, id: SequenceId, output: Arc<CompletionOutput>, plugin: &str, at: EngineTime) {
        let generating_at = self.generating_at(at);
        let Some(sequence) = self.sequences.get_mut(&id).filter(|sequence| sequence.awaits_answer()) else { return };
        self.calls_in_flight -= 1;
        let delivery = Delivery::Output { choice: sequence.choice.index, output: output.clone() };
        self.deliveries.push((sequence.mailbox.clone(), delivery));
        let lateness = sequence.prefilled_at().map_or_else(Default::default, |prefilled_at| at.since(prefilled_at));
        self.report.sequences.push(sequence.report(SequenceEvent::Answered { plugin: plugin.into(), lateness }));
        if self.steps.is_some() {
            let computed = sequence.answer_in_steps(output, at);
            self.go_on_in_steps(id, computed);
        } else if let Some(due) = sequence.answer(output, generating_at) {
            self.due_tokens().insert((due, Deadline::Token(id)));
        }
    }

    /// The strategy gave no output for a sequence, which ends its request.
    pub(crate) fn failed(&mut self, id: SequenceId, error: StrategyError, at: EngineTime) {
        let Some(sequence) = self.sequences.get(&id).filter(|sequence| sequence.awaits_answer()) else { return };
        let (number, choice, mailbox) = (sequence.choice.number, sequence.choice.index, sequence.mailbox.clone());
        self.end(id, SequenceEvent::Failed(error.clone()));
        let Some(request) = self.requests.get_mut(&number) else { return };
        request.n_generating -= 1;
        match &mut request.playback {
            None => self.end_request(number, Some(error)),
            Some(playback) => {
                playback.push(Pending::Failed(error));
                self.deliveries.push((mailbox, Delivery::NoOutput { choice }));
                self.play(number, at);
            }
        }
    }

    /// A request ends with an error that is none of a sequence's.
    pub(crate) fn request_failed(&mut self, number: RequestNumber, error: StrategyError) {
        self.end_request(number, Some(error));
    }

    /// The client of a request has gone away.
    pub(crate) fn abort(&mut self, number: RequestNumber) {
        self.end_request(number, None);
    }
}
