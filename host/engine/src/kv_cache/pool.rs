//! The blocks themselves: which are held, which are free in which order, and which free ones still have something that
//! a prefix may hit. vLLM's `BlockPool` without its null block.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::hash::BlockHash;

/// Names a block, from 0.
pub(super) type BlockId = u32;

/// What is in a full block: whose, and what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Content {
    /// [`super::ExtraKeys::scope`]
    pub(super) scope: u32,
    pub(super) hash: BlockHash,
}

#[derive(Debug, Clone, Default)]
struct Block {
    /// Sequences that hold it. With none it is in the free queue.
    references: u32,
    /// What it has in it, once it is full.
    content: Option<Content>,
    /// Its neighbours in the free queue.
    previous: BlockId,
    next: BlockId,
}

/// A fixed number of blocks.
#[derive(Debug)]
pub(super) struct BlockPool {
    /// The last one is no block, but the two ends of the free queue.
    blocks: Vec<Block>,
    n_free: usize,
    /// Blocks by content, the first one that had it first.
    cached: HashMap<Content, SmallVec<[BlockId; 1]>>,
}

impl BlockPool {
    /// All free, to be taken in order.
    pub(super) fn new(n_blocks: u32) -> Self {
        let ends = n_blocks;
        let links = |id: u32| Block {
            previous: if id == 0 { ends } else { id - 1 },
            next: if id == ends { 0 } else { id + 1 },
            ..Block::default()
        };
        let blocks = (0..=ends).map(links).collect();
        Self { blocks, n_free: n_blocks as usize, cached: HashMap::new() }
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.blocks.len() - 1
    }

    pub(super) fn n_free(&self) -> usize {
        self.n_free
    }

    pub(super) fn is_free(&self, id: BlockId) -> bool {
        self.blocks[id as usize].references == 0
    }

    /// The block that has this content.
    pub(super) fn find(&self, content: Content) -> Option<BlockId> {
        self.cached.get(&content)?.first().copied()
    }

    /// One more sequence holds a block that was found.
    pub(super) fn hold(&mut self, id: BlockId) {
        if self.is_free(id) {
            self.unlink(id);
        }
        self.blocks[id as usize].references += 1;
    }

    /// Takes the free block that is next in turn, and returns what was evicted from it. Callers see to it that one is
    /// free.
    pub(super) fn take(&mut self) -> (BlockId, Option<BlockHash>) {
        let id = self.blocks[self.ends() as usize].next;
        debug_assert_ne!(id, self.ends(), "a free block");
        self.unlink(id);
        let block = &mut self.blocks[id as usize];
        block.references = 1;
        let evicted = block.content.take();
        if let Some(content) = evicted {
            self.forget(id, content);
        }
        (id, evicted.map(|content| content.hash))
    }

    /// A held block is full: from now on it can be found.
    pub(super) fn cache(&mut self, id: BlockId, content: Content) {
        self.blocks[id as usize].content = Some(content);
        self.cached.entry(content).or_default().push(id);
    }

    /// One sequence less holds a block. If it was the last, the block is free: next in turn if it has nothing to be
    /// found, last in turn if it has.
    pub(super) fn release(&mut self, id: BlockId) {
        let block = &mut self.blocks[id as usize];
        block.references -= 1;
        if block.references == 0 {
            let next = if block.content.is_some() { self.ends() } else { self.blocks[self.ends() as usize].next };
            self.link_before(id, next);
        }
    }

    /// Forgets all contents; false, and nothing happens, while any block is held.
    pub(super) fn reset(&mut self) -> bool {
        if self.n_free < self.n_blocks() {
            return false;
        }
        self.cached.clear();
        self.blocks.iter_mut().for_each(|block| block.content = None);
        true
    }

    fn ends(&self) -> BlockId {
        (self.blocks.len() - 1) as BlockId
    }

    fn forget(&mut self, id: BlockId, content: Content) {
        let Some(same) = self.cached.get_mut(&content) else { return };
        same.retain(|other| *other != id);
        if same.is_empty() {
            self.cached.remove(&content);
        }
    }

    fn unlink(&mut self, id: BlockId) {
        let Block { previous, next, .. } = self.blocks[id as usize];
        self.blocks[previous as usize].next = next;
        self.blocks[next as usize].previous = previous;
        self.n_free -= 1;
    }

    fn link_before(&mut self, id: BlockId, next: BlockId) {
        let previous = self.blocks[next as usize].previous;
        (self.blocks[id as usize].previous, self.blocks[id as usize].next) = (previous, next);
        self.blocks[previous as usize].next = id;
        self.blocks[next as usize].previous = id;
        self.n_free += 1;
    }

    /// By block, how many hold it.
    #[cfg(any(test, debug_assertions))]
    pub(super) fn references(&self) -> Vec<u32> {
        self.blocks[..self.n_blocks()].iter().map(|block| block.references).collect()
    }

    /// The free blocks, next in turn first.
    #[cfg(any(test, debug_assertions))]
    pub(super) fn free_queue(&self) -> Vec<BlockId> {
        let step = |id: &BlockId| Some(self.blocks[*id as usize].next).filter(|next| *next != self.ends());
        std::iter::successors(step(&self.ends()), step).collect()
    }

    /// Every block is held or free, never both, and can be found exactly while it has content.
    #[cfg(any(test, debug_assertions))]
    pub(super) fn assert_invariants(&self) {
        let free = self.free_queue();
        assert_eq!(free.len(), self.n_free);
        assert!(free.iter().all(|id| self.is_free(*id)));
        let blocks = &self.blocks[..self.n_blocks()];
        let held = blocks.iter().filter(|block| block.references > 0).count();
        assert_eq!(held + free.len(), blocks.len(), "a block is lost");
        let full = blocks.iter().filter(|block| block.content.is_some()).count();
        assert_eq!(full, self.cached.values().map(|ids| ids.len()).sum::<usize>());
        for (content, ids) in &self.cached {
            assert!(ids.iter().all(|id| self.blocks[*id as usize].content == Some(*content)));
        }
    }
}
