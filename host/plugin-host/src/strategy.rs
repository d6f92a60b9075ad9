//! A plugin as the engine's strategies: which of them it can be depends on what it exports.

use std::sync::Arc;

use futures::future::BoxFuture;
use rehearsal_engine::request::ToolCall;
use rehearsal_engine::{
    Arrival, Choice, Completion, FailurePolicy, Outcome, ResponseStrategy, StrategyError, ToolCallStrategy,
};
use wasmtime::Store;

use crate::bindings::types;
use crate::call::{Caller, Init};
use crate::convert;
use crate::imports::Guest;
use crate::plugin::{Exports, Plugin};

/// Asks a component.
#[derive(Clone)]
pub(crate) struct PluginStrategy {
    plugin: Arc<Plugin>,
}

impl PluginStrategy {
    /// None if the plugin does not export `generator`.
    pub(crate) fn generator(plugin: &Arc<Plugin>) -> Option<Self> {
        plugin.interfaces.generator.as_ref().map(|_| Self { plugin: plugin.clone() })
    }

    /// None if the plugin does not export `tool-caller`.
    pub(crate) fn tool_caller(plugin: &Arc<Plugin>) -> Option<Self> {
        plugin.interfaces.tool_caller.as_ref().map(|_| Self { plugin: plugin.clone() })
    }

    /// None if the plugin does not export `failure-selector`.
    pub(crate) fn failure_policy(plugin: &Arc<Plugin>) -> Option<Self> {
        plugin.interfaces.failure_selector.as_ref().map(|_| Self { plugin: plugin.clone() })
    }

    /// Sends one choice to what `work` picks of the component's exports.
    async fn ask<T: Send + 'static>(
        &self,
        choice: &Choice,
        work: impl for<'a> FnOnce(&'a mut Store<Guest>, &'a Exports, types::Request) -> BoxFuture<'a, wasmtime::Result<T>>
        + Send
        + 'static,
    ) -> Result<T, StrategyError> {
        let request = convert::request(choice, self.plugin.needs());
        let caller = Caller { request_id: choice.request_id.clone(), seed: choice.seed };
        let answer = self.plugin.call(caller, Init::Before, move |store, exports| work(store, exports, request)).await;
        answer.map_err(|error| error.into_strategy_error(self.plugin.name()))
    }
}

impl ResponseStrategy for PluginStrategy {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn generate<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
        Box::pin(async move {
            let answer = self.ask(choice, |store, exports, request| {
                Box::pin(async move {
                    let generator = exports.generator.as_ref().ok_or_else(|| absent("generator"))?;
                    generator.call_generate(store, &request).await
                })
            });
            convert::completion(answer.await?, self.plugin.name())
        })
    }
}

impl ToolCallStrategy for PluginStrategy {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn call_tools<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Vec<ToolCall>, StrategyError>> {
        Box::pin(async move {
            let answer = self.ask(choice, |store, exports, request| {
                Box::pin(async move {
                    let tool_caller = exports.tool_caller.as_ref().ok_or_else(|| absent("tool-caller"))?;
                    tool_caller.call_call_tools(store, &request).await
                })
            });
            convert::tool_calls(answer.await?, self.plugin.name())
        })
    }
}

impl FailurePolicy for PluginStrategy {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn select<'a>(&'a self, arrival: &'a Arrival) -> BoxFuture<'a, Result<Vec<Outcome>, StrategyError>> {
        Box::pin(async move {
            let record = convert::arrival(arrival, self.plugin.needs());
            let caller = Caller { request_id: arrival.request_id.clone(), seed: arrival.seed };
            let answer = self.plugin.call(caller, Init::Before, move |store, exports| {
                Box::pin(async move {
                    let selector = exports.failure_selector.as_ref().ok_or_else(|| absent("failure-selector"))?;
                    selector.call_select(store, &record).await
                })
            });
            let answer = answer.await.map_err(|error| error.into_strategy_error(self.plugin.name()))?;
            convert::outcomes(answer, self.plugin.name())
        })
    }
}

/// Cannot happen through the constructors; an error is still better than a panic.
fn absent(interface: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("it does not export {interface}"))
}
