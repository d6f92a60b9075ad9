//! The simulated KV cache: which sequence holds which blocks, what a prompt finds of itself, what is evicted for it.
//!
//! Stepped, like the scheduler: no clock, no calls, and the same steps give the same blocks. It follows vLLM's
//! `KVCacheManager` for full attention: only full blocks are found again, a prompt is never found whole (its last token
//! must be computed), and the last token that was generated needs no place before the next one is computed.

pub mod event;
pub mod hash;
mod pool;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::scheduler::SequenceId;

pub use event::{BlockStored, KvCacheEvent};
pub use hash::{BlockHash, BlockHasher, ExtraKeys, HashAlgorithm};
use pool::{BlockId, BlockPool, Content};

/// What a KV cache is built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvCacheConfig {
    /// Blocks that can be held.
    pub n_blocks: u32,
    /// Tokens of a block, at least 1.
    pub block_size: u32,
    /// How blocks are named.
    pub algorithm: HashAlgorithm,
    /// `hash-seed`
    pub hash_seed: Option<String>,
    /// The name that answers carry; some hashes begin with it.
    pub model: String,
    /// Whether prompts find what earlier ones computed; if not, nothing is told of blocks either.
    pub reuses_prefixes: bool,
    /// Whether every block is reported.
    pub tells_events: bool,
}

impl KvCacheConfig {
    /// Tokens that all blocks have room for.
    pub fn n_tokens(&self) -> u64 {
        u64::from(self.n_blocks) * u64::from(self.block_size)
    }
}

/// Blocks, and the sequences that hold them.
#[derive(Debug)]
pub struct KvCache {
    block_size: usize,
    reuses_prefixes: bool,
    hasher: Arc<BlockHasher>,
    pool: BlockPool,
    sequences: HashMap<SequenceId, CachedSequence>,
    /// What happened since it was last taken; `None` if it never will be.
    events: Option<Vec<KvCacheEvent>>,
}

/// What the cache knows of one sequence.
#[derive(Debug, Clone)]
pub struct CachedSequence {
    keys: ExtraKeys,
    /// Shared by all that wait with the same prompt; one that runs makes it its own.
    tokens: Arc<HashedTokens>,
    n_prompt_tokens: usize,
    /// Held, in the order of the tokens.
    blocks: Vec<BlockId>,
    /// How many of `blocks` can be found by others.
    n_cached: usize,
}

#[derive(Debug, Clone)]
struct HashedTokens {
    /// The prompt and what was generated.
    ids: Vec<u32>,
    /// Of the full blocks of `ids`, as far as they were needed.
    hashes: Vec<BlockHash>,
}

impl CachedSequence {
    /// A sequence that holds nothing yet. Hashes its prompt, unless prefixes are never found again and there is no
    /// `hasher`: best done where nothing waits for it.
    pub fn new(prompt: Vec<u32>, keys: ExtraKeys, hasher: Option<&BlockHasher>) -> Self {
        let mut hashes = Vec::new();
        if let Some(hasher) = hasher {
            hashes.reserve_exact(prompt.len() / hasher.block_size());
            hasher.extend(&mut hashes, &prompt, &keys);
        }
        let n_prompt_tokens = prompt.len();
        Self {
            keys,
            tokens: Arc::new(HashedTokens { ids: prompt, hashes }),
            n_prompt_tokens,
            blocks: Vec::new(),
            n_cached: 0,
        }
    }
}

impl KvCache {
    /// An empty cache, whose blocks `hasher` names.
    pub fn new(config: &KvCacheConfig, hasher: Arc<BlockHasher>) -> Self {
        Self {
            block_size: config.block_size as usize,
            reuses_prefixes: config.reuses_prefixes,
            hasher,
            pool: BlockPool::new(config.n_blocks),
            sequences: HashMap::new(),
            events: config.tells_events.then(Vec::new),
        }
    }

    /// Makes a waiting sequence known.
    pub fn insert(&mut self, id: SequenceId, sequence: CachedSequence) {
        self.sequences.insert(id, sequence);
    }

