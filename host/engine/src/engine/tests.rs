//! The engine as its callers see it, on a paused clock: exact times, no sockets.

mod clock;
mod kv_cache;
mod lora;
mod pause;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::*;
use crate::failure::Failure;
use crate::latency::{ConfiguredLatency, Jittered, PromptLatency};
use crate::output::{Completion, Content, FinishReason};
use crate::output::{Delays, DueTokens, OutputEvent, Timing};
use crate::report::{Counts, SequenceEvent, SequenceReport, StepReport};
use crate::request::ToolChoice;
use crate::request::{Endpoint, Prompt, PromptContent, SamplingParams, Tool, ToolCall, Wishes};
use crate::strategy::{Fault, ResponseStrategy, StrategyError, ToolCallStrategy};
use crate::tokenizer::BuiltinTokenizer;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Answers `words` tokens after thinking for a while.
pub(crate) struct Words {
    words: usize,
    thinks: Duration,
}

impl ResponseStrategy for Words {
    fn name(&self) -> &str {
        "words"
    }

    fn generate<'a>(&'a self, _: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
        Box::pin(async {
            tokio::time::sleep(self.thinks).await;
            Ok(Completion { content: Some(Content::Text("word ".repeat(self.words))), ..Default::default() })
        })
    }
}

/// Fails choice 1, answers the others.
pub(crate) struct FailsSecondChoice;

impl ResponseStrategy for FailsSecondChoice {
    fn name(&self) -> &str {
        "fails-second"
    }

    fn generate<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
        Box::pin(async move {
            match choice.index {
                1 => Err(Fault::Internal("no".into()).of("fails-second")),
                _ => Ok(Completion { content: Some(Content::Text("word ".repeat(100))), ..Default::default() }),
            }
        })
    }
}

/// Panics, as no strategy should.
struct Panics;

impl ResponseStrategy for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn generate<'a>(&'a self, _: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
        Box::pin(async { panic!("a defect") })
    }
}

