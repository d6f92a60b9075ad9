//! A request that ended, in one row.

use rehearsal_engine::{Endpoint, EngineTime, SequenceEvent, SequenceReport, StepReport};
use serde::Serialize;

/// One choice of a request that has ended. Times in seconds.
#[derive(Debug, Serialize)]
pub(super) struct Ended {
    /// After the engine's start.
    at: f64,
    id: String,
    endpoint: &'static str,
    model: String,
    prompt_tokens: u32,
    cached_tokens: u32,
    completion_tokens: u32,
    queue: Option<f64>,
    ttft: Option<f64>,
    e2e: f64,
    /// The finish reason, or what went wrong.
    outcome: String,
    has_failed: bool,
}

impl Ended {
    /// `None` if `sequence` goes on.
    pub(super) fn of(sequence: &SequenceReport, report: &StepReport) -> Option<Self> {
        let choice = &sequence.choice;
        let (outcome, has_failed) = match &sequence.event {
            SequenceEvent::Finished(reason) => (reason.as_str().to_owned(), false),
            SequenceEvent::Failed(error) => (error.to_string(), true),
            SequenceEvent::Aborted => {
                let injected = report.injected.iter().find(|(number, _)| *number == choice.number);
                (injected.map_or_else(|| "aborted".into(), |(_, kind)| format!("injected: {kind}")), true)
            }
            _ => return None,
        };
        let history = &sequence.history;
        let since_arrival = |moment: EngineTime| moment.since(history.arrived).as_secs_f64();
        Some(Self {
            at: report.at.since_start().as_secs_f64(),
            id: choice.full_id(),
            endpoint: path(choice.request.endpoint),
            model: choice.request.model.clone(),
            prompt_tokens: choice.prompt().n_tokens,
            cached_tokens: history.cached_tokens,
            completion_tokens: history.generated_tokens,
            queue: history.scheduled.map(since_arrival),
            ttft: history.first_token.map(since_arrival),
            e2e: since_arrival(report.at),
            outcome,
            has_failed,
        })
    }
}

fn path(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::ChatCompletions => "/v1/chat/completions",
        Endpoint::Completions => "/v1/completions",
        Endpoint::Responses => "/v1/responses",
        Endpoint::Messages => "/v1/messages",
        Endpoint::Generate => "/inference/v1/generate",
    }
}
