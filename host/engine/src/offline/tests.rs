//! Steps as requests see them, to the millisecond.

use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::config::StepConfig;
use crate::engine::tests::{MS, engine_config};
use crate::kv_cache::{HashAlgorithm, KvCacheConfig};
use crate::latency::{ConfiguredLatency, StepTime};

/// A step takes 10 ms, 1 ms for each sequence that decodes, and 1 ms for each prompt token.
fn steps(max_num_batched_tokens: u32) -> StepConfig {
    StepConfig {
        time: StepTime { base: 10e-3, per_sequence: vec![(0, 1e-3)], per_prefill_token: 1e-3, ..StepTime::default() },
        spread: 0.0,
        overhead: Duration::ZERO,
        max_num_batched_tokens: NonZeroU32::new(max_num_batched_tokens).unwrap(),
        long_prefill_token_threshold: 0,
        chunked_prefill: true,
        async_scheduling: false,
        lockstep: None,
    }
}

fn engine(max_num_seqs: u32, steps: StepConfig) -> EngineConfig {
    EngineConfig { max_model_len: 1 << 20, steps: Some(steps), ..engine_config(max_num_seqs, 100_000) }
}

/// So many blocks of four tokens.
fn blocks_of_four(n_blocks: u32, reuses_prefixes: bool) -> KvCacheConfig {
    KvCacheConfig {
        n_blocks,
        block_size: 4,
        algorithm: HashAlgorithm::CborFnv,
        hash_seed: None,
        model: String::new(),
        reuses_prefixes,
        tells_events: false,
    }
}

fn arriving(at: u32, prompt_tokens: u32, output_tokens: u32) -> Arriving {
    Arriving { at: at * MS, prompt_tokens, prompt: Vec::new(), output_tokens }
}

/// When each of them had its first and its last token, in milliseconds.
fn times(config: &EngineConfig, requests: &[Arriving]) -> Vec<(u128, u128)> {
    let fates = Offline::new(config, &ConfiguredLatency::default(), 1, 1).run(requests, &mut ());
    let ms = |at: Option<EngineTime>| at.unwrap().since_start().as_millis();
    let of = |fate: &Fate| match fate {
        Fate::Answered { history, .. } => (ms(history.first_token), ms(history.last_token)),
        other => panic!("{other:?}"),
    };
    fates.iter().map(of).collect()
}

#[test]
fn those_that_run_have_their_tokens_together_and_a_prompt_slows_them_all() {
    let config = engine(8, steps(100));
    // Alone: a step of 10 + 5 ms, then 11 ms for each token.
    assert_eq!(times(&config, &[arriving(0, 5, 3)]), [(15, 37)]);
    // The second comes while a token of the first is computed, and its prompt is in the next step, which ends at
    // 26 + 10 + 1 + 20; then both decode.
    assert_eq!(times(&config, &[arriving(0, 5, 4), arriving(20, 20, 2)]), [(15, 69), (57, 69)]);
}

#[test]
fn a_long_prompt_is_computed_in_chunks_beside_the_tokens_of_others() {
    let config = engine(8, steps(16));
    // 40 tokens: 15 beside the other's token, three times as much as is left.
    let expected = [(15, 15 + 3 * 11 + 15 + 15 + 10), (15 + 3 * 11 + 15 + 15 + 10, 15 + 3 * 11 + 40)];
    assert_eq!(times(&config, &[arriving(0, 5, 4), arriving(14, 40, 1)]), expected);
    // A threshold lets others in beside it.
    let threshold = StepConfig { long_prefill_token_threshold: 10, ..steps(16) };
    assert_eq!(times(&engine(8, threshold), &[arriving(0, 40, 1), arriving(0, 6, 1)])[1], (26, 26));
    // Without chunks it waits for a step that has room for all of it.
    let whole = StepConfig { chunked_prefill: false, ..steps(40) };
    assert_eq!(times(&engine(8, whole), &[arriving(0, 5, 3), arriving(1, 40, 1)]), [(15, 37), (87, 87)]);
}

#[test]
fn with_asynchronous_scheduling_a_request_waits_for_a_step_that_was_scheduled_before_it_came() {
    let config = |async_scheduling| engine(8, StepConfig { async_scheduling, ..steps(100) });
    let requests = [arriving(0, 5, 10), arriving(20, 20, 1)];
    assert_eq!(times(&config(false), &requests)[1].0, 26 + 31);
    assert_eq!(times(&config(true), &requests)[1].0, 26 + 11 + 31);
}

#[test]
fn a_request_comes_to_its_engine_through_the_api_server() {
    let config = engine(8, StepConfig { overhead: 7 * MS, ..steps(100) });
    assert_eq!(times(&config, &[arriving(0, 5, 3), arriving(1000, 5, 1)]), [(22, 44), (1022, 1022)]);
}

/// With no room to wait in, those that wait for a step have places all the same.
#[test]
fn what_waits_for_a_step_takes_up_no_waiting_room() {
    let config = EngineConfig { max_waiting_queue_length: 0, ..engine(4, steps(100)) };
    let requests = [0, 1, 2, 3, 4, 40].map(|at| arriving(at, 5, 1));
    let fates = Offline::new(&config, &ConfiguredLatency::default(), 1, 1).run(&requests, &mut ());
    let is_answered = |fate: &Fate| matches!(fate, Fate::Answered { .. });
    assert_eq!(fates.iter().map(is_answered).collect::<Vec<_>>(), [true, true, true, true, false, true]);
}

