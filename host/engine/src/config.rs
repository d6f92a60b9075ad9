//! What an engine is built with. Already valid: the server's configuration checks ranges before it gets here.

use std::num::NonZeroU32;

/// The limits and the seed of one simulated engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Context window: prompt and output together, in tokens.
    pub max_model_len: u32,
    /// Sequences that run at once.
    pub max_num_seqs: NonZeroU32,
    /// Sequences that may wait. A request that finds no room is refused whole. 0: nobody waits.
    pub max_waiting_queue_length: u32,
    /// Distinct adapters in the running batch.
    pub max_loras: NonZeroU32,
    /// Adapters kept in memory; at least `max_loras`.
    pub max_cpu_loras: NonZeroU32,
    /// What all randomness of the engine derives from.
    pub seed: u64,
}
