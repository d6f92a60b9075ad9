//! Random schedules: whatever is submitted, answered, failed, aborted and preempted in whatever order, each sequence ends
//! once, nothing is held at the end, and no deadline is missed by a step.

mod model;

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::config::StepConfig;
use crate::engine::tests::{MS, constant, engine_config, request};
use crate::failure::{Failure, Moment, Outcome};
use crate::kv_cache::{CachedSequence, ExtraKeys, HashAlgorithm, KvCacheConfig};
use crate::latency::StepTime;
use crate::lora::Adapter;
use crate::output::{Completion, CompletionOutput, Content};
use crate::request::{Prompt, PromptContent, SamplingParams};
use crate::strategy_error::{Rejection, StrategyError};
use crate::tokenizer::BuiltinTokenizer;
use model::Model;

const BLOCK_SIZE: u32 = 2;

/// An engine, and how long things take in it.
#[derive(Debug, Clone)]
struct Setup {
    max_num_seqs: u32,
    max_waiting: u32,
    /// Blocks of two tokens.
    n_blocks: Option<u32>,
    ttft: Duration,
    itl: Duration,
    /// The batch goes in steps.
    steps: Option<StepConfig>,
}

/// One thing that is done to it. Of several that it may be done to, a number picks one.
#[derive(Debug, Clone)]
enum Action {
    Submit { n: u32, prompt: std::ops::Range<u32>, adapter: Option<u32>, kind: Kind, outcomes: Option<Vec<Outcome>> },
    Select(usize),
    Answer { which: usize, n_tokens: usize },
    Fail(usize),
    Abort(usize),
    Advance(Duration),
    Reset { preempt_running: bool },
    Pause(Pause),
    Resume,
}

/// What else there is to a request.
#[derive(Debug, Clone, Copy)]
struct Kind {
    streaming: bool,
    remote_prefill: bool,
    priority: i64,
}

fn steps() -> impl Strategy<Value = StepConfig> {
    let time = prop_oneof![Just(0.0), Just(1e-3), Just(2.5e-3)];
    (time, 5..9u32, 0..4u32, any::<bool>(), prop_oneof![Just(Duration::ZERO), Just(MS)]).prop_map(
        |(base, budget, long_prefill_token_threshold, async_scheduling, overhead)| StepConfig {
            time: StepTime { base, per_prefill_token: base / 8.0, ..StepTime::default() },
            spread: 0.0,
            overhead,
            max_num_batched_tokens: NonZeroU32::new(budget).unwrap(),
            long_prefill_token_threshold,
            chunked_prefill: true,
            async_scheduling,
            lockstep: None,
        },
    )
}