#[test]
fn memory_that_is_short_makes_the_last_one_compute_everything_again() {
    let config = EngineConfig { kv_cache: Some(blocks_of_four(5, false)), ..engine(8, steps(100)) };
    // Both begin with two blocks. The fifth is for the first, whose second token is its tenth; the other is preempted, and what it
    // had, 8 + 1, is computed again when the first has ended.
    let expected = [(26, 26 + 5 * 11), (26, 26 + 5 * 11 + 19 + 3 * 11)];
    assert_eq!(times(&config, &[arriving(0, 8, 6), arriving(0, 8, 5)]), expected);
}

#[test]
fn a_prompt_of_nothing_is_a_token_and_one_that_never_fits_blocks_none() {
    let config = EngineConfig { kv_cache: Some(blocks_of_four(5, false)), ..engine(8, steps(100)) };
    let requests = [arriving(0, 30, 1), arriving(1, 0, 3), arriving(1000, 8, 1)];
    let fates = Offline::new(&config, &ConfiguredLatency::default(), 1, 1).run(&requests, &mut ());
    assert_eq!(fates[0], Fate::TooLong);
    assert_eq!(times(&config, &requests[1..]), [(1 + 11, 1 + 33), (1018, 1018)]);
}

#[test]
fn what_other_ranks_compute_makes_a_step_longer() {
    let run = |in_lockstep| {
        let config = engine(8, steps(100));
        let requests = [arriving(0, 5, 3), arriving(1, 5, 3)];
        let fates = Offline::new(&config, &ConfiguredLatency::default(), 2, in_lockstep).run(&requests, &mut ());
        let last = |fate: &Fate| match fate {
            Fate::Answered { history, engine } => (history.last_token.unwrap().since_start().as_millis(), *engine),
            other => panic!("{other:?}"),
        };
        fates.iter().map(last).collect::<Vec<_>>()
    };
    assert_eq!(run(1), [(37, 1), (38, 0)]);
    // The prompt of each makes a step of the other longer.
    assert_eq!(run(2), [(15 + 16 + 12, 1), (1 + 20 + 12 + 12, 0)]);
}

/// In which requests left the queue, and ended.
#[derive(Default)]
struct Order {
    admitted: Vec<usize>,
    ended: Vec<usize>,
}

impl OfflineObserver for Order {
    fn observe(&mut self, _: usize, _: EngineTime, _: &Counts, _: &[EndedStep]) {}

    fn admitted(&mut self, request: usize) {
        self.admitted.push(request);
    }

    fn ended(&mut self, request: usize) {
        self.ended.push(request);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However short memory is and whatever comes first, every request that fits has its whole answer.
    #[test]
    fn nothing_starves(
        requests in vec((0..40u32, 1..40u32, 1..30u32), 1..40),
        (max_num_seqs, budget, n_blocks) in (1..9u32, 8..40u32, 18..40u32),
        (threshold, async_scheduling, reuses_prefixes) in (0..12u32, any::<bool>(), any::<bool>()),
    ) {
        let mut at = 0;
        let requests: Vec<_> = requests.into_iter().map(|(gap, prompt_tokens, output_tokens)| {
            at += gap;
            // Some begin alike.
            let prompt = if reuses_prefixes { (0..prompt_tokens).map(|token| token + at % 3 / 2).collect() } else { Vec::new() };
            Arriving { prompt, ..arriving(at, prompt_tokens, output_tokens) }
        }).collect();
        let kv_cache = blocks_of_four(n_blocks, reuses_prefixes);
        let steps = StepConfig { long_prefill_token_threshold: threshold, async_scheduling, ..steps(budget) };
        let config = EngineConfig { kv_cache: Some(kv_cache), ..engine(max_num_seqs, steps) };
        let fates = Offline::new(&config, &ConfiguredLatency::default(), 1, 1).run(&requests, &mut ());
        for (fate, request) in fates.iter().zip(&requests) {
            match fate {
                Fate::Answered { history, .. } => prop_assert_eq!(history.generated_tokens, request.output_tokens),
                other => prop_assert!(false, "{:?} of {:?}", other, request),
            }
        }
    }

    /// Steps that take no time admit requests in the order of an engine without steps, and end those of one length in it.
    #[test]
    fn steps_without_time_keep_the_order(
        requests in vec((0..3u32, 1..30u32), 1..40),
        (max_num_seqs, budget) in (1..6u32, 6..40u32),
    ) {
        let mut at = 0;
        let requests: Vec<_> = requests.into_iter().map(|(gap, prompt_tokens)| {
            at += gap;
            arriving(at, prompt_tokens, 3)
        }).collect();
        let timeless = StepConfig { time: StepTime::default(), ..steps(budget) };
        let stepping = engine(max_num_seqs, timeless);
        let paced = EngineConfig { steps: None, ..stepping.clone() };
        let orders = [stepping, paced].map(|config| {
            let mut order = Order::default();
            Offline::new(&config, &ConfiguredLatency::default(), 1, 1).run(&requests, &mut order);
            (order.admitted, order.ended)
        });
        prop_assert_eq!(&orders[0], &orders[1]);
        prop_assert_eq!(orders[0].1.len(), requests.len());
    }
}
