//! Responses that were kept, to be asked for again and to be continued: `VLLM_ENABLE_RESPONSES_API_STORE`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rehearsal_engine::request::Message;
use serde_json::Value;
use tokio::task::AbortHandle;

/// Kept at most; the oldest is forgotten first. vLLM forgets none.
const MOST: usize = 10_000;

/// Bytes of all of them, as JSON and as text.
const MOST_BYTES: usize = 64 << 20;

/// What is kept, if anything is.
#[derive(Debug)]
pub struct ResponseStore {
    kept: Option<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    responses: HashMap<String, Stored>,
    /// Ids, the oldest first, and what each takes.
    order: VecDeque<(String, usize)>,
    bytes: usize,
}

impl Kept {
    fn forget_oldest(&mut self) {
        if let Some((oldest, bytes)) = self.order.pop_front() {
            self.responses.remove(&oldest);
            self.bytes -= bytes;
        }
    }
}

/// A response that is kept.
#[derive(Debug, Clone)]
pub struct Stored {
    /// As its client got it.
    pub object: Value,
    /// What its request said, and what it answered.
    pub messages: Vec<Message>,
    /// Ends the work on one that is made in the background.
    pub running: Option<AbortHandle>,
}

impl Stored {
    /// What it takes, more or less.
    fn n_bytes(&self) -> usize {
        let texts = self.messages.iter().flat_map(Message::texts).map(str::len);
        self.object.to_string().len() + texts.sum::<usize>()
    }
}

/// Why a response was not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCancelled {
    /// There is none of this id.
    Unknown,
    /// It is not being made in the background.
    NotRunning,
}

impl ResponseStore {
    /// An empty one, which stays so if it is not enabled.
    pub fn new(is_enabled: bool) -> Self {
        Self { kept: is_enabled.then(Mutex::default) }
    }

    /// Whether anything is kept.
    pub fn is_enabled(&self) -> bool {
        self.kept.is_some()
    }

    /// Keeps a response, in the place of one of its id. One that was cancelled meanwhile stays so.
    pub fn keep(&self, id: &str, stored: Stored) {
        let Some(mut kept) = self.lock() else { return };
        if kept.responses.get(id).is_some_and(|before| before.object["status"] == "cancelled") {
            return;
        }
        let bytes = stored.n_bytes();
        if kept.responses.insert(id.to_owned(), stored).is_none() {
            kept.order.push_back((id.to_owned(), bytes));
            kept.bytes += bytes;
        } else if let Some((_, before)) = kept.order.iter_mut().rev().find(|(kept, _)| kept == id) {
            // What it has become is larger.
            let before = std::mem::replace(before, bytes);
            kept.bytes = kept.bytes - before + bytes;
        }
        while kept.order.len() > MOST || (kept.bytes > MOST_BYTES && kept.order.len() > 1) {
            kept.forget_oldest();
        }
    }

    /// Bytes of all that is kept.
    pub fn n_bytes(&self) -> usize {
        self.lock().map_or(0, |kept| kept.bytes)
    }

    /// A response is being made by a task.
    pub fn runs(&self, id: &str, task: AbortHandle) {
        let Some(mut kept) = self.lock() else { return };
        if let Some(stored) = kept.responses.get_mut(id).filter(|stored| stored.object["status"] == "queued") {
            stored.running = Some(task);
        }
    }

    /// The response of this id.
    pub fn get(&self, id: &str) -> Option<Stored> {
        self.lock()?.responses.get(id).cloned()
    }

    /// Ends a response that is being made in the background, and returns what is left of it.
    pub fn cancel(&self, id: &str) -> Result<Value, NotCancelled> {
        let mut kept = self.lock().ok_or(NotCancelled::Unknown)?;
        let stored = kept.responses.get_mut(id).ok_or(NotCancelled::Unknown)?;
        if !matches!(stored.object["status"].as_str(), Some("queued" | "in_progress")) {
            return Err(NotCancelled::NotRunning);
        }
        if let Some(running) = stored.running.take() {
            running.abort();
        }
        stored.object["status"] = "cancelled".into();
        Ok(stored.object.clone())
    }

    fn lock(&self) -> Option<MutexGuard<'_, Kept>> {
        self.kept.as_ref().map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for ResponseStore {
    fn drop(&mut self) {
        let Some(kept) = self.lock() else { return };
        kept.responses.values().filter_map(|stored| stored.running.as_ref()).for_each(AbortHandle::abort);
    }
}
