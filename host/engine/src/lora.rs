//! LoRA adapters: which are known by name, and which are kept in memory. How many run at once is the scheduler's.

use std::sync::{Arc, PoisonError, RwLock};

/// An adapter as requests carry it; they keep it while others unload it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// Counts adapters from 1; on the wire. One that is loaded in the place of another keeps it.
    pub id: u32,
    /// Counts what was loaded, from 1: another of the same name, or from another path, has another. What one computed is
    /// of no use to another, whatever its name.
    pub generation: u32,
    /// As requests ask for it.
    pub name: String,
    /// As it was given. Nothing is ever read from it.
    pub path: String,
    /// The model that it adapts, if that was said when it was loaded.
    pub base_model: Option<String>,
}

/// Why an adapter was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLoaded {
    /// One of this name is known.
    #[error("The lora adapter '{0}' has already been loaded. Set 'load_inplace' to True to load it in place.")]
    Already(String),
    /// As many are known as may be.
    #[error("there are {0} adapters, as many as there may be: unload one first")]
    TooMany(usize),
}

/// Adapters that can be known at a time.
const MOST_ADAPTERS: usize = 4096;

/// The adapters that can be asked for, in the order of loading.
#[derive(Debug, Default)]
pub struct Adapters(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    adapters: Vec<Arc<Adapter>>,
    last_id: u32,
    last_generation: u32,
}

impl Adapters {
    /// Makes an adapter known. `in_place` replaces one of the same name, which keeps its id; else that is refused.
    pub fn load(
        &self,
        name: String,
        path: String,
        base_model: Option<String>,
        in_place: bool,
    ) -> Result<(), NotLoaded> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let same = known.adapters.iter().position(|adapter| adapter.name == name);
        match same {
            Some(_) if !in_place => return Err(NotLoaded::Already(name)),
            Some(at) => {
                let Adapter { id, path: path_before, mut generation, .. } = (*known.adapters[at]).clone();
                if path_before != path {
                    known.last_generation += 1;
                    generation = known.last_generation;
                }
                known.adapters[at] = Arc::new(Adapter { id, generation, name, path, base_model });
            }
            None if known.adapters.len() == MOST_ADAPTERS => return Err(NotLoaded::TooMany(MOST_ADAPTERS)),
            None => {
                known.last_id += 1;
                known.last_generation += 1;
                let (id, generation) = (known.last_id, known.last_generation);
                known.adapters.push(Arc::new(Adapter { id, generation, name, path, base_model }));
            }
        }
        Ok(())
    }

    /// Makes an adapter unknown; false if it was. Requests that have it go on.
    pub fn unload(&self, name: &str) -> bool {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.adapters.len();
        known.adapters.retain(|adapter| adapter.name != name);
        known.adapters.len() < before
    }

    /// The adapter of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Adapter>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.adapters.iter().find(|adapter| adapter.name == name).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Adapter>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).adapters.clone()
    }
}

/// The adapters in memory, the least recently used one first. Past its size, one that no sequence runs is dropped.
#[derive(Debug)]
pub struct AdapterCache {
    size: usize,
    ids: Vec<u32>,
}

impl AdapterCache {
    /// Nothing is in memory yet. `size` is `max-cpu-loras`, at least the number of adapters that run at once.
    pub fn new(size: usize) -> Self {
        Self { size, ids: Vec::new() }
    }

    /// A sequence of this adapter starts to run. Returns whether the adapter had to be loaded.
    pub fn use_adapter(&mut self, id: u32, runs: impl Fn(u32) -> bool) -> bool {
        let was_there = self.ids.iter().position(|known| *known == id).map(|at| self.ids.remove(at)).is_some();
        if !was_there
            && self.ids.len() >= self.size
            && let Some(idle) = self.ids.iter().position(|known| !runs(*known))
        {
            self.ids.remove(idle);
        }
        self.ids.push(id);
        !was_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_numbered_as_they_are_loaded() {
        let adapters = Adapters::default();
        let load = |name: &str, in_place| adapters.load(name.into(), "/p".into(), None, in_place);
        assert_eq!((load("a", false), load("b", false)), (Ok(()), Ok(())));
        assert_eq!(load("a", false), Err(NotLoaded::Already("a".into())));
        assert_eq!(load("a", true), Ok(()));
        assert!(adapters.unload("a") && !adapters.unload("a"));
        load("a", false).unwrap();
        let ids: Vec<_> = adapters.all().iter().map(|adapter| (adapter.name.clone(), adapter.id)).collect();
        assert_eq!(ids, [("b".to_owned(), 2), ("a".to_owned(), 3)]);
    }

    #[test]
    fn one_from_another_path_or_loaded_again_is_another() {
        let adapters = Adapters::default();
        let load = |path: &str| {
            adapters.load("a".into(), path.into(), None, true).unwrap();
            let adapter = adapters.find("a").unwrap();
            (adapter.id, adapter.generation)
        };
        assert_eq!([load("/p"), load("/p"), load("/q")], [(1, 1), (1, 1), (1, 2)]);
        adapters.unload("a");
        assert_eq!(load("/q"), (2, 3));
    }

    #[test]
    fn the_least_recently_used_idle_adapter_makes_room() {
        let mut cache = AdapterCache::new(2);
        let idle = |_| false;
        assert_eq!([1, 2, 1].map(|id| cache.use_adapter(id, idle)), [true, true, false]);
        assert!(cache.use_adapter(3, idle), "2 goes, being used longest ago");
        assert!(!cache.use_adapter(1, idle));
        assert!(cache.use_adapter(2, |id| id == 3), "1 goes, because 3 runs");
        assert!(!cache.use_adapter(3, idle));
    }
}
