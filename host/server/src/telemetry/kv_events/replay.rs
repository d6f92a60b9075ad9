//! Messages for those who missed some: they ask for all from a number on, on a socket of its own.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tracing::{debug, info};

use super::link::{remove_stale, wildcard_replaced};
use super::zmtp::Peer;
use crate::config::ZmqEndpoint;
use crate::process::real_time::{sleep, timeout};

/// A client that does not greet, or does not take an answer within this time, is left.
const PATIENCE: Duration = Duration::from_secs(10);

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
        info!(address, "listening for those who missed KV-cache events");
        let kept = Arc::new(Mutex::new(Kept { topic: Bytes::new(), most, messages: VecDeque::new() }));
        let task = tokio::spawn(answer_all(listener, kept.clone()));
        Ok(Self { kept, task })
    }

    /// The first frame of each message.
    pub(super) fn set_topic(&self, topic: Bytes) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).topic = topic;
    }

    /// Keeps one more message, and one less of the old ones if they are too many.
    pub(super) fn keep(&self, message: Published) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.messages.len() == kept.most {
            kept.messages.pop_front();
        }
        kept.messages.push_back(message);
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Listener {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Listener {
    async fn bind(address: &str) -> io::Result<Self> {
        remove_stale(address)?;
        if let Some(path) = address.strip_prefix("ipc://") {
            return UnixListener::bind(path).map(Self::Ipc);
        }
        let address = wildcard_replaced(address);
        TcpListener::bind(address.trim_start_matches("tcp://")).await.map(Self::Tcp)
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Self::Ipc(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Each client has a task of its own: a slow one holds up none but itself.
async fn answer_all(listener: Listener, kept: Arc<Mutex<Kept>>) {
    let mut clients = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(stream) => drop(clients.spawn(answer(stream, kept.clone()))),
                Err(error) => {
                    debug!(%error, "somebody who missed events could not be let in");
                    // Out of file descriptors, most likely: a moment later there may be one.
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn answer(stream: Box<dyn Stream>, kept: Arc<Mutex<Kept>>) {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let conversation = async {
        let mut peer = timeout(PATIENCE, Peer::greet(stream)).await.map_err(late)??;
        loop {
            let Some(start) = understand(&peer.receive().await?) else {
                debug!("a request for missed events is not understood");
                continue;
            };
            let (topic, messages) = kept.lock().unwrap_or_else(PoisonError::into_inner).since(start);
            let messages = messages.into_iter().map(|message| [topic.clone(), message.sequence, message.payload]);
            let end = [Bytes::new(), Bytes::from_static(&END), Bytes::new()];
            for [topic, sequence, payload] in messages.chain([end]) {
                let frames = [Bytes::new(), topic, sequence, payload];
                timeout(PATIENCE, peer.send(&frames)).await.map_err(late)??;
            }
            timeout(PATIENCE, peer.flush()).await.map_err(late)??;
        }
    };
    let ended: io::Result<()> = conversation.await;
    if let Err(error) = ended {
        debug!(%error, "who asked for missed events has gone, or is left");
    }
}

/// From which number on: a delimiter, and 8 bytes big-endian (or more, of which the first 8 count).
fn understand(frames: &[Vec<u8>]) -> Option<u64> {
    let [delimiter, start] = frames else { return None };
    let start = start.get(..8)?.try_into().ok()?;
    delimiter.is_empty().then_some(u64::from_be_bytes(start))
}
