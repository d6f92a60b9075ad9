//! Keys that are another spelling of the built-in tool caller's configuration.

use serde_json::{Map, Value};

use super::key::{Key, Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Plugins:
    MAX_INTEGER: Value = Spec::one("max-tool-call-integer-param", "N").live().default("100")
        .help("greatest integer argument of a tool call; at least the least"), values::number;
    MIN_INTEGER: Value = Spec::one("min-tool-call-integer-param", "N").live().default("0")
        .help("least integer argument"), values::number;
    MAX_NUMBER: Value = Spec::one("max-tool-call-number-param", "N").live().default("100")
        .help("greatest number argument; at least the least"), values::number;
    MIN_NUMBER: Value = Spec::one("min-tool-call-number-param", "N").live().default("0")
        .help("least number argument"), values::number;
    MAX_ARRAY: Value = Spec::one("max-tool-call-array-param-length", "N").live().default("5")
        .help("elements of the longest array argument; at least the shortest"), values::number;
    MIN_ARRAY: Value = Spec::one("min-tool-call-array-param-length", "N").live().default("1")
        .help("elements of the shortest array argument"), values::number;
    NOT_REQUIRED_PARAM: Value = Spec::one("tool-call-not-required-param-probability", "PERCENT").live().default("50")
        .help("chance in percent of an argument that is not required"), values::number;
    NOT_REQUIRED_FIELD: Value = Spec::one("object-tool-call-not-required-field-probability", "PERCENT").live().default("50")
        .help("the same for a field of an object argument"), values::number;
    EXTRA_CALL: Value = Spec::one("tool-call-extra-call-probability", "PERCENT").live().default("45")
        .help("chance in percent of one more call, while there are tools"), values::number;
}

/// Adds what the user said to the plugin's configuration. Its own code checks ranges, and has the defaults.
pub(super) fn configure(reader: &mut Reader<'_>, config: &mut Map<String, Value>) {
    let pairs = [(&MAX_INTEGER, &MIN_INTEGER), (&MAX_NUMBER, &MIN_NUMBER), (&MAX_ARRAY, &MIN_ARRAY)];
    let keys = pairs.into_iter().flat_map(|(most, least): (&Key<Value>, &Key<Value>)| [most, least]);
    for key in keys.chain([&NOT_REQUIRED_PARAM, &NOT_REQUIRED_FIELD, &EXTRA_CALL]) {
        reader.add_to(config, key);
    }
}
