//! Requests that ended: why, how long each part of them took, and what they asked for. One whose client went away is not
//! told of, as in vLLM.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, Result};
use rehearsal_engine::{FinishReason, SequenceEvent, SequenceReport, StepReport};

use super::families::Families;
use super::{buckets, prompt_sources};

pub(super) struct Requests {
    /// In the order of [`REASONS`].
    ended: [IntCounter; REASONS.len()],
    e2e: Histogram,
    queue: Histogram,
    prefill: Histogram,
    decode: Histogram,
    inference: Histogram,
    time_per_token: Histogram,
    prompt_tokens: Histogram,
    generation_tokens: Histogram,
    most_generation_tokens: Histogram,
    max_tokens: Histogram,
    n: Histogram,
    preemptions: Histogram,
    computed_tokens: Histogram,
    /// Of prompts that get several answers, those that some are missing of.
    unfinished: Mutex<HashMap<(u64, u32), Unfinished>>,
}

/// `finished_reason`. Tools and filters are vLLM's front end's; its engine knows of a stop.
const REASONS: [&str; 5] = ["stop", "length", "abort", "error", "repetition"];

/// Answers to one prompt.
struct Unfinished {
    missing: u32,
    most_tokens: u32,
}

impl Requests {
    pub(super) fn new(families: &Families<'_>, max_model_len: u32) -> Result<Self> {
        let tokens = buckets::request_tokens(max_model_len);
        let seconds = |name: &str, help: &str| families.histogram(name, help, &buckets::REQUEST);
        let tokens = |name: &str, help: &str| families.histogram(name, help, &tokens);
        Ok(Self {
            ended: families.counters(
                "vllm:request_success_total",
                "Requests that ended, by why.",
                "finished_reason",
                REASONS,
            )?,
            e2e: seconds("vllm:e2e_request_latency_seconds", "From arrival to the last token.")?,
            queue: seconds("vllm:request_queue_time_seconds", "In the waiting queue.")?,
            prefill: seconds("vllm:request_prefill_time_seconds", "From leaving the queue to the first token.")?,
            decode: seconds("vllm:request_decode_time_seconds", "From the first token to the last.")?,
            inference: seconds("vllm:request_inference_time_seconds", "From leaving the queue to the last token.")?,
            time_per_token: families.histogram(
                "vllm:request_time_per_output_token_seconds",
                "Mean time between the tokens of a request; 0 where there is but one.",
                &buckets::BETWEEN_TOKENS,
            )?,
            prompt_tokens: tokens("vllm:request_prompt_tokens", "Tokens of a prompt.")?,
            generation_tokens: tokens("vllm:request_generation_tokens", "Tokens of an answer.")?,
            most_generation_tokens: tokens(
                "vllm:request_max_num_generation_tokens",
                "Tokens of the longest answer to a prompt.",
            )?,
            max_tokens: tokens("vllm:request_params_max_tokens", "The most tokens that an answer may have had.")?,
            n: families.histogram("vllm:request_params_n", "Answers to a prompt.", &buckets::CHOICES)?,
            preemptions: families.histogram(
                "vllm:request_num_preemptions",
                "Times that a request was preempted.",
                &buckets::PREEMPTIONS,
            )?,
            computed_tokens: tokens(
                "vllm:request_prefill_kv_computed_tokens",
                "Tokens of a prompt whose KV cache was computed here.",
            )?,
            unfinished: Mutex::default(),
        })
    }

    pub(super) fn observe(&self, report: &StepReport) {
        for sequence in &report.sequences {
            match &sequence.event {
                SequenceEvent::Finished(reason) => self.finished(sequence, reason),
                SequenceEvent::Failed(_) => {
                    self.count("error");
                    self.forget(sequence);
                }
                SequenceEvent::Aborted => self.forget(sequence),
                _ => {}
            }
        }
    }

    fn finished(&self, sequence: &SequenceReport, reason: &FinishReason) {
        let history = &sequence.history;
        self.count(match reason {
            FinishReason::Length => "length",
            FinishReason::Abort => "abort",
            FinishReason::Repetition => "repetition",
            FinishReason::Stop | FinishReason::ToolCalls | FinishReason::ContentFilter | FinishReason::Other(_) => {
                "stop"
            }
        });
        let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
        let observe = |histogram: &Histogram, time| histogram.observe(seconds(time));
        observe(&self.e2e, history.e2e_latency());
        observe(&self.queue, history.queue_time());
        observe(&self.prefill, history.prefill_time());
        observe(&self.inference, history.inference_time());
        observe(&self.decode, history.decode_time());
        let decode = seconds(history.decode_time());
        let generated = history.generated_tokens;
        self.time_per_token.observe(if generated > 1 { decode / f64::from(generated - 1) } else { 0.0 });
        let prompt_tokens = sequence.choice.prompt().n_tokens;
        self.prompt_tokens.observe(prompt_tokens.into());
        self.generation_tokens.observe(generated.into());
        self.max_tokens.observe(sequence.choice.max_tokens.into());
        self.preemptions.observe(history.preemptions.into());
        self.computed_tokens.observe(prompt_sources(sequence).computed.into());
        self.answered(sequence);
    }

    /// What is told of a prompt, once all of its answers are there.
    fn answered(&self, sequence: &SequenceReport) {
        let (n, generated) = (sequence.choice.request.sampling.n, sequence.history.generated_tokens);
        let most_tokens = if n == 1 {
            Some(generated)
        } else {
            let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
            let of_prompt = unfinished.entry(key(sequence)).or_insert(Unfinished { missing: n, most_tokens: 0 });
            of_prompt.missing -= 1;
            of_prompt.most_tokens = of_prompt.most_tokens.max(generated);
            let (is_last, most_tokens) = (of_prompt.missing == 0, of_prompt.most_tokens);
            if is_last {
                unfinished.remove(&key(sequence));
            }
            is_last.then_some(most_tokens)
        };
        if let Some(most_tokens) = most_tokens {
            self.n.observe(n.into());
            self.most_generation_tokens.observe(most_tokens.into());
        }
    }

    /// One of several answers will not come.
    fn forget(&self, sequence: &SequenceReport) {
        if sequence.choice.request.sampling.n > 1 {
            self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(sequence));
        }
    }

    fn count(&self, reason: &str) {
        if let Some(at) = REASONS.iter().position(|known| *known == reason) {
            self.ended[at].inc();
        }
    }
}

/// The prompt that a choice answers.
fn key(sequence: &SequenceReport) -> (u64, u32) {
    let choice = &sequence.choice;
    (choice.number, choice.index / choice.request.sampling.n)
}
