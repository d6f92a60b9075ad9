//! What a client gets, and when, for each failure at each moment.

use futures::StreamExt;
use tokio::time::Instant;

use super::*;
use crate::engine::Engine;
use crate::engine::tests::{FailsSecondChoice, MS, Record, answering, constant, engine, request, words};
use crate::output::OutputEvent;
use crate::output_stream::OutputStream;
use crate::request::SamplingParams;
use crate::strategy::Strategies;

/// Selects the same for every request.
struct Always(Vec<(Failure, Moment)>);

impl FailurePolicy for Always {
    fn name(&self) -> &str {
        "always"
    }

    fn select<'a>(&'a self, _: &'a Arrival) -> BoxFuture<'a, Result<Vec<Outcome>, StrategyError>> {
        let outcome = |(failure, moment): &(Failure, Moment)| Outcome { failure: failure.clone(), moment: *moment };
        Box::pin(async move { Ok(self.0.iter().map(outcome).collect()) })
    }
}

fn error() -> Failure {
    let message = "on purpose".into();
    let (kind, code, param) = (None, None, None);
    Failure::Error(Box::new(Rejection { plugin: None, status: 503, message, kind, code, param, headers: Vec::new() }))
}

/// TTFT 10 ms, one of 5 tokens each 10 ms, one place.
fn paced() -> (Engine, Arc<Record>) {
    engine(1, 10, constant(10 * MS, 10 * MS))
}

fn submit(engine: &Engine, outcomes: Vec<(Failure, Moment)>) -> OutputStream {
    let strategies = Strategies { failure_policy: Some(Arc::new(Always(outcomes))), ..words(5) };
    engine.submit(request(SamplingParams::default()), strategies).unwrap()
}

/// What came, each with its milliseconds: a `1` for each token, `malformed`, or the error.
async fn story(outcomes: Vec<(Failure, Moment)>) -> Vec<(u128, String)> {
    let (engine, record) = paced();
    let mut stream = submit(&engine, outcomes);
    let start = Instant::now();
    let mut story = Vec::new();
    while let Some(event) = stream.next().await {
        let at = start.elapsed().as_millis();
        match event {
            Ok(OutputEvent::Tokens(due)) => story.extend(due.tokens.map(|_| (at, "1".into()))),
            Ok(OutputEvent::Malformed) => story.push((at, "malformed".into())),
            Err(error) => story.push((at, error.to_string())),
        }
    }
    assert!(stream.is_finished() && stream.take_due().is_none());
    drop(stream);
    tokio::task::yield_now().await;
    assert_eq!(engine.load(), (0, 0));
    record.assert_each_ends_once();
    story
}

fn told(story: &[(u128, &str)]) -> Vec<(u128, String)> {
    story.iter().map(|(at, event)| (*at, (*event).to_owned())).collect()
}

fn engine_without_latency() -> (Engine, Arc<Record>) {
    engine(1, 10, constant(Duration::ZERO, Duration::ZERO))
}

