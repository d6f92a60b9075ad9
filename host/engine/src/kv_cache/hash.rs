//! Hashes of blocks: each names the tokens of its block and of all blocks before it, and whatever else sets requests
//! apart. Byte for byte those of vLLM, so that an index elsewhere finds the same ones.

mod cbor;
mod pickle;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use fnv::FnvHasher;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_128;

use crate::lora::Adapter;

/// The hash of a full block.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockHash {
    /// The digest, at the end; shorter ones have zeros before them.
    bytes: [u8; 32],
}

impl BlockHash {
    fn new(digest: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes[32 - digest.len()..].copy_from_slice(digest);
        Self { bytes }
    }

    /// The last `n` bytes, at most 32: a digest of that length.
    pub fn last_bytes(&self, n: usize) -> &[u8] {
        &self.bytes[32_usize.saturating_sub(n)..]
    }

    /// As events carry it: the last 8 bytes, big-endian.
    pub fn as_u64(self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.bytes;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The last `length` bytes.
    fn digest(&self, length: usize) -> &[u8] {
        &self.bytes[32 - length..]
    }
}

/// A digest of 64 bits.
impl From<u64> for BlockHash {
    fn from(digest: u64) -> Self {
        Self::new(&digest.to_be_bytes())
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.as_u64())
    }
}

/// `--prefix-caching-hash-algo`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashAlgorithm {
    /// The last 64 bits of SHA-256 over CBOR; parents are 64-bit numbers. vLLM up to 0.10.
    #[default]
    Sha256Cbor64Bit,
    /// SHA-256 over canonical CBOR.
    Sha256Cbor,
    /// SHA-256 over Python's pickle: vLLM's default today.
    Sha256,
    /// XXH3-128 over canonical CBOR.
    XxhashCbor,
    /// XXH3-128 over Python's pickle.
    Xxhash,
    /// FNV-1a, 64 bits, over CBOR, the model's name first: what llm-d's router computes for itself.
    CborFnv,
}

impl HashAlgorithm {
    /// All of them by name, vLLM's and llm-d's.
    pub const NAMES: [(&str, Self); 6] = [
        ("sha256_cbor_64bit", Self::Sha256Cbor64Bit),
        ("sha256_cbor", Self::Sha256Cbor),
        ("sha256", Self::Sha256),
        ("xxhash_cbor", Self::XxhashCbor),
        ("xxhash", Self::Xxhash),
        ("cbor-fnv", Self::CborFnv),
    ];

    /// The name that it is chosen by.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }

    fn digest(self, message: &[u8]) -> BlockHash {
        match self {
            Self::Sha256Cbor | Self::Sha256 => BlockHash::new(&Sha256::digest(message)),
            Self::Sha256Cbor64Bit => BlockHash::new(&Sha256::digest(message)[24..]),
            Self::XxhashCbor | Self::Xxhash => BlockHash::new(&xxh3_128(message).to_be_bytes()),
            Self::CborFnv => {
                let mut hasher = FnvHasher::default();
                hasher.write(message);
                BlockHash::new(&hasher.finish().to_be_bytes())
            }
        }
    }

    /// Bytes of a digest.
    pub fn digest_length(self) -> usize {
        match self {
            Self::Sha256Cbor | Self::Sha256 => 32,
            Self::XxhashCbor | Self::Xxhash => 16,
            Self::Sha256Cbor64Bit | Self::CborFnv => 8,
        }
    }

    /// The seed of the chain if the user gave none: vLLM's constant. For xxhash vLLM draws one at each start; ours
    /// follows from the server's seed.
    fn usual_seed(self, server_seed: u64) -> String {
        match self {
            Self::Sha256Cbor64Bit | Self::CborFnv => String::new(),
            Self::Sha256Cbor | Self::Sha256 => "vllm-none-hash".into(),
            Self::XxhashCbor | Self::Xxhash => format!("{server_seed:016x}"),
        }
    }
}

/// What sets the blocks of equal tokens apart.
#[derive(Debug, Clone, Default)]
pub struct ExtraKeys {
    /// The adapter that computes them.
    pub adapter: Option<Arc<Adapter>>,
    /// The client's `cache_salt`; it goes into the first block, and by the chain into all.
    pub cache_salt: Option<Arc<str>>,
}

