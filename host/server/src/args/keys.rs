//! The keys that say how the others are read.

use crate::config;
use crate::config::key::{Key, Spec, Topic};

/// A file with further keys.
pub(super) const CONFIG: Key<String> = Key {
    spec: Spec::one("config", "FILE")
        .topic(Topic::Serving)
        .help("a YAML file with any of these keys; flags win over it"),
    parse: config::any_text,
};

/// Unknown names are warnings.
pub(super) const ALLOW_UNKNOWN_FLAGS: Key<bool> = Key {
    spec: Spec::switch("allow-unknown-flags")
        .topic(Topic::Serving)
        .default("false")
        .help("unknown flags and keys are warnings, not errors"),
    parse: config::switch,
};

/// Both.
pub(super) const SPECS: &[Spec] = &[CONFIG.spec, ALLOW_UNKNOWN_FLAGS.spec];
