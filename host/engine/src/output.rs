//! From what a strategy returns to what a client gets: split into tokens, cut at limits and stop strings, with a
//! finish reason. Decided once per choice; streaming then only hands out ranges of it.

mod completion;
mod stop;

use std::ops::Range;
use std::sync::Arc;

use crate::request::{SamplingParams, ToolCall};
use crate::tokenizer::Tokenizer;

pub use completion::{Completion, Content, FinishReason};
use stop::{find_stop, hold_back};

/// What comes out of a request.
#[derive(Debug, Clone)]
pub enum OutputEvent {
    /// Tokens of one choice.
    Tokens(DueTokens),
    /// A failure that was asked for: something that no client can read.
    Malformed,
}

/// Tokens of one choice that fell due together.
#[derive(Debug, Clone)]
pub struct DueTokens {
    /// Which choice.
    pub choice: u32,
    /// Its whole output.
    pub output: Arc<CompletionOutput>,
    /// The tokens that are due; empty only in the one event of an empty output.
    pub tokens: Range<usize>,
}

impl DueTokens {
    /// Whether these are the last tokens of the choice.
    pub fn is_last(&self) -> bool {
        self.tokens.end == self.output.n_tokens()
    }
}

/// One call of a tool. Its name is one token, its arguments are as many as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputCall {
    /// On the wire.
    pub id: String,
    /// The function's.
    pub name: String,
    /// JSON text of an object; cut where the output reached its limit.
    pub arguments: String,
    ends: Vec<u32>,
}

/// What one token of an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text; empty where vLLM holds text back.
    Content(&'a str),
    /// The name of a call.
    CallStart {
        /// Which call.
        call_idx: usize,
    },
    /// More of its arguments.
    Arguments {
        /// Which call.
        call_idx: usize,
        /// What comes next.
        text: &'a str,
    },
}

/// The output of one choice, final before its first token is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletionOutput {
    text: String,
    ends: Vec<u32>,
    calls: Vec<OutputCall>,
    finish_reason: FinishReason,
    stop_reason: Option<String>,
}

impl CompletionOutput {
    /// Splits, cuts and judges `completion`. Fails, with the reason, if it breaks the contract.
    pub fn new(
        completion: Completion,
        max_tokens: u32,
        sampling: &SamplingParams,
        tokenizer: &dyn Tokenizer,
    ) -> Result<Self, String> {
        let (mut text, mut ends) = match completion.content {
            None => (String::new(), Vec::new()),
            Some(content) => content.split(tokenizer)?,
        };
        let max_tokens = max_tokens as usize;
        truncate(&mut text, &mut ends, completion.token_limit.unwrap_or(u32::MAX) as usize);
        let content_was_cut = ends.len() > max_tokens;
        truncate(&mut text, &mut ends, max_tokens);
        let (calls, calls_were_cut) = cut_calls(completion.tool_calls, max_tokens - ends.len(), tokenizer);

        let stop = find_stop(&text, &ends, sampling);
        let reached_max_tokens = ends.len() >= max_tokens;
        let finish_reason = match (&stop, completion.finish) {
            (Some(_), _) => FinishReason::Stop,
            (None, _) if content_was_cut || calls_were_cut => FinishReason::Length,
            (None, Some(reason)) => reason,
            (None, None) if !calls.is_empty() => FinishReason::ToolCalls,
            (None, None) if reached_max_tokens => FinishReason::Length,
            (None, None) => FinishReason::Stop,
        };
        if let Some(stop) = &stop {
            ends.truncate(stop.token_idx);
            // The token that completed it may have more text behind it.
            ends.push(stop.text_end as u32);
            text.truncate(stop.text_end);
        }
        if !sampling.stop.is_empty() && !sampling.include_stop_str_in_output {
            hold_back(&text, &mut ends, &sampling.stop);
        }
        Ok(Self { text, ends, calls, finish_reason, stop_reason: stop.map(|stop| stop.reason) })
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many tokens were generated. With a stop string, the one that completed it counts, though its text may
    /// have been cut away.
    pub fn n_tokens(&self) -> usize {
        self.ends.len() + self.calls.iter().map(|call| 1 + call.ends.len()).sum::<usize>()
    }

    /// The calls of tools, in order.
    pub fn tool_calls(&self) -> &[OutputCall] {
        &self.calls
    }

    /// What a stream carries for one token.
    pub fn piece(&self, token_idx: usize) -> Piece<'_> {
        if token_idx < self.ends.len() {
            return Piece::Content(token(&self.text, &self.ends, token_idx));
        }
        let mut rest = token_idx - self.ends.len();
        for (call_idx, call) in self.calls.iter().enumerate() {
            match rest.checked_sub(1) {
                None => return Piece::CallStart { call_idx },
                Some(at) if at < call.ends.len() => {
                    return Piece::Arguments { call_idx, text: token(&call.arguments, &call.ends, at) };
                }
                Some(at) => rest = at - call.ends.len(),
            }
        }
        Piece::Content("")
    }

    /// Why it ended.
    pub fn finish_reason(&self) -> &FinishReason {
        &self.finish_reason
    }

    /// The stop string that was found.
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop_reason.as_deref()
    }
}

fn token<'a>(text: &'a str, ends: &[u32], token_idx: usize) -> &'a str {
    let start = token_idx.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &text[start..ends[token_idx] as usize]
}

fn truncate(text: &mut String, ends: &mut Vec<u32>, n_tokens: usize) {
    if ends.len() > n_tokens {
        ends.truncate(n_tokens);
        text.truncate(ends.last().map_or(0, |end| *end as usize));
    }
}

/// Calls that fit into `room` tokens, the last one perhaps in part; and whether anything was cut.
fn cut_calls(calls: Vec<ToolCall>, mut room: usize, tokenizer: &dyn Tokenizer) -> (Vec<OutputCall>, bool) {
    let mut fitting = Vec::with_capacity(calls.len());
    let mut was_cut = false;
    for call in calls {
        if room == 0 {
            return (fitting, true);
        }
        let (mut arguments, mut ends) = (call.arguments, Vec::new());
        if !arguments.is_empty() {
            ends = tokenizer.split(&arguments);
        }
        room -= 1;
        was_cut |= ends.len() > room;
        truncate(&mut arguments, &mut ends, room);
        room -= ends.len();
        fitting.push(OutputCall { id: call.id.unwrap_or_default(), name: call.name, arguments, ends });
    }
    (fitting, was_cut)
}

#[cfg(test)]
mod tests;
