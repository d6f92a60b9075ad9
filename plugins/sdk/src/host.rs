//! What the host offers a plugin. In native tests, simple stand-ins take the host's place.

/// Tokens as the served model has them. Natively, one token is one character and its id the code point.
pub mod tokenizer {
    #[cfg(target_family = "wasm")]
    use crate::bindings::host::rehearsal::strategy::tokenizer as host;

    /// How many tokens `text` has.
    ///
    /// ```
    /// assert_eq!(rehearsal_sdk::tokenizer::count("tea"), 3);
    /// ```
    pub fn count(text: &str) -> u32 {
        #[cfg(target_family = "wasm")]
        return host::count(text);
        #[cfg(not(target_family = "wasm"))]
        return text.chars().count() as u32;
    }

    /// The ids of the tokens of `text`.
    ///
    /// ```
    /// assert_eq!(rehearsal_sdk::tokenizer::encode("tea"), [116, 101, 97]);
    /// ```
    pub fn encode(text: &str) -> Vec<u32> {
        #[cfg(target_family = "wasm")]
        return host::encode(text);
        #[cfg(not(target_family = "wasm"))]
        return text.chars().map(u32::from).collect();
    }

    /// The text of `ids`.
    ///
    /// ```
    /// assert_eq!(rehearsal_sdk::tokenizer::decode(&[116, 101, 97]), "tea");
    /// ```
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
    ///
    /// ```
    /// use rehearsal_sdk::log::{Level, log};
    ///
    /// log(Level::Info, "a tenant has used its share up");
    /// ```
    pub fn log(level: Level, message: &str) {
        #[cfg(target_family = "wasm")]
        crate::bindings::host::rehearsal::strategy::log::log(level, message);
        #[cfg(not(target_family = "wasm"))]
        eprintln!("{level:?}: {message}");
    }

    /// Whether a message of this level would be written.
    ///
    /// ```
    /// use rehearsal_sdk::log::{Level, enabled, log};
    ///
    /// let prompt = "what is dear to write down";
    /// if enabled(Level::Debug) {
    ///     log(Level::Debug, &format!("{prompt:?}"));
    /// }
    /// ```
    pub fn enabled(level: Level) -> bool {
        #[cfg(target_family = "wasm")]
        return crate::bindings::host::rehearsal::strategy::log::enabled(level);
        #[cfg(not(target_family = "wasm"))]
        return !matches!(level, Level::Trace);
    }
}

/// What must outlive a call; see `wit/host.wit`. Natively, one map per thread, so that tests do not meet, and nothing expires.
pub mod state {
    #[cfg(not(target_family = "wasm"))]
    use native as host;

    #[cfg(target_family = "wasm")]
    use crate::bindings::host::rehearsal::strategy::state as host;

    /// The value of `key`.
    ///
    /// ```
    /// use rehearsal_sdk::state;
    ///
    /// assert_eq!(state::get("mood"), None);
    /// ```
    pub fn get(key: &str) -> Option<Vec<u8>> {
        host::get(key)
    }

    /// Sets `key`, for good. Fails when the plugin's state would grow past what the host allows.
    ///
    /// ```
    /// use rehearsal_sdk::state;
    ///
    /// state::set("mood", b"good").unwrap();
    /// assert_eq!(state::get("mood").as_deref(), Some(&b"good"[..]));
    /// ```
    pub fn set(key: &str, value: &[u8]) -> Result<(), String> {
        host::set(key, value)
    }

    /// Adds `by` to the number under `key` in one step and returns the sum; an absent key counts as 0. Numbers are
    /// kept as 8 bytes, little-endian; a value of any other length counts as 0 too.
    ///
    /// ```
    /// use rehearsal_sdk::state;
    ///
    /// assert_eq!((state::increment("calls", 1), state::increment("calls", 2)), (1, 3));
    /// ```
    pub fn increment(key: &str, by: i64) -> i64 {
        host::increment(key, by)
    }

    /// The number under `key`, as [`increment`] keeps it; 0 if there is none.
    ///
    /// ```
    /// use rehearsal_sdk::state;
    ///
    /// state::increment("calls", 3);
    /// assert_eq!((state::number("calls"), state::number("absent")), (3, 0));
    /// ```
    pub fn number(key: &str) -> i64 {
        i64::from_le_bytes(get(key).and_then(|value| value.try_into().ok()).unwrap_or_default())
    }

