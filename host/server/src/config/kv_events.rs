//! How the events of the simulated KV cache are published: by keys of our own, or by vLLM's JSON.

use rehearsal_engine::HashAlgorithm;
use serde::Deserialize;
use serde_json::Value;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { KvCache:
    ZMQ_ENDPOINT: Option<ZmqEndpoint> = Spec::one("zmq-endpoint", "ADDRESS").default("tcp://localhost:5557")
        .help("where KV-cache events go; empty: nowhere. Each rank takes the next port"), endpoint;
    ZMQ_MAX_CONNECT_ATTEMPTS: u32 = Spec::one("zmq-max-connect-attempts", "N").default("0")
        .help("tries to connect, a second apart, before the start fails, 0 to 10; 0: the start does not wait"),
        |value| values::number_in(value, 0..=MOST_CONNECT_ATTEMPTS);
    EVENT_BATCH_SIZE: u32 = Spec::one("event-batch-size", "N").default("16")
        .help("events of one message; fewer after a second"), values::at_least_one;
    EVENT_MAX_PENDING: u32 = Spec::one("event-max-pending", "N").default("100000")
        .help("steps whose events may wait to be sent; more are dropped and counted"), values::at_least_one;
    KV_EVENTS_TOPIC: String = Spec::one("kv-events-topic", "TEXT")
        .help("the topic of events; not given: kv@<POD_IP>:<port>@<model>"), values::any_text;
    USE_VLLM_MAP_EVENT_FORMAT: bool = Spec::switch("use-vllm-map-event-format").default("true")
        .help("events as maps, as since vLLM 0.24; else as arrays"), values::switch;
    KV_EVENTS_REPLAY_ENDPOINT: Option<ZmqEndpoint> = Spec::one("kv-events-replay-endpoint", "ADDRESS")
        .help("where missed events can be asked for; empty: nowhere"), bound_endpoint;
    KV_EVENTS_REPLAY_QUEUE_SIZE: u32 = Spec::one("kv-events-replay-queue-size", "N").default("10000")
        .help("messages that are kept for that, as many as in vLLM"), values::at_least_one;
    KV_EVENTS_CONFIG: Option<VllmConfig> = Spec::json("kv-events-config")
        .help("vLLM's JSON for all of this, which turns the cache on; wins over zmq-endpoint, and its topic is empty \
               unless it says otherwise"), vllm_config;
    VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES: bool = Spec::environment("VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES").default("1")
        .help("blocks are named by 64-bit numbers in events; 0: by all bytes of their hashes"), values::switch;
}

/// vLLM's default, in messages.
const HIGH_WATER_MARK: usize = 100_000;

/// Most tries to connect at start.
const MOST_CONNECT_ATTEMPTS: u32 = 10;

/// How KV-cache events leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEventsConfig {
    /// Where they are published.
    pub endpoint: ZmqEndpoint,
    /// Where subscribers ask again for messages that they missed.
    pub replay_endpoint: Option<ZmqEndpoint>,
    /// The first frame of each message; `None`: it names the pod and the model.
    pub topic: Option<String>,
    /// Events of one message; fewer if a second passes.
    pub batch_size: u32,
    /// Batches of the engine that may wait to be published; more are dropped, and counted.
    pub max_pending: u32,
    /// Messages that may wait for a subscriber that does not read; more are dropped, and counted. 0: as many as there is
    /// room for.
    pub high_water_mark: usize,
    /// Published messages that are kept for subscribers that missed some.
    pub replay_queue_size: u32,
    /// Tries to connect at start, a second apart, after which the start has failed; 0: it is not waited for.
    pub connect_attempts: u32,
    /// Events as maps, as vLLM sends them since 0.24; else as arrays, as it did before.
    pub as_maps: bool,
    /// Bytes of a hash that name its block; `None`: it is named by a 64-bit number.
    pub hash_bytes: Option<usize>,
    /// It was configured with vLLM's own JSON, which implies that there is a cache.
    pub(super) is_vllms: bool,
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
    /// The server listens there; else it connects.
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
            Some(("inproc", _)) => return problem("stays inside one process, where no subscriber can listen"),
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

/// `kv-events-config`, understood.
struct VllmConfig {
    endpoint: ZmqEndpoint,
    replay_endpoint: Option<ZmqEndpoint>,
    buffer_steps: u32,
    max_queue_size: u32,
    hwm: usize,
    topic: String,
}

/// `kv-events-config`, as vLLM's.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WireVllmConfig {
    enable_kv_cache_events: bool,
    publisher: Option<String>,
    endpoint: String,
    replay_endpoint: Option<String>,
    buffer_steps: u32,
    hwm: usize,
    max_queue_size: u32,
    topic: String,
}

impl Default for WireVllmConfig {
    fn default() -> Self {
        Self {
            enable_kv_cache_events: false,
            publisher: None,
            endpoint: "tcp://*:5557".into(),
            replay_endpoint: None,
            buffer_steps: 10_000,
            hwm: HIGH_WATER_MARK,
            max_queue_size: 100_000,
            topic: String::new(),
        }
    }
}

