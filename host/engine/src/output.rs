//! From what a strategy returns to what a client gets: split into tokens, cut at limits and stop strings, with a
//! finish reason. Decided once per choice; streaming then only hands out ranges of it.

mod completion;
mod logprobs;
mod part;
mod stop;
mod timing;
mod writing;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::history::SequenceHistory;
use crate::request::SamplingParams;
use crate::tokenizer::Tokenizer;

use completion::token;
pub use completion::{Completion, Content, FinishReason};
pub use logprobs::{Alternatives, GivenLogprob, TokenLogprob, prompt_logprobs};
pub use part::OutputCall;
use part::{OutputText, Part};
pub use stop::StopReason;
use timing::PartKind;
pub use timing::{Delays, Timing};
use writing::Writing;

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
    /// How the choice came here. Where its client is slow to read, that may be further than these tokens.
    pub history: SequenceHistory,
}

impl DueTokens {
    /// Whether these are the last tokens of the choice.
    pub fn is_last(&self) -> bool {
        self.tokens.end == self.output.n_tokens()
    }
}

/// What one token of an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text of the reasoning; empty where vLLM holds text back.
    Reasoning(&'a str),
    /// Text of the content, likewise.
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

/// The output of one choice, final before its first token is sent. One index counts the tokens of all of its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionOutput {
    /// Those that have tokens.
    parts: SmallVec<[Part; 1]>,
    /// One for each token, names and arguments of calls included; none where the request has no use for them.
    ids: Vec<u32>,
    /// Of its choice: what is made up about it follows from that.
    seed: u64,
    finish_reason: FinishReason,
    stop_reason: Option<StopReason>,
    /// When its tokens fall due, as far as its strategy says so.
    timing: Option<Box<Timing>>,
    /// How likely its tokens were, as far as its strategy says so.
    logprobs: Vec<Option<GivenLogprob>>,
}

impl CompletionOutput {
    /// Splits, cuts and judges `completion`, of the choice with this seed; with the ids of its tokens if `wants_ids`. Fails,
    /// with the reason, if it breaks the contract.
    pub fn new(
        completion: Completion,
        max_tokens: u32,
        seed: u64,
        sampling: &SamplingParams,
        tokenizer: &dyn Tokenizer,
        wants_ids: bool,
    ) -> Result<Self, String> {
        let Completion { reasoning, content, token_limit, tool_calls, finish, timing, logprobs } = completion;
        let mut writing = Writing::new(max_tokens as usize, sampling, tokenizer, wants_ids);
        let reasoning = reasoning.map(|reasoning| writing.text(reasoning, None)).transpose()?.unwrap_or_default();
        writing.push(reasoning, Part::Reasoning);
        let content = content.map(|content| writing.text(content, token_limit)).transpose()?.unwrap_or_default();
        writing.push(content, Part::Content);
        let reached_max_tokens = writing.room == 0;
        let has_calls = writing.calls(tool_calls);
        let finish_reason = match (&writing.stop_reason, finish) {
            (Some(StopReason::Repetition), _) => FinishReason::Repetition,
            (Some(_), _) => FinishReason::Stop,
            (None, _) if writing.was_cut => FinishReason::Length,
            (None, Some(reason)) => reason,
            (None, None) if has_calls => FinishReason::ToolCalls,
            (None, None) if reached_max_tokens => FinishReason::Length,
            (None, None) => FinishReason::Stop,
        };
        let Writing { parts, ids, stop_reason, .. } = writing;
        Ok(Self { parts, ids, seed, finish_reason, stop_reason, timing, logprobs })
    }

    /// One that was ended before it began.
    pub(crate) fn nothing(seed: u64) -> Self {
        let (parts, ids) = (SmallVec::new(), Vec::new());
        let finish_reason = FinishReason::Abort;
        Self { parts, ids, seed, finish_reason, stop_reason: None, timing: None, logprobs: Vec::new() }
    }

    /// One of these tokens, which stand for no text, and end where they were to.
    pub(crate) fn of_tokens(ids: Vec<u32>) -> Self {
        let content = OutputText { text: String::new(), ends: vec![0; ids.len()] };
        let (parts, finish_reason) = (smallvec::smallvec![Part::Content(content)], FinishReason::Length);
        Self { parts, ids, seed: 0, finish_reason, stop_reason: None, timing: None, logprobs: Vec::new() }
    }

