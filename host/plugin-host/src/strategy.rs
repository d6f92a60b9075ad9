//! A plugin as the engine's strategies: which of them it can be depends on what it exports.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use rehearsal_engine::request::ToolCall;
use rehearsal_engine::{
    Arrival, Choice, Completion, FailurePolicy, Outcome, ResponseStrategy, StrategyError, ToolCallStrategy,
};
use wasmtime::Store;

use crate::bindings::types::CallError as GuestError;
use crate::call::{Caller, Init};
use crate::convert;
use crate::imports::Guest;
use crate::needs::Needs;
use crate::plugin::Exports;
use crate::reload::Reloadable;

/// Asks a component.
#[derive(Clone)]
pub(crate) struct PluginStrategy {
    plugin: Arc<Reloadable>,
}

impl PluginStrategy {
    /// None if the plugin does not export `interface`.
    pub(crate) fn new(plugin: &Arc<Reloadable>, interface: &str) -> Option<Self> {
        plugin.current().info.exports.contains(&interface).then(|| Self { plugin: plugin.clone() })
    }

    /// Sends one record to what `work` picks of the component's exports, and reads what comes back.
    async fn ask<Q, A, T>(
        &self,
        caller: Caller,
        record: impl FnOnce(&Needs) -> Q,
        work: impl for<'a> FnOnce(
            &'a mut Store<Guest>,
            &'a Exports,
            Q,
        ) -> BoxFuture<'a, wasmtime::Result<Result<A, GuestError>>>
        + Send
        + 'static,
        read: impl FnOnce(Result<A, GuestError>, &str) -> Result<T, StrategyError>,
    ) -> Result<T, StrategyError>
    where
        Q: Send + 'static,
        A: Send + 'static,
    {
        let mut watched = Watched { plugin: &self.plugin, start: Instant::now(), has_ended: false };
        let version = self.plugin.current();
        let record = record(version.needs());
        let answer = version.call(caller, Init::Before, move |store, exports| work(store, exports, record)).await;
        let name = self.plugin.name();
        let result = answer.map_err(|error| error.into_strategy_error(name)).and_then(|answer| read(answer, name));
        watched.end(result.as_ref().map(drop));
        result
    }
}

/// Sees to it that a call that is dropped is reported too.
struct Watched<'a> {
    plugin: &'a Reloadable,
    start: Instant,
    has_ended: bool,
}

impl Watched<'_> {
    fn end(&mut self, result: Result<(), &StrategyError>) {
        self.has_ended = true;
        self.plugin.ended(self.start.elapsed(), result);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.plugin.abandoned();
        }
    }
}

impl ResponseStrategy for PluginStrategy {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn sees_to_tools(&self) -> bool {
        self.plugin.current().needs().tools()
    }

    fn generate<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
        Box::pin(self.ask(
            Caller::of(&choice.request_id, choice.seed),
            |needs| convert::request(choice, needs),
            |store, exports, request| {
                Box::pin(async move {
                    let generator = exports.generator.as_ref().ok_or_else(|| absent("generator"))?;
                    generator.call_generate(store, &request).await
                })
            },
            convert::completion,
        ))
    }
}

impl ToolCallStrategy for PluginStrategy {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn call_tools<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Vec<ToolCall>, StrategyError>> {
        Box::pin(self.ask(
            Caller::of(&choice.request_id, choice.seed),
            |needs| convert::request(choice, needs),
            |store, exports, request| {
                Box::pin(async move {
                    let tool_caller = exports.tool_caller.as_ref().ok_or_else(|| absent("tool-caller"))?;
                    tool_caller.call_call_tools(store, &request).await
                })
            },
            convert::tool_calls,
        ))
    }
}

impl FailurePolicy for PluginStrategy {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn select<'a>(&'a self, arrival: &'a Arrival) -> BoxFuture<'a, Result<Vec<Outcome>, StrategyError>> {
        Box::pin(self.ask(
            Caller::of(&arrival.request_id, arrival.seed),
            |needs| convert::arrival(arrival, needs),
            |store, exports, arrival| {
                Box::pin(async move {
                    let selector = exports.failure_selector.as_ref().ok_or_else(|| absent("failure-selector"))?;
                    selector.call_select(store, &arrival).await
                })
            },
            convert::outcomes,
        ))
    }
}

/// Cannot happen: a reload that loses an export is refused. An error is still better than a panic.
fn absent(interface: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("it does not export {interface}"))
}