    /// Adds `by` in one step if the sum is from `least` to `most`, and returns it; `None`: it would not be, and nothing has
    /// changed. Fails as [`set`] does.
    ///
    /// ```
    /// use rehearsal_sdk::state;
    ///
    /// // Two places, and no third.
    /// let taken = [(); 3].map(|()| state::add_within("places", 1, 0, 2).unwrap());
    /// assert_eq!(taken, [Some(1), Some(2), None]);
    /// ```
    pub fn add_within(key: &str, by: i64, least: i64, most: i64) -> Result<Option<i64>, String> {
        host::add_within(key, by, least, most)
    }

    /// Sets `key` in one step if its value is `expected` (`None`: there is no such key), and says whether it was. Fails as
    /// [`set`] does.
    ///
    /// ```
    /// use rehearsal_sdk::state;
    ///
    /// assert_eq!(state::compare_and_swap("lock", None, b"mine"), Ok(true));
    /// assert_eq!(state::compare_and_swap("lock", None, b"yours"), Ok(false));
    /// ```
    pub fn compare_and_swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, String> {
        host::compare_and_swap(key, expected, value)
    }

    /// From so many milliseconds on, by the engine's clock, there is no such key; [`set`] takes that back. Whether there is
    /// one now.
    ///
    /// ```
    /// use rehearsal_sdk::state;
    ///
    /// state::set("open", b"").unwrap();
    /// assert!(state::expire("open", 30_000) && !state::expire("absent", 30_000));
    /// ```
    pub fn expire(key: &str, after_ms: u64) -> bool {
        host::expire(key, after_ms)
    }

    /// The keys that begin so, in their order, 1,000 at most.
    ///
    /// ```
    /// use rehearsal_sdk::state;
    ///
    /// for tenant in ["tenant bob", "tenant ann", "other"] {
    ///     state::increment(tenant, 1);
    /// }
    /// assert_eq!(state::keys("tenant "), ["tenant ann", "tenant bob"]);
    /// ```
    pub fn keys(prefix: &str) -> Vec<String> {
        host::keys(prefix)
    }

    /// Forgets `key`.
    ///
    /// ```
    /// use rehearsal_sdk::state;
    ///
    /// state::set("mood", b"good").unwrap();
    /// state::remove("mood");
    /// assert_eq!(state::get("mood"), None);
    /// ```
    pub fn remove(key: &str) {
        host::remove(key);
    }

    #[cfg(not(target_family = "wasm"))]
    mod native {
        use std::cell::RefCell;
        use std::collections::BTreeMap;

        thread_local! {
            static VALUES: RefCell<BTreeMap<String, Vec<u8>>> = RefCell::default();
        }

        pub(super) fn get(key: &str) -> Option<Vec<u8>> {
            VALUES.with_borrow(|values| values.get(key).cloned())
        }

        pub(super) fn set(key: &str, value: &[u8]) -> Result<(), String> {
            VALUES.with_borrow_mut(|values| values.insert(key.to_owned(), value.to_vec()));
            Ok(())
        }

        pub(super) fn increment(key: &str, by: i64) -> i64 {
            let sum = super::number(key).wrapping_add(by);
            set(key, &sum.to_le_bytes()).map_or(by, |()| sum)
        }

        pub(super) fn add_within(key: &str, by: i64, least: i64, most: i64) -> Result<Option<i64>, String> {
            let sum = super::number(key).checked_add(by).filter(|sum| (least..=most).contains(sum));
            sum.map(|sum| set(key, &sum.to_le_bytes()).map(|()| sum)).transpose()
        }

        pub(super) fn compare_and_swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, String> {
            if get(key).as_deref() != expected {
                return Ok(false);
            }
            set(key, value).map(|()| true)
        }

        pub(super) fn expire(key: &str, _: u64) -> bool {
            get(key).is_some()
        }

        pub(super) fn keys(prefix: &str) -> Vec<String> {
            let begin = |keys: &BTreeMap<String, Vec<u8>>| {
                keys.keys().filter(|key| key.starts_with(prefix)).take(1000).cloned().collect()
            };
            VALUES.with_borrow(begin)
        }

        pub(super) fn remove(key: &str) {
            VALUES.with_borrow_mut(|values| values.remove(key));
        }
    }
}
