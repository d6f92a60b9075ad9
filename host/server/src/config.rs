//! What the user said, understood: typed and in range, or a list of everything that is wrong with it.

mod kv_cache;
mod kv_events;
mod latency;
mod lora;
pub(crate) mod plugins;
mod tokenizer;
mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use rehearsal_engine::latency::Jittered;
use rehearsal_engine::seed::{self, Purpose};
use rehearsal_engine::{ConfiguredLatency, EngineConfig};
use rehearsal_plugin_host::PluginSpec;
use serde_json::Value;

use crate::args::{KEYS, Settings};
use crate::wall_clock::since_1970;

pub use kv_events::{KvEventsConfig, ZmqEndpoint};
pub use lora::LoraModule;
pub use tokenizer::TokenizerConfig;

/// The configuration of a server; valid by construction.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0: the system picks.
    pub port: u16,
    /// The model's name; `root` of its cards.
    pub model: String,
    /// Names in the API; at least one, the first is reported.
    pub served_model_names: Vec<String>,
    /// Which of several data-parallel servers this one is, from 0.
    pub rank: u32,
    /// Servers in this process, this one included.
    pub ranks: u32,
    /// Whose tokenizer is served.
    pub tokenizer: TokenizerConfig,
    /// The engine's limits and seed.
    pub engine: EngineConfig,
    /// How long things take.
    pub latency: ConfiguredLatency,
    /// How KV-cache events leave, if there are any.
    pub kv_events: Option<KvEventsConfig>,
    /// Report cached prompt tokens in `usage`.
    pub prompt_tokens_details: bool,
    /// vLLM's endpoints for developers (`VLLM_SERVER_DEV_MODE`).
    pub dev_mode: bool,
    /// Adapters that are there from the start.
    pub lora_modules: Vec<LoraModule>,
    /// Refuse what vLLM would cut.
    pub strict_context_window: bool,
    /// The plugins that answer.
    pub picks: Picks,
    /// By served name: the plugins that answer for it instead.
    pub models: BTreeMap<String, Picks>,
    /// Whether a header may pick the plugin that answers.
    pub request_overrides: bool,
    /// Plugins to load: those that the user named, and the built-ins that are picked.
    pub plugins: Vec<PluginSpec>,
    /// Reload plugins whose files change.
    pub watch_plugins: bool,
    /// Who we are in a cluster.
    pub pod: Pod,
    /// How long running requests may go on after a signal.
    pub shutdown_timeout: Duration,
    /// What to log.
    pub log: LogConfig,
}

/// Which plugin does what for a model, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picks {
    /// Makes the output.
    pub mode: String,
    /// Calls offered tools.
    pub tool_plugin: String,
    /// Decides what fails on purpose.
    pub failure_plugin: String,
}

/// Names of all plugins that may be needed. A header may pick any generator, the built-in ones included.
fn picked<'a>(picks: &'a Picks, models: &'a BTreeMap<String, Picks>, overrides: bool) -> Vec<&'a str> {
    let all = std::iter::once(picks).chain(models.values());
    let named = all.flat_map(|picks| [&*picks.mode, &*picks.tool_plugin, &*picks.failure_plugin]);
    let for_headers = ["echo", "random"].into_iter().filter(|_| overrides);
    named.chain(for_headers).collect()
}

/// Environment variables that Kubernetes sets from the downward API.
#[derive(Debug, Clone, Default)]
pub struct Pod {
    /// `POD_NAME`
    pub name: Option<String>,
    /// `POD_NAMESPACE`
    pub namespace: Option<String>,
    /// `POD_IP`
    pub ip: Option<String>,
}

/// What to log, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A filter that `tracing` understands.
    pub filter: String,
    /// JSON lines instead of text.
    pub json: bool,
}

