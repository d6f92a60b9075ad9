//! Tells plugins how requests ended: each from a queue of its own, in the background, and what finds no room there is dropped
//! and counted.

use std::sync::Arc;

use rehearsal_engine::{EngineObserver, RequestReport, StepReport};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::contract::Interface;
use crate::observer::PluginEvent;
use crate::replica::ReplicaPlugin;
use crate::strategy::PluginStrategy;

/// Endings that may wait for one plugin. Each holds its request.
const MOST_WAITING: usize = 1024;

/// The plugins of one replica that are told.
pub(crate) struct Endings(Vec<Told>);

struct Told {
    plugin: Arc<ReplicaPlugin>,
    waiting: Sender<Arc<RequestReport>>,
}

impl Endings {
    /// For as long as this lives, `threads` have a task for each of these plugins: one may be an observer only after a reload.
    pub(crate) fn new(plugins: impl Iterator<Item = Arc<ReplicaPlugin>>, threads: &Handle) -> Self {
        let told = |plugin: Arc<ReplicaPlugin>| {
            let (waiting, endings) = channel(MOST_WAITING);
            threads.spawn(tell(plugin.clone(), endings));
            Told { plugin, waiting }
        };
        Self(plugins.map(told).collect())
    }
}

impl EngineObserver for Endings {
    fn observe(&self, report: &StepReport) {
        for Told { plugin, waiting } in self.0.iter().filter(|told| told.plugin.exports(Interface::Observer)) {
            for ended in &report.requests {
                if waiting.try_send(ended.clone()).is_err() {
                    plugin.tell(PluginEvent::EndingDropped);
                }
            }
        }
    }
}

async fn tell(plugin: Arc<ReplicaPlugin>, mut endings: Receiver<Arc<RequestReport>>) {
    while let Some(ended) = endings.recv().await {
        if let Some(observer) = PluginStrategy::new(&plugin, Interface::Observer) {
            // A fault is logged and counted as any other.
            let _ = observer.finished(&ended).await;
        }
    }
}
