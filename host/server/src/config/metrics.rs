//! Under which names, and in which form, metrics are told.

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    METRICS_DIALECT: MetricsDialect = Spec::one("metrics-dialect", "ENGINE").default("vllm")
        .help("vllm, sglang or trtllm: under whose names GET /metrics tells of the queue and the KV cache; of the other \
               engines it tells what routers read, and nothing else"),
        |value| values::word(value, "dialect", &[("vllm", MetricsDialect::Vllm), ("sglang", MetricsDialect::Sglang), ("trtllm", MetricsDialect::Trtllm)]);
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Whose names they have.
    pub dialect: MetricsDialect,
    /// Which adapters are listed where.
    pub lora_lists: LoraLists,
}

pub(super) fn read(reader: &mut Reader<'_>) -> MetricsConfig {
    MetricsConfig { dialect: reader.read(&METRICS_DIALECT), lora_lists: reader.read(&LORA_REQUESTS_INFO) }
}