fn setup() -> impl Strategy<Value = Setup> {
    let latency = || prop_oneof![Just(Duration::ZERO), Just(MS), Just(3 * MS)];
    (1..5u32, 0..8u32, option::of(6..20u32), latency(), latency(), option::of(steps())).prop_map(
        |(max_num_seqs, max_waiting, n_blocks, ttft, itl, steps)| Setup {
            max_num_seqs,
            max_waiting,
            n_blocks,
            ttft,
            itl,
            steps,
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let error = Rejection {
        plugin: None,
        status: 500,
        message: "no".into(),
        kind: None,
        code: None,
        param: None,
        headers: Vec::new(),
    };
    let failure = prop_oneof![
        Just(Failure::Error(Box::new(error))),
        Just(Failure::Disconnect),
        Just(Failure::Hang),
        Just(Failure::Malformed),
        (0..5u32).prop_map(|time| Failure::Stall(time * MS)),
    ];
    let moment = prop_oneof![
        Just(Moment::OnArrival),
        Just(Moment::OnSchedule),
        (0..8u32).prop_map(Moment::AfterTokens),
        (0..8u32).prop_map(|time| Moment::AfterTime(time * MS)),
        Just(Moment::AtEnd),
    ];
    (failure, moment).prop_map(|(failure, moment)| Outcome { failure, moment })
}

fn action() -> impl Strategy<Value = Action> {
    let which = 0..1000_usize;
    let kind = (any::<bool>(), prop::bool::weighted(0.2), 0..2i64)
        .prop_map(|(streaming, remote_prefill, priority)| Kind { streaming, remote_prefill, priority });
    let outcomes = option::weighted(0.3, vec(outcome(), 0..3));
    prop_oneof![
        4 => (1..4u32, 0..3u32, 0..12u32, option::weighted(0.3, 1..4u32), kind, outcomes)
            .prop_map(|(n, first, length, adapter, kind, outcomes)| {
                Action::Submit { n, prompt: 100 * first..100 * first + length, adapter, kind, outcomes }
            }),
        3 => which.clone().prop_map(Action::Select),
        6 => (which.clone(), 0..9_usize).prop_map(|(which, n_tokens)| Action::Answer { which, n_tokens }),
        1 => which.clone().prop_map(Action::Fail),
        1 => which.prop_map(Action::Abort),
        6 => (0..6u32).prop_map(|time| Action::Advance(time * MS)),
        1 => any::<bool>().prop_map(|preempt_running| Action::Reset { preempt_running }),
        1 => prop_oneof![Just(Pause::Abort), Just(Pause::Wait), Just(Pause::Keep)].prop_map(Action::Pause),
        2 => Just(Action::Resume),
    ]
}

/// A core, and what a model believes of it.
struct Run {
    core: Core,
    hasher: Option<Arc<BlockHasher>>,
    config: EngineConfig,
    now: EngineTime,
    model: Model,
    /// Requests whose failure policy has not said what is to happen, and what it will say.
    selecting: Vec<(RequestNumber, Vec<Outcome>)>,
}

impl Run {
    fn new(setup: &Setup) -> Self {
        let kv_cache = setup.n_blocks.map(|n_blocks| KvCacheConfig {
            n_blocks,
            block_size: BLOCK_SIZE,
            algorithm: HashAlgorithm::CborFnv,
            hash_seed: None,
            model: "m".into(),
            reuses_prefixes: true,
            tells_events: true,
        });
        let max_loras = NonZeroU32::MIN;
        // Priorities make others overtake, which the model of sequences at their own pace does not know of.
        let (steps, priorities_count) = (setup.steps.clone(), setup.steps.is_some());
        let limits = engine_config(setup.max_num_seqs, setup.max_waiting);
        let config = EngineConfig { kv_cache, max_loras, steps, priorities_count, ..limits };
        let hasher = config.kv_cache.as_ref().map(|kv_cache| {
            let size = kv_cache.block_size as usize;
            Arc::new(BlockHasher::new(kv_cache.algorithm, size, None, 0, "m".into()))
        });
        let core = Core::new(&config, Box::new(constant(setup.ttft, setup.itl)), hasher.clone(), false);
        let places = setup.n_blocks.is_none().then_some(setup.max_num_seqs as usize);
        let budget = setup.steps.as_ref().map(|steps| steps.max_num_batched_tokens.get());
        let model = Model::new(setup.ttft, setup.itl, places, budget);
        Self { core, hasher, config, now: EngineTime::START, model, selecting: Vec::new() }
    }

    fn act(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Submit { n, prompt, adapter, kind, outcomes } => {
                self.submit(n, prompt.collect(), adapter, kind, outcomes);
            }
            Action::Select(which) => {
                if !self.selecting.is_empty() {
                    let (number, outcomes) = self.selecting.remove(which % self.selecting.len());
                    self.core.selected(number, outcomes, now);
                }
            }
            Action::Answer { which, n_tokens } => {
                if let Some((id, choice)) = self.model.take_asked(which) {
                    let content = Content::Text("w ".repeat(n_tokens));
                    let completion = Completion { content: Some(content), ..Default::default() };
                    let (sampling, tokenizer) = (SamplingParams::default(), BuiltinTokenizer::default());
                    let output = CompletionOutput::new(completion, choice.max_tokens, 7, &sampling, &tokenizer, true);
                    let output = Arc::new(output.unwrap());
                    self.model.will_answer(&choice, output.n_tokens());
                    self.core.answered(id, output, "p", now);
                }
            }
            Action::Fail(which) => {
                if let Some((id, _)) = self.model.take_asked(which) {
                    self.core.failed(id, StrategyError::Lost, now);
                }
            }
            Action::Abort(which) => {
                if self.core.next_number > 0 {
                    let number = which as u64 % self.core.next_number;
                    self.core.abort(number);
                    self.model.gone(number);
                }
            }
            Action::Pause(pause) => {
                let mailbox = Arc::new(Mailbox::new(0, false));
                self.model.pauses.push(mailbox.clone());
                self.core.pause(pause, &mailbox, now);
            }
            Action::Resume => {
                if let Some(since) = self.still_since() {
                    self.model.resumed(since, now);
                }
                self.core.resume(now);
            }
            Action::Reset { preempt_running } => drop(self.core.reset_prefix_cache(preempt_running)),
            Action::Advance(time) => {
                let end = now + time;
                while let Some(due) = self.core.next_due(end) {
                    assert!(due >= self.now, "time goes backwards");
                    self.now = due;
                    self.step();
                }
                self.now = end;
            }
        }
        self.step();
    }

    fn submit(
        &mut self,
        n: u32,
        token_ids: Vec<u32>,
        adapter: Option<u32>,
        kind: Kind,
        outcomes: Option<Vec<Outcome>>,
    ) {
        let adapter = adapter.map(|id| {
            Arc::new(Adapter { id, generation: id, name: id.to_string(), path: "/p".into(), base_model: None })
        });
        let mut request = request(SamplingParams { n, ..Default::default() });
        request.prompts = vec![Prompt::encoded(PromptContent::TokenIds(token_ids.clone()), token_ids.clone())];
        request.adapter = adapter.clone();
        if self.config.steps.is_some() {
            (request.streaming, request.remote_prefill) = (kind.streaming, kind.remote_prefill);
            request.priority = kind.priority;
        }
        let request = Arc::new(request);
        let cached = self.hasher.iter().flat_map(|hasher| {
            let keys = ExtraKeys { adapter: adapter.clone(), cache_salt: None };
            std::iter::repeat_n(CachedSequence::new(token_ids.clone(), keys, Some(hasher)), n as usize)
        });
        let may_fail = outcomes.is_some();
        let mailbox = Arc::new(Mailbox::new(n, may_fail));
        let max_tokens = self.config.most_output_tokens(token_ids.len() as u32);
        let choices = |number| {
            let (request_id, seed): (Arc<str>, _) = ("r".into(), 0);
            let choice = |index| {
                let (request, request_id) = (request.clone(), request_id.clone());
                let (arrived, cached_tokens) = (EngineTime::START, 0);
                Arc::new(Choice { request, request_id, number, index, max_tokens, seed, arrived, cached_tokens })
            };
            (0..n).map(choice).collect()
        };
        let accepted = self.core.submit(&request, cached.collect(), &mailbox, may_fail, self.now, choices);
        if let Ok(sequences) = accepted {
            let number = sequences[0].1.number;
            let ids = sequences.into_iter().map(|(id, _)| id).collect();
            self.model.submitted(number, ids, mailbox);
            self.selecting.extend(outcomes.map(|outcomes| (number, outcomes)));
        }
    }

    /// Since when everything stands still.
    fn still_since(&self) -> Option<EngineTime> {
        let later = self.now + MS;
        Some(self.core.generating_at(later)).filter(|since| *since < later)
    }

    fn step(&mut self) {
        (self.model.is_paused, self.model.still_since) = (self.core.is_paused(), self.still_since());
        self.core.step(self.now);
        self.model.observe(self.core.report());
        self.core.clear_report();
        for (mailbox, delivery) in self.core.take_deliveries() {
            self.model.deliver(&mailbox, delivery);
        }
        self.model.check(self.now);
    }

    /// All clients go away.
    fn end(mut self) {
        for number in 0..self.core.next_number {
            self.core.abort(number);
            self.model.gone(number);
        }
        self.step();
        // What is in a step that runs leaves it at once; the step ends all the same.
        while let Some(due) = self.core.next_deadline().filter(|_| self.config.steps.is_some()) {
            self.now = due;
            self.step();
        }
        let Counts { running, waiting, kv_cache_blocks, .. } = self.core.counts();
        assert_eq!((running, waiting, kv_cache_blocks.unwrap_or_default().0), (0, 0, 0));
        assert_eq!((self.core.next_deadline(), self.core.calls_in_flight()), (None, 0));
        assert!(self.core.sequences.is_empty() && self.core.requests.is_empty());
        self.model.assert_all_ended();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// As many schedules as `PROPTEST_CASES` says, 256 if it says nothing.
    #[test]
    fn every_schedule_ends_well(setup in setup(), actions in vec(action(), 1..60)) {
        let mut run = Run::new(&setup);
        actions.into_iter().for_each(|action| run.act(action));
        run.end();
    }
}
