//! How the events of the simulated KV cache are published: by keys of our own, or by vLLM's JSON.

use serde::Deserialize;
use serde_json::Value;

use super::{Reader, values};

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
    pub batch_size: u32,
    /// Batches of the engine that may wait to be published; more are dropped, and counted.
    pub max_pending: u32,
    /// Published messages that are kept for those who missed some.
    pub replay_queue_size: u32,
    /// Tries to connect at start, a second apart, after which the start has failed; 0: it is not waited for.
    pub connect_attempts: u32,
    /// Events as maps, as vLLM sends them since 0.24; else as arrays, as it did before.
    pub as_maps: bool,
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
    buffer_steps: u32,
    /// Accepted: the library's own is as high as vLLM's.
    #[serde(rename = "hwm")]
    _hwm: usize,
    max_queue_size: u32,
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

/// What is published, and where; none: nothing.
pub(super) fn read(reader: &mut Reader<'_>, last_rank: u32) -> Option<KvEventsConfig> {
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
    if let Some(vllm) = reader.optional("kv-events-config", |value| vllm_config(value, &config)) {
        is_published = vllm.is_some();
        config = vllm.unwrap_or(config);
    }
    let topic = reader.optional("kv-events-topic", values::any_text).filter(|topic| !topic.is_empty());
    config.topic = topic.or(config.topic);
    if !is_published {
        return None;
    }
    check_ports(reader, &config, last_rank);
    Some(config)
}

/// What vLLM's JSON changes in `usual`. None: no events.
fn vllm_config(value: &Value, usual: &KvEventsConfig) -> Result<Option<KvEventsConfig>, String> {
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
    Ok(Some(KvEventsConfig {
        endpoint: ZmqEndpoint::parse(&config.endpoint)?,
        replay_endpoint: config.replay_endpoint.as_deref().map(ZmqEndpoint::always_bound).transpose()?,
        topic: Some(config.topic),
        max_pending: config.max_queue_size,
        replay_queue_size: config.buffer_steps,
        ..usual.clone()
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
    for (key, port) in ["zmq-endpoint", "kv-events-replay-endpoint"].into_iter().zip(ports) {
        if let Some(port) = port.filter(|port| port + last_rank > u16::MAX.into()) {
            reader.problems.push(format!("{key}: port {port} plus rank {last_rank} is more than there is"));
        }
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
