//! From what a strategy returns to what a client gets: split into tokens, cut at limits and stop strings, with a
//! finish reason. Decided once per choice; streaming then only hands out ranges of it.

use std::ops::Range;
use std::sync::Arc;

use crate::request::{SamplingParams, ToolCall};
use crate::tokenizer::Tokenizer;

/// What a strategy returns.
#[derive(Debug, Clone, Default)]
pub struct Completion {
    /// The output; none is an empty one.
    pub content: Option<Content>,
    /// The length that the strategy chose: the content is cut there.
    pub token_limit: Option<u32>,
    /// Calls of the tools that the client offered, after the content.
    pub tool_calls: Vec<ToolCall>,
    /// None: `tool_calls` if there are any, `length` if the output reached the limit, else `stop`.
    pub finish: Option<FinishReason>,
}

/// Output in any of the forms that a strategy may find easiest.
#[derive(Debug, Clone)]
pub enum Content {
    /// The engine splits it.
    Text(String),
    /// Already split: token `i` ends at byte `ends[i]` and begins where the one before ended.
    Split {
        /// All tokens, joined.
        text: String,
        /// Never falling, on character boundaries, the last one the length of `text`.
        ends: Vec<u32>,
    },
    /// The engine decodes them.
    TokenIds(Vec<u32>),
}

/// Why an output ended, as on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// It was complete, or a stop string was found.
    Stop,
    /// It reached `max_tokens` or the context window.
    Length,
    /// It calls tools.
    ToolCalls,
    /// A filter cut it.
    ContentFilter,
    /// Whatever a strategy says.
    Other(String),
}

impl FinishReason {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other(reason) => reason,
        }
    }
}

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
            Some(Content::Text(text)) => {
                let ends = tokenizer.split(&text);
                (text, ends)
            }
            Some(Content::Split { text, ends }) => {
                check_ends(&text, &ends)?;
                (text, ends)
            }
            Some(Content::TokenIds(ids)) => tokenizer.decode_split(&ids),
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

struct StopFound {
    token_idx: usize,
    text_end: usize,
    reason: String,
}

/// The stop string that is completed first. Where one token completes several, the list's order decides, and none
/// counts before `min_tokens` were generated (vLLM's `check_stop_strings`).
fn find_stop(text: &str, ends: &[u32], sampling: &SamplingParams) -> Option<StopFound> {
    let first_checked = sampling.min_tokens as usize;
    let completed_by = |match_end: usize| ends.partition_point(|end| (*end as usize) < match_end);
    sampling
        .stop
        .iter()
        .filter_map(|stop| {
            let (start, _) = text.match_indices(stop).find(|(at, _)| completed_by(at + stop.len()) >= first_checked)?;
            Some((completed_by(start + stop.len()), start, stop))
        })
        .min_by_key(|(token_idx, _, _)| *token_idx)
        .map(|(token_idx, start, stop)| StopFound {
            token_idx,
            text_end: if sampling.include_stop_str_in_output { start + stop.len() } else { start },
            reason: stop.clone(),
        })
}

/// Makes every token but the last carry only text that can no longer be part of a stop string, as vLLM's
/// detokeniser does: the last `longest stop - 1` characters stay back until the output ends.
fn hold_back(text: &str, ends: &mut [u32], stop: &[String]) {
    let held_chars = stop.iter().map(|stop| stop.chars().count()).max().unwrap_or(1) - 1;
    let Some((last, others)) = ends.split_last_mut() else { return };
    for end in others {
        // Past the text's end where the stop string itself was cut off.
        let generated = (*end as usize).min(text.len());
        let visible = text[..generated].char_indices().rev().take(held_chars).last().map_or(generated, |(at, _)| at);
        *end = visible as u32;
    }
    *last = text.len() as u32;
}

