//! When tokens fall due.

use super::*;

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
