//! A plugin that exports `generator`, as the engine's strategy.

use std::sync::Arc;

use futures::future::BoxFuture;
use rehearsal_engine::{Choice, Completion, ResponseStrategy, StrategyError};

use crate::call::{Caller, Init};
use crate::convert;
use crate::plugin::Plugin;

/// Asks a component for the output of each choice.
pub(crate) struct Generator {
    plugin: Arc<Plugin>,
}

impl Generator {
    /// None if the plugin does not export `generator`.
    pub(crate) fn new(plugin: Arc<Plugin>) -> Option<Self> {
        plugin.exports_generator().then_some(Self { plugin })
    }
}

impl ResponseStrategy for Generator {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn generate<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>> {
        Box::pin(async move {
            let request = convert::request(choice, self.plugin.needs());
            let caller = Caller { request_id: choice.request_id.clone(), seed: choice.seed };
            let answer = self
                .plugin
                .call(caller, Init::Before, move |store, exports| {
                    Box::pin(async move {
                        match &exports.generator {
                            Some(generator) => generator.call_generate(store, &request).await,
                            None => Err(wasmtime::Error::msg("it does not export generator")),
                        }
                    })
                })
                .await
                .map_err(|error| error.into_strategy_error(self.name()))?;
            convert::completion(answer, self.name())
        })
    }
}
