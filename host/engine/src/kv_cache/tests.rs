//! Prefixes found, blocks evicted, blocks held: by hand, on small pools.

use super::*;
use crate::lora::Adapter;
use crate::scheduler::Scheduler;
use std::num::NonZeroU32;

/// A cache of blocks of 4 tokens, and the ids that a scheduler gives.
struct Fixture {
    cache: KvCache,
    hasher: Arc<BlockHasher>,
    scheduler: Scheduler,
}

impl Fixture {
    fn new(n_blocks: u32) -> Self {
        let config = KvCacheConfig {
            n_blocks,
            block_size: 4,
            algorithm: HashAlgorithm::Sha256,
            hash_seed: None,
            model: "my-model".into(),
            reuses_prefixes: true,
            tells_events: true,
        };
        let hasher = Arc::new(BlockHasher::new(config.algorithm, 4, None, 0, config.model.clone()));
        let scheduler = Scheduler::new(NonZeroU32::MIN, 1000, NonZeroU32::MIN, false);
        Self { cache: KvCache::new(&config, hasher.clone()), hasher, scheduler }
    }

    fn wait(&mut self, prompt: &[u32], keys: ExtraKeys) -> SequenceId {
        let id = self.scheduler.enqueue(1, None, 0, 1).unwrap()[0];
        self.cache.insert(id, CachedSequence::new(prompt.to_vec(), keys, Some(&self.hasher)));
        id
    }

    /// A prompt that gets its blocks; how many of its tokens were found.
    fn run(&mut self, prompt: &[u32]) -> (SequenceId, u32) {
        let id = self.wait(prompt, ExtraKeys::default());
        (id, self.cache.allocate(id).expect("free blocks"))
    }

    /// Stored (tokens, whether there is a parent) and removed blocks.
    fn events(&mut self) -> Vec<String> {
        let show = |event| match event {
            KvCacheEvent::BlockStored(stored) => {
                let parent = if stored.parent.is_some() { "…" } else { "" };
                format!("stored {parent}{:?}", stored.token_ids)
            }
            KvCacheEvent::BlockRemoved(_) => "removed".into(),
            KvCacheEvent::AllBlocksCleared => "cleared".into(),
        };
        self.cache.take_events().iter().flat_map(|events| events.iter().cloned()).map(show).collect()
    }
}

fn tokens(range: std::ops::Range<u32>) -> Vec<u32> {
    range.collect()
}

#[test]
fn a_prefix_is_found_in_full_blocks_and_never_whole() {
    let mut f = Fixture::new(10);
    let (first, cached) = f.run(&tokens(0..8));
    assert_eq!(cached, 0);
    let (second, cached) = f.run(&tokens(0..8));
    assert_eq!(cached, 4, "the last token must be computed, and its block with it");
    let (third, cached) = f.run(&tokens(0..11));
    assert_eq!(cached, 8);
    // 2 blocks, 1 more (the twin of a block that is there), and 1 that is not full.
    assert_eq!(f.cache.usage(), (4, 10));
    let expected = ["stored [0, 1, 2, 3, 4, 5, 6, 7]", "stored …[4, 5, 6, 7]"];
    assert_eq!(f.events(), expected, "what was found is not told again");
    [first, second, third].into_iter().for_each(|id| f.cache.remove(id));
    assert_eq!(f.cache.usage(), (0, 10));
    assert_eq!(f.run(&tokens(0..9)).1, 8, "free blocks keep what they have");
}

#[test]
fn output_blocks_are_stored_as_they_fill_up() {
    let mut f = Fixture::new(10);
    let (id, _) = f.run(&tokens(0..6));
    f.events();
    let output = tokens(6..12);
    assert_eq!(f.cache.grow(id, &output[..2]), 2);
    assert_eq!(f.events(), [""; 0], "token 7 was generated, not computed");
    assert_eq!(f.cache.grow(id, &output[..3]), 3);
    assert_eq!(f.events(), ["stored …[4, 5, 6, 7]"]);
    assert_eq!(f.cache.grow(id, &output), 6);
    assert_eq!(f.cache.usage(), (3, 10), "11 tokens computed");
    f.cache.remove(id);
    assert_eq!(f.run(&tokens(0..20)).1, 8, "a next turn of the conversation finds the answer too");
}

