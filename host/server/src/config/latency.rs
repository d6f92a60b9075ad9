//! How long things take: which keys count depends on the calculator, and on what is set.

use std::time::Duration;

use rehearsal_engine::ConfiguredLatency;
use rehearsal_engine::latency::{Jittered, PromptLatency};
use serde_json::Value;

use super::{Reader, values};

/// `latency-calculator`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calculator {
    /// Per token where no constant is set.
    Either,
    Constant,
    PerToken,
}

pub(super) fn read(reader: &mut Reader<'_>) -> ConfiguredLatency {
    let calculator = reader.read("latency-calculator", calculator);
    let choose = |constant: Jittered, per_token: PromptLatency| match calculator {
        Calculator::Constant => PromptLatency::Constant(constant),
        Calculator::PerToken => per_token,
        Calculator::Either if constant == Jittered::default() => per_token,
        Calculator::Either => PromptLatency::Constant(constant),
    };
    let prefill = PromptLatency::PerToken {
        overhead: reader.read("prefill-overhead", values::duration),
        per_token: reader.read("prefill-time-per-token", values::duration),
        std_dev: reader.read("prefill-time-std-dev", values::duration),
    };
    let transfer = PromptLatency::PerToken {
        overhead: Duration::ZERO,
        per_token: reader.read("kv-cache-transfer-time-per-token", values::duration),
        std_dev: reader.read("kv-cache-transfer-time-std-dev", values::duration),
    };
    ConfiguredLatency {
        prefill: choose(reader.jittered("time-to-first-token"), prefill),
        transfer: choose(reader.jittered("kv-cache-transfer-latency"), transfer),
        inter_token_latency: reader.jittered("inter-token-latency"),
        time_factor_under_load: reader.read("time-factor-under-load", factor),
    }
}

fn calculator(value: &Value) -> Result<Calculator, String> {
    match value.as_str() {
        Some("") => Ok(Calculator::Either),
        Some("constant") => Ok(Calculator::Constant),
        Some("per-token") => Ok(Calculator::PerToken),
        _ => Err(format!("{value} is no calculator; known are constant and per-token")),
    }
}

fn factor(value: &Value) -> Result<f64, String> {
    let factor = values::number(value)?.as_f64().unwrap_or_default();
    if factor >= 1.0 { Ok(factor) } else { Err(format!("{factor} is less than 1")) }
}