    /// How many of these sequences, none of them known yet, would find blocks one after the other.
    pub fn n_fitting(&self, sequences: &[CachedSequence]) -> u32 {
        let mut left = self.pool.n_free();
        let wanted = |(at, sequence): (usize, &CachedSequence)| {
            let is_twin = self.reuses_prefixes
                && at.checked_sub(1).is_some_and(|before| Arc::ptr_eq(&sequences[before].tokens, &sequence.tokens));
            let n_tokens = sequence.tokens.ids.len();
            // All but what is computed anew is its twin's.
            let by_twin = n_tokens.div_ceil(self.block_size) - n_tokens.saturating_sub(1) / self.block_size;
            if is_twin { by_twin } else { self.n_wanted(sequence, &self.hits(sequence)) }
        };
        let fits = |wanted: &usize| left.checked_sub(*wanted).map(|rest| left = rest).is_some();
        sequences.iter().enumerate().map(wanted).take_while(fits).count() as u32
    }

    /// Blocks for all tokens that a sequence has so far; returns how many of these tokens were found. None, and nothing
    /// happens, if not enough blocks are free.
    pub fn allocate(&mut self, id: SequenceId) -> Option<u32> {
        let n_tokens = self.sequences.get(&id)?.tokens.ids.len() as u32;
        self.begin(id, |_| Some(n_tokens))
    }

    /// The same, but so far only for as many tokens as `first` says of the number that was found; none, and nothing happens,
    /// if it says so. For the others too, enough must be free.
    pub fn begin(&mut self, id: SequenceId, first: impl FnOnce(u32) -> Option<u32>) -> Option<u32> {
        let sequence = self.sequences.get(&id)?;
        let hits = self.hits(sequence);
        if self.n_wanted(sequence, &hits) > self.pool.n_free() {
            return None;
        }
        let n_found = (hits.len() * self.block_size) as u32;
        let n_tokens = first(n_found)?;
        hits.iter().for_each(|block| self.pool.hold(*block));
        let n_hits = hits.len();
        let sequence = self.sequences.get_mut(&id)?;
        (sequence.blocks, sequence.n_cached) = (hits, n_hits);
        let n_tokens = sequence.tokens.ids.len().min(n_tokens as usize);
        self.fill(id, n_tokens);
        Some(n_found)
    }

    /// Blocks for the first `n_tokens` of the tokens that a running sequence has; false, and nothing happens, if not enough are
    /// free.
    pub fn advance(&mut self, id: SequenceId, n_tokens: usize) -> bool {
        let Some(sequence) = self.sequences.get(&id) else { return true };
        let n_tokens = n_tokens.min(sequence.tokens.ids.len());
        let is_room = n_tokens.div_ceil(self.block_size) <= sequence.blocks.len() + self.pool.n_free();
        if is_room {
            self.fill(id, n_tokens);
        }
        is_room
    }

