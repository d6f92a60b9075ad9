//! Time as on a real engine. A [`Profile`] says how long the steps of a model on a GPU take, [`mod@fit`] finds it from a
//! benchmark, and the engine itself, on virtual time, says what it makes of any requests.
//!
//! Nothing here reads files, sends requests or knows the wall clock.

pub mod benchmark;
pub mod fit;
pub mod import;
pub mod plot;
pub mod predict;
pub mod profile;
pub mod trace;

pub use benchmark::{Benchmark, Record, moment, per_cent_off, percentile, tpot};
pub use profile::Profile;
