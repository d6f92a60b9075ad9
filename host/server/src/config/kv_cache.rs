//! The simulated KV cache.

use std::num::NonZeroU32;

use rehearsal_engine::{HashAlgorithm, KvCacheConfig};
use rehearsal_timing::Profile;
use serde_json::Value;

use super::key::{Spec, keys};
use super::kv_events::{self, KvEventsConfig};
use super::reader::Reader;
use super::values;

keys! { KvCache:
    ENABLE_KVCACHE: bool = Spec::switch("enable-kvcache").default("false")
        .help("simulate a KV cache: prefixes are found, memory runs out, events are sent"), values::switch;
    KV_CACHE_SIZE: u32 = Spec::one("kv-cache-size", "BLOCKS").aliases(&["num-gpu-blocks-override"]).default("1024")
        .help("its blocks; 0: no prompt fits"), values::whole_number;
    BLOCK_SIZE: u32 = Spec::one("block-size", "TOKENS").default("16")
        .help("tokens of a block: 8, 16, 32, 64 or 128"), block_size;
    ENABLE_PREFIX_CACHING: bool = Spec::switch("enable-prefix-caching").default("true")
        .help("find prefixes again, where there is a KV cache; --no-enable-prefix-caching: every prompt is computed \
               whole, and there are no events"), values::switch;
    PREFIX_CACHING_HASH_ALGO: HashAlgorithm = Spec::one("prefix-caching-hash-algo", "NAME").default("sha256_cbor_64bit")
        .help("how blocks are named: that of vLLM up to 0.10, today's sha256, sha256_cbor, xxhash, xxhash_cbor, or \
               cbor-fnv, which llm-d's router computes for itself"), hash_algorithm;
    HASH_SEED: String = Spec::one("hash-seed", "TEXT").env("PYTHONHASHSEED")
        .help("what names begin with; not given: nothing for sha256_cbor_64bit and cbor-fnv, vLLM's constant for \
               sha256 and sha256_cbor, and what follows from seed for the others"), values::any_text;
}

/// Tokens that a block may have.
const BLOCK_SIZES: [u32; 5] = [8, 16, 32, 64, 128];

/// The cache, if it is simulated, and its events, if they are published.
pub(super) fn read(
    reader: &mut Reader<'_>,
    reported_model: &str,
    last_rank: u32,
    profile: Option<&Profile>,
) -> (Option<KvCacheConfig>, Option<KvEventsConfig>) {
    let algorithm = reader.read(&PREFIX_CACHING_HASH_ALGO);
    let events = kv_events::read(reader, algorithm, last_rank);
    let given = reader.given(&ENABLE_KVCACHE);
    let reuses_prefixes = reader.read(&ENABLE_PREFIX_CACHING);
    // Events that are configured as for vLLM, whose cache is always on, need one.
    let is_wanted = events.as_ref().is_some_and(|events| events.is_vllms);
    if given == Some(false) && is_wanted {
        let problem = "false, but kv-events-config asks for the cache's events: leave one of them out";
        reader.refuse(&ENABLE_KVCACHE, problem);
    }
    if !reuses_prefixes && is_wanted {
        reader.warn(
            &ENABLE_PREFIX_CACHING,
            "false, so kv-events-config has nothing to tell but that the cache was reset",
        );
    }
    let limits = profile.map(|profile| &profile.engine);
    // vLLM counts one that it never uses.
    let blocks_of_profile = limits.and_then(|limits| limits.num_gpu_blocks).map(|blocks| blocks.get() - 1);
    let block_size_of_profile = limits.and_then(|limits| limits.block_size).map(NonZeroU32::get);
    let (size, block_size) = (reader.given(&KV_CACHE_SIZE), reader.given(&BLOCK_SIZE));
    let cache = KvCacheConfig {
        n_blocks: size.or(blocks_of_profile).unwrap_or_else(|| reader.read(&KV_CACHE_SIZE)),
        block_size: block_size.or(block_size_of_profile).unwrap_or_else(|| reader.read(&BLOCK_SIZE)),
        algorithm,
        hash_seed: reader.given(&HASH_SEED).filter(|seed| !seed.is_empty()),
        model: reported_model.to_owned(),
        reuses_prefixes,
        tells_events: events.is_some(),
    };
    let is_enabled = given.unwrap_or(is_wanted || blocks_of_profile.is_some());
    if !is_enabled {
        warn_of_no_cache(reader);
    }
    kv_events::check_replay(reader, is_enabled && events.is_some());
    if is_enabled { (Some(cache), events) } else { (None, None) }
}

/// Keys that mean something only where a cache is simulated, which is not so by default.
fn warn_of_no_cache(reader: &mut Reader<'_>) {
    const WARNING: &str = "it has no effect without enable-kvcache";
    for key in [&KV_CACHE_SIZE, &BLOCK_SIZE] {
        if reader.is_given(key) {
            reader.warn(key, WARNING);
        }
    }
    if reader.is_given(&ENABLE_PREFIX_CACHING) {
        reader.warn(&ENABLE_PREFIX_CACHING, WARNING);
    }
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