    /// A waiting sequence has generated `output_ids`, its output from the beginning.
    pub fn append(&mut self, id: SequenceId, output_ids: &[u32]) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let n_known = sequence.tokens.ids.len() - sequence.n_prompt_tokens;
        if n_known < output_ids.len() {
            Arc::make_mut(&mut sequence.tokens).ids.extend(&output_ids[n_known..]);
        }
    }

    /// Makes room for a running sequence to send `output_ids`, its output from the beginning. Returns how many of them
    /// there is room for: all, unless no block is free. Those that were sent before always have theirs.
    pub fn grow(&mut self, id: SequenceId, output_ids: &[u32]) -> usize {
        let Some(sequence) = self.sequences.get_mut(&id) else { return output_ids.len() };
        let n_prompt = sequence.n_prompt_tokens;
        // The last token is computed with the one after it.
        let n_wanted = n_prompt + output_ids.len().saturating_sub(1);
        let n_free_tokens = (sequence.blocks.len() + self.pool.n_free()) * self.block_size;
        let n_computed = n_wanted.min(n_free_tokens);
        let n_outputs = output_ids.len().min(n_computed - n_prompt + 1);
        let n_known = sequence.tokens.ids.len() - n_prompt;
        if n_known < n_outputs {
            Arc::make_mut(&mut sequence.tokens).ids.extend(&output_ids[n_known..n_outputs]);
            self.fill(id, n_computed);
        }
        n_outputs
    }

    /// Takes a preempted sequence's blocks away. It stays known, with all of its tokens.
    pub fn release(&mut self, id: SequenceId) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        sequence.n_cached = 0;
        // The last block first: what lies deeper in a prefix is of use to fewer others.
        std::mem::take(&mut sequence.blocks).into_iter().rev().for_each(|block| self.pool.release(block));
        self.debug_assert_invariants();
    }

    /// Forgets a sequence and frees what it holds.
    pub fn remove(&mut self, id: SequenceId) {
        self.release(id);
        self.sequences.remove(&id);
    }

    /// Forgets everything that could be found; false, and nothing happens, while any block is held.
    pub fn reset(&mut self) -> bool {
        let is_reset = self.pool.reset();
        if is_reset && let Some(events) = &mut self.events {
            events.push(KvCacheEvent::AllBlocksCleared);
        }
        is_reset
    }

    /// What happened since the last time, in order; `None` if nothing did, or if nothing is to be told.
    pub fn take_events(&mut self) -> Option<Arc<[KvCacheEvent]>> {
        let events = self.events.as_mut().filter(|events| !events.is_empty())?;
        Some(std::mem::take(events).into())
    }

    /// Held blocks and all blocks.
    pub fn usage(&self) -> (usize, usize) {
        (self.pool.n_blocks() - self.pool.n_free(), self.pool.n_blocks())
    }

    /// The longest prefix of full blocks that is there, short of the last token.
    fn hits(&self, sequence: &CachedSequence) -> Vec<BlockId> {
        if !self.reuses_prefixes {
            return Vec::new();
        }
        let most = sequence.tokens.ids.len().saturating_sub(1) / self.block_size;
        let scope = sequence.keys.scope();
        let found = |hash: &BlockHash| self.pool.find(Content { scope, hash: *hash });
        sequence.tokens.hashes.iter().take(most).map_while(found).collect()
    }

    /// How many free blocks it takes: new ones, and those of the prefix that no sequence holds.
    fn n_wanted(&self, sequence: &CachedSequence, hits: &[BlockId]) -> usize {
        let new = sequence.tokens.ids.len().div_ceil(self.block_size) - hits.len();
        new + hits.iter().filter(|block| self.pool.is_free(**block)).count()
    }

    /// Gives a sequence blocks for its first `n_tokens` tokens, and makes those that are full known to others.
    fn fill(&mut self, id: SequenceId, n_tokens: usize) {
        let Some(sequence) = self.sequences.get_mut(&id) else { return };
        let mut is_changed = false;
        while sequence.blocks.len() < n_tokens.div_ceil(self.block_size) {
            let (block, evicted) = self.pool.take();
            sequence.blocks.push(block);
            if let (Some(events), Some(hash)) = (&mut self.events, evicted) {
                events.push(KvCacheEvent::BlockRemoved(hash));
            }
            is_changed = true;
        }
        let (first, full) = (sequence.n_cached, n_tokens / self.block_size);
        let end = if self.reuses_prefixes { full } else { first };
        if first == end {
            if is_changed {
                self.debug_assert_invariants();
            }
            return;
        }
        if sequence.tokens.hashes.len() < end {
            let HashedTokens { ids, hashes } = Arc::make_mut(&mut sequence.tokens);
            self.hasher.extend(hashes, &ids[..end * self.block_size], &sequence.keys);
        }
        let HashedTokens { ids, hashes } = &*sequence.tokens;
        let scope = sequence.keys.scope();
        for (block, hash) in sequence.blocks[first..end].iter().zip(&hashes[first..end]) {
            self.pool.cache(*block, Content { scope, hash: *hash });
        }
        sequence.n_cached = end;
        if let Some(events) = &mut self.events {
            events.push(KvCacheEvent::BlockStored(BlockStored {
                hashes: hashes[first..end].to_vec(),
                parent: first.checked_sub(1).map(|before| hashes[before]),
                token_ids: ids[first * self.block_size..end * self.block_size].to_vec(),
                block_size: self.block_size as u32,
                keys: sequence.keys.clone(),
            }));
        }
        self.debug_assert_invariants();
    }

    fn debug_assert_invariants(&self) {
        // Of a large pool, looking at all of it would take longer than the step.
        #[cfg(debug_assertions)]
        if self.pool.n_blocks() <= 4096 {
            self.pool.assert_invariants();
            let mut holders = vec![0; self.pool.n_blocks()];
            for sequence in self.sequences.values() {
                assert!(sequence.n_cached <= sequence.blocks.len());
                sequence.blocks.iter().for_each(|block| holders[*block as usize] += 1);
            }
            assert_eq!(holders, self.pool.references(), "as many references as sequences that hold a block");
        }
    }
}
