//! The simulated KV cache, and how its events are published.

use rehearsal_engine::{HashAlgorithm, KvCacheConfig};
use serde::Deserialize;
use serde_json::Value;

use super::{Reader, values};

/// Tokens that a block may have.
const BLOCK_SIZES: [u32; 5] = [8, 16, 32, 64, 128];

/// Most tries to connect at start.
const MOST_CONNECT_ATTEMPTS: u32 = 10;

/// How KV-cache events leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEventsConfig {
    /// Where they are published.
    pub endpoint: ZmqEndpoint,
    /// Where those who missed some can ask for them again.
    pub replay_endpoint: Option<ZmqEndpoint>,
    /// The first frame of each message; none: it names the pod and the model.
    pub topic: Option<String>,
    /// Events of one message; fewer if a second passes.
    pub batch_size: usize,
    /// Batches of the engine that may wait to be published; more are dropped, and counted.
    pub max_pending: usize,
    /// Published messages that are kept for those who missed some.
    pub replay_queue_size: usize,
    /// Tries to connect at start, a second apart, after which the start has failed; 0: it is not waited for.
    pub connect_attempts: u32,
    /// Events as maps, as vLLM sends them since 0.24; else as arrays, as it did before.
    pub as_maps: bool,
}

/// Where a socket is, and whose it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZmqEndpoint {
    /// `tcp://host:port` or `ipc://path`; `*` stands for every address of ours.
    pub address: String,
    /// We listen there; else somebody else does, and we connect.
    pub binds: bool,
}

impl ZmqEndpoint {
    /// By vLLM's rule: wildcards and `ipc` are ours.
    fn parse(address: &str) -> Result<Self, String> {
        let problem = |what: &str| Err(format!("{address:?} {what}; write tcp://host:port or ipc://path"));
        let is_ours = address.contains('*') || address.contains("::") || address.starts_with("ipc://");
        match address.split_once("://") {
            Some(("tcp", rest)) => match rest.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {}
                _ => return problem("has no host and port"),
            },
            Some(("ipc", "")) => return problem("has no path"),
            Some(("ipc", _)) => {}
            Some(("inproc", _)) => return problem("stays inside one process, where nobody listens"),
            _ => return problem("is no address that is served"),
        }
        Ok(Self { address: address.to_owned(), binds: is_ours })
    }

    fn always_bound(address: &str) -> Result<Self, String> {
        Ok(Self { binds: true, ..Self::parse(address)? })
    }

    /// The same for another data-parallel rank: the next port, or the next path. Port 0 stays: the system picks each.
    pub(super) fn of_rank(&self, rank: u32) -> Self {
        let address = match self.address.rsplit_once(':') {
            _ if rank == 0 => self.address.clone(),
            Some((host, port)) if self.address.starts_with("tcp://") => match port.parse::<u32>() {
                Ok(0) | Err(_) => self.address.clone(),
                Ok(port) => format!("{host}:{}", port + rank),
            },
            _ => format!("{}_dp{rank}", self.address),
        };
        Self { address, ..*self }
    }

    fn port(&self) -> Option<u32> {
        let port = self.address.strip_prefix("tcp://")?.rsplit_once(':')?.1;
        port.parse().ok().filter(|port| *port > 0)
    }
}

/// `--kv-events-config`, as vLLM's.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct VllmConfig {
    enable_kv_cache_events: bool,
    publisher: Option<String>,
    endpoint: String,
    replay_endpoint: Option<String>,
    buffer_steps: usize,
    /// Accepted: the library's own is as high as vLLM's.
    #[serde(rename = "hwm")]
    _hwm: usize,
    max_queue_size: usize,
    topic: String,
}

impl Default for VllmConfig {
    fn default() -> Self {
        Self {
            enable_kv_cache_events: false,
            publisher: None,
            endpoint: "tcp://*:5557".into(),
            replay_endpoint: None,
            buffer_steps: 10_000,
            _hwm: 100_000,
            max_queue_size: 100_000,
            topic: String::new(),
        }
    }
}

/// The cache, if it is simulated, and its events, if they are published.
pub(super) fn read(
    reader: &mut Reader<'_>,
    reported_model: &str,
    last_rank: u32,
) -> (Option<KvCacheConfig>, Option<KvEventsConfig>) {
    let events = events(reader, last_rank);
    let given = reader.optional("enable-kvcache", values::switch);
    // Who configures events as for vLLM, whose cache is always on, means to have some.
    let is_enabled = given.unwrap_or(reader.settings.get("kv-events-config").is_some() && events.is_some());
    let cache = KvCacheConfig {
        n_blocks: reader.read("kv-cache-size", values::whole_number),
        block_size: reader.read("block-size", block_size),
        algorithm: reader.read("prefix-caching-hash-algo", hash_algorithm),
        hash_seed: reader.optional("hash-seed", values::any_text).filter(|seed| !seed.is_empty()),
        model: reported_model.to_owned(),
        tells_events: events.is_some(),
    };
    if is_enabled { (Some(cache), events) } else { (None, None) }
}

fn block_size(value: &Value) -> Result<u32, String> {
    let size = values::whole_number(value)?;
    if BLOCK_SIZES.contains(&size) { Ok(size) } else { Err(format!("{size} is none of 8, 16, 32, 64 and 128")) }
}

