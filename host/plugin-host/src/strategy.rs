//! A plugin as the engine's strategies: which of them it can be depends on what it exports.

use std::sync::Arc;

use futures::future::BoxFuture;
use rehearsal_engine::request::{OutputFormat, ToolCall};
use rehearsal_engine::strategy::Rejection;
use rehearsal_engine::{
    Arrival, Choice, Completion, EmbeddingRequest, EmbeddingStrategy, FailurePolicy, Fault, Outcome, PluginFault,
    ResponseStrategy, StrategyError, ToolCallStrategy,
};

use crate::contract::Interface;
use crate::observer::PluginEvent;
use crate::plugin::{Plugin, Version};
use crate::real_time::Instant;
use crate::replica::ReplicaPlugin;
use crate::v0_1::ask;
use crate::v0_1::bindings::observer::Ending;

/// Asks whichever version of a plugin serves.
#[derive(Clone)]
pub(crate) struct PluginStrategy {
    plugin: Arc<ReplicaPlugin>,
}

impl PluginStrategy {
    /// `None` if the plugin does not export `interface`.
    pub(crate) fn new(plugin: &Arc<ReplicaPlugin>, interface: Interface) -> Option<Self> {
        plugin.exports(interface).then(|| Self { plugin: plugin.clone() })
    }

    /// Tells it how a request ended.
    pub(crate) async fn finished(&self, ending: Ending) -> Result<(), StrategyError> {
        self.told(async |plugin| ask::finished(plugin, ending).await).await
    }

    /// What is to blame for `error`: a built-in plugin that takes too long does so over what the client wants made up.
    fn blamed(&self, error: StrategyError, what: &str, is_made_up: bool) -> StrategyError {
        match error {
            StrategyError::Plugin(PluginFault { fault: Fault::CpuTime(limit) | Fault::WallTime(limit), .. })
                if is_made_up && self.plugin.is_builtin() =>
            {
                let limit = limit.as_millis();
                let message = format!("gave up after {limit} ms over {what}: a simpler schema may do");
                StrategyError::Rejected(Box::new(Rejection::bad_request(self.plugin.name(), message)))
            }
            error => error,
        }
    }

    /// Asks the version that serves, and tells how that went.
    async fn told<T>(
        &self,
        ask: impl AsyncFnOnce(&Arc<Plugin>) -> Result<T, StrategyError>,
    ) -> Result<T, StrategyError> {
        let current = self.plugin.current();
        let version = &current.version;
        let mut watched = Watched { plugin: &self.plugin, version, start: Instant::now(), has_ended: false };
        let result = ask(&current).await;
        watched.end(result.as_ref().map(drop));
        result
    }
}

/// Sees to it that a call that is dropped is reported too.
struct Watched<'a> {
    plugin: &'a ReplicaPlugin,
    version: &'a Version,
    start: Instant,
    has_ended: bool,
}

impl Watched<'_> {
    fn end(&mut self, result: Result<(), &StrategyError>) {
        self.has_ended = true;
        self.plugin.ended(self.version, self.start.elapsed(), result);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.plugin.tell(PluginEvent::Abandoned);
        }
    }
}

impl ResponseStrategy for PluginStrategy {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn sees_to_tools(&self) -> bool {
        self.plugin.current().version.needs.tools()
    }

    fn generate<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
        Box::pin(async move {
            let answer = self.told(async |plugin| ask::generate(plugin, choice).await).await;
            let is_made_up = matches!(
                choice.request.wishes.format,
                OutputFormat::JsonSchema(_) | OutputFormat::Regex(_) | OutputFormat::Choice(_)
            );
            answer.map_err(|error| self.blamed(error, "an answer in the format that is asked for", is_made_up))
        })
    }
}

impl ToolCallStrategy for PluginStrategy {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn call_tools<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Vec<ToolCall>, StrategyError>> {
        Box::pin(async move {
            let calls = self.told(async |plugin| ask::call_tools(plugin, choice).await).await;
            calls.map_err(|error| self.blamed(error, "the arguments of a tool", true))
        })
    }
}

impl EmbeddingStrategy for PluginStrategy {
    fn embed<'a>(&'a self, request: &'a EmbeddingRequest) -> BoxFuture<'a, Result<Vec<Vec<f32>>, StrategyError>> {
        Box::pin(self.told(async |plugin| ask::embed(plugin, request).await))
    }
}

impl FailurePolicy for PluginStrategy {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn select<'a>(&'a self, arrival: &'a Arrival) -> BoxFuture<'a, Result<Vec<Outcome>, StrategyError>> {
        Box::pin(self.told(async |plugin| ask::select(plugin, arrival).await))
    }
}
