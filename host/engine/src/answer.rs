//! Asks the strategies of one request, in the request's own future: first what fails, then, as each choice leaves the
//! queue and while its simulated prefill runs, what it is answered with.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::join_all;
use tokio::task::yield_now;

use crate::core::Sequences;
use crate::driver::Driver;
use crate::failure::{Arrival, FailurePolicy};
use crate::mailbox::Mailbox;
use crate::output::{Completion, CompletionOutput, Content, FinishReason};
use crate::request::ToolChoice;
use crate::scheduler::SequenceId;
use crate::seed::{self, Purpose};
use crate::strategy::{Choice, Fault, Strategies, StrategyError};
use crate::tokenizer::{Tokenizer, aside};

/// What is to be asked of the strategies of one request.
pub(crate) struct Questions {
    pub(crate) driver: Arc<Driver>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) strategies: Strategies,
    /// The engine's, for ids of calls.
    pub(crate) seed: u64,
    pub(crate) tokenizer: Arc<dyn Tokenizer>,
    /// Outputs are to have the ids of their tokens.
    pub(crate) wants_ids: bool,
    /// The request's sequences.
    pub(crate) sequences: Sequences,
    /// What its failure policy is told.
    pub(crate) arrival: Option<Arrival>,
}

/// An output and the plugin that it is from.
type Answer<'a> = Result<(Arc<CompletionOutput>, &'a str), StrategyError>;

/// Answers that wait for those of the request's other choices that were asked. They are told together, in the order of the
/// choices: which call returned first on this machine is not to be seen in the order of a stream's tokens.
#[derive(Default)]
struct Returned<'a> {
    /// All that returned, those that were told included.
    count: usize,
    /// By choice.
    answers: BTreeMap<u32, (SequenceId, Answer<'a>)>,
}

impl Questions {
    /// Asks all of them and hands the answers to the engine.
    pub(crate) async fn ask(self) {
        if let (Some(policy), Some(arrival)) = (&self.strategies.failure_policy, &self.arrival) {
            self.select(&**policy, arrival).await;
        }
        let returned = Mutex::default();
        match &self.sequences[..] {
            [(id, choice)] => self.answer(*id, choice, &returned).await,
            several => drop(join_all(several.iter().map(|(id, choice)| self.answer(*id, choice, &returned))).await),
        }
    }

    async fn select(&self, policy: &dyn FailurePolicy, arrival: &Arrival) {
        let selected = or_lost(policy.select(arrival)).await;
        self.driver.change(|core, now| match selected {
            Ok(outcomes) => core.selected(arrival.number, outcomes, now),
            Err(error) => core.request_failed(arrival.number, error),
        });
    }

    async fn answer<'a>(&'a self, id: SequenceId, choice: &'a Choice, returned: &Mutex<Returned<'a>>) {
        let cached_tokens = poll_fn(|context| self.mailbox.poll_admitted(choice.index, context)).await;
        let asked = match cached_tokens {
            0 => Cow::Borrowed(choice),
            cached_tokens => Cow::Owned(Choice { cached_tokens, ..choice.clone() }),
        };
        let answer = or_lost(self.output(&asked)).await;
        // Requests that arrived together are all asked before the first is answered: then their answers leave one right
        // after the other, and their client is woken once for them and not once for each.
        yield_now().await;
        let answers = {
            let mut returned = returned.lock().unwrap_or_else(PoisonError::into_inner);
            returned.count += 1;
            returned.answers.insert(choice.index, (id, answer));
            if returned.count < self.mailbox.n_admitted() {
                return;
            }
            std::mem::take(&mut returned.answers)
        };
        self.driver.change(|core, now| {
            for (id, answer) in answers.into_values() {
                match answer {
                    Ok((output, plugin)) => core.answered(id, output, plugin, now),
                    Err(error) => core.failed(id, error, now),
                }
            }
        });
    }

    /// What the strategies answer, cut to what the client gets, and which plugin it is from.
    async fn output(&self, choice: &Choice) -> Answer<'_> {
        let generator = &self.strategies.generator;
        let (completion, plugin) = match self.tool_calls(choice).await? {
            Some(calls) => calls,
            None => (generator.generate(choice).await?, generator.name()),
        };
        let mut completion = self.with_call_ids(completion, choice);
        if !choice.request.separates_reasoning {
            let merged = completion.with_reasoning_in_content(&*self.tokenizer);
            completion = merged.map_err(|message| Fault::InvalidOutput(message).of(plugin))?;
        }
        let sampling = &choice.request.sampling;
        let (max_tokens, seed, wants_ids) = (choice.max_tokens, choice.seed, self.wants_ids);
        let tokenizer = &*self.tokenizer;
        let bytes = [&completion.reasoning, &completion.content].into_iter().flatten().map(Content::text_bytes).sum();
        let output =
            aside(bytes, || CompletionOutput::new(completion, max_tokens, seed, sampling, tokenizer, wants_ids))
                .map_err(|message| Fault::InvalidOutput(message).of(plugin))?;
        Ok((Arc::new(output), plugin))
    }

    /// The calls of offered tools, and the plugin that made them up; `None` if text is to be generated.
    async fn tool_calls(&self, choice: &Choice) -> Result<Option<(Completion, &str)>, StrategyError> {
        let wishes = &choice.request.wishes;
        let Some(tool_caller) = &self.strategies.tool_caller else { return Ok(None) };
        if self.strategies.generator.sees_to_tools() {
            return Ok(None);
        }
        if wishes.tools.is_empty() || wishes.tool_choice == ToolChoice::None {
            return Ok(None);
        }
        let mut tool_calls = tool_caller.call_tools(choice).await?;
        if !wishes.parallel_tool_calls {
            tool_calls.truncate(1);
        }
        if tool_calls.is_empty() {
            return match &wishes.tool_choice {
                ToolChoice::None | ToolChoice::Auto => Ok(None),
                ToolChoice::Required | ToolChoice::Function(_) => {
                    let message = "it returned no call although the tool choice demands one";
                    Err(Fault::InvalidOutput(message.into()).of(tool_caller.name()))
                }
            };
        }
        // vLLM's quirk: a call that was demanded by name is a plain stop.
        let finish = matches!(wishes.tool_choice, ToolChoice::Function(_)).then_some(FinishReason::Stop);
        Ok(Some((Completion { tool_calls, finish, ..Default::default() }, tool_caller.name())))
    }

    /// Gives an id in vLLM's format to each call whose strategy did not.
    fn with_call_ids(&self, mut completion: Completion, choice: &Choice) -> Completion {
        for (call_idx, call) in (0..).zip(&mut completion.tool_calls) {
            call.id.get_or_insert_with(|| {
                let parts = [self.seed, choice.number, choice.index.into(), call_idx];
                format!("chatcmpl-tool-{:016x}", seed::derive(Purpose::ToolCallId, &parts))
            });
        }
        completion
    }
}

/// A panic in a strategy is a defect of this program. It ends its own request and no other.
async fn or_lost<T>(answer: impl Future<Output = Result<T, StrategyError>>) -> Result<T, StrategyError> {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or(Err(StrategyError::Lost))
}
