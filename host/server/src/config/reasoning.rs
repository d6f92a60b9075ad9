//! Keys that are another spelling of the built-in `random`'s configuration.

use serde_json::{Map, Value};

use super::key::{Spec, keys};
use super::reader::Reader;
use super::{answers, values};

keys! { Plugins:
    REASONING_PROBABILITY: Value = Spec::one("reasoning-probability", "PERCENT").live()
        .help("chance in percent that random thinks before it answers; without it 0, or 100 with a reasoning-parser"),
        values::number;
}

/// Adds what the user said to the plugin's configuration.
pub(super) fn configure(reader: &mut Reader<'_>, config: &mut Map<String, Value>) {
    reader.add_to(config, &REASONING_PROBABILITY);
    if answers::has_reasoning_parser(reader) {
        config.entry("reasoning-probability").or_insert(100.into());
    }
}
