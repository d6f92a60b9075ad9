//! How the tokens of an answer are spread over the events of a stream.

use std::borrow::Cow;
use std::ops::Range;

use rehearsal_engine::{CompletionOutput, DueTokens, Piece};
use smallvec::SmallVec;

use crate::config::AnswersConfig;

/// Tokens of one event of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Streaming {
    /// At least 1.
    interval: usize,
}

impl Streaming {
    /// As the request wants it, and the server; of two intervals the longer one counts.
    pub fn new(wanted: u32, config: &AnswersConfig) -> Self {
        Self { interval: wanted.max(config.stream_interval.get()) as usize }
    }

    /// Gives `each` every run of the events that `event` completes, with its tokens.
    pub fn each_run(self, event: &DueTokens, mut each: impl FnMut(&Run<'_>, Range<usize>)) {
        for chunk in self.chunks(event) {
            for (run, tokens) in runs(&event.output, chunk) {
                each(&run, tokens);
            }
        }
    }

    /// The tokens of each chunk that `event` completes. As in vLLM, the first chunk has one token, so that TTFT stays
    /// what it is, and the last one what is left. Where an answer ends without a further token, that may be none.
    fn chunks(self, event: &DueTokens) -> impl Iterator<Item = Range<usize>> + use<> {
        let n_tokens = event.output.n_tokens();
        let ends = event.tokens.is_empty() && event.is_last();
        let rest = ends.then(|| match n_tokens.checked_sub(1) {
            Some(last) if !last.is_multiple_of(self.interval) => {
                (last - 1) / self.interval * self.interval + 1..n_tokens
            }
            _ => n_tokens..n_tokens,
        });
        let chunk = move |token_idx: usize| chunk_that_ends_with(token_idx, n_tokens, self.interval);
        event.tokens.clone().filter_map(chunk).chain(rest)
    }
}

fn chunk_that_ends_with(token_idx: usize, n_tokens: usize, interval: usize) -> Option<Range<usize>> {
    let is_full = token_idx.is_multiple_of(interval);
    if !is_full && token_idx + 1 < n_tokens {
        return None;
    }
    let start = match token_idx {
        0 => 0,
        _ => (token_idx - 1) / interval * interval + 1,
    };
    Some(start..token_idx + 1)
}

/// Neighbouring tokens that one delta can carry.
#[derive(Debug, PartialEq, Eq)]
pub enum Run<'a> {
    /// More of the reasoning.
    Reasoning(Cow<'a, str>),
    /// More of the content.
    Content(Cow<'a, str>),
    /// A call begins.
    CallStart {
        /// Which call.
        call_idx: usize,
    },
    /// More of its arguments.
    Arguments {
        /// Which call.
        call_idx: usize,
        /// What comes next.
        text: Cow<'a, str>,
    },
}

/// The runs of a chunk with their tokens; at least one, empty if the chunk is.
fn runs(output: &CompletionOutput, chunk: Range<usize>) -> SmallVec<[(Run<'_>, Range<usize>); 1]> {
    let mut runs: SmallVec<[(Run<'_>, Range<usize>); 1]> = SmallVec::new();
    if chunk.is_empty() {
        runs.push((Run::Content("".into()), chunk.clone()));
    }
    for token_idx in chunk {
        let next = match output.piece(token_idx) {
            Piece::Reasoning(text) => Run::Reasoning(text.into()),
            Piece::Content(text) => Run::Content(text.into()),
            Piece::CallStart { call_idx } => Run::CallStart { call_idx },
            Piece::Arguments { call_idx, text } => Run::Arguments { call_idx, text: text.into() },
        };
        if let Some((run, tokens)) = runs.last_mut()
            && run.goes_on_with(&next)
        {
            tokens.end = token_idx + 1;
        } else {
            runs.push((next, token_idx..token_idx + 1));
        }
    }
    runs
}

impl Run<'_> {
    /// What it adds to a text in which nothing is told apart.
    pub fn text(&self) -> &str {
        match self {
            Run::Reasoning(text) | Run::Content(text) | Run::Arguments { text, .. } => text,
            Run::CallStart { .. } => "",
        }
    }

    /// Takes the text of `next` over, if one delta can carry both.
    fn goes_on_with(&mut self, next: &Run<'_>) -> bool {
        let (text, more) = match (self, next) {
            (Run::Reasoning(text), Run::Reasoning(more)) | (Run::Content(text), Run::Content(more)) => (text, more),
            (Run::Arguments { call_idx, text }, Run::Arguments { call_idx: same, text: more }) if call_idx == same => {
                (text, more)
            }
            _ => return false,
        };
        text.to_mut().push_str(more);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_chunk_has_one_token_and_the_last_one_the_rest() {
        let chunks = |n_tokens: usize, interval: usize| -> Vec<_> {
            (0..n_tokens).filter_map(|token_idx| chunk_that_ends_with(token_idx, n_tokens, interval)).collect()
        };
        assert_eq!(chunks(3, 1), [0..1, 1..2, 2..3]);
        assert_eq!(chunks(8, 3), [0..1, 1..4, 4..7, 7..8]);
        assert_eq!(chunks(7, 3), [0..1, 1..4, 4..7]);
        assert_eq!(chunks(2, 100), [0..1, 1..2]);
    }
}
