//! What must be true of any engine, told by its reports and deliveries alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::EngineTime;
use crate::mailbox::{Delivery, Mailbox};
use crate::output::FinishReason;
use crate::report::{SequenceEvent, SequenceReport, StepReport};
use crate::request::RequestNumber;
use crate::scheduler::SequenceId;
use crate::strategy::Choice;

type Key = (RequestNumber, u32);

/// Sequences that have not ended, and streams.
pub(super) struct Model {
    ttft: Duration,
    itl: Duration,
    /// Places, if memory never runs out.
    places: Option<usize>,
    /// Tokens of a step, if the batch goes in steps: then they decide when tokens are due, and this knows their sums.
    budget: Option<u32>,
    /// Tokens that steps gave to sequences, and what sequences had of them when they ended.
    given: u64,
    had: u64,
    sequences: BTreeMap<Key, Sequence>,
    n_tokens: BTreeMap<Key, usize>,
    streams: Vec<Stream>,
    /// Those whose strategies were asked and have not answered.
    asked: Vec<Key>,
    /// It is paused or about to be, and since when everything stands still.
    pub(super) is_paused: bool,
    pub(super) still_since: Option<EngineTime>,
    /// What pauses complete.
    pub(super) pauses: Vec<Arc<Mailbox>>,
    /// Requests that were ended with what they had.
    aborted: BTreeSet<RequestNumber>,
}

/// As the reports tell of it.
struct Sequence {
    choice: Arc<Choice>,
    prefilled_at: Option<EngineTime>,
    is_answered: bool,
    not_before: EngineTime,
    due: Option<EngineTime>,
    tokens: usize,
}

struct Stream {
    ids: SmallVec<[SequenceId; 1]>,
    mailbox: Arc<Mailbox>,
    delivered: Vec<usize>,
    has_ended: bool,
    hangs: bool,
}

impl Model {
    pub(super) fn new(ttft: Duration, itl: Duration, places: Option<usize>, budget: Option<u32>) -> Self {
        let (sequences, n_tokens) = (BTreeMap::new(), BTreeMap::new());
        let (is_paused, still_since, aborted) = (false, None, BTreeSet::new());
        let (streams, asked, pauses) = (Vec::new(), Vec::new(), Vec::new());
        let (given, had) = (0, 0);
        Self {
            ttft,
            itl,
            places,
            budget,
            given,
            had,
            sequences,
            n_tokens,
            streams,
            asked,
            is_paused,
            still_since,
            pauses,
            aborted,
        }
    }

    /// It goes on after it stood still.
    pub(super) fn resumed(&mut self, since: EngineTime, now: EngineTime) {
        let late = now.since(since);
        for sequence in self.sequences.values_mut() {
            sequence.due = sequence.due.map(|due| due + late);
            sequence.prefilled_at = sequence.prefilled_at.map(|at| if at > since { at + late } else { at });
        }
    }

    pub(super) fn submitted(&mut self, number: RequestNumber, ids: SmallVec<[SequenceId; 1]>, mailbox: Arc<Mailbox>) {
        assert_eq!(number as usize, self.streams.len());
        let delivered = vec![0; ids.len()];
        self.streams.push(Stream { ids, mailbox, delivered, has_ended: false, hangs: false });
    }

    pub(super) fn take_asked(&mut self, which: usize) -> Option<(SequenceId, Arc<Choice>)> {
        // What has ended meanwhile is no longer asked for.
        let Self { asked, sequences, streams, .. } = self;
        asked.retain(|key| sequences.contains_key(key) && !streams[key.0 as usize].hangs);
        let key = (!asked.is_empty()).then(|| asked.remove(which % asked.len()))?;
        Some((streams[key.0 as usize].ids[key.1 as usize], sequences[&key].choice.clone()))
    }

    pub(super) fn will_answer(&mut self, choice: &Choice, n_tokens: usize) {
        self.n_tokens.insert((choice.number, choice.index), n_tokens);
    }

    pub(super) fn gone(&mut self, number: RequestNumber) {
        self.streams[number as usize].has_ended = true;
    }

