//! The one task that batches, numbers and sends events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rehearsal_engine::{Clock, KvCacheEvent};
use tokio::sync::{mpsc, oneshot};

use super::link::Link;
use super::replay::{Published, Replay};
use super::subscribers::Subscribers;
use super::{wire, zmtp};
use crate::config::KvEventsConfig;
use crate::process::real_time::{Instant, sleep_until, timeout};

/// No event waits longer for others to fill its message.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long the end may take.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Sends events as they come.
pub(super) struct Publisher {
    topic: Bytes,
    rank: u32,
    /// Of which batches carry the time.
    clock: Clock,
    format: wire::Format,
    batch_size: usize,
    link: Link,
    subscribers: Arc<Subscribers>,
    replay: Option<Replay>,
    /// Events that wait for their message to be full, and since when.
    pending: Vec<u8>,
    n_pending: usize,
    since: Instant,
    /// Messages so far.
    sequence: u64,
}

impl Publisher {
    pub(super) fn new(
        config: &KvEventsConfig,
        topic: String,
        rank: u32,
        clock: Clock,
        (link, subscribers): (Link, Arc<Subscribers>),
        replay: Option<Replay>,
    ) -> Self {
        if let Some(replay) = &replay {
            replay.set_topic(topic.clone().into());
        }
        Self {
            topic: topic.into(),
            rank,
            clock,
            format: wire::Format { as_maps: config.as_maps, hash_bytes: config.hash_bytes },
            batch_size: config.batch_size as usize,
            link,
            subscribers,
            replay,
            pending: Vec::new(),
            n_pending: 0,
            since: Instant::now(),
            sequence: 0,
        }
    }

    /// Until `stopped`, or until no sender is left.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<Arc<[KvCacheEvent]>>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        loop {
            let is_pending = self.n_pending > 0;
            let due = self.since + LONGEST_WAIT;
            tokio::select! {
                told = events.recv() => match told {
                    Some(told) => self.take(&told),
                    None => break,
                },
                () = sleep_until(due), if is_pending => self.send(),
                _ = &mut stopped => break,
            }
        }
        let rest = async {
            while let Ok(told) = events.try_recv() {
                self.take(&told);
            }
            if self.n_pending > 0 {
                self.send();
            }
            self.subscribers.close();
            self.link.ended().await;
        };
        let _ = timeout(STOP_LIMIT, rest).await;
    }

    fn take(&mut self, events: &[KvCacheEvent]) {
        for event in events {
            if self.n_pending == 0 {
                self.since = Instant::now();
            }
            wire::write_event(&mut self.pending, event, self.format);
            self.n_pending += 1;
            if self.n_pending >= self.batch_size {
                self.send();
            }
        }
    }

    fn send(&mut self) {
        let payload = wire::batch(self.clock.unix_time().as_secs_f64(), self.n_pending, &self.pending, self.rank);
        self.pending.clear();
        self.n_pending = 0;
        let sequence = Bytes::copy_from_slice(&self.sequence.to_be_bytes());
        let payload = Bytes::from(payload);
        // Before it is sent: a subscriber that has seen it and asks for all since then must get it.
        if let Some(replay) = &self.replay {
            replay.keep(Published { number: self.sequence, sequence: sequence.clone(), payload: payload.clone() });
        }
        self.sequence += 1;
        let message = zmtp::encode(&[self.topic.clone(), sequence, payload]);
        self.subscribers.send(&self.topic, &message);
    }
}