/// Keeps the order of events, and what runs now.
#[derive(Default)]
pub(crate) struct Record(Mutex<Vec<(u64, u32, &'static str)>>);

impl EngineObserver for Record {
    fn observe(&self, report: &StepReport) {
        for SequenceReport { choice, event, .. } in &report.sequences {
            let name = match event {
                SequenceEvent::Arrived => "queued",
                SequenceEvent::Scheduled => "scheduled",
                SequenceEvent::Preempted => "preempted",
                SequenceEvent::Finished(_) => "finished",
                SequenceEvent::Failed(_) => "failed",
                SequenceEvent::Aborted => "aborted",
                _ => continue,
            };
            self.0.lock().unwrap().push((choice.number, choice.index, name));
        }
        let ended = report.requests.iter().map(|ended| (ended.choice.number, ended.choice.index, "ended"));
        self.0.lock().unwrap().extend(ended);
        self.0.lock().unwrap().extend(report.injected.iter().map(|(number, kind)| (*number, 0, *kind)));
    }
}

impl Engine {
    /// Sequences that run and that wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        let counts = self.status();
        (counts.running, counts.waiting)
    }

    fn status(&self) -> Counts {
        self.driver.look(Core::counts)
    }
}

impl Record {
    pub(crate) fn of(&self, name: &str) -> Vec<(u64, u32)> {
        let events = self.0.lock().unwrap();
        events.iter().filter(|event| event.2 == name).map(|event| (event.0, event.1)).collect()
    }

    /// Failures that were played, in order: of which request, and their kinds.
    pub(crate) fn injected(&self) -> Vec<(u64, &'static str)> {
        let events = self.0.lock().unwrap();
        let injected = events.iter().filter(|event| Failure::KINDS.contains(&event.2));
        injected.map(|event| (event.0, event.2)).collect()
    }

    pub(crate) fn assert_each_ends_once(&self) {
        let mut ends = HashMap::new();
        for (number, index, name) in self.0.lock().unwrap().iter() {
            let end = ends.entry((*number, *index)).or_insert(0);
            *end += i32::from(matches!(*name, "finished" | "failed" | "aborted"));
        }
        assert!(ends.values().all(|end| *end == 1), "{ends:?}");
        let mut requests: Vec<_> = ends.keys().map(|(number, _)| (*number, 0)).collect();
        requests.sort_unstable();
        requests.dedup();
        let mut ended = self.of("ended");
        ended.sort_unstable();
        assert_eq!(ended, requests, "each request ends once, too");
    }
}

pub(crate) fn constant(ttft: Duration, itl: Duration) -> ConfiguredLatency {
    let exactly = |mean| Jittered { mean, std_dev: Duration::ZERO };
    ConfiguredLatency {
        prefill: PromptLatency::Constant(exactly(ttft)),
        transfer: PromptLatency::Constant(exactly(5 * MS)),
        inter_token_latency: exactly(itl),
        time_factor_under_load: 1.0,
    }
}

pub(crate) fn engine_config(max_num_seqs: u32, max_waiting: u32) -> EngineConfig {
    EngineConfig {
        max_model_len: 1024,
        max_num_seqs: NonZeroU32::new(max_num_seqs).unwrap(),
        max_waiting_queue_length: max_waiting,
        priorities_count: false,
        max_loras: NonZeroU32::MIN,
        max_cpu_loras: NonZeroU32::MIN,
        kv_cache: None,
        steps: None,
        seed: 7,
    }
}

pub(crate) fn engine(max_num_seqs: u32, max_waiting: u32, latency: ConfiguredLatency) -> (Engine, Arc<Record>) {
    let config = engine_config(max_num_seqs, max_waiting);
    let record = Arc::new(Record::default());
    let tokenizer = Arc::new(BuiltinTokenizer::default());
    (Engine::new(config, latency, tokenizer, Clock::real(Duration::ZERO), vec![record.clone()]), record)
}

pub(crate) fn request(sampling: SamplingParams) -> GenerationRequest {
    let prompt = Prompt::counted(PromptContent::Text("hi".into()), 1);
    GenerationRequest { sampling, streaming: true, ..GenerationRequest::new(Endpoint::Completions, prompt) }
}

pub(crate) fn words(words: usize) -> Strategies {
    answering(Words { words, thinks: Duration::ZERO })
}

pub(crate) fn answering(generator: impl ResponseStrategy + 'static) -> Strategies {
    Strategies::text_only(Arc::new(generator))
}

fn submit(engine: &Engine, n_words: usize) -> OutputStream {
    engine.submit(request(SamplingParams::default()), words(n_words)).unwrap()
}

pub(crate) fn due(event: Result<OutputEvent, StrategyError>) -> DueTokens {
    match event {
        Ok(OutputEvent::Tokens(due)) => due,
        other => panic!("{other:?} where tokens were expected"),
    }
}

/// When each event came, and how many tokens it had.
async fn timeline(mut stream: OutputStream) -> Vec<(Duration, usize)> {
    let start = Instant::now();
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push((start.elapsed(), due(event).tokens.len()));
    }
    events
}

