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
use crate::v0_1::bindings::observer::{Ending, Outcome};
use crate::v0_1::convert;

/// Endings that may wait for one plugin.
const MOST_WAITING: usize = 1024;

/// The plugins of one replica that are told.
pub(crate) struct Endings(Vec<Told>);

struct Told {
    plugin: Arc<ReplicaPlugin>,
    queue: Sender<Ending>,
}

impl Endings {
    /// For as long as this lives, `threads` have a task for each of these plugins: one may be an observer only after a reload.
    pub(crate) fn new(plugins: impl Iterator<Item = Arc<ReplicaPlugin>>, threads: &Handle) -> Self {
        let told = |plugin: Arc<ReplicaPlugin>| {
            let (queue, endings) = channel(MOST_WAITING);
            threads.spawn(tell(plugin.clone(), endings));
            Told { plugin, queue }
        };
        Self(plugins.map(told).collect())
    }
}

impl EngineObserver for Endings {
    fn observe(&self, report: &StepReport) {
        // Most steps end none.
        if report.requests.is_empty() {
            return;
        }
        for told in self.0.iter().filter(|told| told.plugin.exports(Interface::Observer)) {
            for ended in &report.requests {
                if !told.enqueue(ended) {
                    told.plugin.tell(PluginEvent::EndingDropped);
                }
            }
        }
    }
}

impl Told {
    /// What waits is the record, and not the request, which may be large. Whether there was room for it.
    fn enqueue(&self, ended: &RequestReport) -> bool {
        let Ok(place) = self.queue.try_reserve() else { return false };
        let current = self.plugin.current();
        let ending = convert::ending(ended, &current.version.needs, current.view());
        let has_room = self.plugin.untold_bytes.take(text_bytes(&ending));
        if has_room {
            place.send(ending);
        }
        has_room
    }
}

async fn tell(plugin: Arc<ReplicaPlugin>, mut endings: Receiver<Ending>) {
    while let Some(ending) = endings.recv().await {
        let n_bytes = text_bytes(&ending);
        if let Some(observer) = PluginStrategy::new(&plugin, Interface::Observer) {
            // A fault is logged and counted as any other.
            let _ = observer.finished(ending).await;
        }
        plugin.untold_bytes.give_back(n_bytes);
    }
}

fn text_bytes(ending: &Ending) -> usize {
    let pairs = ending.headers.iter().chain(&ending.extras);
    let outcome = match &ending.outcome {
        Outcome::Completed(text) | Outcome::Failed(text) => text.len(),
        Outcome::Aborted => 0,
    };
    ending.id.len() + ending.model.len() + outcome + pairs.map(|(name, value)| name.len() + value.len()).sum::<usize>()
}
