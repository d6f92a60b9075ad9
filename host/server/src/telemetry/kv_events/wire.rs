//! Events as msgpack, in the shapes of vLLM's own structures. The same fields in the same order make a map (vLLM since
//! 0.24) or an array (vLLM 0.22 and 0.23).

use rehearsal_engine::KvCacheEvent;
use rehearsal_engine::kv_cache::{BlockHash, BlockStored};
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
    block_hashes: Vec<Name<'a>>,
    parent_block_hash: Option<Name<'a>>,
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
struct Removed<'a> {
    #[serde(rename = "type")]
    tag: &'static str,
    block_hashes: [Name<'a>; 1],
    medium: &'static str,
    group_idx: u32,
}

#[derive(Debug, Serialize)]
struct Cleared {
    #[serde(rename = "type")]
    tag: &'static str,
}

/// How events are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// As maps; else as arrays.
    pub(super) as_maps: bool,
    /// Bytes of a hash that name its block; `None`: it is named by a 64-bit number.
    pub(super) hash_bytes: Option<usize>,
}

/// A block's name.
#[derive(Debug)]
enum Name<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Serialize for Name<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl Format {
    fn name(self, hash: &BlockHash) -> Name<'_> {
        self.hash_bytes.map_or(Name::Number(hash.as_u64()), |n| Name::Bytes(hash.last_bytes(n)))
    }
}

impl<'a> Stored<'a> {
    fn new(stored: &'a BlockStored, format: Format) -> Self {
        let BlockStored { hashes, parent, token_ids, block_size, keys } = stored;
        let keys_of = |at: usize| {
            let keys: Vec<_> = keys.of_block(at == 0 && parent.is_none()).collect();
            Some(keys).filter(|keys| !keys.is_empty())
        };
        Self {
            tag: "BlockStored",
            block_hashes: hashes.iter().map(|hash| format.name(hash)).collect(),
            parent_block_hash: parent.as_ref().map(|parent| format.name(parent)),
            token_ids,
            block_size: *block_size,
            lora_id: keys.adapter.as_ref().map(|adapter| adapter.id),
            medium: MEDIUM,
            lora_name: keys.adapter.as_ref().map(|adapter| adapter.name.as_str()),
            extra_keys: (0..hashes.len()).map(keys_of).collect(),
            group_idx: GROUP,
            kv_cache_spec_kind: "full_attention",
            kv_cache_spec_sliding_window: (!format.as_maps).then_some(None),
        }
    }
}

/// Appends one event.
pub(super) fn write_event(out: &mut Vec<u8>, event: &KvCacheEvent, format: Format) {
    match event {
        KvCacheEvent::BlockStored(stored) => write(out, &Stored::new(stored, format), format),
        KvCacheEvent::BlockRemoved(hash) => {
            let block_hashes = [format.name(hash)];
            write(out, &Removed { tag: "BlockRemoved", block_hashes, medium: MEDIUM, group_idx: GROUP }, format);
        }
        KvCacheEvent::AllBlocksCleared => write(out, &Cleared { tag: "AllBlocksCleared" }, format),
    }
}

fn write(out: &mut Vec<u8>, event: &impl Serialize, format: Format) {
    let written = if format.as_maps {
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
