//! Engines that rest.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_kept_goes_on_as_much_later_as_everything_stood_still() {
    let (engine, record) = engine(1, 10, constant(100 * MS, 20 * MS));
    let running = tokio::spawn(timeline(submit(&engine, 3)));
    let queued = tokio::spawn(timeline(submit(&engine, 1)));
    tokio::time::sleep(110 * MS).await;
    engine.pause(Pause::Keep).await;
    let meanwhile = tokio::spawn(timeline(submit(&engine, 1)));
    tokio::time::sleep(1000 * MS).await;
    assert!(engine.is_paused());
    assert_eq!(engine.load(), (1, 2));
    engine.resume();
    assert_eq!(running.await.unwrap(), [(100 * MS, 1), (1120 * MS, 1), (1140 * MS, 1)]);
    assert_eq!(queued.await.unwrap(), [(1240 * MS, 1)]);
    // It came at 110.
    assert_eq!(meanwhile.await.unwrap(), [(1230 * MS, 1)]);
    record.assert_each_ends_once();
}

#[tokio::test(start_paused = true)]
async fn what_is_waited_for_is_finished_and_the_rest_is_queued() {
    let (engine, _) = engine(1, 10, constant(100 * MS, 20 * MS));
    let (first, second) = (submit(&engine, 2), submit(&engine, 1));
    let start = Instant::now();
    let pausing = async {
        engine.pause(Pause::Wait).await;
        start.elapsed()
    };
    let later = async {
        tokio::time::sleep(MS).await;
        submit(&engine, 1)
    };
    let (first, second, paused_at, later) = tokio::join!(timeline(first), timeline(second), pausing, later);
    assert_eq!((first, second), (vec![(100 * MS, 1), (120 * MS, 1)], vec![(220 * MS, 1)]));
    assert_eq!((paused_at, engine.load()), (220 * MS, (0, 1)));
    engine.resume();
    assert_eq!(timeline(later).await, [(100 * MS, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_aborted_ends_with_what_it_has() {
    let (engine, record) = engine(1, 10, constant(100 * MS, 20 * MS));
    let (running, queued) = (submit(&engine, 5), submit(&engine, 5));
    let ends = |stream: OutputStream| async {
        let events: Vec<_> = stream.map(due).collect().await;
        let last = events.last().unwrap();
        assert!(last.is_last());
        (last.output.text().to_owned(), last.output.finish_reason().clone())
    };
    let pausing = async {
        tokio::time::sleep(130 * MS).await;
        engine.pause(Pause::Abort).await;
    };
    let (running, queued, ()) = tokio::join!(ends(running), ends(queued), pausing);
    assert_eq!(running, ("word word ".to_owned(), FinishReason::Abort));
    assert_eq!(queued, (String::new(), FinishReason::Abort));
    assert_eq!(engine.load(), (0, 0));
    engine.resume();
    assert_eq!(timeline(submit(&engine, 1)).await, [(100 * MS, 1)]);
    record.assert_each_ends_once();
}

/// It stands still from 20 to 120 ms. The answer comes at 50, which nothing has to wait for afterwards.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_meanwhile_is_there_when_it_goes_on() {
    let (engine, _) = engine(2, 10, constant(10 * MS, 10 * MS));
    let slow = answering(Words { words: 1, thinks: 50 * MS });
    let stream = engine.submit(request(SamplingParams { n: 3, ..Default::default() }), slow).unwrap();
    let stream = tokio::spawn(timeline(stream));
    tokio::time::sleep(20 * MS).await;
    engine.pause(Pause::Keep).await;
    tokio::time::sleep(100 * MS).await;
    assert_eq!(engine.load(), (2, 1));
    engine.pause(Pause::Wait).await;
    engine.resume();
    assert_eq!(stream.await.unwrap(), [(120 * MS, 1), (120 * MS, 1), (170 * MS, 1)]);
}

#[tokio::test(start_paused = true)]
async fn each_choice_ends_once_however_late_it_is_read() {
    let (engine, _) = engine(2, 10, constant(10 * MS, 10 * MS));
    let mut stream = engine.submit(request(SamplingParams { n: 2, ..Default::default() }), words(5)).unwrap();
    stream.ask_in_task();
    tokio::time::sleep(15 * MS).await;
    engine.pause(Pause::Abort).await;
    let events: Vec<_> = stream.map(due).collect().await;
    assert_eq!(events.iter().filter(|event| event.is_last()).count(), 2, "{events:?}");
}
