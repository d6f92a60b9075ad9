//! Under which names, and in which form, metrics are told.

use std::time::Duration;

use serde_json::{Map, Value};

use super::fake_metrics::FakeMetrics;
use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    METRICS_DIALECT: MetricsDialect = Spec::one("metrics-dialect", "ENGINE").default("vllm")
        .help("vllm, sglang or trtllm: under whose names GET /metrics tells of the queue and the KV cache; of the other \
               engines it tells what routers read, and nothing else"),
        |value| values::word(value, "dialect", &[("vllm", MetricsDialect::Vllm), ("sglang", MetricsDialect::Sglang), ("trtllm", MetricsDialect::Trtllm)]);
    FAKE_METRICS: Map<String, Value> = Spec::json("fake-metrics").live()
        .help("metrics that are told in the place of those that are measured, as JSON or in YAML"), values::json_object;
    FAKE_METRICS_REFRESH_INTERVAL: Duration = Spec::one("fake-metrics-refresh-interval", "TIME").live().default("100ms")
        .help("how often fake metrics that change with time do"), values::duration;
    LORA_REQUESTS_INFO: LoraLists = Spec::one("lora-requests-info", "LISTS").default("split")
        .help("the adapters that vllm:lora_requests_info lists: split into those that run and those that wait, as routers \
               want them; equal: all in both lists, as vLLM 0.33 has it"),
        |value| values::word(value, "form of these lists", &[("split", LoraLists::Split), ("equal", LoraLists::Equal)]);
}

/// Whose names metrics of the engine have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsDialect {
    /// vLLM's.
    Vllm,
    /// SGLang's.
    Sglang,
    /// Those of TensorRT-LLM's server.
    Trtllm,
}

/// Which adapters the two lists of `vllm:lora_requests_info` name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoraLists {
    /// Those that run, and those that wait.
    Split,
    /// All, twice.
    Equal,
}

/// How metrics are told.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsConfig {
    /// Whose names they have.
    pub dialect: MetricsDialect,
    /// Which adapters are listed where.
    pub lora_lists: LoraLists,
    /// What is told in the place of what is measured.
    pub fake: Option<FakeMetrics>,
    /// How often that changes.
    pub fake_interval: Duration,
}

pub(super) fn read(reader: &mut Reader<'_>, max_model_len: u32) -> MetricsConfig {
    let fake = reader.given(&FAKE_METRICS).map(|given| FakeMetrics::new(given, max_model_len));
    let fake = fake.and_then(|fake| {
        let refuse =
            |problems: Vec<String>| problems.into_iter().for_each(|problem| reader.refuse(&FAKE_METRICS, problem));
        fake.map_err(refuse).ok()
    });
    let fake_interval = reader.read(&FAKE_METRICS_REFRESH_INTERVAL);
    if fake_interval.is_zero() {
        reader.refuse(&FAKE_METRICS_REFRESH_INTERVAL, "it must be longer than 0");
    }
    MetricsConfig {
        dialect: reader.read(&METRICS_DIALECT),
        lora_lists: reader.read(&LORA_REQUESTS_INFO),
        fake,
        fake_interval,
    }
}
