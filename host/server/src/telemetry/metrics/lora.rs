//! The adapters of requests that run and that wait.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{GaugeVec, Opts, Registry, Result};
use rehearsal_engine::{AdapterNames, EngineConfig, StepReport};

use crate::config::LoraLists;

pub(super) struct Lora {
    requests: GaugeVec,
    adapters: Mutex<AdapterNames>,
    max_loras: String,
    lists: LoraLists,
}

impl Lora {
    pub(super) fn new(registry: &Registry, config: &EngineConfig, lists: LoraLists) -> Result<Self> {
        let opts =
            Opts::new("vllm:lora_requests_info", "Adapters of requests that run and that wait, at this Unix time.");
        let requests = GaugeVec::new(opts, &["max_lora", "running_lora_adapters", "waiting_lora_adapters"])?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Self { requests, adapters: Mutex::default(), max_loras: config.max_loras.to_string(), lists })
    }

    pub(super) fn observe(&self, report: &StepReport) {
        if let Some(adapters) = &report.adapters {
            self.adapters.lock().unwrap_or_else(PoisonError::into_inner).clone_from(adapters);
        }
    }

    /// Names the adapters of this moment, which is `unix_time` after 1970. One row: readers take the newest anyway.
    pub(super) fn look(&self, unix_time: Duration) {
        let AdapterNames { mut running, mut waiting } =
            self.adapters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.lists == LoraLists::Equal {
            running.extend(waiting.extract_if(.., |_| true));
            let mut all = Vec::new();
            for name in running {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
            (running, waiting) = (all.clone(), all);
        }
        self.show([(running.join(","), waiting.join(","), unix_time.as_secs_f64())]);
    }

    /// Replaces all rows: running and waiting adapters, and a Unix time each.
    pub(super) fn show(&self, rows: impl IntoIterator<Item = (String, String, f64)>) {
        self.requests.reset();
        for (running, waiting, unix_time) in rows {
            self.requests.with_label_values(&[&self.max_loras, &running, &waiting]).set(unix_time);
        }
    }
}
