//! KV-cache events over ZeroMQ, as vLLM publishes them: what an index elsewhere believes of our cache.
//!
//! The observer hands events over and never waits; past `event-max-pending` they are dropped and counted. One task
//! batches, numbers and sends them, whether or not a subscriber listens, and keeps the last ones for those that missed some.

mod link;
mod publisher;
mod replay;
mod stream;
mod subscribers;
mod wire;
mod zmtp;

use std::sync::Arc;

use rehearsal_engine::{Clock, EngineObserver, KvCacheEvent, StepReport};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::KvEventsConfig;
use crate::telemetry::metrics::KvEventMetrics;
use link::Link;
use publisher::Publisher;
use replay::Replay;
use subscribers::Subscribers;

/// What the engine tells.
pub struct KvEventObserver {
    events: mpsc::Sender<Arc<[KvCacheEvent]>>,
    metrics: KvEventMetrics,
}

impl EngineObserver for KvEventObserver {
    fn observe(&self, report: &StepReport) {
        if let Some(events) = &report.kv_cache
            && self.events.try_send(events.clone()).is_err()
        {
            self.metrics.dropped.inc_by(events.len() as u64);
        }
    }
}

/// Open sockets, and events that wait to be sent.
pub struct KvEvents {
    config: KvEventsConfig,
    rank: u32,
    clock: Clock,
    link: Link,
    subscribers: Arc<Subscribers>,
    replay: Option<Replay>,
    events: mpsc::Receiver<Arc<[KvCacheEvent]>>,
}

impl KvEvents {
    /// Opens what `config` names, and makes the observer that is to be told. Fails if an address cannot be listened on,
    /// or if no subscriber can be connected to within the tries that the start waits for.
    pub async fn open(
        config: &KvEventsConfig,
        rank: u32,
        clock: Clock,
        metrics: KvEventMetrics,
    ) -> Result<(Self, KvEventObserver), String> {
        let subscribers = Subscribers::new(config.high_water_mark, metrics.clone());
        let link = Link::open(&config.endpoint, config.connect_attempts, subscribers.clone())
            .await
            .map_err(|error| format!("zmq-endpoint: {error:#}"))?;
        let replay = match &config.replay_endpoint {
            Some(endpoint) => {
                let opened = Replay::open(endpoint, config.replay_queue_size as usize).await;
                Some(opened.map_err(|error| format!("kv-events-replay-endpoint: {error:#}"))?)
            }
            None => None,
        };
        let (sender, events) = mpsc::channel(config.max_pending as usize);
        let observer = KvEventObserver { events: sender, metrics };
        Ok((Self { config: config.clone(), rank, clock, link, subscribers, replay, events }, observer))
    }

    /// Publishes under `topic`, unless the user named another, until it is stopped.
    pub fn start(self, topic: String) -> RunningKvEvents {
        let Self { config, rank, clock, link, subscribers, replay, events } = self;
        let (stop, stopped) = oneshot::channel();
        let topic = config.topic.clone().unwrap_or(topic);
        let publisher = Publisher::new(&config, topic, rank, clock, (link, subscribers), replay);
        RunningKvEvents { stop, task: tokio::spawn(publisher.run(events, stopped)) }
    }
}

/// The task that publishes.
pub struct RunningKvEvents {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RunningKvEvents {
    /// Sends what waits, and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        // It has a time limit of its own; a panic in it was reported when it happened.
        let _ = self.task.await;
    }
}
