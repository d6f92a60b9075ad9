//! Coefficients that are known are found again.

use rehearsal_engine::StepCounts;

use super::*;
use crate::benchmark::Record;

fn options() -> FitOptions {
    FitOptions {
        max_num_seqs: NonZeroU32::new(64).unwrap(),
        max_num_batched_tokens: NonZeroU32::new(2048).unwrap(),
        num_gpu_blocks: None,
        block_size: NonZeroU32::new(16).unwrap(),
        async_scheduling: true,
        data_parallel_size: NonZeroU32::MIN,
        form: Form::Mix,
        skip: 0,
        goes_on: false,
    }
}

/// A benchmark of `n` requests at this rate, as an engine with steps of `time` would have answered them.
fn measured(rate: f64, n: u32, time: &StepTime, options: &FitOptions) -> Benchmark {
    let record = |at: u32| Record {
        // Lengths and gaps that vary, and are the same in every run.
        start: f64::from(at) / rate + f64::from(at * 7919 % 13) / 13.0 / rate,
        prompt_tokens: 50 + at * 7907 % 1500,
        output_tokens: 20 + at * 6101 % 150,
        ..Record::default()
    };
    let mut benchmark = Benchmark::new("b", "t", (0..n).map(record).collect(), 0);
    let outcome = Run::new(&benchmark, options).simulate(time).unwrap();
    for (record, (ttft, e2e)) in benchmark.records.iter_mut().zip(outcome.times) {
        (record.ttft, record.e2e) = (ttft + 3e-3, e2e + 3e-3);
    }
    benchmark
}

#[test]
fn the_coefficients_of_a_known_engine_are_found() {
    let truth = StepTime {
        base: 12e-3,
        per_sequence: vec![(0, 60e-6)],
        per_context_token: 80e-9,
        mixed: 3e-3,
        mixed_per_context_token: 40e-9,
        per_prefill_token: 40e-6,
        per_prefill_pair: 0.0,
    };
    let options = options();
    let benchmarks = [measured(2.0, 60, &truth, &options), measured(8.0, 80, &truth, &options)];
    let counts: Vec<_> = benchmarks.iter().map(|benchmark| vec![true; benchmark.records.len()]).collect();
    let fitted = fit(&benchmarks, &counts, &options, &mut |_, _| {}).unwrap();
    let outcomes = simulate(&benchmarks, &options, &fitted).unwrap();
    for ((benchmark, outcome), counts) in benchmarks.iter().zip(&outcomes).zip(&counts) {
        let (errors, _) = errors(benchmark, outcome, counts, &fitted);
        // A step more or less is several per cent of a short time to first token.
        let worst = |errors: [f64; 3]| errors.into_iter().fold(0.0_f64, |worst, error| worst.max(error.abs()));
        assert!(worst(errors.tpot) < 1.0 && worst(errors.e2e) < 1.0, "{errors:?} of {fitted:?}");
        assert!(worst(errors.ttft) < 6.0, "{errors:?} of {fitted:?}");
    }
    for (prefill_tokens, sequences, context) in [(0, 5, 3000), (0, 30, 20_000), (600, 20, 12_000)] {
        let counts = StepCounts { prefill_tokens, prefill_pairs: 0.0, sequences, context };
        let off = fitted.time.seconds(&counts) / truth.seconds(&counts) - 1.0;
        assert!(off.abs() < 0.03, "{off:+.3} at {counts:?}: {fitted:?}");
    }
}

#[test]
fn what_does_not_fit_into_memory_is_told() {
    let truth = StepTime { base: 12e-3, ..StepTime::default() };
    let benchmark = measured(2.0, 20, &truth, &options());
    let tiny = FitOptions { num_gpu_blocks: NonZeroU32::new(20), ..options() };
    let error = fit(&[benchmark], &[vec![true; 20]], &tiny, &mut |_, _| {}).unwrap_err();
    assert!(error.starts_with("b: request ") && error.contains("no room in the KV cache"), "{error}");
}

/// Those that are sent together come in any order, which their first tokens tell.
#[test]
fn an_unlimited_rate_is_fitted_too() {
    let truth = crate::profile::builtin("llama-3.1-8b-a100").unwrap().step_time.to_step_time();
    let options = options();
    let mut benchmark = measured(1e4, 120, &truth, &options);
    let measured: Vec<_> = benchmark.records.iter().map(|record| (record.start, record.ttft, record.e2e)).collect();
    for (at, record) in benchmark.records.iter_mut().enumerate() {
        (record.prompt_tokens, record.output_tokens) = (300, 64);
        // Each has the times of another.
        (record.ttft, record.e2e) = (measured[at * 49 % 120].1, measured[at * 49 % 120].2);
    }
    let in_order = Run::new(&benchmark, &options).simulate(&truth).unwrap();
    for (record, (ttft, e2e)) in benchmark.records.iter_mut().zip(in_order.times) {
        (record.ttft, record.e2e) = (ttft + 8e-3, e2e + 8e-3);
    }
    let counts = [vec![true; 120]];
    let benchmarks = [benchmark];
    let fitted = fit(&benchmarks, &counts, &options, &mut |_, _| {}).unwrap();
    let outcomes = simulate(&benchmarks, &options, &fitted).unwrap();
    let (errors, _) = errors(&benchmarks[0], &outcomes[0], &counts[0], &fitted);
    assert!(errors.worst() < 1.0, "{errors:?} of {fitted:?}");
}
