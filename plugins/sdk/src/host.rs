//! What the host offers a plugin. In native tests, simple stand-ins take the host's place.

/// Tokens as the served model has them. Natively, one token is one character and its id the code point.
pub mod tokenizer {
    #[cfg(target_family = "wasm")]
    use crate::bindings::host::rehearsal::strategy::tokenizer as host;

    /// How many tokens `text` has.
    pub fn count(text: &str) -> u32 {
        #[cfg(target_family = "wasm")]
        return host::count(text);
        #[cfg(not(target_family = "wasm"))]
        return text.chars().count() as u32;
    }

    /// The ids of the tokens of `text`.
    pub fn encode(text: &str) -> Vec<u32> {
        #[cfg(target_family = "wasm")]
        return host::encode(text);
        #[cfg(not(target_family = "wasm"))]
        return text.chars().map(u32::from).collect();
    }

    /// The text of `ids`.
    pub fn decode(ids: &[u32]) -> String {
        #[cfg(target_family = "wasm")]
        return host::decode(ids);
        #[cfg(not(target_family = "wasm"))]
        return ids.iter().map(|id| char::from_u32(*id).unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    }
}

/// The server's log, with the plugin's name and the request's id added. Natively, standard error.
pub mod log {
    pub use crate::bindings::host::rehearsal::strategy::log::Level;

    /// Writes one message.
    pub fn log(level: Level, message: &str) {
        #[cfg(target_family = "wasm")]
        crate::bindings::host::rehearsal::strategy::log::log(level, message);
        #[cfg(not(target_family = "wasm"))]
        eprintln!("{level:?}: {message}");
    }

    /// Whether a message of this level would be written.
    pub fn enabled(level: Level) -> bool {
        #[cfg(target_family = "wasm")]
        return crate::bindings::host::rehearsal::strategy::log::enabled(level);
        #[cfg(not(target_family = "wasm"))]
        return !matches!(level, Level::Trace);
    }
}

/// What must outlive a call; see `wit/host.wit`. Natively, one map per thread, so that tests do not meet.
pub mod state {
    #[cfg(not(target_family = "wasm"))]
    use std::{cell::RefCell, collections::HashMap};

    #[cfg(target_family = "wasm")]
    use crate::bindings::host::rehearsal::strategy::state as host;

    #[cfg(not(target_family = "wasm"))]
    thread_local! {
        static VALUES: RefCell<HashMap<String, Vec<u8>>> = RefCell::default();
    }

    /// The value of `key`.
    pub fn get(key: &str) -> Option<Vec<u8>> {
        #[cfg(target_family = "wasm")]
        return host::get(key);
        #[cfg(not(target_family = "wasm"))]
        return VALUES.with_borrow(|values| values.get(key).cloned());
    }

    /// Sets `key`. Fails when the plugin's state would grow past what the host allows.
    pub fn set(key: &str, value: &[u8]) -> Result<(), String> {
        #[cfg(target_family = "wasm")]
        return host::set(key, value);
        #[cfg(not(target_family = "wasm"))]
        return VALUES.with_borrow_mut(|values| {
            values.insert(key.to_owned(), value.to_vec());
            Ok(())
        });
    }

    /// Adds `by` to the number under `key` in one step and returns the sum; an absent key counts as 0. Numbers are
    /// kept as 8 bytes, little-endian; a value of any other length counts as 0 too.
    pub fn increment(key: &str, by: i64) -> i64 {
        #[cfg(target_family = "wasm")]
        return host::increment(key, by);
        #[cfg(not(target_family = "wasm"))]
        return VALUES.with_borrow_mut(|values| {
            let value = values.entry(key.to_owned()).or_default();
            let sum = i64::from_le_bytes(value.as_slice().try_into().unwrap_or_default()).wrapping_add(by);
            *value = sum.to_le_bytes().to_vec();
            sum
        });
    }

    /// Forgets `key`.
    pub fn remove(key: &str) {
        #[cfg(target_family = "wasm")]
        host::remove(key);
        #[cfg(not(target_family = "wasm"))]
        VALUES.with_borrow_mut(|values| values.remove(key));
    }
}
