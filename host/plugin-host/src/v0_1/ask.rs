//! One version of a plugin answers one question: a record goes in, what comes back is read.

use std::sync::Arc;

use futures::future::BoxFuture;
use rehearsal_engine::request::ToolCall;
use rehearsal_engine::{Arrival, Choice, Completion, EmbeddingRequest, Outcome, StrategyError};
use wasmtime::Store;

use crate::call::{Caller, Init};
use crate::contract::Interface;
use crate::guest::Guest;
use crate::plugin::Plugin;
use crate::v0_1::bindings::observer::Ending;
use crate::v0_1::bindings::types::CallError as GuestError;
use crate::v0_1::convert;
use crate::v0_1::exports::Exports;

/// The output of one choice.
pub(crate) async fn generate(plugin: &Arc<Plugin>, choice: &Choice) -> Result<Completion, StrategyError> {
    let caller = Caller::of(&choice.request_id, choice.seed);
    let request = convert::request(choice, &plugin.version.needs, plugin.view());
    let answer = ask(plugin, caller, move |store, exports| {
        Box::pin(async move {
            let generator = exports.generator.as_ref().ok_or_else(|| absent(Interface::Generator))?;
            generator.call_generate(store, &request).await
        })
    });
    convert::completion(answer.await?, plugin.instances.name())
}

/// The calls of offered tools for one choice.
pub(crate) async fn call_tools(plugin: &Arc<Plugin>, choice: &Choice) -> Result<Vec<ToolCall>, StrategyError> {
    let caller = Caller::of(&choice.request_id, choice.seed);
    let request = convert::request(choice, &plugin.version.needs, plugin.view());
    let answer = ask(plugin, caller, move |store, exports| {
        Box::pin(async move {
            let tool_caller = exports.tool_caller.as_ref().ok_or_else(|| absent(Interface::ToolCaller))?;
            tool_caller.call_call_tools(store, &request).await
        })
    });
    convert::tool_calls(answer.await?, plugin.instances.name())
}

/// What fails of one request, and when.
pub(crate) async fn select(plugin: &Arc<Plugin>, arrival: &Arrival) -> Result<Vec<Outcome>, StrategyError> {
    let caller = Caller::of(&arrival.request_id, arrival.seed);
    let record = convert::arrival(arrival, &plugin.version.needs, plugin.view());
    let answer = ask(plugin, caller, move |store, exports| {
        Box::pin(async move {
            let selector = exports.failure_selector.as_ref().ok_or_else(|| absent(Interface::FailureSelector))?;
            selector.call_select(store, &record).await
        })
    });
    convert::outcomes(answer.await?, plugin.instances.name())
}

/// A vector for each input.
pub(crate) async fn embed(plugin: &Arc<Plugin>, request: &EmbeddingRequest) -> Result<Vec<Vec<f32>>, StrategyError> {
    let caller = Caller::of(&request.request_id, request.seed);
    let record = convert::embedding(request, &plugin.version.needs);
    let answer = ask(plugin, caller, move |store, exports| {
        Box::pin(async move {
            let embedder = exports.embedder.as_ref().ok_or_else(|| absent(Interface::Embedder))?;
            embedder.call_embed(store, &record).await
        })
    });
    convert::vectors(answer.await?, request, plugin.instances.name())
}

/// Tells how a request ended.
pub(crate) async fn finished(plugin: &Arc<Plugin>, ending: Ending) -> Result<(), StrategyError> {
    // What it does by chance follows from the request's number: it has no seed of its own.
    let caller = Caller::of(&ending.id.as_str().into(), ending.number);
    let answer = ask(plugin, caller, move |store, exports| {
        Box::pin(async move {
            let observer = exports.observer.as_ref().ok_or_else(|| absent(Interface::Observer))?;
            observer.call_finished(store, &ending).await.map(Ok)
        })
    });
    // It has no way to say that it failed.
    answer.await.map(|_: Result<(), GuestError>| ())
}

async fn ask<A: Send + 'static>(
    plugin: &Arc<Plugin>,
    caller: Caller,
    work: impl for<'a> FnOnce(&'a mut Store<Guest>, &'a Exports) -> BoxFuture<'a, wasmtime::Result<Result<A, GuestError>>>
    + Send
    + 'static,
) -> Result<Result<A, GuestError>, StrategyError> {
    let answer = plugin.instances.call(caller, Init::Before, work).await;
    answer.map_err(|error| error.into_strategy_error(plugin.instances.name()))
}

/// Cannot happen: a reload that loses an export is refused. An error is still better than a panic.
fn absent(interface: Interface) -> wasmtime::Error {
    wasmtime::Error::msg(format!("it does not export {}", interface.name()))
}
