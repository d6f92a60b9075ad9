//! One choice on its way: it waits for its place, asks the strategies during its simulated prefill, and paces what it
//! got.

use std::sync::Arc;

use futures::future::try_join;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Shared;
use super::state::{Admission, Preempted};
use crate::failure::Gate;
use crate::latency::PrefillCounts;
use crate::observer::EngineEvent;
use crate::output::{Completion, CompletionOutput, Content, DueTokens, FinishReason, OutputEvent};
use crate::pacing::{Pacer, wait_until};
use crate::request::ToolChoice;
use crate::scheduler::SequenceId;
use crate::seed::{self, EngineRng, Purpose};
use crate::strategy::{Choice, Fault, Strategies, StrategyError};
use crate::tokenizer::aside;

/// A sequence's place, waiting or running, and its duty to report one end. Both end when it is dropped.
pub(super) struct Sequence {
    shared: Arc<Shared>,
    id: SequenceId,
    choice: Choice,
    /// Where to wait for failures to be played, if they are.
    gate: Option<Arc<Gate>>,
    /// Unbounded, but holds at most the choice's `max_tokens` events: a slow client must not hold its place longer.
    events: mpsc::UnboundedSender<Result<OutputEvent, StrategyError>>,
    ended: bool,
}

impl Sequence {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: SequenceId,
        choice: Choice,
        gate: Option<Arc<Gate>>,
        events: mpsc::UnboundedSender<Result<OutputEvent, StrategyError>>,
    ) -> Self {
        shared.tell(&choice, EngineEvent::Queued);
        Self { shared, id, choice, gate, events, ended: false }
    }

    pub(super) async fn run(mut self, admitted: oneshot::Receiver<Admission>, strategies: Strategies) {
        let Ok(admission) = admitted.await else { return };
        let cached_tokens = admission.cached_tokens;
        self.shared.tell(&self.choice, EngineEvent::Scheduled { cached_tokens });
        self.tell_adapter(&admission);
        if let Some(gate) = &self.gate {
            gate.is_scheduled().await;
        }
        let mut rng =
            seed::rng(Purpose::Latency, &[self.shared.config.seed, self.choice.number, self.choice.index.into()]);
        let prefilled_at = self.prefilled_at(&admission, 0, &mut rng);
        let prefill = async {
            wait_until(prefilled_at).await;
            Ok(())
        };
        let (output, answered_at) = match try_join(self.output(&strategies, prefilled_at), prefill).await {
            Ok((answer, ())) => answer,
            Err(error) => return self.fail(error),
        };

        // The first token waits for the slower of the two; the rest follow from it.
        let mut pacer = Pacer::new(prefilled_at.max(answered_at), output.n_tokens());
        let last = loop {
            let deadline = pacer.due();
            let due = pacer.next(|| self.shared.latency.next_token(self.shared.load(), &mut rng)).await;
            let room = self.shared.make_room(self.id, output.token_ids(), due.start, due.end);
            let end = room.as_ref().map_or_else(|preempted| preempted.may_send, |()| due.end);
            let due =
                DueTokens { choice: self.choice.index, output: output.clone(), tokens: due.start..end, cached_tokens };
            if !due.tokens.is_empty() || due.is_last() {
                self.shared.tell(&self.choice, EngineEvent::Tokens(due.tokens.len()));
            }
            if due.is_last() {
                break due;
            }
            if !due.tokens.is_empty() {
                // Fails only when the stream is dropped, and then this task is aborted.
                let _ = self.events.send(Ok(OutputEvent::Tokens(due)));
            }
            if let Err(Preempted { may_send, readmitted }) = room {
                self.shared.tell(&self.choice, EngineEvent::Preempted);
                let Ok(admission) = readmitted.await else { return };
                self.tell_adapter(&admission);
                // What it had is computed again, unless it is still there.
                pacer.resume(may_send, self.prefilled_at(&admission, may_send, &mut rng).max(deadline));
            }
        };
        let last = Ok(OutputEvent::Tokens(last));
        match self.gate.clone() {
            // The place is free before the client can know that the answer is complete.
            None => {
                self.end(EngineEvent::Finished(output.finish_reason()));
                let _ = self.events.send(last);
            }
            Some(gate) => {
                let _ = self.events.send(last);
                gate.until_passed_on().await;
                self.end(EngineEvent::Finished(output.finish_reason()));
            }
        }
    }

    fn tell_adapter(&self, admission: &Admission) {
        if admission.loads_adapter {
            self.shared.tell(&self.choice, EngineEvent::AdapterLoaded);
        }
    }

    /// When the KV cache of the prompt and of the tokens that were `sent` is there.
    fn prefilled_at(&self, admission: &Admission, sent: usize, rng: &mut EngineRng) -> Instant {
        let counts = PrefillCounts {
            prompt_tokens: self.choice.prompt().n_tokens + sent as u32,
            cached_tokens: admission.cached_tokens,
            // Only the first time: the other server does not keep it.
            remote_prefill: self.choice.request.remote_prefill && sent == 0,
        };
        admission.at + self.shared.latency.first_token(counts, self.shared.load(), rng)
    }

    /// What the strategies answer, cut to what the client gets, and when it was ready.
    async fn output(
        &self,
        strategies: &Strategies,
        prefilled_at: Instant,
    ) -> Result<(Arc<CompletionOutput>, Instant), StrategyError> {
        let (completion, plugin) = match self.tool_calls(strategies).await? {
            Some(calls) => calls,
            None => (strategies.generator.generate(&self.choice).await?, strategies.generator.name()),
        };
        let completion = self.with_call_ids(completion);
        let sampling = &self.choice.request.sampling;
        let wants_ids = self.shared.hasher.is_some();
        let max_tokens = self.choice.max_tokens;
        let tokenizer = &*self.shared.tokenizer;
        let bytes = completion.content.as_ref().map_or(0, Content::text_bytes);
        let output = aside(bytes, || CompletionOutput::new(completion, max_tokens, sampling, tokenizer, wants_ids))
            .map_err(|message| Fault::InvalidOutput(message).of(plugin))?;
        let answered_at = Instant::now();
        let lateness = answered_at.saturating_duration_since(prefilled_at);
        self.shared.tell(&self.choice, EngineEvent::Answered(plugin, lateness));
        Ok((Arc::new(output), answered_at))
    }

    /// The calls of offered tools, and who made them up; none if text is to be generated.
    async fn tool_calls<'a>(&self, strategies: &'a Strategies) -> Result<Option<(Completion, &'a str)>, StrategyError> {
        let wishes = &self.choice.request.wishes;
        let Some(tool_caller) = &strategies.tool_caller else { return Ok(None) };
        if strategies.generator.sees_to_tools() {
            return Ok(None);
        }
        if wishes.tools.is_empty() || wishes.tool_choice == ToolChoice::None {
            return Ok(None);
        }
        let mut tool_calls = tool_caller.call_tools(&self.choice).await?;
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
    fn with_call_ids(&self, mut completion: Completion) -> Completion {
        for (call_idx, call) in (0..).zip(&mut completion.tool_calls) {
            call.id.get_or_insert_with(|| {
                let parts = [self.shared.config.seed, self.choice.number, self.choice.index.into(), call_idx];
                format!("chatcmpl-tool-{:016x}", seed::derive(Purpose::ToolCallId, &parts))
            });
        }
        completion
    }

    fn fail(mut self, error: StrategyError) {
        self.end(EngineEvent::Failed(&error));
        let _ = self.events.send(Err(error));
    }

    /// Reports the one terminal event and gives the place to whoever waits longest.
    fn end(&mut self, event: EngineEvent<'_>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        {
            let mut state = self.shared.lock();
            state.remove(self.id);
            self.shared.settle(&mut state);
        }
        self.shared.tell(&self.choice, event);
    }
}

impl Drop for Sequence {
    fn drop(&mut self) {
        self.end(EngineEvent::Aborted);
    }
}
