//! How many requests are being answered (`GET /load`), where `enable-server-load-tracking` says to count them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The count; it stays 0 where nothing is counted.
#[derive(Debug, Clone)]
pub struct ServerLoad {
    count: Option<Arc<AtomicUsize>>,
}

/// One request that is being answered, until this is dropped.
#[derive(Debug)]
pub struct Answering(Option<Arc<AtomicUsize>>);

impl ServerLoad {
    /// A count of 0.
    pub fn new(is_counted: bool) -> Self {
        Self { count: is_counted.then(Arc::default) }
    }

    /// Counts a request whose body was read, as vLLM does; until its last byte was sent, or its client went away.
    pub fn begin(&self) -> Answering {
        if let Some(count) = &self.count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Answering(self.count.clone())
    }

    /// Requests that are being answered.
    pub fn count(&self) -> usize {
        self.count.as_ref().map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
