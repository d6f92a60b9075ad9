//! How the tokens of an answer are spread over the chunks of a stream.

use std::borrow::Cow;
use std::ops::Range;

use rehearsal_engine::{CompletionOutput, DueTokens, Piece};
use smallvec::SmallVec;

use crate::api::body::CommonFields;
use crate::app::App;

/// What a stream is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streaming {
    /// It ends with its usage.
    pub(crate) include_usage: bool,
    /// Tokens of one chunk, at least 1.
    interval: usize,
}

impl Streaming {
    /// As the request wants it, and the server; of two intervals the longer one counts.
    pub(crate) fn of(common: &CommonFields, app: &App) -> Self {
        Self {
            include_usage: common.include_usage || app.answers.force_include_usage,
            interval: common.stream_interval.max(app.answers.stream_interval.get()) as usize,
        }
    }

    /// Gives `each` every run of the chunks that `event` completes, and whether it is the last one of the answer.
    pub(crate) fn each_run(self, event: &DueTokens, mut each: impl FnMut(&Run<'_>, bool)) {
        for chunk in self.chunks(event) {
            let is_last_chunk = chunk.end == event.output.n_tokens();
            let runs = runs(&event.output, chunk);
            for (run_idx, run) in runs.iter().enumerate() {
                each(run, is_last_chunk && run_idx + 1 == runs.len());
            }
        }
    }

    /// The tokens of each chunk that `event` completes. As in vLLM, the first chunk has one token, so that TTFT stays
    /// what it is, and the last one what is left. Without any token, the one chunk is empty.
    fn chunks(self, event: &DueTokens) -> impl Iterator<Item = Range<usize>> + use<> {
        let n_tokens = event.output.n_tokens();
        let empty = (n_tokens == 0 && event.is_last()).then_some(0..0);
        let chunk = move |token_idx: usize| chunk_that_ends_with(token_idx, n_tokens, self.interval);
        event.tokens.clone().filter_map(chunk).chain(empty)
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
pub(crate) enum Run<'a> {
    Reasoning(Cow<'a, str>),
    Content(Cow<'a, str>),
    CallStart { call_idx: usize },
    Arguments { call_idx: usize, text: Cow<'a, str> },
}

/// The runs of a chunk; at least one, empty if the chunk is.
fn runs(output: &CompletionOutput, chunk: Range<usize>) -> SmallVec<[Run<'_>; 1]> {
    let mut runs: SmallVec<[Run<'_>; 1]> = SmallVec::new();
    if chunk.is_empty() {
        runs.push(Run::Content("".into()));
    }
    for token_idx in chunk {
        match (output.piece(token_idx), runs.last_mut()) {
            (Piece::Reasoning(text), Some(Run::Reasoning(before))) => before.to_mut().push_str(text),
            (Piece::Content(text), Some(Run::Content(before))) => before.to_mut().push_str(text),
            (Piece::Arguments { call_idx, text }, Some(Run::Arguments { call_idx: same, text: before }))
                if *same == call_idx =>
            {
                before.to_mut().push_str(text);
            }
            (Piece::Reasoning(text), _) => runs.push(Run::Reasoning(text.into())),
            (Piece::Content(text), _) => runs.push(Run::Content(text.into())),
            (Piece::CallStart { call_idx }, _) => runs.push(Run::CallStart { call_idx }),
            (Piece::Arguments { call_idx, text }, _) => runs.push(Run::Arguments { call_idx, text: text.into() }),
        }
    }
    runs
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
