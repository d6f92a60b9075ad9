//! Bytes that Python's msgspec wrote from vLLM's structures.

use std::sync::Arc;

use rehearsal_engine::Adapter;
use rehearsal_engine::kv_cache::{BlockHash, ExtraKeys};

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn payload(events: &[KvCacheEvent], rank: u32, as_maps: bool) -> String {
    written(events, rank, Format { as_maps, hash_bytes: None })
}

fn written(events: &[KvCacheEvent], rank: u32, format: Format) -> String {
    let mut written = Vec::new();
    events.iter().for_each(|event| write_event(&mut written, event, format));
    hex(&batch(1.5, events.len(), &written, rank))
}

fn stored(hashes: &[u64], parent: Option<u64>, token_ids: std::ops::Range<u32>, keys: ExtraKeys) -> KvCacheEvent {
    KvCacheEvent::BlockStored(BlockStored {
        hashes: hashes.iter().map(|hash| BlockHash::from(*hash)).collect(),
        parent: parent.map(BlockHash::from),
        block_size: token_ids.len() as u32 / hashes.len() as u32,
        token_ids: token_ids.collect(),
        keys,
    })
}

fn three_events() -> [KvCacheEvent; 3] {
    let hashes = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
    let removed = KvCacheEvent::BlockRemoved(hashes[0].into());
    [stored(&hashes, None, 0..16, ExtraKeys::default()), removed, KvCacheEvent::AllBlocksCleared]
}

#[test]
fn maps_are_those_of_vllm() {
    let expected = "93cb3ff800000000000093de000ba474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657392cf0123456789abcdefcffedcba9876543210b1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f696473dc0010000102030405060708090a0b0c0d0e0faa626c6f636b5f73697a6508a76c6f72615f6964c0a66d656469756da3475055a96c6f72615f6e616d65c0aa65787472615f6b65797392c0c0a967726f75705f69647800b26b765f63616368655f737065635f6b696e64ae66756c6c5f617474656e74696f6e84a474797065ac426c6f636b52656d6f766564ac626c6f636b5f68617368657391cf0123456789abcdefa66d656469756da3475055a967726f75705f6964780081a474797065b0416c6c426c6f636b73436c656172656400";
    // msgspec writes the long form of that map's length.
    assert_eq!(payload(&three_events(), 0, true), expected.replace("de000b", "8b"));
}

#[test]
fn adapters_and_salts_are_in_their_places() {
    let adapter = Adapter { id: 3, generation: 3, name: "my-lora".into(), path: "/p".into(), base_model: None };
    let keys = ExtraKeys { adapter: Some(Arc::new(adapter)), cache_salt: Some("salt".into()) };
    let salted = payload(&[stored(&[7], None, 1..3, keys.clone())], 1, true);
    // ["my-lora", "salt"]: the salt is the first block's.
    assert!(salted.contains("aa65787472615f6b6579739192a76d792d6c6f7261a473616c74"), "{salted}");
    assert!(
        salted.contains("a76c6f72615f696403") && salted.contains("a96c6f72615f6e616d65a76d792d6c6f7261"),
        "{salted}"
    );
    assert!(salted.ends_with("01"), "the rank");
    let later = payload(&[stored(&[7], Some(5), 1..3, keys)], 1, true);
    assert!(later.contains("b1706172656e745f626c6f636b5f6861736805"), "{later}");
    assert!(later.contains("aa65787472615f6b6579739191a76d792d6c6f7261a9"), "{later}");
}

#[test]
fn arrays_are_those_of_vllm_0_22() {
    let one = stored(&[1], None, 1..3, ExtraKeys::default());
    assert_eq!(
        payload(&[one], 0, false),
        "93cb3ff8000000000000919cab426c6f636b53746f7265649101c092010202c0a3475055c091c000ae66756c6c5f617474656e74696f6ec000"
    );
    let [_, removed, cleared] = three_events();
    assert_eq!(
        payload(&[removed, cleared], 0, false),
        "93cb3ff80000000000009294ac426c6f636b52656d6f76656491cf0123456789abcdefa34750550091b0416c6c426c6f636b73436c656172656400"
    );
}

/// With `VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES=0`: msgpack's binary, as long as the algorithm's digests.
#[test]
fn blocks_can_be_named_by_all_bytes_of_their_hashes() {
    let removed = KvCacheEvent::BlockRemoved(BlockHash::from(0x0123_4567_89ab_cdef));
    let payload = written(&[removed], 0, Format { as_maps: false, hash_bytes: Some(16) });
    assert!(payload.contains("91c41000000000000000000123456789abcdef"), "{payload}");
}
