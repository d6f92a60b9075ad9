//! A benchmark again, on the simulated engine: the same arrivals and lengths.

use std::num::NonZeroU32;
use std::time::Duration;

use rehearsal_engine::offline::{Arriving, Fate, Offline, OfflineObserver};
use rehearsal_engine::report::EndedStep;
use rehearsal_engine::{
    ConfiguredLatency, Counts, EngineConfig, EngineTime, HashAlgorithm, KvCacheConfig, StepConfig, StepCounts, StepTime,
};

use super::solve::Problem;
use super::{FitOptions, Form};
use crate::benchmark::{Benchmark, Record, moment};

/// Blocks that no benchmark needs at once.
const PLENTY: u64 = 1 << 20;

/// One benchmark, ready to be simulated.
#[derive(Debug, Clone)]
pub(super) struct Run {
    benchmark: Benchmark,
    arriving: Vec<Arriving>,
    /// Of the first of those: which record it is.
    order: Vec<usize>,
    config: EngineConfig,
    n_engines: usize,
}

/// What the engine made of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Of each record: seconds from its start to its first and its last token, without what a request takes beside its steps.
    pub times: Vec<(f64, f64)>,
    /// Of each record: which engine it ran on.
    engines: Vec<usize>,
    /// By engine, in order.
    steps: Vec<Vec<Step>>,
}

