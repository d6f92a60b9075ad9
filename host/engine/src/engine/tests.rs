//! The engine as its callers see it, on a paused clock: exact times, no sockets.

mod answers;
mod clock;
mod kv_cache;
mod lora;
mod pause;
mod timing;

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
