//! The ground floor: JSON bodies and what may be in them, what errors look like, answers that are broken on purpose, the
//! time of day.

mod large_number;
pub mod python;
pub mod query;
pub(crate) mod token_ids;

pub mod event;
pub mod fields;
pub mod invalid;
pub mod json;
pub mod json_schema;
pub mod schema;

pub(crate) mod broken;
pub mod errors;
pub(crate) mod state_entries;
pub(crate) mod wall_clock;
