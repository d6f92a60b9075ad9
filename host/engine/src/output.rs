//! From what a strategy returns to what a client gets: split into tokens, cut at limits and stop strings, with a
//! finish reason. Decided once per choice; streaming then only hands out ranges of it.

mod completion;
mod stop;

use std::ops::Range;
use std::sync::Arc;

use crate::request::{SamplingParams, ToolCall};
use crate::tokenizer::Tokenizer;

pub use completion::{Completion, Content, FinishReason};
use completion::{Tokens, token};
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
    /// Prompt tokens of the choice that were in the KV cache when it was first admitted.
    pub cached_tokens: u32,
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
    /// One for each token, names and arguments of calls included; none where nobody wants them.
    ids: Vec<u32>,
    calls: Vec<OutputCall>,
    finish_reason: FinishReason,
    stop_reason: Option<String>,
}

impl CompletionOutput {
    /// Splits, cuts and judges `completion`; with the ids of its tokens if `wants_ids`. Fails, with the reason, if it
    /// breaks the contract.
    pub fn new(
        completion: Completion,
        max_tokens: u32,
        sampling: &SamplingParams,
        tokenizer: &dyn Tokenizer,
        wants_ids: bool,
    ) -> Result<Self, String> {
        let max_tokens = max_tokens as usize;
        let mut content = match completion.content {
            None => Tokens::default(),
            Some(content) => Tokens::new(content, max_tokens, tokenizer, wants_ids)?,
        };
        let wanted = completion.token_limit.map_or(content.len(), |limit| content.len().min(limit as usize));
        let content_was_cut = wanted > max_tokens;
        match completion.token_limit {
            Some(_) => content.truncate_to_count(wanted.min(max_tokens), tokenizer),
            None => content.truncate(max_tokens),
        }
        let room = max_tokens - content.len();
        let Tokens { mut text, mut ends, mut ids } = content;
        let calls = FittingCalls::new(completion.tool_calls, room, tokenizer, wants_ids);

        let stop = find_stop(&text, &ends, sampling);
        let reached_max_tokens = ends.len() >= max_tokens;
        let finish_reason = match (&stop, completion.finish) {
            (Some(_), _) => FinishReason::Stop,
            (None, _) if content_was_cut || calls.were_cut => FinishReason::Length,
            (None, Some(reason)) => reason,
            (None, None) if !calls.calls.is_empty() => FinishReason::ToolCalls,
            (None, None) if reached_max_tokens => FinishReason::Length,
            (None, None) => FinishReason::Stop,
        };
        if let Some(stop) = &stop {
            ends.truncate(stop.token_idx);
            // The token that completed it may have more text behind it.
            ends.push(stop.text_end as u32);
            text.truncate(stop.text_end);
            ids.truncate(ends.len());
        }
        ids.extend(calls.ids);
        if !sampling.stop.is_empty() && !sampling.include_stop_str_in_output {
            hold_back(&text, &mut ends, &sampling.stop);
        }
        Ok(Self { text, ends, ids, calls: calls.calls, finish_reason, stop_reason: stop.map(|stop| stop.reason) })
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

    /// An id for each token; empty if nobody wanted them.
    pub fn token_ids(&self) -> &[u32] {
        &self.ids
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

/// Calls that fit, the last one perhaps in part.
#[derive(Default)]
struct FittingCalls {
    calls: Vec<OutputCall>,
    /// Of their tokens, if wanted.
    ids: Vec<u32>,
    were_cut: bool,
}

impl FittingCalls {
    /// As many of `calls` as fit into `room` tokens.
    fn new(calls: Vec<ToolCall>, mut room: usize, tokenizer: &dyn Tokenizer, wants_ids: bool) -> Self {
        let mut fitting = Self::default();
        for call in calls {
            if room == 0 {
                return Self { were_cut: true, ..fitting };
            }
            room -= 1;
            let mut arguments = Tokens::split(call.arguments, tokenizer, wants_ids);
            fitting.were_cut |= arguments.len() > room;
            arguments.truncate(room);
            room -= arguments.len();
            let Tokens { text: arguments, ends, ids } = arguments;
            if wants_ids {
                fitting.ids.push(tokenizer.id_of_piece(&call.name));
                fitting.ids.extend(ids);
            }
            fitting.calls.push(OutputCall { id: call.id.unwrap_or_default(), name: call.name, arguments, ends });
        }
        fitting
    }
}

#[cfg(test)]
mod tests;
