//! How long things take: which keys count depends on the calculator, and on what is set.

use std::time::Duration;

use rehearsal_engine::ConfiguredLatency;
use rehearsal_engine::latency::{Jittered, PromptLatency};
use serde_json::Value;

use super::key::{Key, Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Latency:
    TIME_TO_FIRST_TOKEN: Duration = Spec::one("time-to-first-token", "TIME").live().default("0")
        .help("from the end of waiting to the first token; milliseconds, or 1.5s, 250us"), values::duration;
    TIME_TO_FIRST_TOKEN_STD_DEV: Duration = Spec::one("time-to-first-token-std-dev", "TIME").live().default("0")
        .help("its standard deviation, at most 30 % of it"), values::duration;
    INTER_TOKEN_LATENCY: Duration = Spec::one("inter-token-latency", "TIME").live().default("0")
        .help("from one token to the next"), values::duration;
    INTER_TOKEN_LATENCY_STD_DEV: Duration = Spec::one("inter-token-latency-std-dev", "TIME").live().default("0")
        .help("its standard deviation, at most 30 % of it"), values::duration;
    KV_CACHE_TRANSFER_LATENCY: Duration = Spec::one("kv-cache-transfer-latency", "TIME").live().default("0")
        .help("instead of time-to-first-token after a remote prefill"), values::duration;
    KV_CACHE_TRANSFER_LATENCY_STD_DEV: Duration = Spec::one("kv-cache-transfer-latency-std-dev", "TIME").live().default("0")
        .help("its standard deviation, at most 30 % of it"), values::duration;
    PREFILL_OVERHEAD: Duration = Spec::one("prefill-overhead", "TIME").live().default("0")
        .help("prefill of any prompt, where time-to-first-token is not set"), values::duration;
    PREFILL_TIME_PER_TOKEN: Duration = Spec::one("prefill-time-per-token", "TIME").live().default("0")
        .help("prefill of each prompt token that is not cached"), values::duration;
    PREFILL_TIME_STD_DEV: Duration = Spec::one("prefill-time-std-dev", "TIME").live().default("0")
        .help("standard deviation of the two together"), values::duration;
    KV_CACHE_TRANSFER_TIME_PER_TOKEN: Duration = Spec::one("kv-cache-transfer-time-per-token", "TIME").live().default("0")
        .help("the same for a transfer, where kv-cache-transfer-latency is not set"), values::duration;
    KV_CACHE_TRANSFER_TIME_STD_DEV: Duration = Spec::one("kv-cache-transfer-time-std-dev", "TIME").live().default("0")
        .help("its standard deviation"), values::duration;
    LATENCY_CALCULATOR: Calculator = Spec::one("latency-calculator", "NAME").live()
        .help("constant, per-token, or step: the whole batch goes in steps, as vLLM's does, which needs latency-profile (and \
               cannot be changed while the server runs). Not given: step with a profile, else per token where no constant is set"),
        calculator;
    TIME_FACTOR_UNDER_LOAD: f64 = Spec::one("time-factor-under-load", "FACTOR").live().default("1")
        .help("how many times as long prefill and tokens take with all max-num-seqs places taken; rises evenly from \
               1 for a sequence that is alone, and running streams feel it from their next token on"), factor;
}

/// `latency-calculator`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calculator {
    Constant,
    PerToken,
    Step,
}

/// Whether the batch is said to step.
pub(super) fn is_step(reader: &mut Reader<'_>) -> Option<bool> {
    reader.given(&LATENCY_CALCULATOR).map(|calculator| calculator == Calculator::Step)
}

/// Adds a problem of the calculator.
pub(super) fn refuse_calculator(reader: &mut Reader<'_>, problem: impl std::fmt::Display) {
    reader.refuse(&LATENCY_CALCULATOR, problem);
}

/// Keys that mean nothing where the batch steps.
pub(super) fn warn_of_steps(reader: &mut Reader<'_>) {
    const WARNING: &str = "it has no effect where the batch goes in steps (latency-profile)";
    let durations = [
        &TIME_TO_FIRST_TOKEN,
        &TIME_TO_FIRST_TOKEN_STD_DEV,
        &INTER_TOKEN_LATENCY,
        &INTER_TOKEN_LATENCY_STD_DEV,
        &PREFILL_OVERHEAD,
        &PREFILL_TIME_PER_TOKEN,
        &PREFILL_TIME_STD_DEV,
    ];
    for key in durations {
        if reader.is_given(key) {
            reader.warn(key, WARNING);
        }
    }
    if reader.is_given(&TIME_FACTOR_UNDER_LOAD) {
        reader.warn(&TIME_FACTOR_UNDER_LOAD, WARNING);
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> ConfiguredLatency {
    let calculator = reader.given(&LATENCY_CALCULATOR);
    let choose = |constant: Jittered, per_token: PromptLatency| match calculator {
        Some(Calculator::Constant) => PromptLatency::Constant(constant),
        Some(Calculator::PerToken) => per_token,
        // A transfer is the only prefill that a batch in steps asks for.
        None | Some(Calculator::Step) if constant == Jittered::default() => per_token,
        None | Some(Calculator::Step) => PromptLatency::Constant(constant),
    };
    let prefill = PromptLatency::PerToken {
        overhead: reader.read(&PREFILL_OVERHEAD),
        per_token: reader.read(&PREFILL_TIME_PER_TOKEN),
        std_dev: reader.read(&PREFILL_TIME_STD_DEV),
    };
    let transfer = PromptLatency::PerToken {
        overhead: Duration::ZERO,
        per_token: reader.read(&KV_CACHE_TRANSFER_TIME_PER_TOKEN),
        std_dev: reader.read(&KV_CACHE_TRANSFER_TIME_STD_DEV),
    };
    ConfiguredLatency {
        prefill: choose(jittered(reader, &TIME_TO_FIRST_TOKEN, &TIME_TO_FIRST_TOKEN_STD_DEV), prefill),
        transfer: choose(jittered(reader, &KV_CACHE_TRANSFER_LATENCY, &KV_CACHE_TRANSFER_LATENCY_STD_DEV), transfer),
        inter_token_latency: jittered(reader, &INTER_TOKEN_LATENCY, &INTER_TOKEN_LATENCY_STD_DEV),
        time_factor_under_load: reader.read(&TIME_FACTOR_UNDER_LOAD),
    }
}

fn jittered(reader: &mut Reader<'_>, mean_key: &Key<Duration>, std_dev_key: &Key<Duration>) -> Jittered {
    let (mean, std_dev) = (reader.read(mean_key), reader.read(std_dev_key));
    // The seeds' rule: more would be cut off at 70 % of the mean too often to look Gaussian.
    if std_dev * 10 > mean * 3 {
        let most = mean * 3 / 10;
        let problem = format!("{std_dev:?} is more than 30 % of {} ({mean:?}): at most {most:?}", mean_key.spec.name);
        reader.refuse(std_dev_key, problem);
    }
    Jittered { mean, std_dev }
}

fn calculator(value: &Value) -> Result<Calculator, String> {
    let known = [("constant", Calculator::Constant), ("per-token", Calculator::PerToken), ("step", Calculator::Step)];
    values::word(value, "calculator", &known)
}

fn factor(value: &Value) -> Result<f64, String> {
    let factor = values::number(value)?.as_f64().unwrap_or_default();
    if factor >= 1.0 { Ok(factor) } else { Err(format!("{factor} is less than 1")) }
}