    pub(super) fn observe(&mut self, report: &StepReport) {
        for step in &report.steps {
            let tokens = step.counts.prefill_tokens + step.counts.sequences;
            assert!((1..=self.budget.unwrap_or(0)).contains(&tokens), "a step of {tokens} tokens");
            self.given += u64::from(step.decoded);
        }
        for sequence in &report.sequences {
            if self.budget.is_none() {
                self.happened(sequence, report.at);
            } else {
                self.happened_in_steps(sequence);
            }
        }
        let running = self.sequences.values().filter(|sequence| sequence.prefilled_at.is_some()).count();
        assert_eq!((report.counts.running, report.counts.waiting), (running, self.sequences.len() - running));
    }

    fn happened(&mut self, report: &SequenceReport, at: EngineTime) {
        let key = (report.choice.number, report.choice.index);
        if matches!(report.event, SequenceEvent::Arrived) {
            let choice = report.choice.clone();
            let sequence =
                Sequence { choice, prefilled_at: None, is_answered: false, not_before: at, due: None, tokens: 0 };
            assert!(self.sequences.insert(key, sequence).is_none(), "{key:?} arrives twice");
            return;
        }
        if let SequenceEvent::Scheduled = report.event
            && report.choice.request.adapter.is_none()
        {
            let waits =
                |sequence: &Sequence| sequence.prefilled_at.is_none() && sequence.choice.request.adapter.is_none();
            assert!(self.sequences.range(..key).all(|(_, before)| !waits(before)), "{key:?} overtakes another");
        }
        let sequence = self.sequences.get_mut(&key).expect("it has not ended");
        let n_tokens = self.n_tokens.get(&key).copied().unwrap_or_default();
        match &report.event {
            SequenceEvent::Scheduled | SequenceEvent::Resumed => {
                assert!(sequence.prefilled_at.replace(at + self.ttft).is_none(), "{key:?} runs already");
            }
            SequenceEvent::Preempted => {
                assert!(sequence.prefilled_at.take().is_some(), "{key:?} does not run");
                sequence.not_before = sequence.due.take().unwrap_or(sequence.not_before);
            }
            SequenceEvent::Answered { .. } => {
                sequence.is_answered = true;
                sequence.not_before = sequence.not_before.max(self.still_since.unwrap_or(at));
            }
            SequenceEvent::Tokens { n, .. } => {
                assert!(self.still_since.is_none(), "{key:?} has tokens while everything stands still");
                assert_eq!(sequence.due, Some(at), "{key:?} has {n} tokens at another moment");
                assert!(self.itl.is_zero() || *n == n_tokens.min(1));
                sequence.tokens += n;
                (sequence.due, sequence.not_before) = (Some(at + self.itl), at);
                assert!(sequence.tokens <= n_tokens);
                if sequence.tokens == n_tokens {
                    (sequence.due, sequence.is_answered) = (None, false);
                }
            }
            SequenceEvent::Arrived | SequenceEvent::AdapterLoaded => {}
            SequenceEvent::Failed(_) => {}
            SequenceEvent::Aborted | SequenceEvent::Finished(FinishReason::Abort) => {
                self.n_tokens.insert(key, sequence.tokens);
                self.aborted.insert(key.0);
            }
            SequenceEvent::Finished(_) => assert_eq!(sequence.tokens, n_tokens),
        }
        if let (Some(prefilled_at), true, None) = (sequence.prefilled_at, sequence.is_answered, sequence.due) {
            sequence.due = Some(prefilled_at.max(sequence.not_before));
        }
        if let SequenceEvent::Finished(_) | SequenceEvent::Failed(_) | SequenceEvent::Aborted = report.event {
            self.sequences.remove(&key);
        }
    }