impl Config {
    /// Understands `settings`. Fails with every problem, each with the key, the value and where it came from.
    pub fn new(settings: &Settings) -> Result<Self, Vec<String>> {
        let mut reader = Reader { settings, problems: Vec::new() };
        let model = reader.model();
        let picks = Picks {
            mode: reader.read("mode", values::name),
            tool_plugin: reader.read("tool-plugin", values::name),
            failure_plugin: reader.read("failure-plugin", values::name),
        };
        let served_model_names = reader.served_model_names(&model);
        let lora_modules = lora::modules(&mut reader, &model, &served_model_names);
        let (max_loras, max_cpu_loras) = lora::limits(&mut reader);
        let adapters = lora_modules.iter().map(|module| &module.name);
        let models = reader.models(&served_model_names.iter().chain(adapters).collect::<Vec<_>>(), &picks);
        let request_overrides = reader.read("request-overrides", values::switch);
        let port = reader.read("port", values::whole_number);
        let (rank, ranks) = reader.ranks(port);
        let (kv_cache, kv_events) = kv_cache::read(&mut reader, &served_model_names[0], rank + ranks - 1);
        let config = Self {
            host: reader.read("host", values::address),
            port,
            rank: 0,
            ranks,
            served_model_names,
            model,
            engine: EngineConfig {
                max_model_len: reader.read("max-model-len", values::token_count),
                max_num_seqs: reader.read("max-num-seqs", values::whole_number::<NonZeroU32>),
                max_waiting_queue_length: reader.read("max-waiting-queue-length", values::whole_number),
                max_loras,
                max_cpu_loras,
                kv_cache: kv_cache.clone(),
                seed: reader.optional("seed", values::seed).unwrap_or_else(time_as_seed),
            },
            tokenizer: tokenizer::read(&mut reader),
            latency: latency::read(&mut reader),
            prompt_tokens_details: reader.read("enable-prompt-tokens-details", values::switch) || kv_cache.is_some(),
            dev_mode: matches!(settings.variable("VLLM_SERVER_DEV_MODE"), Some("1" | "true" | "True")),
            kv_events,
            lora_modules,
            strict_context_window: reader.read("strict-context-window", values::switch),
            plugins: plugins::read(&mut reader, &picked(&picks, &models, request_overrides)),
            picks,
            models,
            watch_plugins: reader.read("watch-plugins", values::switch),
            request_overrides,
            pod: Pod {
                name: settings.variable("POD_NAME").map(str::to_owned),
                namespace: settings.variable("POD_NAMESPACE").map(str::to_owned),
                ip: settings.variable("POD_IP").map(str::to_owned),
            },
            shutdown_timeout: reader.read("shutdown-timeout", values::seconds),
            log: LogConfig { filter: reader.log_filter(), json: reader.read("log-format", values::is_json_format) },
        };
        if reader.problems.is_empty() { Ok(config.of_rank(rank)) } else { Err(reader.problems) }
    }

    /// One configuration for each server of this process.
    pub fn of_all_ranks(&self) -> impl Iterator<Item = Self> {
        (0..self.ranks).map(|rank| {
            // Port 0 lets the system pick each.
            let port = if self.port == 0 { 0 } else { self.port + rank as u16 };
            Self { port, ..self.clone().of_rank(self.rank + rank) }
        })
    }

    /// The same for another rank, whose answers are its own.
    fn of_rank(mut self, rank: u32) -> Self {
        if rank != self.rank {
            self.engine.seed = seed::derive(Purpose::Rank, &[self.engine.seed, rank.into()]);
            let ranks_on = rank - self.rank;
            self.kv_events = self.kv_events.map(|events| events.of_rank(ranks_on));
            self.rank = rank;
        }
        self
    }

    /// The name that answers carry, whichever alias was asked for.
    pub fn reported_model(&self) -> &str {
        &self.served_model_names[0]
    }
}

