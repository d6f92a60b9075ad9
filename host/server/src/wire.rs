//! The ground floor: fields of JSON bodies, what errors look like, answers that are broken on purpose, the time of day.

pub(crate) mod broken;
pub mod errors;
pub mod fields;
pub mod json;
pub(crate) mod wall_clock;
