//! Tokens as they come: how many, where prompts were computed, and how long each was waited for.

use prometheus::{Histogram, IntCounter, Result};
use rehearsal_engine::{SequenceEvent, StepReport};

use super::families::Families;
use super::{buckets, prompt_sources};

pub(super) struct Tokens {
    prompt: IntCounter,
    computed_here: IntCounter,
    found_here: IntCounter,
    from_elsewhere: IntCounter,
    cached: IntCounter,
    generated: IntCounter,
    of_step: Histogram,
    first_token: Histogram,
    between_tokens: Histogram,
}

impl Tokens {
    pub(super) fn new(families: &Families<'_>) -> Result<Self> {
        let [computed_here, found_here, from_elsewhere] = families.counters(
            "vllm:prompt_tokens_by_source_total",
            "Prompt tokens, by where their KV cache came from.",
            "source",
            ["local_compute", "local_cache_hit", "external_kv_transfer"],
        )?;
        Ok(Self {
            prompt: families.counter("vllm:prompt_tokens_total", "Prompt tokens of requests that began to answer.")?,
            computed_here,
            found_here,
            from_elsewhere,
            cached: families
                .counter("vllm:prompt_tokens_cached_total", "Prompt tokens that did not have to be computed.")?,
            generated: families.counter("vllm:generation_tokens_total", "Tokens that were generated.")?,
            of_step: families.histogram(
                "vllm:iteration_tokens_total",
                "Tokens of a step: those generated, and those of prompts that were computed for them.",
                &buckets::STEP_TOKENS,
            )?,
            first_token: families.histogram(
                "vllm:time_to_first_token_seconds",
                "From the arrival of a request to its first token.",
                &buckets::FIRST_TOKEN,
            )?,
            between_tokens: families.histogram(
                "vllm:inter_token_latency_seconds",
                "From the tokens of one step to those of the next, of one request.",
                &buckets::BETWEEN_TOKENS,
            )?,
        })
    }

    pub(super) fn observe(&self, report: &StepReport) {
        for step in &report.steps {
            let (prompts, decoded) = (step.counts.prefill_tokens, step.counts.sequences);
            self.of_step.observe(f64::from(prompts + decoded));
            self.generated.inc_by(step.decoded.into());
            (0..step.decoded).for_each(|_| self.between_tokens.observe(step.gap.as_secs_f64()));
        }
        let (mut of_step, mut has_output) = (0, false);
        for sequence in &report.sequences {
            let SequenceEvent::Tokens { n, gap } = sequence.event else { continue };
            self.generated.inc_by(n as u64);
            (of_step, has_output) = (of_step + n as u64, true);
            if let Some(gap) = gap {
                self.between_tokens.observe(gap.as_secs_f64());
                continue;
            }
            let sources = prompt_sources(sequence);
            of_step += u64::from(sources.computed);
            self.prompt.inc_by(sequence.choice.prompt().n_tokens.into());
            self.computed_here.inc_by(sources.computed.into());
            self.found_here.inc_by(sources.cached.into());
            self.from_elsewhere.inc_by(sources.external.into());
            self.cached.inc_by((sources.cached + sources.external).into());
            self.first_token.observe(report.at.since(sequence.history.arrived).as_secs_f64());
        }
        // Those of an engine that steps are told of by step.
        if has_output && report.steps.is_empty() {
            self.of_step.observe(of_step as f64);
        }
    }
}
