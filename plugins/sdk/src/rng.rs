//! The seeded generator.

use rand::SeedableRng;
pub use rand::{Rng, RngExt};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A generator whose sequence follows from `seed` alone, in every release: give it `request.seed`.
pub fn rng(seed: u64) -> impl Rng {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}