impl ExtraKeys {
    /// Blocks of another scope are never found, whatever they are called: hashes name an adapter, and names come again.
    pub fn scope(&self) -> u32 {
        self.adapter.as_ref().map_or(0, |adapter| adapter.generation)
    }

    /// Those of one block, as events list them.
    pub fn of_block(&self, is_first: bool) -> impl Iterator<Item = &str> {
        let adapter = self.adapter.iter().map(|adapter| adapter.name.as_str());
        adapter.chain(self.cache_salt.as_deref().filter(|_| is_first))
    }

    /// Those of one block as hashes of today's vLLM have them, each behind its kind.
    fn tagged(&self, is_first: bool) -> Vec<Vec<&str>> {
        let adapter = self.adapter.iter().map(|adapter| vec!["lora", &adapter.name, &adapter.path]);
        let salt = self.cache_salt.iter().filter(|_| is_first).map(|salt| vec!["cache_salt", &**salt]);
        adapter.chain(salt).collect()
    }
}

/// Computes chains of block hashes.
#[derive(Debug)]
pub struct BlockHasher {
    algorithm: HashAlgorithm,
    block_size: usize,
    /// The hash before the first block: vLLM's `NONE_HASH`.
    root: BlockHash,
    model: String,
}

impl BlockHasher {
    /// `seed` is `hash-seed`; none: the algorithm's usual one, which may follow from `server_seed`. `model` is the name
    /// that answers carry.
    pub fn new(
        algorithm: HashAlgorithm,
        block_size: usize,
        seed: Option<&str>,
        server_seed: u64,
        model: String,
    ) -> Self {
        let usual = algorithm.usual_seed(server_seed);
        let seed = seed.unwrap_or(&usual);
        let message = match algorithm {
            HashAlgorithm::Sha256 | HashAlgorithm::Xxhash => pickle::text(seed),
            HashAlgorithm::CborFnv => seed.as_bytes().to_vec(),
            _ => cbor::text(seed),
        };
        Self { algorithm, block_size, root: algorithm.digest(&message), model }
    }

    /// Tokens of one block.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Appends the hashes of those full blocks of `token_ids` that `hashes` has not.
    pub fn extend(&self, hashes: &mut Vec<BlockHash>, token_ids: &[u32], keys: &ExtraKeys) {
        let from = hashes.len() * self.block_size;
        for block in token_ids[from.min(token_ids.len())..].chunks_exact(self.block_size) {
            let parent = hashes.last().copied();
            hashes.push(self.block(parent, block, keys));
        }
    }

    fn block(&self, parent: Option<BlockHash>, tokens: &[u32], keys: &ExtraKeys) -> BlockHash {
        let is_first = parent.is_none();
        let parent = parent.unwrap_or_else(|| self.before_first_block(keys));
        let digest = parent.digest(self.algorithm.digest_length());
        let message = match self.algorithm {
            HashAlgorithm::Sha256 | HashAlgorithm::Xxhash => pickle::block(digest, tokens, &keys.tagged(is_first)),
            HashAlgorithm::Sha256Cbor | HashAlgorithm::XxhashCbor => {
                cbor::block(cbor::Parent::Digest(digest), tokens, &cbor::Extra::Tagged(keys.tagged(is_first)))
            }
            HashAlgorithm::Sha256Cbor64Bit => {
                let names = keys.of_block(is_first).collect();
                cbor::block(cbor::Parent::Number(parent.as_u64()), tokens, &cbor::Extra::Names(names))
            }
            // The adapter's name is in the root already.
            HashAlgorithm::CborFnv => {
                let salt = keys.cache_salt.as_deref().filter(|_| is_first);
                cbor::block(cbor::Parent::Number(parent.as_u64()), tokens, &cbor::Extra::Hashes(salt))
            }
        };
        self.algorithm.digest(&message)
    }

    fn before_first_block(&self, keys: &ExtraKeys) -> BlockHash {
        match self.algorithm {
            HashAlgorithm::CborFnv => {
                let model = keys.adapter.as_ref().map_or(&self.model, |adapter| &adapter.name);
                self.algorithm.digest(&cbor::model_root(self.root.as_u64(), model))
            }
            _ => self.root,
        }
    }
}
