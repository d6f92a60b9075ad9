//! Events as msgpack, in the shapes of vLLM's own structures. The same fields in the same order make a map (vLLM since
//! 0.24) or an array (vLLM 0.22 and 0.23).

use rehearsal_engine::KvCacheEvent;
use rehearsal_engine::kv_cache::BlockStored;
use rmp::encode::{write_array_len, write_f64, write_uint};
use rmp_serde::Serializer;
use serde::Serialize;

/// Where all simulated blocks lie.
const MEDIUM: &str = "GPU";
/// The one group of layers that a model with full attention has.
const GROUP: u32 = 0;

#[derive(Debug, Serialize)]
struct Stored<'a> {
    #[serde(rename = "type")]
    tag: &'static str,
    block_hashes: Vec<u64>,
    parent_block_hash: Option<u64>,
    token_ids: &'a [u32],
    block_size: u32,
    lora_id: Option<u32>,
    medium: &'static str,
    lora_name: Option<&'a str>,
    /// One entry for each block.
    extra_keys: Vec<Option<Vec<&'a str>>>,
    group_idx: u32,
    kv_cache_spec_kind: &'static str,
    /// Nil in an array, left out of a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    kv_cache_spec_sliding_window: Option<Option<u32>>,
}

#[derive(Debug, Serialize)]
struct Removed {
    #[serde(rename = "type")]
    tag: &'static str,
    block_hashes: [u64; 1],
    medium: &'static str,
    group_idx: u32,
}

#[derive(Debug, Serialize)]
struct Cleared {
    #[serde(rename = "type")]
    tag: &'static str,
}

impl<'a> Stored<'a> {
    fn new(stored: &'a BlockStored, as_map: bool) -> Self {
        let BlockStored { hashes, parent, token_ids, block_size, keys } = stored;
        let keys_of = |at: usize| {
            let keys: Vec<_> = keys.of_block(at == 0 && parent.is_none()).collect();
            Some(keys).filter(|keys| !keys.is_empty())
        };
        Self {
            tag: "BlockStored",
            block_hashes: hashes.iter().map(|hash| hash.as_u64()).collect(),
            parent_block_hash: parent.map(|parent| parent.as_u64()),
            token_ids,
            block_size: *block_size,
            lora_id: keys.adapter.as_ref().map(|adapter| adapter.id),
            medium: MEDIUM,
            lora_name: keys.adapter.as_ref().map(|adapter| adapter.name.as_str()),
            extra_keys: (0..hashes.len()).map(keys_of).collect(),
            group_idx: GROUP,
            kv_cache_spec_kind: "full_attention",
            kv_cache_spec_sliding_window: (!as_map).then_some(None),
        }
    }
}

/// Appends one event.
pub(super) fn write_event(out: &mut Vec<u8>, event: &KvCacheEvent, as_map: bool) {
    match event {
        KvCacheEvent::BlockStored(stored) => write(out, &Stored::new(stored, as_map), as_map),
        KvCacheEvent::BlockRemoved(hash) => {
            let block_hashes = [hash.as_u64()];
            write(out, &Removed { tag: "BlockRemoved", block_hashes, medium: MEDIUM, group_idx: GROUP }, as_map);
        }
        KvCacheEvent::AllBlocksCleared => write(out, &Cleared { tag: "AllBlocksCleared" }, as_map),
    }
}

fn write(out: &mut Vec<u8>, event: &impl Serialize, as_map: bool) {
    let written = if as_map {
        event.serialize(&mut Serializer::new(out).with_struct_map())
    } else {
        event.serialize(&mut Serializer::new(out))
    };
    written.expect("a vector takes everything");
}

/// A message's payload: when, the events as they were written, and which rank.
pub(super) fn batch(unix_time: f64, n_events: usize, events: &[u8], rank: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(events.len() + 32);
    let mut write = || {
        write_array_len(&mut out, 3)?;
        write_f64(&mut out, unix_time)?;
        write_array_len(&mut out, n_events as u32)?;
        out.extend_from_slice(events);
        write_uint(&mut out, rank.into())
    };
    write().expect("a vector takes everything");
    out
}

#[cfg(test)]
mod tests;
