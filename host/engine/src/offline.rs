//! The same core on virtual time, without clients and strategies: what a day of requests would see, in seconds.
//!
//! Only arrivals and lengths are known of the requests. Each answer is as long as it is said to be, and there as soon as it
//! is asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use smallvec::smallvec;

use crate::clock::EngineTime;
use crate::config::{EngineConfig, StepConfig};
use crate::core::Core;
use crate::history::SequenceHistory;
use crate::kv_cache::{BlockHasher, CachedSequence, ExtraKeys};
use crate::latency::{LatencyModel, Lockstep};
use crate::mailbox::Mailbox;
use crate::output::CompletionOutput;
use crate::report::{Counts, EndedStep, SequenceEvent};
use crate::request::{Endpoint, GenerationRequest, Prompt, PromptContent, RequestNumber};
use crate::scheduler::SequenceId;
use crate::strategy::Choice;

/// A request of which only this much is known.
#[derive(Debug, Clone, Default)]
pub struct Arriving {
    /// After the start. Requests are given in this order.
    pub at: Duration,
    /// Length of the prompt, at least 1.
    pub prompt_tokens: u32,
    /// Its tokens: equal beginnings are found again, where the KV cache keeps them. As many as `prompt_tokens`, or none.
    pub prompt: Vec<u32>,
    /// Length of the answer, at least 1.
    pub output_tokens: u32,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has its answer.
    Answered {
        /// When what happened to it.
        history: SequenceHistory,
        /// Which engine answered.
        engine: usize,
    },
    /// The waiting queue had no room for it.
    Refused,
    /// It is longer than the context window, or than the KV cache.
    TooLong,
}

/// Told of what happens on the way.
pub trait OfflineObserver {
    /// An engine is at this moment with this many running and waiting; `steps` ended at it.
    fn observe(&mut self, engine: usize, at: EngineTime, counts: &Counts, steps: &[EndedStep]);
    /// A request, by its place among all, has left the queue.
    fn admitted(&mut self, request: usize) {
        let _ = request;
    }
    /// A request has ended, or will not begin.
    fn ended(&mut self, request: usize) {
        let _ = request;
    }
    /// A token of a request that was preempted came so long after the one before it; those of others are in the steps.
    fn resumed(&mut self, gap: Duration) {
        let _ = gap;
    }
}

impl OfflineObserver for () {
    fn observe(&mut self, _: usize, _: EngineTime, _: &Counts, _: &[EndedStep]) {}
}

/// Lengths of answers that are kept to be used again.
const MOST_OUTPUTS: usize = 1000;

/// Engines, and requests that come to them.
pub struct Offline {
    engines: Vec<Core>,
    config: EngineConfig,
    hasher: Option<Arc<BlockHasher>>,
    /// By engine and number: which request, and its sequence.
    known: Vec<HashMap<RequestNumber, (usize, SequenceId)>>,
    outputs: HashMap<u32, Arc<CompletionOutput>>,
    template: GenerationRequest,
    turn: usize,
}

