//! The simulated KV cache.

use rehearsal_engine::{HashAlgorithm, KvCacheConfig};
use serde_json::Value;

use super::{KvEventsConfig, Reader, kv_events, values};

/// Tokens that a block may have.
const BLOCK_SIZES: [u32; 5] = [8, 16, 32, 64, 128];

/// The cache, if it is simulated, and its events, if they are published.
pub(super) fn read(
    reader: &mut Reader<'_>,
    reported_model: &str,
    last_rank: u32,
) -> (Option<KvCacheConfig>, Option<KvEventsConfig>) {
    let events = kv_events::read(reader, last_rank);
    let given = reader.optional("enable-kvcache", values::switch);
    // Who configures events as for vLLM, whose cache is always on, means to have some.
    if given == Some(false) && reader.settings.get("kv-events-config").is_some() && events.is_some() {
        reader.problems.push("kv-events-config: it enables events of a cache that enable-kvcache disables".into());
    }
    let is_enabled = given.unwrap_or(reader.settings.get("kv-events-config").is_some() && events.is_some());
    let cache = KvCacheConfig {
        n_blocks: reader.read("kv-cache-size", values::whole_number),
        block_size: reader.read("block-size", block_size),
        algorithm: reader.read("prefix-caching-hash-algo", hash_algorithm),
        hash_seed: reader.optional("hash-seed", values::any_text).filter(|seed| !seed.is_empty()),
        model: reported_model.to_owned(),
        tells_events: events.is_some(),
    };
    let wants_replay = !reader.read("kv-events-replay-endpoint", values::any_text).is_empty();
    if wants_replay && (!is_enabled || events.is_none()) {
        let problem = "there are no events to replay; they need enable-kvcache and a zmq-endpoint";
        reader.problems.push(format!("kv-events-replay-endpoint: {problem}"));
    }
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
