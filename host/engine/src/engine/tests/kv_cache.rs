//! The KV cache as requests feel it: waiting, making way, finding prefixes.

use super::*;
use crate::kv_cache::{HashAlgorithm, KvCacheConfig, KvCacheEvent};
use crate::seed::rng;
use rand::RngExt;

/// Keeps what happens to blocks.
#[derive(Default)]
struct Blocks(Mutex<Vec<KvCacheEvent>>);

impl EngineObserver for Blocks {
    fn observe(&self, report: &StepReport) {
        self.0.lock().unwrap().extend(report.kv_cache.iter().flat_map(|events| events.iter().cloned()));
    }
}

/// Blocks of 16 tokens; prefill takes 1 ms for each token that is not cached, a token 10 ms.
fn caching(n_blocks: u32, max_num_seqs: u32) -> (Engine, Arc<Record>, Arc<Blocks>) {
    caching_blocks_of(16, n_blocks, max_num_seqs)
}

fn caching_blocks_of(block_size: u32, n_blocks: u32, max_num_seqs: u32) -> (Engine, Arc<Record>, Arc<Blocks>) {
    let per_token = PromptLatency::PerToken { overhead: Duration::ZERO, per_token: MS, std_dev: Duration::ZERO };
    let latency = ConfiguredLatency { prefill: per_token, ..constant(Duration::ZERO, 10 * MS) };
    let config = EngineConfig {
        max_model_len: 1 << 20,
        kv_cache: Some(KvCacheConfig {
            n_blocks,
            block_size,
            algorithm: HashAlgorithm::default(),
            hash_seed: None,
            model: "my-model".into(),
            reuses_prefixes: true,
            tells_events: true,
        }),
        ..engine_config(max_num_seqs, 1000)
    };
    let (record, blocks) = (Arc::new(Record::default()), Arc::new(Blocks::default()));
    let observers: Vec<Arc<dyn EngineObserver>> = vec![record.clone(), blocks.clone()];
    let tokenizer = Arc::new(BuiltinTokenizer::default());
    (Engine::new(config, latency, tokenizer, Clock::real(Duration::ZERO), observers), record, blocks)
}

fn prompt(token_ids: Vec<u32>) -> GenerationRequest {
    let content = PromptContent::TokenIds(token_ids.clone());
    GenerationRequest { prompts: vec![Prompt::encoded(content, token_ids)], ..request(SamplingParams::default()) }
}