    /// The same, as far as it holds where the batch goes in steps.
    fn happened_in_steps(&mut self, report: &SequenceReport) {
        let key = (report.choice.number, report.choice.index);
        let generated = report.history.generated_tokens as usize;
        match &report.event {
            SequenceEvent::Arrived => {
                let (choice, not_before) = (report.choice.clone(), report.history.arrived);
                let sequence =
                    Sequence { choice, prefilled_at: None, is_answered: false, not_before, due: None, tokens: 0 };
                assert!(self.sequences.insert(key, sequence).is_none(), "{key:?} arrives twice");
                return;
            }
            SequenceEvent::Tokens { n, .. } => self.given += *n as u64,
            SequenceEvent::Aborted | SequenceEvent::Finished(FinishReason::Abort) => {
                self.n_tokens.insert(key, generated);
                self.aborted.insert(key.0);
            }
            SequenceEvent::Finished(_) => {
                assert_eq!(generated, self.n_tokens.get(&key).copied().unwrap_or_default(), "{key:?} is not whole");
            }
            _ => {}
        }
        let sequence = self.sequences.get_mut(&key).expect("it has not ended");
        assert!(sequence.tokens <= generated, "{key:?} has fewer tokens than before");
        sequence.tokens = generated;
        match report.event {
            SequenceEvent::Scheduled | SequenceEvent::Resumed => {
                assert!(sequence.prefilled_at.replace(EngineTime::START).is_none(), "{key:?} runs already");
            }
            SequenceEvent::Preempted => assert!(sequence.prefilled_at.take().is_some(), "{key:?} does not run"),
            SequenceEvent::Finished(_) | SequenceEvent::Failed(_) | SequenceEvent::Aborted => {
                self.had += generated as u64;
                self.sequences.remove(&key);
            }
            _ => {}
        }
    }

    pub(super) fn deliver(&mut self, mailbox: &Arc<Mailbox>, delivery: Delivery) {
        if self.pauses.iter().any(|pause| Arc::ptr_eq(pause, mailbox)) {
            return assert!(matches!(delivery, Delivery::Complete));
        }
        let number = self.streams.iter().position(|stream| Arc::ptr_eq(&stream.mailbox, mailbox)).expect("it is known");
        let stream = &mut self.streams[number];
        let is_end = matches!(delivery, Delivery::Failed(_) | Delivery::Complete);
        assert!(!std::mem::replace(&mut stream.has_ended, is_end), "{delivery:?} after the end of {number}");
        match delivery {
            Delivery::Admitted { choice, .. } => self.asked.push((number as u64, choice)),
            Delivery::Tokens { choice, end, .. } => {
                let before = std::mem::replace(&mut stream.delivered[choice as usize], end);
                let is_end = self.aborted.contains(&(number as u64)) && before == end;
                assert!(before < end || end == 0 || is_end, "tokens before {end} are delivered twice");
                assert!(!stream.hangs);
            }
            Delivery::Complete => {
                let delivered = stream.delivered.iter().enumerate();
                let all =
                    delivered.map(|(choice, end)| (self.n_tokens.get(&(number as u64, choice as u32)), Some(end)));
                assert!(all.into_iter().all(|(all, end)| all == end), "{number} is not whole");
            }
            Delivery::Hang { .. } => {
                stream.hangs = true;
                // Nothing is due any more.
                let hung = self.sequences.range_mut((number as u64, 0)..(number as u64 + 1, 0));
                hung.for_each(|(_, sequence)| (sequence.due, sequence.is_answered) = (None, false));
            }
            Delivery::Output { .. }
            | Delivery::NoOutput { .. }
            | Delivery::Selected
            | Delivery::Malformed
            | Delivery::Failed(_) => {}
        }
    }

    /// After a step.
    pub(super) fn check(&self, now: EngineTime) {
        if self.budget.is_some() {
            return;
        }
        let late = self.sequences.iter().find(|(_, sequence)| sequence.due.is_some_and(|due| due <= now));
        assert!(late.is_none() || self.still_since.is_some(), "{:?} was due", late.map(|(key, _)| key));
        let mut waiting = self.sequences.values().filter(|sequence| sequence.prefilled_at.is_none());
        let n_running = self.sequences.len() - waiting.clone().count();
        if self.places.is_some_and(|places| n_running < places) && !self.is_paused {
            assert!(waiting.all(|sequence| sequence.choice.request.adapter.is_some()), "a place is free");
        }
    }

    pub(super) fn assert_all_ended(&self) {
        assert!(self.sequences.is_empty());
        if self.budget.is_some() {
            assert_eq!(self.given, self.had, "every token belongs to one step");
        }
        assert!(self.streams.iter().all(|stream| stream.has_ended));
    }
}
