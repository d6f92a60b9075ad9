//! What waits for a client to take it: ranges of shared outputs, never copies of them, however slow the client is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use smallvec::SmallVec;
use tokio::task::JoinSet;

use crate::history::SequenceHistory;
use crate::output::{CompletionOutput, DueTokens};
use crate::request::RequestNumber;
use crate::strategy::StrategyError;

/// A stream takes out no more tokens at a time: what it makes of them waits for its client as bytes.
const MOST_TOKENS: usize = 256;

/// Between the engine, which puts in what falls due, and one request's stream, which takes it out.
#[derive(Debug)]
pub(crate) struct Mailbox(Mutex<Inbox>);

/// What the engine puts in.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A choice left the queue, with so many prompt tokens found in the KV cache: its strategy is to be asked.
    Admitted { choice: u32, cached_tokens: u32 },
    /// What a choice's tokens will be.
    Output { choice: u32, output: Arc<CompletionOutput> },
    /// A choice's strategy gave none, and a failure that is played comes before the error.
    NoOutput { choice: u32 },
    /// The tokens before `end` are due; `history` is that of the choice, up to them.
    Tokens { choice: u32, end: usize, history: SequenceHistory },
    /// A failure that was asked for: something that no client can read.
    Malformed,
    /// A failure that was asked for: nothing more comes.
    Hang { number: RequestNumber },
    /// An error, which is the end.
    Failed(StrategyError),
    /// What is to fail on arrival has failed: the request goes on.
    Selected,
    /// Everything was put in.
    Complete,
}

/// What a stream takes out.
#[derive(Debug)]
pub(crate) enum Item {
    Tokens(DueTokens),
    Malformed,
    Hang,
    Failed(StrategyError),
}

#[derive(Debug)]
struct Inbox {
    choices: SmallVec<[ChoiceInbox; 1]>,
    entries: VecDeque<Entry>,
    is_complete: bool,
    /// Its failure policy has yet to say what is to happen.
    is_selecting: bool,
    reader: Option<Waker>,
    /// The reader wants to know what its strategies say, before anything is due.
    awaits_verdict: bool,
    /// The reader wants to know of the end alone. In which order the tokens of different choices came is of no use to it.
    reads_at_end: bool,
    /// What is to end with the request.
    held: Option<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct ChoiceInbox {
    output: Option<Arc<CompletionOutput>>,
    /// There will be no output.
    has_failed: bool,
    history: SequenceHistory,
    /// Tokens that were put in, and those of them that were taken out.
    due: usize,
    taken: usize,
    /// Its prompt tokens that were found in the KV cache; `None` while it is in the queue.
    admitted: Option<u32>,
    asker: Option<Waker>,
}

#[derive(Debug)]
enum Entry {
    Tokens { choice: u32, end: usize },
    Malformed,
    Hang,
    Failed(StrategyError),
}

impl Mailbox {
    /// An empty one for a request of so many choices, which may have a failure policy.
    pub(crate) fn new(n_choices: u32, may_fail: bool) -> Self {
        Self(Mutex::new(Inbox {
            choices: (0..n_choices).map(|_| ChoiceInbox::default()).collect(),
            entries: VecDeque::new(),
            is_complete: false,
            is_selecting: may_fail,
            reader: None,
            awaits_verdict: false,
            reads_at_end: false,
            held: None,
        }))
    }

    /// Puts something in, and returns what is to be woken for it.
    pub(crate) fn put(&self, delivery: Delivery) -> Option<Waker> {
        let mut inbox = self.lock();
        let is_end = matches!(delivery, Delivery::Hang { .. } | Delivery::Failed(_) | Delivery::Complete);
        match delivery {
            Delivery::Admitted { choice, cached_tokens } => {
                let choice = &mut inbox.choices[choice as usize];
                choice.admitted = Some(cached_tokens);
                return choice.asker.take();
            }
            Delivery::Output { choice, output } => {
                inbox.choices[choice as usize].output = Some(output);
                return inbox.wake_for_verdict();
            }
            Delivery::NoOutput { choice } => {
                inbox.choices[choice as usize].has_failed = true;
                return inbox.wake_for_verdict();
            }
            Delivery::Selected => {
                inbox.is_selecting = false;
                return inbox.wake_for_verdict();
            }
            Delivery::Tokens { choice, end, history } => {
                inbox.choices[choice as usize].history = history;
                inbox.put_tokens(choice, end);
            }
            Delivery::Malformed => inbox.entries.push_back(Entry::Malformed),
            Delivery::Hang { .. } => inbox.entries.push_back(Entry::Hang),
            Delivery::Failed(error) => inbox.entries.push_back(Entry::Failed(error)),
            Delivery::Complete => inbox.is_complete = true,
        }
        if inbox.reads_at_end && !is_end { None } else { inbox.reader.take() }
    }