#[tokio::test(start_paused = true)]
async fn cached_tokens_shorten_prefill_and_are_reported() {
    let (engine, _, _) = caching(100, 5);
    let token_ids: Vec<u32> = (0..64).collect();
    for (expected, cached) in [(64, 0), (16, 48)] {
        let mut stream = engine.submit(prompt(token_ids.clone()), words(3)).unwrap();
        let start = Instant::now();
        let first = due(stream.next().await.unwrap());
        assert_eq!((start.elapsed(), first.history.cached_tokens), (expected * MS, cached));
        while stream.next().await.is_some() {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_without_free_blocks_waits_and_so_do_those_behind_it() {
    let (engine, _, _) = caching(10, 5);
    let [a, b, c] =
        [0..100, 200..300, 400..410].map(|token_ids| engine.submit(prompt(token_ids.collect()), words(2)).unwrap());
    assert_eq!(engine.load(), (1, 2));
    assert_eq!(engine.status().kv_cache_blocks, Some((7, 10)));
    let (a, b, c) = tokio::join!(timeline(a), timeline(b), timeline(c));
    assert_eq!(a.last().unwrap().0, 110 * MS);
    assert_eq!([b[0].0, c[0].0], [(110 + 100) * MS, (110 + 10) * MS]);
    assert_eq!(engine.status().kv_cache_blocks, Some((0, 10)));
}

/// Two answers grow until the pool is full: the second is preempted, and goes on from where it was.
#[tokio::test(start_paused = true)]
async fn a_preempted_stream_pauses_and_goes_on() {
    let (engine, record, _) = caching(4, 5);
    let [a, b] = [0, 100].map(|first| prompt((first..first + 16).collect()));
    let a = engine.submit(a, words(33)).unwrap();
    let b = engine.submit(b, words(20)).unwrap();
    let (a, b) = tokio::join!(timeline(a), timeline(b));
    // Never held up: 16 ms of prefill and a token every 10 ms.
    let steady: Vec<_> = (0..33).map(|at| ((16 + 10 * at) * MS, 1)).collect();
    assert_eq!(a, steady);
    // Token 18 of both wants a third block, and a is first: it gets b's second. When a ends, b's first block is still
    // there, and 17 of its 33 tokens are computed again.
    assert_eq!(record.of("preempted"), [(1, 0)]);
    assert_eq!(b[..17], steady[..17]);
    let (resumed, tokens): (Vec<_>, Vec<_>) = b[17..].iter().copied().unzip();
    assert_eq!((resumed[0] - steady[32].0, tokens), (17 * MS, vec![1; 3]));
    record.assert_each_ends_once();
}

/// Eight clients, a thousand requests, prompts and answers of twenty blocks each, in a pool of sixty-four. The cache
/// checks itself after every step.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_where_everybody_makes_way_for_everybody() {
    let (engine, record, blocks) = caching_blocks_of(4, 64, 8);
    let engine = Arc::new(engine);
    let client = |client: u32| {
        let engine = engine.clone();
        async move {
            let mut rng = rng(Purpose::Answer, &[client.into()]);
            for number in 0..125 {
                // Some prompts are another client's.
                let first = rng.random_range(0..200u32) * 1000;
                let request = prompt((first..first + 80).collect());
                let stream = engine.submit(request, words(80)).unwrap();
                let sent: usize = match number % 10 {
                    // Gives up on the way.
                    9 => {
                        let _ = tokio::time::timeout(rng.random_range(1..1000) * MS, timeline(stream)).await;
                        continue;
                    }
                    _ => timeline(stream).await.iter().map(|(_, tokens)| tokens).sum(),
                };
                assert_eq!(sent, 80);
            }
        }
    };
    futures::future::join_all((0..8).map(client)).await;
    record.assert_each_ends_once();
    let status = engine.status();
    assert!(status.preemptions > 100, "{} preemptions", status.preemptions);
    assert_eq!((status.running, status.waiting, status.kv_cache_blocks), (0, 0, Some((0, 64))));
    // An index that is kept by the events has what is there: no more than the pool holds.
    let stored_minus_removed = blocks.0.lock().unwrap().iter().fold(0i64, |sum, event| match event {
        KvCacheEvent::BlockStored(stored) => sum + stored.hashes.len() as i64,
        KvCacheEvent::BlockRemoved(_) => sum - 1,
        KvCacheEvent::AllBlocksCleared => 0,
    });
    assert!((1..=64).contains(&stored_minus_removed), "{stored_minus_removed} blocks");
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_where_the_cache_has_no_more_room_for_it_alone() {
    let (engine, _, _) = caching(2, 5);
    let sent: usize = timeline(engine.submit(prompt((0..20).collect()), words(100)).unwrap())
        .await
        .iter()
        .map(|(_, tokens)| tokens)
        .sum();
    assert_eq!(sent, 13, "12 places beside the prompt, and the last token needs none");
}

#[tokio::test(start_paused = true)]
async fn a_reset_makes_running_requests_compute_again_if_asked_to() {
    let (engine, record, blocks) = caching(10, 5);
    let stream = engine.submit(prompt((0..32).collect()), words(3)).unwrap();
    tokio::time::sleep(35 * MS).await;
    assert!(!engine.reset_prefix_cache(false));
    assert!(engine.reset_prefix_cache(true));
    assert_eq!(engine.load(), (1, 0));
    let times: Vec<_> = timeline(stream).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(times.len(), 3);
    assert_eq!(record.of("preempted"), [(0, 0)]);
    assert!(blocks.0.lock().unwrap().iter().any(|event| matches!(event, KvCacheEvent::AllBlocksCleared)));
    assert!(engine.reset_prefix_cache(false));
}
