//! Replays published batches to subscribers that missed some: they ask for all from a number on, over a ROUTER socket.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::task::JoinHandle;
use tracing::{debug, info};

use super::stream::{Listener, Stream};
use super::zmtp::{Kind, Said, encode, greet};
use crate::config::ZmqEndpoint;
use crate::process::real_time::timeout;

/// A client that does not greet, or does not take an answer within this time, is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of messages that are kept, beside their number.
const MOST_BYTES: usize = 64 << 20;

/// -1, as a signed number of 8 bytes, big-endian.
const END: [u8; 8] = [0xff; 8];

/// A message that was sent.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) number: u64,
    /// The number as its frame.
    pub(super) sequence: Bytes,
    pub(super) payload: Bytes,
}

/// The last messages, and the task that hands them out.
pub(super) struct Replay {
    kept: Arc<Mutex<Kept>>,
    task: JoinHandle<()>,
}

struct Kept {
    topic: Bytes,
    most: usize,
    messages: VecDeque<Published>,
    /// Of all payloads.
    bytes: usize,
}

impl Kept {
    fn since(&self, start: u64) -> (Bytes, Vec<Published>) {
        let first = self.messages.partition_point(|message| message.number < start);
        (self.topic.clone(), self.messages.range(first..).cloned().collect())
    }
}

impl Replay {
    /// Listens on `endpoint`, and keeps the last `most` messages.
    pub(super) async fn open(endpoint: &ZmqEndpoint, most: usize) -> Result<Self> {
        let address = &endpoint.address;
        let listener = Listener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        info!(address, "listening for subscribers that missed KV-cache events");
        let kept = Arc::new(Mutex::new(Kept { topic: Bytes::new(), most, messages: VecDeque::new(), bytes: 0 }));
        let task = tokio::spawn(answer_all(listener, kept.clone()));
        Ok(Self { kept, task })
    }

    /// The first frame of each message.
    pub(super) fn set_topic(&self, topic: Bytes) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).topic = topic;
    }

    /// Keeps one more message, and fewer of the old ones if they are too many or too large.
    pub(super) fn keep(&self, message: Published) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += message.payload.len();
        kept.messages.push_back(message);
        while kept.messages.len() > kept.most || (kept.bytes > MOST_BYTES && kept.messages.len() > 1) {
            let forgotten = kept.messages.pop_front();
            kept.bytes -= forgotten.map_or(0, |message| message.payload.len());
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Each client has a task of its own: a slow one holds up none but itself.
async fn answer_all(listener: Listener, kept: Arc<Mutex<Kept>>) {
    let mut clients = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            stream = listener.accept() => drop(clients.spawn(answer(stream, kept.clone()))),
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn answer(stream: Box<dyn Stream>, kept: Arc<Mutex<Kept>>) {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let conversation = async {
        let (mut reader, mut writer) = timeout(PATIENCE, greet(stream, Kind::Router)).await.map_err(late)??;
        loop {
            let said = reader.next().await?;
            if let Some(pong) = said.pong() {
                timeout(PATIENCE, async { writer.command(&pong).await.and(writer.flush().await) })
                    .await
                    .map_err(late)??;
                continue;
            }
            let Some(start) = understand(&said) else {
                debug!("a request for missed events is not understood");
                continue;
            };
            let (topic, messages) = kept.lock().unwrap_or_else(PoisonError::into_inner).since(start);
            let messages = messages.into_iter().map(|message| [topic.clone(), message.sequence, message.payload]);
            let end = [Bytes::new(), Bytes::from_static(&END), Bytes::new()];
            for [topic, sequence, payload] in messages.chain([end]) {
                let message = encode(&[Bytes::new(), topic, sequence, payload]);
                timeout(PATIENCE, writer.write(&message)).await.map_err(late)??;
            }
            timeout(PATIENCE, writer.flush()).await.map_err(late)??;
        }
    };
    let ended: io::Result<()> = conversation.await;
    if let Err(error) = ended {
        debug!(%error, "a subscriber that asked for missed events has gone, or is left");
    }
}

/// From which number on: a delimiter, and 8 bytes big-endian (or more, of which the first 8 count).
fn understand(said: &Said) -> Option<u64> {
    let Said::Message(frames) = said else { return None };
    let [delimiter, start] = &frames[..] else { return None };
    let start = start.get(..8)?.try_into().ok()?;
    delimiter.is_empty().then_some(u64::from_be_bytes(start))
}
