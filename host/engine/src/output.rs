//! From what a strategy returns to what a client gets: split into tokens, cut at limits and stop strings, with a
//! finish reason. Decided once per choice; streaming then only hands out ranges of it.

mod completion;
mod logprobs;
mod stop;
mod timing;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::history::SequenceHistory;
use crate::request::{SamplingParams, ToolCall};
use crate::tokenizer::Tokenizer;

pub use completion::{Completion, Content, FinishReason};
use completion::{Tokens, token};
pub use logprobs::{Alternatives, GivenLogprob, TokenLogprob, prompt_logprobs};
use stop::{find_end, hold_back};
use timing::PartKind;
pub use timing::{Delays, Timing};

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

/// Text, and where each of its tokens ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OutputText {
    text: String,
    ends: Vec<u32>,
}

/// What an output is made of, in the order of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// What the model thinks before it answers.
    Reasoning(OutputText),
    /// The answer.
    Content(OutputText),
    /// A call of a tool that was offered.
    Call(OutputCall),
}

impl Part {
    fn n_tokens(&self) -> usize {
        match self {
            Self::Reasoning(text) | Self::Content(text) => text.ends.len(),
            Self::Call(call) => 1 + call.ends.len(),
        }
    }

    /// Keeps the first `n_tokens`, at least one.
    fn truncate(&mut self, n_tokens: usize) {
        let (text, ends, n_tokens) = match self {
            Self::Reasoning(OutputText { text, ends }) | Self::Content(OutputText { text, ends }) => {
                (text, ends, n_tokens)
            }
            Self::Call(OutputCall { arguments, ends, .. }) => (arguments, ends, n_tokens - 1),
        };
        ends.truncate(n_tokens);
        text.truncate(ends.last().map_or(0, |end| *end as usize));
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

/// What ended an output before its strategy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// This stop string.
    Text(String),
    /// This token.
    Token(u32),
    /// It repeated itself.
    Repetition,
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

/// An output on its way: parts follow one another until there is no more room or an end was found.
struct Writing<'a> {
    sampling: &'a SamplingParams,
    tokenizer: &'a dyn Tokenizer,
    wants_ids: bool,
    /// Tokens that may follow.
    room: usize,
    n_tokens: usize,
    parts: SmallVec<[Part; 1]>,
    ids: Vec<u32>,
    /// Something found no room.
    was_cut: bool,
    stop_reason: Option<StopReason>,
}

impl<'a> Writing<'a> {
    fn new(room: usize, sampling: &'a SamplingParams, tokenizer: &'a dyn Tokenizer, wants_ids: bool) -> Self {
        let (parts, ids) = (SmallVec::new(), Vec::new());
        Self { sampling, tokenizer, wants_ids, room, n_tokens: 0, parts, ids, was_cut: false, stop_reason: None }
    }

    /// As much of a text as fits, cut at `limit` by its strategy's own choice.
    fn text(&mut self, content: Content, limit: Option<u32>) -> Result<Tokens, String> {
        let mut tokens = Tokens::new(content, self.room, self.tokenizer, self.wants_ids)?;
        let wanted = limit.map_or(tokens.len(), |limit| tokens.len().min(limit as usize));
        self.was_cut |= wanted > self.room;
        match limit {
            Some(_) => tokens.truncate_to_count(wanted.min(self.room), self.tokenizer),
            None => tokens.truncate(self.room),
        }
        Ok(tokens)
    }

    /// Adds a text up to the first end in it.
    fn push(&mut self, tokens: Tokens, part: fn(OutputText) -> Part) {
        if self.stop_reason.is_some() || tokens.len() == 0 {
            return;
        }
        let Tokens { mut text, mut ends, mut ids } = tokens;
        let stop = find_end(&text, &ends, &ids, self.sampling, self.n_tokens, &self.ids);
        self.room -= ends.len();
        if let Some(stop) = stop {
            ends.truncate(stop.token_idx);
            // The token that completed it may have more text behind it.
            ends.push(stop.text_end as u32);
            text.truncate(stop.text_end);
            ids.truncate(ends.len());
            self.stop_reason = Some(stop.reason);
        }
        if !self.sampling.stop.is_empty() && !self.sampling.include_stop_str_in_output {
            hold_back(&text, &mut ends, &self.sampling.stop);
        }
        self.n_tokens += ends.len();
        self.ids.append(&mut ids);
        self.parts.push(part(OutputText { text, ends }));
    }

    /// Adds as many calls as there is room for, the last one perhaps in part; whether there is any. None follows a stop
    /// string.
    fn calls(&mut self, calls: Vec<ToolCall>) -> bool {
        let n_parts = self.parts.len();
        for call in calls.into_iter().take_while(|_| self.stop_reason.is_none()) {
            if self.room == 0 {
                self.was_cut = true;
                break;
            }
            self.room -= 1;
            let mut arguments = Tokens::split(call.arguments, self.tokenizer, self.wants_ids);
            self.was_cut |= arguments.len() > self.room;
            arguments.truncate(self.room);
            self.room -= arguments.len();
            let Tokens { text: arguments, ends, ids } = arguments;
            if self.wants_ids {
                self.ids.push(self.tokenizer.id_of_piece(&call.name));
                self.ids.extend(ids);
            }
            let id = call.id.unwrap_or_default();
            self.parts.push(Part::Call(OutputCall { id, name: call.name, arguments, ends }));
        }
        self.parts.len() > n_parts
    }
}

#[cfg(test)]
mod tests;