#[test]
fn the_blocks_that_were_left_first_are_evicted_first_and_deep_ones_before_shallow_ones() {
    let mut f = Fixture::new(4);
    let (a, _) = f.run(&tokens(0..8));
    let (b, _) = f.run(&tokens(100..108));
    f.cache.remove(a);
    f.cache.remove(b);
    f.events();
    let (c, _) = f.run(&tokens(200..204));
    assert_eq!(f.events(), ["removed", "stored [200, 201, 202, 203]"]);
    f.cache.remove(c);
    assert_eq!(f.run(&tokens(0..9)).1, 4, "a's second block went, its first did not");
}

#[test]
fn blocks_without_content_are_taken_before_anything_is_evicted() {
    let mut f = Fixture::new(3);
    let (a, _) = f.run(&tokens(0..6));
    f.cache.remove(a);
    f.events();
    // Two blocks were never filled: a's second and the untouched third.
    f.run(&tokens(100..108));
    assert_eq!(f.events(), ["stored [100, 101, 102, 103, 104, 105, 106, 107]"]);
}

#[test]
fn a_twin_is_found_after_the_first_is_evicted() {
    let mut f = Fixture::new(6);
    let (a, _) = f.run(&tokens(0..4));
    let (b, _) = f.run(&tokens(0..4));
    assert_eq!(f.cache.usage(), (2, 6));
    f.cache.remove(a);
    f.run(&tokens(100..120));
    assert_eq!(f.events().iter().filter(|event| *event == "removed").count(), 1);
    f.cache.remove(b);
    assert_eq!(f.cache.usage(), (5, 6));
    let id = f.wait(&tokens(0..5), ExtraKeys::default());
    assert_eq!(f.cache.allocate(id), None, "its second block finds no place");
    let id = f.wait(&tokens(0..4), ExtraKeys::default());
    assert_eq!(f.cache.allocate(id), Some(0));
}

#[test]
fn who_finds_no_room_changes_nothing() {
    let mut f = Fixture::new(4);
    let (a, _) = f.run(&tokens(0..8));
    f.events();
    let id = f.wait(&tokens(0..20), ExtraKeys::default());
    assert_eq!(f.cache.allocate(id), None);
    assert_eq!((f.events(), f.cache.usage()), (vec![], (2, 4)));
    let output = tokens(8..30);
    assert_eq!(f.cache.grow(a, &output), 9, "8 of its tokens computed, one generated");
    f.cache.release(a);
    assert_eq!(f.cache.allocate(a), None, "17 tokens want 5 blocks");
}

#[test]
fn choices_of_one_prompt_share_all_but_its_end() {
    let mut f = Fixture::new(6);
    let hasher = f.hasher.clone();
    let sequence = |range| CachedSequence::new(tokens(range), ExtraKeys::default(), Some(&hasher));
    let (one, other) = (sequence(0..10), sequence(100..110));
    assert_eq!(f.cache.n_fitting(&[one.clone(), one.clone(), one.clone(), one.clone()]), 4);
    assert_eq!(f.cache.n_fitting(&[one.clone(), other.clone(), other]), 2);
    assert_eq!(f.cache.n_fitting(&[one.clone(), one.clone(), one.clone(), one.clone(), one]), 4);
    f.run(&tokens(500..517));
    assert_eq!(f.cache.n_fitting(&[sequence(0..10)]), 0);
}

#[test]
fn adapters_and_salts_share_nothing() {
    let mut f = Fixture::new(20);
    let adapter = |id: u32| {
        let adapter =
            Adapter { id, generation: id, name: format!("adapter-{id}"), path: "/p".into(), base_model: None };
        ExtraKeys { adapter: Some(Arc::new(adapter)), cache_salt: None }
    };
    let salt = |salt: &str| ExtraKeys { adapter: None, cache_salt: Some(salt.into()) };
    for keys in [ExtraKeys::default(), adapter(1), adapter(2), salt("a"), salt("b")] {
        for cached in [0, 8] {
            let id = f.wait(&tokens(0..9), keys.clone());
            assert_eq!(f.cache.allocate(id), Some(cached), "{keys:?}");
            f.cache.remove(id);
        }
    }
}

#[test]
fn a_reset_waits_for_everybody_to_leave() {
    let mut f = Fixture::new(4);
    let (a, _) = f.run(&tokens(0..8));
    assert!(!f.cache.reset());
    f.cache.remove(a);
    assert!(f.cache.reset());
    assert_eq!(f.events().last().map(String::as_str), Some("cleared"));
    assert_eq!(f.run(&tokens(0..9)).1, 0);
}

#[test]
fn a_cache_without_blocks_has_room_for_nothing() {
    let mut f = Fixture::new(0);
    let id = f.wait(&[1], ExtraKeys::default());
    assert_eq!((f.cache.allocate(id), f.cache.usage()), (None, (0, 0)));
}