    /// The first `n_tokens` of it, as if it had been ended there.
    pub(crate) fn aborted(&self, n_tokens: usize) -> Self {
        let mut room = n_tokens;
        let mut parts = SmallVec::new();
        for mut part in self.parts.iter().cloned() {
            if room == 0 {
                break;
            }
            part.truncate(room);
            room -= part.n_tokens();
            parts.push(part);
        }
        let ids = self.ids.iter().take(n_tokens).copied().collect();
        let (finish_reason, stop_reason, timing) = (FinishReason::Abort, None, None);
        let logprobs = self.logprobs.iter().take(n_tokens).cloned().collect();
        Self { parts, ids, seed: self.seed, finish_reason, stop_reason, timing, logprobs }
    }

    /// The whole reasoning; `None` if there is none.
    pub fn reasoning(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Reasoning(reasoning) => Some(reasoning.text.as_str()),
            _ => None,
        })
    }

    /// The whole content.
    pub fn text(&self) -> &str {
        let content = self.parts.iter().find_map(|part| match part {
            Part::Content(content) => Some(content.text.as_str()),
            _ => None,
        });
        content.unwrap_or_default()
    }

    /// The calls of tools, in order.
    pub fn tool_calls(&self) -> impl Iterator<Item = &OutputCall> {
        self.parts.iter().filter_map(|part| match part {
            Part::Call(call) => Some(call),
            _ => None,
        })
    }

    /// How many tokens were generated. With a stop string, the one that completed it counts, though its text may
    /// have been cut away.
    pub fn n_tokens(&self) -> usize {
        self.parts.iter().map(Part::n_tokens).sum()
    }

    /// How many of them are reasoning: the first ones.
    pub fn n_reasoning_tokens(&self) -> usize {
        match self.parts.first() {
            Some(part @ Part::Reasoning(_)) => part.n_tokens(),
            _ => 0,
        }
    }

    /// An id for each token; empty where the request had no use for them.
    pub fn token_ids(&self) -> &[u32] {
        &self.ids
    }

    /// What a stream carries for one token.
    pub fn piece(&self, token_idx: usize) -> Piece<'_> {
        let (mut at, mut call_idx) = (token_idx, 0);
        for part in &self.parts {
            if let Some(after) = at.checked_sub(part.n_tokens()) {
                at = after;
                call_idx += usize::from(matches!(part, Part::Call(_)));
                continue;
            }
            return match part {
                Part::Reasoning(reasoning) => Piece::Reasoning(token(&reasoning.text, &reasoning.ends, at)),
                Part::Content(content) => Piece::Content(token(&content.text, &content.ends, at)),
                Part::Call(_) if at == 0 => Piece::CallStart { call_idx },
                Part::Call(call) => Piece::Arguments { call_idx, text: token(&call.arguments, &call.ends, at - 1) },
            };
        }
        Piece::Content("")
    }

    /// When its tokens fall due, as far as its strategy says so.
    pub(crate) fn timing(&self) -> Option<&Timing> {
        self.timing.as_deref()
    }

    /// How long after the token before the one at `token_idx`, from 1, is due, where the model says `model`.
    pub(crate) fn gap(&self, token_idx: usize, model: Duration) -> Duration {
        let Some(timing) = &self.timing else { return model };
        let kind = match self.piece(token_idx) {
            Piece::Reasoning(_) => PartKind::Reasoning,
            Piece::Content(_) => PartKind::Content,
            Piece::CallStart { .. } | Piece::Arguments { .. } => PartKind::Arguments,
        };
        timing.gap(token_idx, kind, model)
    }

    /// Why it ended.
    pub fn finish_reason(&self) -> &FinishReason {
        &self.finish_reason
    }

    /// Whether it ended otherwise than at a length that was known before.
    pub(crate) fn ends_by_itself(&self) -> bool {
        !matches!(self.finish_reason, FinishReason::Length | FinishReason::Abort)
    }

    /// What ended it before its strategy did.
    pub fn stop_reason(&self) -> Option<&StopReason> {
        self.stop_reason.as_ref()
    }
}

#[cfg(test)]
mod tests;
