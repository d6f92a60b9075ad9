//! Subscribers to KV-cache events. Each has a queue of its own, as libzmq's PUB has: what does not fit into it is dropped for
//! this subscriber, and no other one is delayed.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};

use super::zmtp::{Kind, Reader, Said, Writer, greet};
use crate::process::real_time::timeout;
use crate::telemetry::metrics::KvEventMetrics;

/// A peer that has not said by then what it is is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that wait for one subscriber, at most.
const MOST_BYTES: usize = 64 << 20;

/// Subscriptions of one subscriber, at most.
const MOST_SUBSCRIPTIONS: usize = 1024;

/// All that are connected.
pub(super) struct Subscribers {
    all: Mutex<Vec<Arc<Outbox>>>,
    /// Messages that wait for one of them, at most.
    most_messages: usize,
    metrics: KvEventMetrics,
    is_closed: watch::Sender<bool>,
}

impl Subscribers {
    /// None yet. `high_water_mark` is ZeroMQ's; 0: as many messages as there is room for.
    pub(super) fn new(high_water_mark: usize, metrics: KvEventMetrics) -> Arc<Self> {
        let most_messages = if high_water_mark == 0 { usize::MAX } else { high_water_mark };
        Arc::new(Self { all: Mutex::default(), most_messages, metrics, is_closed: watch::Sender::new(false) })
    }

    /// Queues an encoded message for every subscriber to what this topic begins with.
    pub(super) fn send(&self, topic: &[u8], message: &Bytes) {
        for outbox in &*lock(&self.all) {
            outbox.push(topic, message, self.most_messages, &self.metrics);
        }
    }

    /// No message will follow: each connection ends when it has sent what waits.
    pub(super) fn close(&self) {
        self.is_closed.send_replace(true);
        for outbox in &*lock(&self.all) {
            lock(&outbox.waiting).is_closing = true;
            outbox.changed.notify_one();
        }
    }

    /// Ready once no message will follow.
    pub(super) async fn closed(&self) {
        // The sender is there for as long as we are.
        let _ = self.is_closed.subscribe().wait_for(|is_closed| *is_closed).await;
    }

    /// Serves the peer at the other end of a connection, to its end.
    pub(super) async fn serve(&self, stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        let greeted = timeout(PATIENCE, greet(stream, Kind::Pub)).await;
        let (reader, writer) = greeted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let here = Here::new(self);
        tokio::select! {
            heard = hear(reader, &here.outbox) => heard,
            sent = send(writer, &here.outbox, &self.metrics) => sent,
        }
    }
}

/// A subscriber's place among the others, given up when this is dropped.
struct Here<'a> {
    subscribers: &'a Subscribers,
    outbox: Arc<Outbox>,
}

impl<'a> Here<'a> {
    fn new(subscribers: &'a Subscribers) -> Self {
        let outbox = Arc::<Outbox>::default();
        let mut all = lock(&subscribers.all);
        // Under the lock: a subscriber that comes after the end ends too.
        lock(&outbox.waiting).is_closing = *subscribers.is_closed.borrow();
        all.push(outbox.clone());
        drop(all);
        subscribers.metrics.subscribers.inc();
        Self { subscribers, outbox }
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        lock(&self.subscribers.all).retain(|outbox| !Arc::ptr_eq(outbox, &self.outbox));
        let metrics = &self.subscribers.metrics;
        metrics.subscribers.dec();
        metrics.waiting_bytes.sub(lock(&self.outbox.waiting).bytes as i64);
    }
}

/// What waits for one subscriber.
#[derive(Default)]
struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    /// What topics begin with that it wants; one that it asked for twice is there twice.
    prefixes: Vec<Vec<u8>>,
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// The answer to its last heartbeat.
    pong: Option<Vec<u8>>,
    is_closing: bool,
}

impl Outbox {
    fn push(&self, topic: &[u8], message: &Bytes, most_messages: usize, metrics: &KvEventMetrics) {
        let mut waiting = lock(&self.waiting);
        if !waiting.prefixes.iter().any(|prefix| topic.starts_with(prefix)) {
            return;
        }
        if waiting.messages.len() >= most_messages || waiting.bytes + message.len() > MOST_BYTES {
            metrics.messages_dropped.inc();
            return;
        }
        waiting.bytes += message.len();
        metrics.waiting_bytes.add(message.len() as i64);
        waiting.messages.push_back(message.clone());
        self.changed.notify_one();
    }

    /// Follows what the subscriber says. Fails if it makes no sense.
    fn hear(&self, said: Said) -> io::Result<()> {
        let mut waiting = lock(&self.waiting);
        if let Some(pong) = said.pong() {
            waiting.pong = Some(pong);
            self.changed.notify_one();
            return Ok(());
        }
        // A message until ZMTP 3.0, a command from 3.1 on.
        let (is_wanted, prefix) = match said {
            Said::Command(name, prefix) if name == b"SUBSCRIBE" => (true, prefix),
            Said::Command(name, prefix) if name == b"CANCEL" => (false, prefix),
            Said::Message(frames) if matches!(frames[0].first(), Some(0 | 1)) => {
                (frames[0][0] == 1, frames[0][1..].to_vec())
            }
            _ => return Ok(()),
        };
        let known = waiting.prefixes.iter().position(|known| *known == prefix);
        match known {
            _ if is_wanted && waiting.prefixes.len() == MOST_SUBSCRIPTIONS => {
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "it has too many subscriptions"));
            }
            _ if is_wanted => waiting.prefixes.push(prefix),
            Some(known) => drop(waiting.prefixes.swap_remove(known)),
            None => {}
        }
        Ok(())
    }

    /// What is to be written next.
    fn next(&self) -> Next {
        let mut waiting = lock(&self.waiting);
        if let Some(pong) = waiting.pong.take() {
            return Next::Pong(pong);
        }
        match waiting.messages.front() {
            Some(message) => Next::Message(message.clone()),
            None if waiting.is_closing => Next::End,
            None => Next::Nothing,
        }
    }

    /// The first message was written.
    fn written(&self, metrics: &KvEventMetrics) {
        let mut waiting = lock(&self.waiting);
        if let Some(message) = waiting.messages.pop_front() {
            waiting.bytes -= message.len();
            metrics.waiting_bytes.sub(message.len() as i64);
        }
    }
}

enum Next {
    Message(Bytes),
    Pong(Vec<u8>),
    Nothing,
    End,
}

async fn hear<S: AsyncRead>(mut reader: Reader<S>, outbox: &Outbox) -> io::Result<()> {
    loop {
        outbox.hear(reader.next().await?)?;
    }
}

async fn send<S: AsyncWrite>(mut writer: Writer<S>, outbox: &Outbox, metrics: &KvEventMetrics) -> io::Result<()> {
    loop {
        match outbox.next() {
            Next::Message(message) => {
                writer.write(&message).await?;
                outbox.written(metrics);
            }
            Next::Pong(pong) => writer.command(&pong).await?,
            Next::Nothing => {
                writer.flush().await?;
                outbox.changed.notified().await;
            }
            Next::End => return writer.end().await,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
