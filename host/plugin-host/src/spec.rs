//! A plugin as the user configured it.

use std::path::PathBuf;

use crate::limits::Limits;
use crate::signature::PublicKey;

/// A plugin as the user configured it.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    /// What the configuration calls it: `[a-z0-9-]+`.
    pub name: String,
    /// Where its component is.
    pub source: PluginSource,
    /// Its configuration: a JSON object.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// What one call may use, and how many calls there may be.
    pub limits: Limits,
}

/// Where a component comes from.
#[derive(Debug, Clone)]
pub enum PluginSource {
    /// Inside this binary.
    Embedded(&'static [u8]),
    /// A file, and the SHA-256 of its bytes in lower-case hex if the user pinned it.
    File {
        /// Where it is.
        path: PathBuf,
        /// 64 hex digits.
        sha256: Option<String>,
        /// Whose signature lies beside it, if it has to have one.
        signed_by: Option<PublicKey>,
    },
    /// A registry. What is there is a file before it is loaded.
    Registry {
        /// `registry/repository:tag@sha256:digest`, or a part of it.
        reference: String,
        /// Whose signature it has, if it has to have one.
        signed_by: Option<PublicKey>,
    },
}

impl PluginSource {
    /// A file that is neither pinned nor has to be signed.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), sha256: None, signed_by: None }
    }
}
