//! The seeded generator.

use rand::SeedableRng;
pub use rand::{Rng, RngExt};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A generator whose sequence follows from `seed` alone, in every release: give it `request.seed`.
///
/// ```
/// use rehearsal_sdk::{RngExt, rng};
///
/// assert_eq!(rng(7).random_range(0..1000), rng(7).random_range(0..1000));
/// ```
pub fn rng(seed: u64) -> impl Rng {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}
