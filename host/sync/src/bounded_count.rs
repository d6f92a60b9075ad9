//! A count that never passes its bound.

use std::sync::Arc;

use crate::primitives::{AtomicUsize, Ordering};

/// How much of something is taken.
#[derive(Debug)]
pub struct BoundedCount {
    taken: AtomicUsize,
    most: usize,
}

impl BoundedCount {
    /// Of `most`, nothing is taken.
    pub fn new(most: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most }
    }

    /// Takes `n`, if there is room for all of them.
    pub fn take(&self, n: usize) -> bool {
        self.update(|taken| taken.checked_add(n).filter(|sum| *sum <= self.most))
    }

    /// Takes `n`, if there is room for all of them or nothing else is taken: what is too large by itself is let through alone.
    pub fn take_or_alone(&self, n: usize) -> bool {
        self.update(|taken| if taken == 0 { Some(n) } else { taken.checked_add(n).filter(|sum| *sum <= self.most) })
    }

    fn update(&self, next: impl FnMut(usize) -> Option<usize>) -> bool {
        // Of this number alone: nothing else is handed over with it.
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Gives back `n` that were taken.
    pub fn give_back(&self, n: usize) {
        self.taken.fetch_sub(n, Ordering::Relaxed);
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// One of what is counted, given back when this is dropped.
#[derive(Debug)]
pub struct Place(Arc<BoundedCount>);

impl Place {
    /// Takes one, if there is one left.
    pub fn take(count: &Arc<BoundedCount>) -> Option<Self> {
        count.take(1).then(|| Self(count.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.give_back(1);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn takes_up_to_its_bound_and_what_is_too_large_alone() {
        let count = BoundedCount::new(10);
        assert!(count.take(6) && !count.take(5) && count.take(4));
        assert!(!count.take_or_alone(1));
        count.give_back(10);
        assert!(!count.take(11) && count.take_or_alone(11) && !count.take_or_alone(1));
        assert!(!count.take(usize::MAX), "a sum that is no number has no room");
        assert_eq!(count.taken(), 11);
    }

    #[test]
    fn a_place_is_free_again_once_it_is_dropped() {
        let count = Arc::new(BoundedCount::new(1));
        let place = Place::take(&count);
        assert!(place.is_some() && Place::take(&count).is_none());
        drop(place);
        assert!(Place::take(&count).is_some());
    }
}

#[cfg(all(test, loom))]
mod every_order {
    use super::*;
    use crate::primitives::thread;

    #[test]
    fn no_more_are_in_than_there_are_places_and_all_leave() {
        loom::model(|| {
            let (count, inside) = (Arc::new(BoundedCount::new(1)), Arc::new(AtomicUsize::new(0)));
            let visit = |count: Arc<BoundedCount>, inside: Arc<AtomicUsize>| {
                move || {
                    if let Some(place) = Place::take(&count) {
                        assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                        inside.fetch_sub(1, Ordering::Relaxed);
                        drop(place);
                    }
                }
            };
            let others = [(); 2].map(|()| thread::spawn(visit(count.clone(), inside.clone())));
            visit(count.clone(), inside)();
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(count.taken(), 0);
        });
    }

    #[test]
    fn what_is_too_large_is_alone() {
        loom::model(|| {
            let count = Arc::new(BoundedCount::new(2));
            let writers = [1, 3].map(|n| {
                let count = count.clone();
                thread::spawn(move || count.take_or_alone(n))
            });
            let taken = count.taken();
            assert!([0, 1, 3].contains(&taken), "{taken}");
            let was_taken = writers.map(|writer| writer.join().unwrap());
            assert_eq!(was_taken.iter().filter(|taken| **taken).count(), 1, "one of them found the other there");
            count.give_back(if was_taken[0] { 1 } else { 3 });
            assert_eq!(count.taken(), 0);
        });
    }
}