#[tokio::test(start_paused = true)]
async fn total_time_is_ttft_and_a_gap_for_each_further_token() {
    let (engine, record) = engine(5, 10, constant(100 * MS, 20 * MS));
    let events = timeline(submit(&engine, 4)).await;
    assert_eq!(events, [(100 * MS, 1), (120 * MS, 1), (140 * MS, 1), (160 * MS, 1)]);
    assert_eq!(record.of("finished"), [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn ttft_is_the_longer_of_simulated_prefill_and_strategy() {
    let (engine, _) = engine(5, 10, constant(100 * MS, 20 * MS));
    for (thinks, first) in [(30 * MS, 100 * MS), (250 * MS, 250 * MS)] {
        let strategy = answering(Words { words: 2, thinks });
        let stream = engine.submit(request(SamplingParams::default()), strategy).unwrap();
        assert_eq!(timeline(stream).await, [(first, 1), (first + 20 * MS, 1)]);
    }
}

/// Answers later choices sooner.
struct LastFirst;

impl ResponseStrategy for LastFirst {
    fn name(&self) -> &str {
        "last-first"
    }

    fn generate<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
        Box::pin(async {
            tokio::time::sleep(MS * (10 - choice.index)).await;
            Ok(Completion { content: Some(Content::Text("word ".repeat(3))), ..Default::default() })
        })
    }
}

/// However their calls return, the choices of a request come in their order: the same bytes on every run.
#[tokio::test(start_paused = true)]
async fn choices_that_return_in_another_order_are_told_in_their_own() {
    for itl in [Duration::ZERO, 2 * MS] {
        let (engine, _) = engine(5, 10, constant(Duration::ZERO, itl));
        let three = request(SamplingParams { n: 3, ..SamplingParams::default() });
        let stream = engine.submit(three, answering(LastFirst)).unwrap();
        let order: Vec<_> = stream.map(|event| due(event).choice).collect().await;
        let expected = if itl.is_zero() { vec![0, 1, 2] } else { [0, 1, 2].repeat(3) };
        assert_eq!(order, expected, "{itl:?}");
    }
}

/// Says itself when its tokens fall due, after thinking for a while.
struct Timed(Timing, Duration);

impl ResponseStrategy for Timed {
    fn name(&self) -> &str {
        "timed"
    }

    fn generate<'a>(&'a self, _: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
        Box::pin(async {
            tokio::time::sleep(self.1).await;
            let (content, timing) = (Some(Content::Text("word ".repeat(4))), Some(Box::new(self.0.clone())));
            let reasoning = Some(Content::Text("hm hm ".into()));
            Ok(Completion { reasoning, content, timing, ..Default::default() })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_strategys_own_times_are_added_to_the_models_or_replace_them() {
    let (engine, _) = engine(5, 10, constant(100 * MS, 20 * MS));
    let of_tokens = Delays::OfTokens([1, 2, 3, 4].map(|ms| ms * MS).into());
    let of_parts = Delays::OfParts { reasoning: Some(3 * MS), content: Some(5 * MS), arguments: None };
    for (delays, replaces, thinks, expected) in [
        (of_tokens.clone(), false, 0, [107, 128, 150, 173, 197, 217]),
        (of_tokens.clone(), true, 0, [7, 8, 10, 13, 17, 37]),
        (of_parts.clone(), true, 0, [7, 10, 15, 20, 25, 30]),
        (of_parts, false, 0, [107, 130, 155, 180, 205, 230]),
        // The first token waits for the answer.
        (of_tokens, true, 50, [50, 51, 53, 56, 60, 80]),
    ] {
        let timing = Timing { ttft: Some(7 * MS), delays, replaces };
        let request = GenerationRequest { separates_reasoning: true, ..request(SamplingParams::default()) };
        let stream = engine.submit(request, answering(Timed(timing, thinks * MS))).unwrap();
        let times: Vec<_> = timeline(stream).await.iter().map(|(at, _)| at.as_millis()).collect();
        assert_eq!(times, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transferred_kv_cache_takes_the_place_of_ttft() {
    let (engine, _) = engine(5, 10, constant(100 * MS, 20 * MS));
    let decode = GenerationRequest { remote_prefill: true, ..request(SamplingParams::default()) };
    assert_eq!(timeline(engine.submit(decode, words(2)).unwrap()).await, [(5 * MS, 1), (25 * MS, 1)]);
}

/// The gap that follows a token has the load of the moment at which that token fell due.
#[tokio::test(start_paused = true)]
async fn a_running_stream_feels_others_come_and_go() {
    let latency = ConfiguredLatency { time_factor_under_load: 3.0, ..constant(Duration::ZERO, 10 * MS) };
    let (engine, _) = engine(2, 10, latency);
    let first = engine.submit(request(SamplingParams::default()), words(5)).unwrap();
    let first = tokio::spawn(timeline(first));
    tokio::time::sleep(5 * MS).await;
    let second = engine.submit(request(SamplingParams::default()), words(2)).unwrap();
    // It runs from 5 to 35 ms; the first's tokens at 10 and, thirty later, 40 see it come and not any more.
    assert_eq!(timeline(second).await, [(Duration::ZERO, 1), (30 * MS, 1)]);
    let expected = [0, 10, 40, 50, 60].map(|at| (at * MS, 1));
    assert_eq!(first.await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn places_are_held_until_the_last_token_and_given_in_order_of_arrival() {
    let (engine, record) = engine(2, 10, constant(10 * MS, 10 * MS));
    let streams: Vec<_> = (0..6).map(|_| submit(&engine, 5)).collect();
    assert_eq!(engine.load(), (2, 4));
    let ends = futures::future::join_all(streams.into_iter().map(timeline)).await;
    let last: Vec<_> = ends.iter().map(|events| events.last().unwrap().0.as_millis()).collect();
    assert_eq!(last, [50, 50, 100, 100, 150, 150]);
    assert_eq!(record.of("scheduled"), (0..6).map(|number| (number, 0)).collect::<Vec<_>>());
    assert_eq!(engine.load(), (0, 0));
    record.assert_each_ends_once();
}

#[tokio::test(start_paused = true)]
async fn each_choice_is_a_sequence_of_its_own() {
    let (engine, record) = engine(2, 10, constant(10 * MS, Duration::ZERO));
    let stream = engine.submit(request(SamplingParams { n: 3, ..Default::default() }), words(2)).unwrap();
    assert_eq!(engine.load(), (2, 1));
    assert_eq!(timeline(stream).await, [(10 * MS, 2), (10 * MS, 2), (20 * MS, 2)]);
    assert_eq!(record.of("finished").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_the_request_whole() {
    let (engine, record) = engine(1, 2, constant(10 * MS, 10 * MS));
    let _running = submit(&engine, 5);
    let _waiting = submit(&engine, 5);
    let refused = engine.submit(request(SamplingParams { n: 2, ..Default::default() }), words(5));
    assert_eq!(refused.err(), Some(QueueFull { waiting: 1, wanted: 2 }));
    assert_eq!(record.of("queued").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_frees_its_place_at_once() {
    let (engine, record) = engine(1, 10, constant(10 * MS, 10 * MS));
    let mut running = submit(&engine, 1000);
    let waiting = submit(&engine, 1000);
    let last = submit(&engine, 1);
    running.next().await.unwrap().unwrap();
    let start = Instant::now();
    drop((running, waiting));
    assert_eq!(timeline(last).await, [(10 * MS, 1)]);
    assert_eq!(start.elapsed(), 10 * MS);
    assert_eq!(record.of("aborted"), [(0, 0), (1, 0)]);
    record.assert_each_ends_once();
}

#[tokio::test(start_paused = true)]
async fn one_failed_choice_ends_the_request() {
    let (engine, record) = engine(1, 10, constant(10 * MS, 10 * MS));
    let n3 = request(SamplingParams { n: 3, ..Default::default() });
    let events: Vec<_> = engine.submit(n3, answering(FailsSecondChoice)).unwrap().collect().await;
    let (last, before) = events.split_last().unwrap();
    assert!(before.iter().all(Result::is_ok));
    assert_eq!(last.as_ref().unwrap_err().to_string(), r#"plugin "fails-second": no"#);
    tokio::task::yield_now().await;
    assert_eq!(engine.load(), (0, 0));
    record.assert_each_ends_once();
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_request_with_an_error_and_no_other() {
    let (engine, record) = engine(1, 10, constant(10 * MS, 10 * MS));
    let lost = engine.submit(request(SamplingParams::default()), answering(Panics)).unwrap();
    let events: Vec<_> = lost.collect().await;
    assert!(matches!(events[..], [Err(StrategyError::Lost)]), "{events:?}");
    assert_eq!(timeline(submit(&engine, 1)).await.len(), 1);
    record.assert_each_ends_once();
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_changes_nothing() {
    struct Broken;
    impl EngineObserver for Broken {
        fn observe(&self, _: &StepReport) {
            panic!("nothing reads standard error")
        }
    }
    let (latency, tokenizer) = (constant(10 * MS, 10 * MS), Arc::new(BuiltinTokenizer::default()));
    let record = Arc::new(Record::default());
    let observers: Vec<Arc<dyn EngineObserver>> = vec![Arc::new(Broken), record.clone()];
    let engine = Engine::new(engine_config(1, 10), latency, tokenizer, Clock::real(Duration::ZERO), observers);
    let events = tokio::join!(timeline(submit(&engine, 2)), timeline(submit(&engine, 1)));
    assert_eq!(events, (vec![(10 * MS, 1), (20 * MS, 1)], vec![(30 * MS, 1)]));
    record.assert_each_ends_once();
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_one_event() {
    let (engine, _) = engine(1, 10, constant(10 * MS, 10 * MS));
    let events: Vec<_> = submit(&engine, 0).map(due).collect().await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert!(event.is_last());
    assert_eq!((event.output.text(), event.output.finish_reason()), ("", &FinishReason::Stop));
}

/// Calls the first offered tool so many times.
struct Calls(usize);

impl ToolCallStrategy for Calls {
    fn name(&self) -> &str {
        "calls"
    }

    fn call_tools<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Vec<ToolCall>, StrategyError>> {
        let name = choice.request.wishes.tools[0].name.clone();
        let call = ToolCall { id: None, name, arguments: "{}".into() };
        Box::pin(async { Ok(vec![call; self.0]) })
    }
}

#[tokio::test(start_paused = true)]
async fn offered_tools_are_called_as_the_tool_choice_wants() {
    let tool = Tool { name: "f".into(), description: None, parameters: "{}".into() };
    let named = ToolChoice::Function("f".into());
    for (tool_choice, parallel_tool_calls, calls, expected) in [
        (ToolChoice::Auto, true, 2, Ok((2, FinishReason::ToolCalls))),
        (ToolChoice::Auto, false, 2, Ok((1, FinishReason::ToolCalls))),
        (ToolChoice::Auto, true, 0, Ok((0, FinishReason::Stop))),
        (ToolChoice::None, true, 2, Ok((0, FinishReason::Stop))),
        (named.clone(), true, 1, Ok((1, FinishReason::Stop))),
        (ToolChoice::Required, true, 0, Err("no call although the tool choice demands one")),
    ] {
        let (engine, _) = engine(1, 10, constant(Duration::ZERO, Duration::ZERO));
        let mut request = request(SamplingParams::default());
        request.wishes = Wishes {
            tools: vec![tool.clone()],
            tool_choice: tool_choice.clone(),
            parallel_tool_calls,
            ..Default::default()
        };
        let strategies = Strategies { tool_caller: Some(Arc::new(Calls(calls))), ..words(3) };
        let event = engine.submit(request, strategies).unwrap().next().await.unwrap();
        match (event.map(|event| due(Ok(event))), expected) {
            (Ok(event), Ok((n_calls, finish_reason))) => {
                assert_eq!(event.output.tool_calls().count(), n_calls, "{tool_choice:?}");
                assert_eq!(*event.output.finish_reason(), finish_reason, "{tool_choice:?}");
                let ids: Vec<_> = event.output.tool_calls().map(|call| &call.id).collect();
                assert!(ids.iter().all(|id| id.starts_with("chatcmpl-tool-") && id.len() == 30), "{ids:?}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (event, expected) => panic!("{event:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn output_is_cut_to_what_the_window_leaves() {
    let (engine, _) = engine(1, 10, constant(Duration::ZERO, Duration::ZERO));
    let mut long_prompt = request(SamplingParams { max_tokens: Some(100), ..Default::default() });
    long_prompt.prompts[0].n_tokens = 1020;
    let events: Vec<_> = engine.submit(long_prompt, words(50)).unwrap().map(due).collect().await;
    let output = &events[0].output;
    assert_eq!((output.n_tokens(), output.finish_reason()), (4, &FinishReason::Length));
}

#[tokio::test(start_paused = true)]
async fn ids_and_seeds_follow_from_the_seed_and_the_order() {
    struct Seeds(Mutex<Vec<u64>>);
    impl ResponseStrategy for Seeds {
        fn name(&self) -> &str {
            "seeds"
        }
        fn generate<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
            self.0.lock().unwrap().push(choice.seed);
            Box::pin(async { Ok(Completion::default()) })
        }
    }
    let run = |first_has_seed: bool| async move {
        let (engine, _) = engine(1, 10, constant(Duration::ZERO, Duration::ZERO));
        let seeds = Arc::new(Seeds(Mutex::default()));
        let mut ids = Vec::new();
        for seed in [first_has_seed.then_some(1), None, Some(42)] {
            let stream = engine
                .submit(request(SamplingParams { seed, ..Default::default() }), Strategies::text_only(seeds.clone()))
                .unwrap();
            ids.push(stream.request_id().to_owned());
            stream.collect::<Vec<_>>().await;
        }
        let seeds = seeds.0.lock().unwrap().clone();
        (ids, seeds)
    };
    let (ids, seeds) = run(false).await;
    assert_eq!(run(false).await, (ids.clone(), seeds.clone()));
    assert!(ids.iter().all(|id| id.len() == 16) && ids[0] != ids[1]);
    let (_, other) = run(true).await;
    assert_ne!(seeds[0], other[0]);
    assert_eq!(seeds[2], other[2], "a client's seed decides alone");
}
