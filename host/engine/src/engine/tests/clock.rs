//! Time that is scaled, and time that is advanced by hand.

use super::*;
use crate::clock::EngineTime;
use crate::failure::{Failure, FailurePolicy, Moment, Outcome};

const SECOND: Duration = Duration::from_secs(1);

fn at(time: Duration) -> EngineTime {
    EngineTime::after_start(time)
}

/// One place, TTFT 30 s, a token each second.
fn slow(clock: &Clock) -> (Engine, Arc<Record>) {
    let record = Arc::new(Record::default());
    let tokenizer = Arc::new(BuiltinTokenizer::default());
    let latency = constant(30 * SECOND, SECOND);
    let observers: Vec<Arc<dyn EngineObserver>> = vec![record.clone()];
    (Engine::new(engine_config(1, 1000), latency, tokenizer, clock.clone(), observers), record)
}

/// Polls a stream until its strategy has answered.
async fn answered(stream: &mut OutputStream) {
    for _ in 0..3 {
        assert!(stream.next().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn scaled_time_shortens_everything_that_is_simulated() {
    let clock = Clock::scaled(Duration::ZERO, 10.0);
    let (engine, _) = slow(&clock);
    let events = timeline(submit(&engine, 3)).await;
    assert_eq!(events, [(3000 * MS, 1), (3100 * MS, 1), (3200 * MS, 1)]);
    assert_eq!(clock.now(), at(32 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn time_that_is_advanced_by_hand_takes_none() {
    let clock = Clock::manual(Duration::ZERO);
    let (engine, record) = slow(&clock);
    let start = Instant::now();
    let streams: Vec<_> = (0..1000).map(|_| tokio::spawn(timeline(submit(&engine, 3)))).collect();
    clock.as_manual().unwrap().advance_until_idle().await;
    assert_eq!(clock.now(), at(1000 * 32 * SECOND));
    for stream in streams {
        assert_eq!(stream.await.unwrap().iter().map(|(_, tokens)| tokens).sum::<usize>(), 3);
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    record.assert_each_ends_once();
}

#[tokio::test(start_paused = true)]
async fn advanced_time_stops_where_it_is_told_to() {
    let clock = Clock::manual(Duration::ZERO);
    let manual = clock.as_manual().unwrap();
    let (engine, _) = slow(&clock);
    let mut stream = submit(&engine, 3);
    assert_eq!((clock.next_deadline(), clock.calls_in_flight()), (None, 1));
    answered(&mut stream).await;
    assert_eq!((clock.next_deadline(), clock.calls_in_flight()), (Some(at(30 * SECOND)), 0));
    manual.advance(30 * SECOND - MS).await;
    assert!(stream.take_due().is_none());
    manual.advance(MS).await;
    assert_eq!(due(stream.take_due().unwrap()).tokens, 0..1);
    assert_eq!(clock.next_deadline(), Some(at(31 * SECOND)));
    drop(stream);
    assert_eq!(clock.next_deadline(), None);
    manual.advance(SECOND / 2).await;
    assert_eq!(clock.now(), at(30 * SECOND + SECOND / 2));
}

#[tokio::test(start_paused = true)]
async fn no_moment_is_passed_while_a_call_is_in_flight() {
    let clock = Clock::manual(Duration::ZERO);
    let (engine, _) = slow(&clock);
    let strategy = answering(Words { words: 1, thinks: 700 * MS });
    let stream = tokio::spawn(timeline(engine.submit(request(SamplingParams::default()), strategy).unwrap()));
    clock.as_manual().unwrap().advance(60 * SECOND).await;
    assert_eq!(stream.await.unwrap(), [(700 * MS, 1)], "in real time");
    assert_eq!(clock.now(), at(60 * SECOND));
}

/// The second answer comes first, and yet the first request's token does.
#[tokio::test(start_paused = true)]
async fn at_one_moment_the_order_is_that_of_the_queue_and_not_of_the_answers() {
    #[derive(Default)]
    struct Order(Mutex<Vec<u64>>);
    impl EngineObserver for Order {
        fn observe(&self, report: &StepReport) {
            let tokens = report.sequences.iter().filter(|report| matches!(report.event, SequenceEvent::Tokens { .. }));
            self.0.lock().unwrap().extend(tokens.map(|report| report.choice.number));
        }
    }
    let (clock, order) = (Clock::manual(Duration::ZERO), Arc::new(Order::default()));
    let latency = constant(Duration::ZERO, Duration::ZERO);
    let tokenizer = Arc::new(BuiltinTokenizer::default());
    let engine = Engine::new(engine_config(5, 10), latency, tokenizer, clock, vec![order.clone()]);
    let streams = [30, 20, 10].map(|thinks| {
        let strategy = answering(Words { words: 2, thinks: thinks * MS });
        tokio::spawn(timeline(engine.submit(request(SamplingParams::default()), strategy).unwrap()))
    });
    futures::future::join_all(streams).await;
    assert_eq!(*order.0.lock().unwrap(), [0, 1, 2]);
}

/// A hang has no deadline in engine time: its client's patience is real.
#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_idle() {
    struct Hangs;
    impl FailurePolicy for Hangs {
        fn name(&self) -> &str {
            "hangs"
        }
        fn select<'a>(&'a self, _: &'a Arrival) -> BoxFuture<'a, Result<Vec<Outcome>, StrategyError>> {
            let (failure, moment) = (Failure::Hang, Moment::AfterTokens(1));
            Box::pin(async move { Ok(vec![Outcome { failure, moment }]) })
        }
    }
    let clock = Clock::manual(Duration::ZERO);
    let (engine, _) = slow(&clock);
    let strategies = Strategies { failure_policy: Some(Arc::new(Hangs)), ..words(3) };
    let mut stream = engine.submit(request(SamplingParams::default()), strategies).unwrap();
    answered(&mut stream).await;
    clock.as_manual().unwrap().advance_until_idle().await;
    assert_eq!(clock.now(), at(30 * SECOND));
    assert_eq!(due(stream.next().await.unwrap()).tokens, 0..1);
    let start = Instant::now();
    assert!(matches!(stream.next().await, Some(Err(StrategyError::Disconnected))));
    assert_eq!(start.elapsed(), Duration::from_secs(600));
    assert_eq!(engine.load(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_advance_that_is_dropped_leaves_time_where_it_is() {
    let clock = Clock::manual(Duration::ZERO);
    let (engine, _) = slow(&clock);
    let mut stream = submit(&engine, 3);
    answered(&mut stream).await;
    assert!(clock.as_manual().unwrap().advance(600 * SECOND).now_or_never().is_none());
    assert_eq!(clock.now(), at(30 * SECOND), "the first deadline, and not the end");
}

/// Time does not move while an engine's state changes.
#[test]
fn nothing_happens_between_two_moments() {
    let clock = Clock::manual(Duration::ZERO);
    let standing = clock.stand_still();
    let advancing = std::thread::spawn({
        let clock = clock.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(clock.as_manual().unwrap().advance(SECOND));
        }
    });
    std::thread::sleep(20 * MS);
    assert_eq!(clock.now(), EngineTime::START);
    drop(standing);
    advancing.join().unwrap();
    assert_eq!(clock.now(), at(SECOND));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_that_arrive_on_other_threads_while_time_moves_end_well() {
    let clock = Clock::manual(Duration::ZERO);
    let record = Arc::new(Record::default());
    let tokenizer = Arc::new(BuiltinTokenizer::default());
    let observers: Vec<Arc<dyn EngineObserver>> = vec![record.clone()];
    let engine =
        Engine::new(engine_config(50, 1000), constant(Duration::ZERO, MS), tokenizer, clock.clone(), observers);
    let engine = Arc::new(engine);
    // Something is due each millisecond.
    let _steady = [(); 2].map(|()| tokio::spawn(timeline(submit(&engine, 1000))));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move {
                for _ in 0..300 {
                    let thinking = answering(Words { words: 3, thinks: MS / 10 });
                    let stream = engine.submit(request(SamplingParams::default()), thinking).unwrap();
                    let n_words = timeline(stream).await.iter().map(|(_, tokens)| tokens).sum::<usize>();
                    assert_eq!(n_words, 3);
                }
            })
        })
        .collect();
    let mut clients = std::pin::pin!(futures::future::join_all(clients));
    loop {
        tokio::select! {
            done = &mut clients => break done.into_iter().for_each(Result::unwrap),
            () = clock.as_manual().unwrap().advance(7 * MS) => {}
        }
    }
    record.assert_each_ends_once();
    assert_eq!(engine.load(), (0, 0));
}
