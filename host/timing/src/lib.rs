//! Time as on a real engine. A [`Profile`] says how long the steps of a model on a GPU take.
//!
//! Nothing here reads files, sends requests or knows the wall clock.

pub mod profile;

pub use profile::Profile;
