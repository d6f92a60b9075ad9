//! Keys that are another spelling of the built-in failure policy's configuration.

use serde_json::{Map, Value};

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Failures:
    FAILURE_INJECTION_RATE: Value = Spec::one("failure-injection-rate", "PERCENT").live().default("0")
        .help("chance in percent of a failure on purpose"), values::number;
    FAILURE_TYPES: Value = Spec::several("failure-types", "TYPE").live()
        .help("rate_limit, invalid_api_key, context_length, server_error, invalid_request, model_not_found; not \
               given: all"), values::list;
}

/// Adds what the user said to the plugin's configuration. Its own code checks ranges, and has the defaults.
pub(super) fn configure(reader: &mut Reader<'_>, config: &mut Map<String, Value>) {
    reader.add_to(config, &FAILURE_INJECTION_RATE);
    reader.add_to(config, &FAILURE_TYPES);
}