    /// The next item; `None` after the last one. A reader that finds none is woken when there is one.
    pub(crate) fn poll_take(&self, context: &Context<'_>) -> Poll<Option<Item>> {
        let mut inbox = self.lock();
        match inbox.take() {
            Some(item) => Poll::Ready(Some(item)),
            None if inbox.is_complete => Poll::Ready(None),
            None => {
                register(&mut inbox.reader, context);
                Poll::Pending
            }
        }
    }

    /// The next item, if there is one.
    pub(crate) fn take(&self) -> Option<Item> {
        self.lock().take()
    }

    /// Whether everything was put in and taken out.
    pub(crate) fn is_finished(&self) -> bool {
        let inbox = self.lock();
        inbox.is_complete && inbox.entries.is_empty()
    }

    /// Keeps a task until the request ends.
    pub(crate) fn hold(&self, task: JoinSet<()>) {
        self.lock().held = Some(task);
    }

    /// Ready when nothing more is to be known of the request for now: something is there to be taken, or the strategies of
    /// all choices that left the queue have answered.
    pub(crate) fn poll_verdict(&self, context: &Context<'_>) -> Poll<()> {
        let mut inbox = self.lock();
        inbox.awaits_verdict = !inbox.has_verdict();
        if !inbox.awaits_verdict {
            return Poll::Ready(());
        }
        register(&mut inbox.reader, context);
        Poll::Pending
    }

    /// From now on, tokens wake no reader before the last one is there.
    pub(crate) fn read_at_end(&self) {
        self.lock().reads_at_end = true;
    }

    /// Ready when a choice has left the queue: its prompt tokens that were found in the KV cache.
    pub(crate) fn poll_admitted(&self, choice: u32, context: &Context<'_>) -> Poll<u32> {
        let choice = &mut self.lock().choices[choice as usize];
        if let Some(cached_tokens) = choice.admitted {
            return Poll::Ready(cached_tokens);
        }
        register(&mut choice.asker, context);
        Poll::Pending
    }

    /// Choices that have left the queue.
    pub(crate) fn n_admitted(&self) -> usize {
        self.lock().choices.iter().filter(|choice| choice.admitted.is_some()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn has_verdict(&self) -> bool {
        let is_answered =
            |choice: &ChoiceInbox| choice.admitted.is_none() || choice.output.is_some() || choice.has_failed;
        let is_known = !self.is_selecting && self.choices.iter().all(is_answered);
        is_known || self.is_complete || !self.entries.is_empty()
    }

    fn wake_for_verdict(&mut self) -> Option<Waker> {
        if self.awaits_verdict && self.has_verdict() { self.reader.take() } else { None }
    }

    /// Of a client that is slow to read streams, tokens of one choice are one range until those of another come between.
    fn put_tokens(&mut self, choice: u32, end: usize) {
        let ChoiceInbox { due, taken, .. } = &mut self.choices[choice as usize];
        if end == *due && *due > *taken {
            // It ended with what it had, and the client has yet to take that: it is told once.
            return;
        }
        let is_waiting = std::mem::replace(due, end) > *taken;
        match self.entries.back_mut() {
            _ if self.reads_at_end && is_waiting => {}
            Some(Entry::Tokens { choice: same, end: before }) if *same == choice => *before = end,
            _ => self.entries.push_back(Entry::Tokens { choice, end }),
        }
    }

    fn take(&mut self) -> Option<Item> {
        Some(match self.entries.pop_front()? {
            Entry::Tokens { choice, end: all } => {
                let ChoiceInbox { output, history, due, taken, .. } = &mut self.choices[choice as usize];
                let end = if self.reads_at_end { *due } else { all.min(*taken + MOST_TOKENS) };
                if end < all {
                    self.entries.push_front(Entry::Tokens { choice, end: all });
                }
                let tokens = std::mem::replace(taken, end)..end;
                // It was put in before its tokens.
                Item::Tokens(DueTokens { choice, output: output.clone()?, tokens, history: *history })
            }
            Entry::Malformed => Item::Malformed,
            Entry::Hang => Item::Hang,
            Entry::Failed(error) => {
                self.is_complete = true;
                self.entries.clear();
                Item::Failed(error)
            }
        })
    }
}

fn register(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(known) => known.clone_from(context.waker()),
        None => *waker = Some(context.waker().clone()),
    }
}

#[cfg(test)]
mod tests;
