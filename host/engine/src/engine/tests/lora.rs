//! Adapters in the running batch.

use super::*;
use crate::lora::Adapter;

fn with_adapter(id: u32) -> GenerationRequest {
    let adapter = Adapter { id, generation: id, name: format!("adapter-{id}"), path: "/p".into(), base_model: None };
    GenerationRequest { adapter: Some(Arc::new(adapter)), ..request(SamplingParams::default()) }
}

/// Six requests over three adapters, one of which may run, and a request for the base model behind them all.
#[tokio::test(start_paused = true)]
async fn one_adapter_runs_at_a_time_and_none_starves() {
    let (engine, record) = engine(6, 10, constant(100 * MS, Duration::ZERO));
    let asked = [1, 2, 3, 1, 2, 3].map(with_adapter).into_iter().chain([request(SamplingParams::default())]);
    let streams: Vec<_> = asked.map(|request| engine.submit(request, words(1)).unwrap()).collect();
    let numbers = |event: &str| record.of(event).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    let ends = tokio::spawn(futures::future::join_all(streams.into_iter().map(timeline)));
    for (at, scheduled, load, (running, waiting)) in [
        (50, vec![0, 3, 6], (3, 4), ("adapter-1", "adapter-2,adapter-3")),
        (150, vec![0, 3, 6, 1, 4], (2, 2), ("adapter-2", "adapter-3")),
        (250, vec![0, 3, 6, 1, 4, 2, 5], (2, 0), ("adapter-3", "")),
    ] {
        let lists = (running.to_owned(), waiting.to_owned());
        tokio::time::sleep_until(Instant::now() + 50 * MS).await;
        assert_eq!((numbers("scheduled"), engine.load()), (scheduled, load), "at {at} ms");
        let names = engine.driver.look(Core::adapter_names);
        assert_eq!((names.running.join(","), names.waiting.join(",")), lists, "at {at} ms");
        tokio::time::sleep(50 * MS).await;
    }
    let ends: Vec<_> = ends.await.unwrap().iter().map(|events| events[0].0.as_millis()).collect();
    assert_eq!(ends, [100, 200, 300, 100, 200, 300, 100]);
    record.assert_each_ends_once();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_gives_up_lets_the_next_adapter_in() {
    let (engine, _) = engine(6, 10, constant(100 * MS, Duration::ZERO));
    let first = engine.submit(with_adapter(1), words(1)).unwrap();
    let second = engine.submit(with_adapter(2), words(1)).unwrap();
    tokio::time::sleep(30 * MS).await;
    drop(first);
    assert_eq!(timeline(second).await, [(100 * MS, 1)]);
}