/// What is published, and where; `None`: nothing.
pub(super) fn read(reader: &mut Reader<'_>, algorithm: HashAlgorithm, last_rank: u32) -> Option<KvEventsConfig> {
    let own = Places {
        endpoint: reader.read(&ZMQ_ENDPOINT),
        replay_endpoint: reader.given(&KV_EVENTS_REPLAY_ENDPOINT).flatten(),
        topic: None,
        max_pending: reader.read(&EVENT_MAX_PENDING),
        replay_queue_size: reader.read(&KV_EVENTS_REPLAY_QUEUE_SIZE),
        high_water_mark: HIGH_WATER_MARK,
    };
    let vllms = reader.given(&KV_EVENTS_CONFIG);
    let is_vllms = vllms.is_some();
    let Places { endpoint, replay_endpoint, topic, max_pending, replay_queue_size, high_water_mark } = match vllms {
        Some(vllms) => vllms.map_or_else(Places::default, Places::from),
        None => own,
    };
    let batch_size = reader.read(&EVENT_BATCH_SIZE);
    let connect_attempts = reader.read(&ZMQ_MAX_CONNECT_ATTEMPTS);
    let as_maps = reader.read(&USE_VLLM_MAP_EVENT_FORMAT);
    let int_hashes = reader.read(&VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES);
    let own_topic = reader.given(&KV_EVENTS_TOPIC).filter(|topic| !topic.is_empty());
    let config = KvEventsConfig {
        endpoint: endpoint?,
        replay_endpoint,
        topic: own_topic.or(topic),
        batch_size,
        max_pending,
        replay_queue_size,
        high_water_mark,
        connect_attempts,
        as_maps,
        hash_bytes: (!int_hashes).then(|| algorithm.digest_length()),
        is_vllms,
    };
    check_ports(reader, &config, last_rank);
    Some(config)
}

/// A replay endpoint needs events.
pub(super) fn check_replay(reader: &mut Reader<'_>, are_there_events: bool) {
    if !are_there_events && reader.given(&KV_EVENTS_REPLAY_ENDPOINT).flatten().is_some() {
        let problem = "there are no events to replay; they need enable-kvcache and a zmq-endpoint";
        reader.refuse(&KV_EVENTS_REPLAY_ENDPOINT, problem);
    }
}

/// What our keys and vLLM's JSON both say.
#[derive(Default)]
struct Places {
    endpoint: Option<ZmqEndpoint>,
    replay_endpoint: Option<ZmqEndpoint>,
    topic: Option<String>,
    max_pending: u32,
    replay_queue_size: u32,
    high_water_mark: usize,
}

impl From<VllmConfig> for Places {
    fn from(config: VllmConfig) -> Self {
        Self {
            endpoint: Some(config.endpoint),
            replay_endpoint: config.replay_endpoint,
            topic: Some(config.topic),
            max_pending: config.max_queue_size,
            replay_queue_size: config.buffer_steps,
            high_water_mark: config.hwm,
        }
    }
}

/// vLLM's JSON. `None`: it says that there are no events.
fn vllm_config(value: &Value) -> Result<Option<VllmConfig>, String> {
    let object = values::json_object(value)?;
    let config: WireVllmConfig =
        serde_json::from_value(Value::Object(object)).map_err(|error| format!("{value} is not understood: {error}"))?;
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
    Ok(Some(VllmConfig {
        endpoint: ZmqEndpoint::parse(&config.endpoint)?,
        replay_endpoint: config.replay_endpoint.as_deref().map(ZmqEndpoint::always_bound).transpose()?,
        buffer_steps: config.buffer_steps,
        max_queue_size: config.max_queue_size,
        hwm: config.hwm,
        topic: config.topic,
    }))
}

fn endpoint(value: &Value) -> Result<Option<ZmqEndpoint>, String> {
    let address = values::any_text(value)?;
    if address.is_empty() { Ok(None) } else { ZmqEndpoint::parse(&address).map(Some) }
}

fn bound_endpoint(value: &Value) -> Result<Option<ZmqEndpoint>, String> {
    let address = values::any_text(value)?;
    if address.is_empty() { Ok(None) } else { ZmqEndpoint::always_bound(&address).map(Some) }
}

/// Every rank's ports must exist, and none may be another's.
fn check_ports(reader: &mut Reader<'_>, config: &KvEventsConfig, last_rank: u32) {
    let ports = [Some(&config.endpoint), config.replay_endpoint.as_ref()].map(|endpoint| endpoint?.port());
    let mut refuse = |replay: bool, problem: String| match (config.is_vllms, replay) {
        (true, _) => reader.refuse(&KV_EVENTS_CONFIG, problem),
        (false, false) => reader.refuse(&ZMQ_ENDPOINT, problem),
        (false, true) => reader.refuse(&KV_EVENTS_REPLAY_ENDPOINT, problem),
    };
    for (is_replay, port) in [false, true].into_iter().zip(ports) {
        if let Some(port) = port.filter(|port| port + last_rank > u16::MAX.into()) {
            refuse(is_replay, format!("port {port} plus rank {last_rank} is more than {}", u16::MAX));
        }
    }
    if let [Some(events), Some(replay)] = ports
        && events.abs_diff(replay) <= last_rank
        && config.endpoint.binds
    {
        refuse(true, format!("its port {replay} and port {events} of the events meet; each rank takes the next one"));
    }
}