fn check_ends(text: &str, ends: &[u32]) -> Result<(), String> {
    let mut before = 0;
    for (index, &end) in ends.iter().enumerate() {
        if end < before {
            return Err(format!("ends[{index}] = {end} is less than ends[{}] = {before}", index - 1));
        }
        if end as usize > text.len() {
            return Err(format!("ends[{index}] = {end} is past the text's {} bytes", text.len()));
        }
        if !text.is_char_boundary(end as usize) {
            return Err(format!("ends[{index}] = {end} is not on a character boundary"));
        }
        before = end;
    }
    if before as usize != text.len() {
        return Err(format!("the last of {} ends is {before}, but the text has {} bytes", ends.len(), text.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::BuiltinTokenizer;

    fn output(text: &str, max_tokens: u32, sampling: SamplingParams) -> CompletionOutput {
        let completion = Completion { content: Some(Content::Text(text.into())), ..Default::default() };
        CompletionOutput::new(completion, max_tokens, &sampling, &BuiltinTokenizer::default()).unwrap()
    }

    fn stopping_at(stop: &[&str]) -> SamplingParams {
        SamplingParams { stop: stop.iter().map(|stop| stop.to_string()).collect(), ..Default::default() }
    }

    fn streamed(output: &CompletionOutput) -> Vec<&str> {
        let text = |token_idx| match output.piece(token_idx) {
            Piece::Content(text) | Piece::Arguments { text, .. } => text,
            Piece::CallStart { call_idx } => &output.tool_calls()[call_idx].name,
        };
        (0..output.n_tokens()).map(text).collect()
    }

    #[test]
    fn a_text_within_its_limit_stops_by_itself() {
        let output = output("This is a test.", 6, SamplingParams::default());
        assert_eq!(streamed(&output), ["This ", "is ", "a ", "test", "."]);
        assert_eq!(output.finish_reason(), &FinishReason::Stop);
    }

    #[test]
    fn reaching_the_limit_is_length_even_if_nothing_is_cut() {
        let exact = output("This is a test.", 5, SamplingParams::default());
        assert_eq!((exact.text(), exact.finish_reason()), ("This is a test.", &FinishReason::Length));
        let cut = output("This is a test.", 2, SamplingParams::default());
        assert_eq!((cut.text(), cut.finish_reason()), ("This is ", &FinishReason::Length));
    }

    #[test]
    fn a_strategy_can_choose_a_length_below_the_limit() {
        let completion = Completion {
            content: Some(Content::Text("one two three four".into())),
            token_limit: Some(2),
            ..Default::default()
        };
        // Both below the text's own length.
        for max_tokens in [10, 3] {
            let sampling = SamplingParams::default();
            let tokenizer = BuiltinTokenizer::default();
            let output = CompletionOutput::new(completion.clone(), max_tokens, &sampling, &tokenizer).unwrap();
            assert_eq!((output.text(), output.finish_reason()), ("one two ", &FinishReason::Stop));
        }
    }

    #[test]
    fn a_stop_string_ends_the_text_before_it_and_is_the_stop_reason() {
        let output = output("one two three four", 10, stopping_at(&["four", "two"]));
        assert_eq!((output.text(), output.n_tokens()), ("one ", 2));
        assert_eq!((output.finish_reason(), output.stop_reason()), (&FinishReason::Stop, Some("two")));
    }

    #[test]
    fn a_stop_string_may_span_tokens_and_be_kept() {
        let sampling = SamplingParams { include_stop_str_in_output: true, ..stopping_at(&["wo th"]) };
        let output = output("one two three four", 10, sampling);
        assert_eq!((output.text(), output.n_tokens()), ("one two th", 3));
        assert_eq!(streamed(&output), ["one ", "two ", "th"]);
    }

    #[test]
    fn a_stop_string_before_min_tokens_does_not_count() {
        let sampling = SamplingParams { min_tokens: 2, ..stopping_at(&["o"]) };
        assert_eq!(output("one two three four", 10, sampling).text(), "one two three f");
    }

    #[test]
    fn a_stream_holds_back_what_may_become_a_stop_string() {
        let output = output("one two three", 10, stopping_at(&["xyz"]));
        assert_eq!(streamed(&output), ["on", "e tw", "o three"]);
    }

    fn calling(calls: &[(&str, &str)], max_tokens: u32) -> CompletionOutput {
        let call = |(name, arguments): &(&str, &str)| ToolCall {
            id: Some(format!("id-{name}")),
            name: name.to_string(),
            arguments: arguments.to_string(),
        };
        let completion = Completion { tool_calls: calls.iter().map(call).collect(), ..Default::default() };
        CompletionOutput::new(completion, max_tokens, &SamplingParams::default(), &BuiltinTokenizer::default()).unwrap()
    }

    #[test]
    fn a_call_is_its_name_and_then_its_arguments() {
        let output = calling(&[("f", "{\"a\":1}"), ("g", "{}")], 100);
        assert_eq!(streamed(&output), ["f", "{", "\"", "a", "\"", ":", "1", "}", "g", "{", "}"]);
        assert_eq!(output.finish_reason(), &FinishReason::ToolCalls);
        assert_eq!(output.piece(8), Piece::CallStart { call_idx: 1 });
    }

    #[test]
    fn calls_are_cut_at_the_limit_too() {
        let output = calling(&[("f", "{\"a\":1}"), ("g", "{}")], 3);
        assert_eq!(streamed(&output), ["f", "{", "\""]);
        assert_eq!((output.tool_calls().len(), output.finish_reason()), (1, &FinishReason::Length));
        assert_eq!(calling(&[("f", "{}")], 3).finish_reason(), &FinishReason::ToolCalls);
    }

    #[test]
    fn splits_that_break_the_contract_are_refused_with_the_value() {
        let judge = |text: &str, ends: &[u32]| check_ends(text, ends).unwrap_err();
        assert_eq!(judge("né", &[2, 3]), "ends[0] = 2 is not on a character boundary");
        assert_eq!(judge("no", &[2, 1]), "ends[1] = 1 is less than ends[0] = 2");
        assert_eq!(judge("no", &[3]), "ends[0] = 3 is past the text's 2 bytes");
        assert_eq!(judge("no", &[1]), "the last of 1 ends is 1, but the text has 2 bytes");
        assert_eq!(judge("no", &[]), "the last of 0 ends is 0, but the text has 2 bytes");
        assert_eq!(check_ends("", &[]), Ok(()));
    }
}