impl Outcome {
    /// Sequences that decoded at once, at most.
    pub(super) fn most_sequences(&self) -> u32 {
        self.steps.iter().flatten().map(|step| step.counts.sequences).max().unwrap_or(0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Step {
    start: f64,
    end: f64,
    counts: StepCounts,
}

struct Steps(Vec<Vec<Step>>);

impl OfflineObserver for Steps {
    fn observe(&mut self, engine: usize, at: EngineTime, _: &Counts, steps: &[EndedStep]) {
        let seconds = |time: EngineTime| time.since_start().as_secs_f64();
        self.0[engine].extend(steps.iter().map(|step| Step {
            start: seconds(step.start),
            end: seconds(at),
            counts: step.all_ranks,
        }));
    }
}

impl Run {
    /// The benchmark on an engine as in `options`.
    pub(super) fn new(benchmark: &Benchmark, options: &FitOptions) -> Self {
        let records = &benchmark.records;
        let knows_prompts = records.iter().any(|record| !record.prompt.is_empty() || record.cached_tokens > 0);
        let block_size = options.block_size.get();
        // As much as ever finds its place, if memory was never short.
        let n_tokens = records.iter().map(|record| u64::from(record.prompt_tokens) + u64::from(record.output_tokens));
        let most: u64 = n_tokens.map(|n_tokens| n_tokens.div_ceil(block_size.into()) + 1).sum();
        let n_blocks = options.num_gpu_blocks.map_or(most.min(PLENTY) as u32, |blocks| blocks.get() - 1);
        let kv_cache = (options.num_gpu_blocks.is_some() || knows_prompts).then(|| KvCacheConfig {
            n_blocks,
            block_size,
            algorithm: HashAlgorithm::CborFnv,
            hash_seed: None,
            model: String::new(),
            reuses_prefixes: knows_prompts,
            tells_events: false,
        });
        let config = EngineConfig {
            max_model_len: u32::MAX,
            max_num_seqs: options.max_num_seqs,
            max_waiting_queue_length: u32::MAX,
            priorities_count: false,
            max_loras: NonZeroU32::MIN,
            max_cpu_loras: NonZeroU32::MIN,
            kv_cache,
            steps: Some(StepConfig {
                time: StepTime::default(),
                spread: 0.0,
                overhead: Duration::ZERO,
                max_num_batched_tokens: options.max_num_batched_tokens,
                long_prefill_token_threshold: 0,
                chunked_prefill: true,
                async_scheduling: options.async_scheduling,
                lockstep: None,
            }),
            seed: 0,
        };
        let order = order_of_arrival(records);
        let arriving = arriving(benchmark, &order, options.goes_on);
        let n_engines = options.data_parallel_size.get() as usize;
        Self { benchmark: benchmark.clone(), arriving, order, config, n_engines }
    }

    /// Lets it run with steps of this time. Fails with which request cannot run.
    pub(super) fn simulate(&self, time: &StepTime) -> Result<Outcome, String> {
        let steps = self.config.steps.clone().map(|steps| StepConfig { time: time.clone(), ..steps });
        let config = EngineConfig { steps, ..self.config.clone() };
        let mut steps = Steps(vec![Vec::new(); self.n_engines]);
        let offline = Offline::new(&config, &ConfiguredLatency::default(), self.n_engines, self.n_engines);
        let fates = offline.run(&self.arriving, &mut steps);
        let n = self.benchmark.records.len();
        let mut outcome = Outcome { times: vec![(0.0, 0.0); n], engines: vec![0; n], steps: steps.0 };
        for (fate, at) in fates.iter().zip(&self.order) {
            let record = &self.benchmark.records[*at];
            let Fate::Answered { history, engine } = fate else {
                let (prompt, output) = (record.prompt_tokens, record.output_tokens);
                return Err(format!(
                    "{}: request {at} has {prompt} and {output} tokens, which find no room in the KV cache that was said",
                    self.benchmark.name
                ));
            };
            let since_start = |moment: Option<EngineTime>| {
                moment.map_or(0.0, |moment| moment.since_start().as_secs_f64() - record.start)
            };
            outcome.times[*at] = (since_start(history.first_token), since_start(history.last_token));
            outcome.engines[*at] = *engine;
        }
        Ok(outcome)
    }

    /// How far off the times of the records that count are, and how they depend on coefficients while the batches stay as they are.
    pub(super) fn add_to(&self, problem: &mut Problem, outcome: &Outcome, counts: &[bool], form: Form, overhead: f64) {
        let sums: Vec<_> = outcome.steps.iter().map(|steps| Sums::new(steps, form)).collect();
        let records = self.benchmark.records.iter().zip(counts).enumerate().filter(|(_, (_, counts))| **counts);
        for (at, (record, _)) in records {
            let (ttft, e2e) = outcome.times[at];
            let (sums, steps) = (&sums[outcome.engines[at]], &outcome.steps[outcome.engines[at]]);
            // A twentieth of a time to first token is as bad as a fiftieth of a time for each token.
            let weight = 1.0 / (0.05 * record.ttft + 0.005);
            let first = steps.partition_point(|step| step.end < record.start + ttft - 1e-9);
            let at_arrival = steps.partition_point(|step| step.end <= record.start);
            let slopes = sums.waited(steps, at_arrival, record.start, first);
            problem.push(
                (ttft + overhead - record.ttft) * weight,
                slopes.map(|slope| slope * weight).chain([1e-3 * weight]),
            );
            let gaps = f64::from(record.output_tokens.max(2) - 1);
            let weight = 1.0 / (0.02 * record.tpot().max(1e-4));
            let last = steps.partition_point(|step| step.end < record.start + e2e - 1e-9);
            let slopes = sums.between(first + 1, last + 1);
            problem.push(
                ((e2e - ttft) / gaps - record.tpot()) * weight,
                slopes.map(|slope| slope * weight / gaps).chain([0.0]),
            );
        }
    }
}

/// Features of steps, summed from the first one on.
struct Sums {
    n: usize,
    /// A row more than there are steps.
    sums: Vec<f64>,
}

impl Sums {
    fn new(steps: &[Step], form: Form) -> Self {
        let mut sum = form.features(&StepCounts::default());
        let n = sum.len();
        sum.fill(0.0);
        let mut sums = sum.clone();
        for step in steps {
            sum.iter_mut().zip(form.features(&step.counts)).for_each(|(sum, feature)| *sum += feature);
            sums.extend(&sum);
        }
        Self { n, sums }
    }

    fn up_to(&self, step: usize) -> &[f64] {
        let last = self.sums.len() / self.n - 1;
        let at = step.min(last) * self.n;
        &self.sums[at..at + self.n]
    }

    /// Of the steps from `from` on, before `to`.
    fn between(&self, from: usize, to: usize) -> impl Iterator<Item = f64> {
        self.up_to(to).iter().zip(self.up_to(from)).map(|(to, from)| to - from)
    }

    /// Of what is left at `arrival` of the step that runs then, and of those after it, up to the one with the first token.
    fn waited(&self, steps: &[Step], running: usize, arrival: f64, first: usize) -> impl Iterator<Item = f64> {
        let left = steps
            .get(running)
            .map_or(0.0, |step| ((step.end - arrival) / (step.end - step.start).max(1e-9)).clamp(0.0, 1.0));
        let rest = self.between(running, running + 1).map(move |feature| feature * left);
        self.between((running + 1).min(first + 1), first + 1).zip(rest).map(|(after, rest)| after + rest)
    }
}

/// The order in which requests came to the engine: that of their starts, as far as clients know it. Of those that were sent almost
/// together, on connections of their own, the one that had its first token first was there first.
fn order_of_arrival(records: &[Record]) -> Vec<usize> {
    /// Seconds from one to the next within which nothing is known of their order.
    const TOGETHER: f64 = 5e-3;
    let mut order: Vec<_> = (0..records.len()).collect();
    let mut begin = 0;
    for at in 1..=records.len() {
        if at == records.len() || records[at].start - records[at - 1].start > TOGETHER {
            let first_token = |at: &usize| records[*at].start + records[*at].ttft;
            order[begin..at].sort_by(|one, other| first_token(one).total_cmp(&first_token(other)));
            begin = at;
        }
    }
    order
}

/// The requests of a benchmark, in this order, at its moments; with `goes_on`, the same once more, from where it ends.
fn arriving(benchmark: &Benchmark, order: &[usize], goes_on: bool) -> Vec<Arriving> {
    let records = &benchmark.records;
    let prompt = |prompt: &[u32], cached: u32, n: u32, at: usize| -> Vec<u32> {
        match (prompt, cached) {
            ([], 0) => Vec::new(),
            // What was found was what others had, too; the rest is like no other's.
            ([], cached) => (0..n).map(|token| if token < cached { token } else { u32::MAX - at as u32 }).collect(),
            (known, _) => known.to_vec(),
        }
    };
    let of = |(sent, at): (&Record, &usize)| {
        let record = &records[*at];
        Arriving {
            at: moment(sent.start),
            prompt_tokens: record.prompt_tokens,
            prompt: prompt(&record.prompt, record.cached_tokens, record.prompt_tokens, *at),
            output_tokens: record.output_tokens,
        }
    };
    let mut arriving: Vec<_> = records.iter().zip(order).map(of).collect();
    if goes_on && records.len() > 1 {
        let span = records[records.len() - 1].start * records.len() as f64 / (records.len() - 1) as f64;
        let again = arriving.iter().map(|request| Arriving {
            at: request.at.saturating_add(moment(span)),
            // Other prompts.
            prompt: request.prompt.iter().map(|token| token ^ 0x4000_0000).collect(),
            ..request.clone()
        });
        arriving.extend(again.collect::<Vec<_>>());
    }
    arriving
}
