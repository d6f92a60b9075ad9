//! What a plugin keeps between calls. The host holds it, because instances come and go.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of keys and values that one plugin may keep.
const MAX_BYTES: usize = 16 << 20;

/// What an entry takes beside its key and its value.
const ENTRY_BYTES: usize = 64;

/// The state of one configured plugin.
#[derive(Debug, Default)]
pub(crate) struct PluginState(Mutex<Values>);

#[derive(Debug, Default)]
struct Values {
    values: HashMap<String, Vec<u8>>,
    bytes: usize,
}

impl PluginState {
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().values.get(key).cloned()
    }

    pub(crate) fn set(&self, key: String, value: Vec<u8>) -> Result<(), String> {
        self.lock().set(key, value)
    }

    /// Adds in one step. Numbers are 8 bytes, little-endian; anything else under the key counts as 0.
    pub(crate) fn increment(&self, key: String, by: i64) -> Result<i64, String> {
        let mut state = self.lock();
        let value = state.values.get(&key).and_then(|value| value.as_slice().try_into().ok()).unwrap_or_default();
        let sum = i64::from_le_bytes(value).wrapping_add(by);
        state.set(key, sum.to_le_bytes().to_vec())?;
        Ok(sum)
    }

    pub(crate) fn remove(&self, key: &str) {
        let mut state = self.lock();
        if let Some(value) = state.values.remove(key) {
            state.bytes -= entry_bytes(key, &value);
        }
    }

    /// Bytes of all that is kept.
    pub(crate) fn n_bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values {
    fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), String> {
        let before = self.values.get(&key).map_or(0, |value| entry_bytes(&key, value));
        let bytes = self.bytes - before + entry_bytes(&key, &value);
        if bytes > MAX_BYTES {
            return Err(format!("the plugin's state would be {bytes} bytes, {MAX_BYTES} are allowed"));
        }
        self.bytes = bytes;
        self.values.insert(key, value);
        Ok(())
    }
}

fn entry_bytes(key: &str, value: &[u8]) -> usize {
    ENTRY_BYTES + key.len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_counts_sets_and_forgets_within_its_bound() {
        let state = PluginState::default();
        assert_eq!(state.increment("n".into(), 2), Ok(2));
        assert_eq!(state.increment("n".into(), -5), Ok(-3));
        assert_eq!(state.get("n"), Some((-3i64).to_le_bytes().to_vec()));
        assert_eq!(state.set("big".into(), vec![0; MAX_BYTES - (64 + 3) - (64 + 1 + 8)]), Ok(()));
        assert!(state.set("more".into(), vec![]).unwrap_err().contains("are allowed"));
        state.remove("big");
        assert_eq!(state.set("more".into(), vec![]), Ok(()));
    }
}
