//! What a plugin keeps between calls, as JSON: `GET /rehearsal/plugins/{name}/state` writes it, `plugin run --state` reads it too.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rehearsal_plugin_host::{Plugins, StateEntry};
use serde::{Deserialize, Serialize};

/// All of it, by key.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateEntries {
    pub(crate) entries: Vec<Written>,
}

/// A key with its value in one form or several, which then say the same. The first of `base64`, `text` and `number` counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    key: String,
    /// The value's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// The value, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The value, if it could be one that `increment` keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    /// In the engine's time; none: it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
}

impl From<StateEntry> for Written {
    fn from(StateEntry { key, value, expires_in }: StateEntry) -> Self {
        let is_shown = |text: &String| !text.chars().any(|c| c.is_control() && !c.is_whitespace());
        Self {
            key,
            base64: Some(STANDARD.encode(&value)),
            number: value.as_slice().try_into().ok().map(i64::from_le_bytes),
            text: String::from_utf8(value).ok().filter(is_shown),
            expires_in_ms: expires_in.map(|time| time.as_millis().try_into().unwrap_or(u64::MAX)),
        }
    }
}

impl Written {
    /// Lets the plugin `name` keep it. Fails as reading it does, or if that is more than the plugin may keep.
    pub(crate) fn restore(self, plugins: &Plugins, name: &str) -> Result<(), String> {
        plugins.restore_state(name, self.try_into()?)
    }
}

impl TryFrom<Written> for StateEntry {
    type Error = String;

    /// Fails, with the key, if there is no value or if it is not what it is said to be.
    fn try_from(Written { key, base64, text, number, expires_in_ms }: Written) -> Result<Self, String> {
        let value = match (base64, text, number) {
            (Some(base64), ..) => STANDARD.decode(base64).map_err(|error| format!("{key:?}: base64: {error}"))?,
            (None, Some(text), _) => text.into_bytes(),
            (None, None, Some(number)) => number.to_le_bytes().to_vec(),
            (None, None, None) => return Err(format!("{key:?} has no value: give it text, number or base64")),
        };
        Ok(Self { key, value, expires_in: expires_in_ms.map(Duration::from_millis) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_in_every_form_that_fits_and_read_from_any() {
        let entry = |value: &[u8]| StateEntry { key: "k".into(), value: value.into(), expires_in: None };
        let written = |value: &[u8]| serde_json::to_value(Written::from(entry(value))).unwrap();
        assert_eq!(written(b"open"), json!({ "key": "k", "base64": "b3Blbg==", "text": "open" }));
        assert_eq!(written(&[0xff]), json!({ "key": "k", "base64": "/w==" }));
        let seven = 7i64.to_le_bytes();
        assert_eq!(written(&seven), json!({ "key": "k", "base64": "BwAAAAAAAAA=", "number": 7 }));
        let read = |json| StateEntry::try_from(serde_json::from_value::<Written>(json).unwrap());
        assert_eq!(read(json!({ "key": "k", "number": 7 })), Ok(entry(&seven)));
        assert_eq!(read(json!({ "key": "k", "text": "open" })), Ok(entry(b"open")));
        assert_eq!(read(written(b"open")), Ok(entry(b"open")));
        assert!(read(json!({ "key": "k" })).unwrap_err().contains("\"k\" has no value"));
    }
}