impl Offline {
    /// `n_engines` engines like this, which share the requests as vLLM's data-parallel ranks did up to 0.13: each goes to the
    /// one with the least to do. If a step of theirs is timed, so many neighbours step together.
    pub fn new<L: LatencyModel + Clone + 'static>(
        config: &EngineConfig,
        latency: &L,
        n_engines: usize,
        in_lockstep: usize,
    ) -> Self {
        let blocks = config.kv_cache.as_ref().map(|kv_cache| {
            let block_size = kv_cache.block_size as usize;
            Arc::new(BlockHasher::new(kv_cache.algorithm, block_size, None, config.seed, String::new()))
        });
        let hasher = blocks.clone().filter(|_| config.reuses_prefixes());
        let mut lockstep = Lockstep::default();
        let engine = |at: usize| {
            if at.is_multiple_of(in_lockstep.max(1)) {
                lockstep = Lockstep::default();
            }
            let lockstep = (in_lockstep > 1).then(|| lockstep.clone());
            let steps = config.steps.clone().map(|steps| StepConfig { lockstep, ..steps });
            let config = EngineConfig { steps, ..config.clone() };
            Core::new(&config, Box::new(latency.clone()), blocks.clone(), false)
        };
        let empty = Prompt::counted(PromptContent::TokenIds(Vec::new()), 0);
        Self {
            engines: (0..n_engines).map(engine).collect(),
            config: config.clone(),
            hasher,
            known: vec![HashMap::new(); n_engines],
            outputs: HashMap::new(),
            template: GenerationRequest::new(Endpoint::Completions, empty),
            turn: 0,
        }
    }

    /// Lets all of them come and be answered; what became of each.
    pub fn run(mut self, requests: &[Arriving], observer: &mut dyn OfflineObserver) -> Vec<Fate> {
        let mut fates = vec![Fate::Refused; requests.len()];
        let mut next = 0;
        loop {
            let due = self.next_deadline();
            let arriving = requests.get(next).map(|request| EngineTime::after_start(request.at));
            let at = match (arriving, due) {
                (None, None) => return fates,
                (arriving, due) => arriving.unwrap_or(EngineTime::NEVER).min(due.unwrap_or(EngineTime::NEVER)),
            };
            // All that come at one moment are there before anything is done at it.
            let mut touched: Vec<_> = self.due_at(at).collect();
            while let Some(request) = requests.get(next).filter(|request| EngineTime::after_start(request.at) == at) {
                match self.submit(next, request, at) {
                    Some(fate) => {
                        fates[next] = fate;
                        observer.ended(next);
                    }
                    None => touched.push(self.turn),
                }
                next += 1;
            }
            touched.sort_unstable();
            touched.dedup();
            for engine in touched {
                self.step(engine, at, requests, &mut fates, observer);
            }
        }
    }

    fn next_deadline(&self) -> Option<EngineTime> {
        self.engines.iter().filter_map(Core::next_deadline).min()
    }

    /// The engines in which something is due then.
    fn due_at(&self, at: EngineTime) -> impl Iterator<Item = usize> {
        self.engines
            .iter()
            .enumerate()
            .filter(move |(_, core)| core.next_deadline() == Some(at))
            .map(|(engine, _)| engine)
    }

    /// Gives a request to the engine with the least to do, which is `self.turn` afterwards; what becomes of it, if that is
    /// known already.
    fn submit(&mut self, index: usize, request: &Arriving, at: EngineTime) -> Option<Fate> {
        let (n_prompt, n_output) = (request.prompt_tokens, request.output_tokens);
        let fits = self.config.kv_cache.as_ref().is_none_or(|kv_cache| kv_cache.n_tokens() >= n_prompt.into());
        if !fits || n_prompt >= self.config.max_model_len || n_output > self.config.most_output_tokens(n_prompt) {
            return Some(Fate::TooLong);
        }
        let n_engines = self.engines.len();
        // vLLM's score up to 0.13, from the engine after the last one on.
        let score = |engine: &usize| {
            let counts = self.engines[*engine].counts();
            4 * counts.waiting + counts.running
        };
        let from = self.turn + 1;
        self.turn = (from..from + n_engines).map(|engine| engine % n_engines).min_by_key(score).unwrap_or(0);
        let cached = match (&self.config.kv_cache, &self.hasher) {
            (None, _) => Vec::new(),
            (Some(_), hasher) => {
                let keys = ExtraKeys { adapter: None, cache_salt: None };
                vec![CachedSequence::new(self.prompt(index, request), keys, hasher.as_deref())]
            }
        };
        let prompt = Prompt::counted(PromptContent::TokenIds(Vec::new()), n_prompt);
        let generation = Arc::new(GenerationRequest { prompts: vec![prompt], ..self.template.clone() });
        let mailbox = Arc::new(Mailbox::new(1, false));
        let choices = |number| {
            let choice = Choice {
                request: generation.clone(),
                request_id: "".into(),
                number,
                index: 0,
                max_tokens: n_output,
                seed: 0,
                arrived: at,
                cached_tokens: 0,
            };
            smallvec![Arc::new(choice)]
        };
        match self.engines[self.turn].submit(&generation, cached, &mailbox, false, at, choices) {
            Ok(sequences) => {
                let (id, choice) = &sequences[0];
                self.known[self.turn].insert(choice.number, (index, *id));
                None
            }
            Err(_) => Some(Fate::Refused),
        }
    }

    /// The tokens of a prompt; made up, and like no other's, if they are not known.
    fn prompt(&self, index: usize, request: &Arriving) -> Vec<u32> {
        match (&request.prompt[..], &self.hasher) {
            ([], None) => vec![0; request.prompt_tokens as usize],
            ([], Some(_)) => vec![u32::MAX - index as u32; request.prompt_tokens as usize],
            (known, _) => known.to_vec(),
        }
    }

    /// Does what is due in an engine.
    fn step(
        &mut self,
        engine: usize,
        at: EngineTime,
        requests: &[Arriving],
        fates: &mut [Fate],
        observer: &mut dyn OfflineObserver,
    ) {
        loop {
            self.engines[engine].step(at);
            self.engines[engine].take_deliveries().for_each(drop);
            let report = self.engines[engine].report();
            observer.observe(engine, at, &report.counts, &report.steps);
            let mut admitted = Vec::new();
            for sequence in &report.sequences {
                match sequence.event {
                    SequenceEvent::Scheduled => admitted.push(sequence.choice.number),
                    SequenceEvent::Finished(_) => {
                        if let Some((index, _)) = self.known[engine].remove(&sequence.choice.number) {
                            fates[index] = Fate::Answered { history: sequence.history, engine };
                            observer.ended(index);
                        }
                    }
                    SequenceEvent::Tokens { gap: Some(gap), .. } => observer.resumed(gap),
                    _ => {}
                }
            }
            self.engines[engine].clear_report();
            if admitted.is_empty() {
                return;
            }
            for number in admitted {
                let Some((index, id)) = self.known[engine].get(&number).copied() else { continue };
                observer.admitted(index);
                let output = self.output(index, requests[index].output_tokens);
                self.engines[engine].answered(id, output, "", at);
            }
        }
    }

    /// An answer of so many tokens. Where prefixes are found again, it is like no other.
    fn output(&mut self, index: usize, n_tokens: u32) -> Arc<CompletionOutput> {
        let of = |token: u32| Arc::new(CompletionOutput::of_tokens(vec![token; n_tokens as usize]));
        match self.hasher {
            None => {
                if self.outputs.len() > MOST_OUTPUTS {
                    self.outputs.clear();
                }
                self.outputs.entry(n_tokens).or_insert_with(|| of(0)).clone()
            }
            Some(_) => of(u32::MAX - index as u32),
        }
    }
}

#[cfg(test)]
mod tests;
