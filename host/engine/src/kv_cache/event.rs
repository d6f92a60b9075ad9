//! What happens to blocks, for routers that keep an index of them.

use super::hash::{BlockHash, ExtraKeys};

/// Something that changed what can be found in the cache.
#[derive(Debug, Clone)]
pub enum KvCacheEvent {
    /// Blocks can be found from now on.
    BlockStored(BlockStored),
    /// A block with this content was taken for another.
    BlockRemoved(BlockHash),
    /// Nothing can be found any more.
    AllBlocksCleared,
}

/// Consecutive blocks of one sequence.
#[derive(Debug, Clone)]
pub struct BlockStored {
    /// At least one.
    pub hashes: Vec<BlockHash>,
    /// The block before the first; none: that one begins the sequence.
    pub parent: Option<BlockHash>,
    /// Those of all blocks.
    pub token_ids: Vec<u32>,
    /// Tokens of one block.
    pub block_size: u32,
    /// What the hashes have in them beside tokens.
    pub keys: ExtraKeys,
}