#[tokio::test(start_paused = true)]
async fn nothing_selected_changes_nothing() {
    assert_eq!(story(vec![]).await, told(&[(10, "1"), (20, "1"), (30, "1"), (40, "1"), (50, "1")]));
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_at_its_moment_and_is_the_end() {
    let purpose = "on purpose";
    for (moment, expected) in [
        (Moment::OnArrival, told(&[(0, purpose)])),
        (Moment::OnSchedule, told(&[(0, purpose)])),
        (Moment::AfterTokens(2), told(&[(10, "1"), (20, "1"), (20, purpose)])),
        (Moment::AfterTime(25 * MS), told(&[(10, "1"), (20, "1"), (25, purpose)])),
        (Moment::AtEnd, told(&[(10, "1"), (20, "1"), (30, "1"), (40, "1"), (50, "1"), (50, purpose)])),
        (Moment::AfterTokens(9), told(&[(10, "1"), (20, "1"), (30, "1"), (40, "1"), (50, "1")])),
    ] {
        assert_eq!(story(vec![(error(), moment)]).await, expected, "{moment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_played_is_told_and_what_was_not_reached_is_not() {
    let (engine, record) = paced();
    let stall = (Failure::Stall(5 * MS), Moment::AfterTokens(1));
    let outcomes = vec![stall, (Failure::Malformed, Moment::AfterTokens(2)), (error(), Moment::AfterTokens(9))];
    submit(&engine, outcomes).collect::<Vec<_>>().await;
    submit(&engine, vec![(Failure::Disconnect, Moment::OnSchedule)]).collect::<Vec<_>>().await;
    assert_eq!(record.injected(), [(0, "stall"), (0, "malformed"), (1, "disconnect")]);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_a_failure_frees_at_once_is_given_on_at_once() {
    let (engine, record) = paced();
    let running = submit(&engine, vec![]);
    let failing = submit(&engine, vec![(error(), Moment::OnSchedule)]);
    let waiting = submit(&engine, vec![]);
    let selected = tokio::spawn(failing.collect::<Vec<_>>());
    let start = Instant::now();
    tokio::join!(running.collect::<Vec<_>>(), waiting.collect::<Vec<_>>());
    assert_eq!(start.elapsed(), 100 * MS);
    assert_eq!(selected.await.unwrap().len(), 1);
    record.assert_each_ends_once();
}

#[tokio::test(start_paused = true)]
async fn an_event_is_split_where_a_moment_falls_into_it() {
    let (engine, _) = engine_without_latency();
    let malformed = [2, 3].map(|tokens| (Failure::Malformed, Moment::AfterTokens(tokens)));
    let events: Vec<_> = submit(&engine, malformed.into()).collect().await;
    let lengths: Vec<_> = events
        .iter()
        .map(|event| match event {
            Ok(OutputEvent::Tokens(due)) => due.tokens.clone(),
            _ => 0..0,
        })
        .collect();
    assert_eq!(lengths, [0..2, 0..0, 2..3, 0..0, 3..5]);
}

#[tokio::test(start_paused = true)]
async fn after_a_stall_what_fell_due_comes_at_once_and_the_pace_goes_on() {
    let outcomes = vec![(Failure::Stall(15 * MS), Moment::AfterTokens(1))];
    assert_eq!(story(outcomes).await, told(&[(10, "1"), (25, "1"), (30, "1"), (40, "1"), (50, "1")]));
}

#[tokio::test(start_paused = true)]
async fn outcomes_happen_in_their_order() {
    let outcomes = vec![
        (Failure::Stall(100 * MS), Moment::AfterTokens(1)),
        (Failure::Malformed, Moment::AfterTokens(3)),
        (Failure::Disconnect, Moment::AtEnd),
    ];
    let cut = "the connection was cut on purpose";
    let expected = [(10, "1"), (110, "1"), (110, "1"), (110, "malformed"), (110, "1"), (110, "1"), (110, cut)];
    assert_eq!(story(outcomes).await, told(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_hang_keeps_its_place_until_the_client_leaves_or_the_limit_comes() {
    let (engine, record) = paced();
    let mut hanging = submit(&engine, vec![(Failure::Hang, Moment::AfterTokens(1))]);
    hanging.next().await.unwrap().unwrap();
    let waiting = submit(&engine, vec![]);
    assert!(tokio::time::timeout(60_000 * MS, hanging.next()).await.is_err());
    assert_eq!(engine.load(), (1, 1));
    drop(hanging);
    assert_eq!(waiting.collect::<Vec<_>>().await.len(), 5);
    assert_eq!(record.of("aborted"), [(0, 0)]);

    let (instant, _) = engine_without_latency();
    let mut hanging = submit(&instant, vec![(Failure::Hang, Moment::AfterTokens(1))]);
    hanging.next().await.unwrap().unwrap();
    assert_eq!(instant.load(), (1, 0), "even where no time passes");

    // Even if its client does not read.
    let (engine, _) = engine_without_latency();
    let mut hanging = submit(&engine, vec![(Failure::Hang, Moment::AfterTokens(1))]);
    hanging.next().await.unwrap().unwrap();
    tokio::time::sleep(600_001 * MS).await;
    assert_eq!(engine.load(), (0, 0));

    let patient = story(vec![(Failure::Hang, Moment::OnSchedule)]).await;
    assert_eq!(patient, told(&[(600_000, "the connection was cut on purpose")]));
}

#[tokio::test(start_paused = true)]
async fn that_a_strategy_failed_is_known_while_a_stall_holds_its_error_back() {
    let (engine, _) = engine(2, 10, constant(10 * MS, 10 * MS));
    let stalls = Always(vec![(Failure::Stall(100 * MS), Moment::OnSchedule)]);
    let strategies = Strategies { failure_policy: Some(Arc::new(stalls)), ..answering(FailsSecondChoice) };
    let mut stream = engine.submit(request(SamplingParams { n: 2, ..Default::default() }), strategies).unwrap();
    let start = Instant::now();
    stream.verdict().await;
    assert_eq!((start.elapsed(), stream.take_due().is_none()), (Duration::ZERO, true));
    assert!(stream.next().await.unwrap().is_err());
    assert_eq!(start.elapsed(), 100 * MS);
}
