//! What a plugin keeps between calls. The host holds it, because instances come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rehearsal_engine::{Clock, EngineTime};

/// Bytes of keys and values that one plugin may keep.
const MAX_BYTES: usize = 16 << 20;

/// What an entry takes beside its key and its value, an expiry included.
const ENTRY_BYTES: usize = 96;

/// A plugin is told at most so many keys at a time.
const MOST_KEYS: usize = 1_000;

/// The state of one configured plugin. Whatever is done to it, what has expired is gone first.
#[derive(Debug)]
pub(crate) struct PluginState {
    clock: Clock,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    entries: BTreeMap<String, Entry>,
    expiries: BTreeSet<(EngineTime, String)>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Entry {
    value: Vec<u8>,
    expires_at: Option<EngineTime>,
}

/// One key of a plugin's state, for people and for tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEntry {
    /// The plugin's name for it.
    pub key: String,
    /// What it keeps there.
    pub value: Vec<u8>,
    /// How long it is still there, in the engine's time; `None`: for good.
    pub expires_in: Option<Duration>,
}

impl PluginState {
    /// Nothing; what is to expire does so by this clock.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, entries: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().entries.get(key).map(|entry| entry.value.clone())
    }

    pub(crate) fn set(&self, key: String, value: Vec<u8>) -> Result<(), String> {
        self.lock().put(key, Entry { value, expires_at: None })
    }

    /// Adds in one step. Numbers are 8 bytes, little-endian; anything else under the key counts as 0.
    pub(crate) fn increment(&self, key: String, by: i64) -> Result<i64, String> {
        let mut state = self.lock();
        let sum = state.number(&key).wrapping_add(by);
        state.put_value(key, sum.to_le_bytes().to_vec())?;
        Ok(sum)
    }

    /// The same if the sum is from `least` to `most`; `None`: it would not be.
    pub(crate) fn add_within(&self, key: String, by: i64, least: i64, most: i64) -> Result<Option<i64>, String> {
        let mut state = self.lock();
        let Some(sum) = state.number(&key).checked_add(by).filter(|sum| (least..=most).contains(sum)) else {
            return Ok(None);
        };
        state.put_value(key, sum.to_le_bytes().to_vec())?;
        Ok(Some(sum))
    }

    /// Sets `key` if it is as expected. Whether it was.
    pub(crate) fn compare_and_swap(
        &self,
        key: String,
        expected: Option<&[u8]>,
        value: Vec<u8>,
    ) -> Result<bool, String> {
        let mut state = self.lock();
        if state.entries.get(&key).map(|entry| &*entry.value) != expected {
            return Ok(false);
        }
        state.put_value(key, value).map(|()| true)
    }

    /// Lets `key` be gone after so long. Whether there is such a key.
    pub(crate) fn expire(&self, key: &str, after: Duration) -> bool {
        let at = self.clock.now() + after;
        let mut state = self.lock();
        let Some((key, entry)) = state.take(key) else { return false };
        state.link(key, Entry { expires_at: Some(at), ..entry });
        true
    }

    /// The keys that begin so, as many as a plugin is told.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let state = self.lock();
        state.beginning(prefix).take(MOST_KEYS).map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn remove(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.lock() = Entries::default();
    }

    /// Everything that is kept under keys that begin so.
    pub(crate) fn list(&self, prefix: &str) -> Vec<StateEntry> {
        let now = self.clock.now();
        let state = self.lock();
        let entry = |(key, entry): (&String, &Entry)| StateEntry {
            key: key.clone(),
            value: entry.value.clone(),
            expires_in: entry.expires_at.map(|at| at.since(now)),
        };
        state.beginning(prefix).map(entry).collect()
    }

    /// Sets a key, with an expiry or without one.
    pub(crate) fn restore(&self, StateEntry { key, value, expires_in }: StateEntry) -> Result<(), String> {
        let expires_at = expires_in.map(|time| self.clock.now() + time);
        self.lock().put(key, Entry { value, expires_at })
    }

    /// Bytes of all that is kept.
    pub(crate) fn n_bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        let now = self.clock.now();
        let mut state = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        while state.expiries.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = state.expiries.pop_first() {
                state.remove(&key);
            }
        }
        state
    }
}

impl Entries {
    fn number(&self, key: &str) -> i64 {
        let value = self.entries.get(key).and_then(|entry| entry.value.as_slice().try_into().ok());
        i64::from_le_bytes(value.unwrap_or_default())
    }

    fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Entry)> {
        self.entries.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Sets a value; when the key expires stays.
    fn put_value(&mut self, key: String, value: Vec<u8>) -> Result<(), String> {
        let expires_at = self.entries.get(&key).and_then(|entry| entry.expires_at);
        self.put(key, Entry { value, expires_at })
    }

    fn put(&mut self, key: String, entry: Entry) -> Result<(), String> {
        let before = self.entries.get(&key).map_or(0, |before| entry_bytes(&key, before));
        let bytes = self.bytes - before + entry_bytes(&key, &entry);
        if bytes > MAX_BYTES {
            return Err(format!("the plugin's state would be {bytes} bytes, {MAX_BYTES} are allowed"));
        }
        self.remove(&key);
        self.link(key, entry);
        Ok(())
    }

    fn remove(&mut self, key: &str) {
        drop(self.take(key));
    }

    fn take(&mut self, key: &str) -> Option<(String, Entry)> {
        let (key, entry) = self.entries.remove_entry(key)?;
        if let Some(at) = entry.expires_at {
            self.expiries.remove(&(at, key.clone()));
        }
        self.bytes -= entry_bytes(&key, &entry);
        Some((key, entry))
    }

    fn link(&mut self, key: String, entry: Entry) {
        self.bytes += entry_bytes(&key, &entry);
        if let Some(at) = entry.expires_at {
            self.expiries.insert((at, key.clone()));
        }
        self.entries.insert(key, entry);
    }
}

fn entry_bytes(key: &str, entry: &Entry) -> usize {
    let n_keys = if entry.expires_at.is_some() { 2 } else { 1 };
    ENTRY_BYTES + n_keys * key.len() + entry.value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (Clock, PluginState) {
        let clock = Clock::manual(Duration::ZERO);
        (clock.clone(), PluginState::new(clock))
    }

    async fn pass(clock: &Clock, millis: u64) {
        clock.as_manual().unwrap().advance(Duration::from_millis(millis)).await;
    }

    #[test]
    fn state_counts_sets_and_forgets_within_its_bound() {
        let (_, state) = state();
        assert_eq!(state.increment("n".into(), 2), Ok(2));
        assert_eq!(state.increment("n".into(), -5), Ok(-3));
        assert_eq!(state.get("n"), Some((-3i64).to_le_bytes().to_vec()));
        assert_eq!(state.set("big".into(), vec![0; MAX_BYTES - (96 + 3) - (96 + 1 + 8)]), Ok(()));
        assert!(state.set("more".into(), vec![]).unwrap_err().contains("are allowed"));
        state.remove("big");
        assert_eq!(state.set("more".into(), vec![]), Ok(()));
        state.clear();
        assert_eq!((state.n_bytes(), state.list("")), (0, vec![]));
    }

    #[test]
    fn a_value_is_swapped_only_for_the_one_expected() {
        let (_, state) = state();
        let swap = |expected: Option<&[u8]>, value: &[u8]| state.compare_and_swap("k".into(), expected, value.into());
        assert_eq!(swap(Some(b"open"), b"closed"), Ok(false));
        assert_eq!(swap(None, b"closed"), Ok(true));
        assert_eq!((swap(None, b"open"), swap(Some(b"closed"), b"open")), (Ok(false), Ok(true)));
        assert_eq!(state.get("k").unwrap(), b"open");
    }

    #[test]
    fn a_sum_out_of_bounds_changes_nothing() {
        let (_, state) = state();
        let add = |by| state.add_within("n".into(), by, 0, 2).unwrap();
        assert_eq!([add(1), add(1), add(1), add(-1), add(i64::MIN)], [Some(1), Some(2), None, Some(1), None]);
    }

    #[tokio::test]
    async fn what_expires_is_gone_by_the_engines_clock_and_what_is_set_again_stays() {
        let (clock, state) = state();
        for key in ["a", "b", "c"] {
            state.set(key.into(), vec![1]).unwrap();
            assert!(state.expire(key, Duration::from_millis(100)));
        }
        assert!(!state.expire("none", Duration::ZERO));
        state.set("a".into(), vec![2]).unwrap();
        state.increment("b".into(), 1).unwrap();
        assert!(state.expire("c", Duration::from_millis(300)));
        pass(&clock, 99).await;
        assert_eq!(state.keys(""), ["a", "b", "c"]);
        pass(&clock, 1).await;
        assert_eq!(state.keys(""), ["a", "c"], "adding has kept the expiry");
        let left = state.list("c")[0].expires_in;
        assert_eq!(left, Some(Duration::from_millis(200)));
        pass(&clock, 200).await;
        assert_eq!(state.keys(""), ["a"]);
        assert_eq!((state.n_bytes(), state.lock().expiries.len()), (96 + 1 + 1, 0));
    }

    #[test]
    fn keys_are_listed_by_how_they_begin() {
        let (_, state) = state();
        for key in ["b", "ab", "a", "abc", "ac"] {
            state.set(key.into(), vec![]).unwrap();
        }
        assert_eq!(state.keys("ab"), ["ab", "abc"]);
        assert_eq!(state.keys(""), ["a", "ab", "abc", "ac", "b"]);
        (0..2_000).for_each(|at| state.set(format!("n{at}"), vec![]).unwrap());
        assert_eq!(state.keys("n").len(), MOST_KEYS);
    }
}