fn hash_algorithm(value: &Value) -> Result<HashAlgorithm, String> {
    let name = values::name(value)?;
    let known = HashAlgorithm::NAMES;
    known.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        format!("{name:?} is no hash algorithm; known are {}", names.join(", "))
    })
}

fn events(reader: &mut Reader<'_>, last_rank: u32) -> Option<KvEventsConfig> {
    let endpoint = reader.read("zmq-endpoint", |value| optional_endpoint(value, ZmqEndpoint::parse));
    let replay_endpoint =
        reader.read("kv-events-replay-endpoint", |value| optional_endpoint(value, ZmqEndpoint::always_bound));
    let mut config = KvEventsConfig {
        // Overwritten unless there is one.
        endpoint: endpoint.clone().unwrap_or_else(|| ZmqEndpoint { address: String::new(), binds: false }),
        replay_endpoint,
        topic: None,
        batch_size: reader.read("event-batch-size", values::at_least_one),
        max_pending: reader.read("event-max-pending", values::at_least_one),
        replay_queue_size: reader.read("kv-events-replay-queue-size", values::at_least_one),
        connect_attempts: reader
            .read("zmq-max-connect-attempts", |value| values::number_in(value, 0..=MOST_CONNECT_ATTEMPTS)),
        as_maps: reader.read("use-vllm-map-event-format", values::switch),
    };
    let mut is_published = endpoint.is_some();
    if let Some(vllm) = reader.optional("kv-events-config", vllm_config) {
        is_published = vllm.is_some();
        config = vllm.map_or_else(|| config.clone(), |vllm| vllm.over(&config));
    }
    config.topic = reader.optional("kv-events-topic", values::any_text).or(config.topic);
    if !is_published {
        return None;
    }
    check_ports(reader, &config, last_rank);
    Some(config)
}

/// What `--kv-events-config` says.
#[derive(Debug)]
struct FromVllm {
    endpoint: ZmqEndpoint,
    replay_endpoint: Option<ZmqEndpoint>,
    topic: String,
    max_pending: usize,
    replay_queue_size: usize,
}

impl FromVllm {
    fn over(self, other: &KvEventsConfig) -> KvEventsConfig {
        KvEventsConfig {
            endpoint: self.endpoint,
            replay_endpoint: self.replay_endpoint,
            topic: Some(self.topic),
            max_pending: self.max_pending,
            replay_queue_size: self.replay_queue_size,
            ..other.clone()
        }
    }
}

/// None: no events.
fn vllm_config(value: &Value) -> Result<Option<FromVllm>, String> {
    let parsed = match value {
        Value::String(text) => serde_json::from_str(text),
        other => serde_json::from_value(other.clone()),
    };
    let config: VllmConfig = parsed.map_err(|error| format!("{value} is not understood: {error}"))?;
    let publisher = config.publisher.as_deref().unwrap_or("zmq");
    if !matches!(publisher, "zmq" | "null") {
        return Err(format!("publisher {publisher:?} is neither zmq nor null"));
    }
    if !config.enable_kv_cache_events || publisher == "null" {
        return Ok(None);
    }
    if config.buffer_steps == 0 || config.max_queue_size == 0 {
        return Err("buffer_steps and max_queue_size must be at least 1".into());
    }
    Ok(Some(FromVllm {
        endpoint: ZmqEndpoint::parse(&config.endpoint)?,
        replay_endpoint: config.replay_endpoint.as_deref().map(ZmqEndpoint::always_bound).transpose()?,
        topic: config.topic,
        max_pending: config.max_queue_size,
        replay_queue_size: config.buffer_steps,
    }))
}

fn optional_endpoint(
    value: &Value,
    parse: impl Fn(&str) -> Result<ZmqEndpoint, String>,
) -> Result<Option<ZmqEndpoint>, String> {
    let address = values::any_text(value)?;
    if address.is_empty() { Ok(None) } else { parse(&address).map(Some) }
}

/// Every rank's ports must exist, and none may be another's.
fn check_ports(reader: &mut Reader<'_>, config: &KvEventsConfig, last_rank: u32) {
    let ports = [Some(&config.endpoint), config.replay_endpoint.as_ref()].map(|endpoint| endpoint?.port());
    for port in ports.into_iter().flatten().filter(|port| port + last_rank > u16::MAX.into()) {
        reader.problems.push(format!("zmq-endpoint: port {port} plus rank {last_rank} is more than there is"));
    }
    if let [Some(events), Some(replay)] = ports
        && events.abs_diff(replay) <= last_rank
        && config.endpoint.binds
    {
        reader.problems.push(format!(
            "kv-events-replay-endpoint: its port {replay} and port {events} of zmq-endpoint meet; each rank takes the next one"
        ));
    }
}

impl KvEventsConfig {
    /// The same for another data-parallel rank.
    pub(super) fn of_rank(&self, rank: u32) -> Self {
        Self {
            endpoint: self.endpoint.of_rank(rank),
            replay_endpoint: self.replay_endpoint.as_ref().map(|endpoint| endpoint.of_rank(rank)),
            ..self.clone()
        }
    }
}
