//! The names under which a page tells of the engine: vLLM's with the older ones that readers still ask for, or those that
//! routers read of other engines.

use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily};

use crate::config::MetricsDialect;

/// Older names of vLLM's, beside the new ones.
const ALIASES: [(&str, &str); 4] = [
    ("vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"),
    ("vllm:gpu_prefix_cache_hits_total", "vllm:prefix_cache_hits_total"),
    ("vllm:gpu_prefix_cache_queries_total", "vllm:prefix_cache_queries_total"),
    ("vllm:time_per_output_token_seconds", "vllm:inter_token_latency_seconds"),
];

const WAITING: &str = "vllm:num_requests_waiting";
const RUNNING: &str = "vllm:num_requests_running";
const KV_CACHE_USAGE: &str = "vllm:kv_cache_usage_perc";
const CACHE_CONFIG: &str = "vllm:cache_config_info";

/// The families of an engine in this dialect. What another engine does not tell is left out.
pub(super) fn translate(families: Vec<MetricFamily>, dialect: MetricsDialect) -> Vec<MetricFamily> {
    let renamed = |names: &[(&str, &str)]| names.iter().filter_map(|(new, old)| renamed(&families, old, new)).collect();
    match dialect {
        MetricsDialect::Vllm => {
            let aliases: Vec<_> = renamed(&ALIASES);
            let mut families = families;
            families.extend(aliases);
            families
        }
        MetricsDialect::Sglang => {
            let mut told: Vec<_> = renamed(&[
                ("sglang:num_queue_reqs", WAITING),
                ("sglang:num_running_reqs", RUNNING),
                ("sglang:token_usage", KV_CACHE_USAGE),
            ]);
            told.extend(self::renamed(&families, CACHE_CONFIG, "sglang:cache_config_info").map(|mut config| {
                for metric in config.mut_metric() {
                    let labels = [("page_size", "block_size"), ("num_pages", "num_gpu_blocks")];
                    let labels = labels.map(|(new, old)| label(new, value_of(metric, old).unwrap_or_default()));
                    metric.set_label(labels.to_vec());
                }
                config
            }));
            told
        }
        MetricsDialect::Trtllm => {
            let mut told: Vec<_> = renamed(&[
                ("trtllm_num_requests_waiting", WAITING),
                ("trtllm_num_requests_running", RUNNING),
                ("trtllm_kv_cache_utilization", KV_CACHE_USAGE),
            ]);
            for (name, old) in
                [("trtllm_kv_cache_tokens_per_block", "block_size"), ("trtllm_kv_cache_max_blocks", "num_gpu_blocks")]
            {
                told.extend(self::renamed(&families, CACHE_CONFIG, name).map(|mut config| {
                    for metric in config.mut_metric() {
                        let value = value_of(metric, old).and_then(|value| value.parse().ok()).unwrap_or_default();
                        let mut gauge = Gauge::default();
                        gauge.set_value(value);
                        metric.set_gauge(gauge);
                        metric.set_label(Vec::new());
                    }
                    config
                }));
            }
            told
        }
    }
}

/// A copy of the family `old`, with another name.
fn renamed(families: &[MetricFamily], old: &str, new: &str) -> Option<MetricFamily> {
    let mut copy = families.iter().find(|family| family.name() == old)?.clone();
    copy.set_name(new.to_owned());
    Some(copy)
}

fn value_of(metric: &Metric, name: &str) -> Option<String> {
    let found = metric.get_label().iter().find(|label| label.name() == name);
    found.map(|label| label.value().to_owned())
}

fn label(name: &str, value: String) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value);
    label
}