/// Reads keys and collects what is wrong with them.
struct Reader<'a> {
    settings: &'a Settings,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// The value of a key that has a default.
    fn read<T>(&mut self, key: &str, parse: impl Fn(&Value) -> Result<T, String>) -> T {
        self.optional(key, &parse).unwrap_or_else(|| {
            let default = KEYS.iter().find(|known| known.name == key).map_or("", |known| known.default);
            parse(&Value::String(default.to_owned())).expect("a test parses every default")
        })
    }

    /// The value of a key, if the user gave one that makes sense.
    fn optional<T>(&mut self, key: &str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        let (value, origin) = self.settings.get(key)?;
        parse(value).map_err(|problem| self.problems.push(format!("{key}: {problem} (from {origin})"))).ok()
    }

    fn model(&mut self) -> String {
        match self.settings.get("model") {
            Some(_) => self.optional("model", values::name).unwrap_or_default(),
            None => {
                self.problems.push("model: a model name is required, for example --model my-model".into());
                String::new()
            }
        }
    }

    fn served_model_names(&mut self, model: &str) -> Vec<String> {
        let names = self.optional("served-model-name", values::names).unwrap_or_default();
        if names.is_empty() { vec![model.to_owned()] } else { names }
    }

    fn models(&mut self, served: &[&String], usual: &Picks) -> BTreeMap<String, Picks> {
        let models = self.optional("models", |value| models(value, usual)).unwrap_or_default();
        for name in models.keys().filter(|name| !served.contains(name)) {
            self.problems.push(format!(
                "models: {name:?} is not served; served are {}",
                served.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
            ));
        }
        models
    }

    /// This server's rank, and how many servers there are.
    fn ranks(&mut self, port: u16) -> (u32, u32) {
        let rank = self.optional("data-parallel-rank", |value| values::number_in(value, 0..=7));
        let ranks = self.read("data-parallel-size", |value| values::number_in(value, 1..=8));
        if let Some(rank) = rank {
            return (rank, 1);
        }
        if port != 0 && u32::from(port) + ranks - 1 > u32::from(u16::MAX) {
            self.problems.push(format!("data-parallel-size: {ranks} ports from {port} on are more than there are"));
        }
        (0, ranks)
    }

    fn jittered(&mut self, key: &str) -> Jittered {
        let std_dev_key = format!("{key}-std-dev");
        let mean = self.read(key, values::duration);
        let std_dev = self.read(&std_dev_key, values::duration);
        // The seeds' rule: more would be cut off at 70 % of the mean too often to look Gaussian.
        if std_dev * 10 > mean * 3 {
            self.problems.push(format!("{std_dev_key}: {std_dev:?} is more than 30 % of {key} ({mean:?})"));
        }
        Jittered { mean, std_dev }
    }

    fn log_filter(&mut self) -> String {
        let verbosity: u32 = self.read("v", values::whole_number);
        let from_verbosity = match verbosity {
            0..=1 => "info",
            2..=3 => "debug",
            4.. => "trace",
        };
        self.optional("log-level", values::log_filter).unwrap_or_else(|| from_verbosity.to_owned())
    }
}

/// `models:` of a file; what an entry leaves out is as usual.
fn models(value: &Value, usual: &Picks) -> Result<BTreeMap<String, Picks>, String> {
    let entries = value.as_object().ok_or("it must be a mapping of served names to plugins")?;
    let entry = |(name, entry): (&String, &Value)| {
        let mut picks = usual.clone();
        for (key, value) in entry.as_object().ok_or_else(|| format!("{name}: {entry} is not a mapping"))? {
            let pick = match key.as_str() {
                "mode" => &mut picks.mode,
                "tool-plugin" => &mut picks.tool_plugin,
                "failure-plugin" => &mut picks.failure_plugin,
                _ => return Err(format!("{name}: unknown key {key:?}; known are mode, tool-plugin, failure-plugin")),
            };
            *pick = values::name(value).map_err(|problem| format!("{name}.{key}: {problem}"))?;
        }
        Ok((name.clone(), picks))
    };
    entries.iter().map(entry).collect()
}

fn time_as_seed() -> u64 {
    // 64 bits of nanoseconds last until 2554.
    since_1970().as_nanos() as u64
}

/// `name=rest` entries, by name.
type ByName = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
