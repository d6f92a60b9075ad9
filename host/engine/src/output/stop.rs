//! What ends an output before its strategy does: stop strings, stop tokens, repetition. And what a stream holds back because
//! it may become a stop string.

use crate::request::{RepetitionDetection, SamplingParams};

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

/// Where the output ended.
pub(super) struct StopFound {
    /// Its last token.
    pub(super) token_idx: usize,
    /// Bytes of text that the client gets.
    pub(super) text_end: usize,
    /// Why there.
    pub(super) reason: StopReason,
}

/// The first end that is found in a text that follows the tokens `before`. The engine sees a token before its text is
/// known, so that of two ends at one token the stop token counts.
pub(super) fn find_end(
    text: &str,
    ends: &[u32],
    ids: &[u32],
    sampling: &SamplingParams,
    n_before: usize,
    before: &[u32],
) -> Option<StopFound> {
    let token = find_stop_token(ends, ids, sampling, n_before);
    let string = find_stop(text, ends, sampling, n_before);
    let repetition = sampling.repetition_detection.as_ref();
    let repetition = repetition.and_then(|detection| find_repetition(ends, ids, detection, sampling, before));
    [token, string, repetition].into_iter().flatten().min_by_key(|found| found.token_idx)
}

/// The first stop token; its text is only kept with that of stop strings.
fn find_stop_token(ends: &[u32], ids: &[u32], sampling: &SamplingParams, n_before: usize) -> Option<StopFound> {
    if sampling.stop_token_ids.is_empty() {
        return None;
    }
    let counts = |token_idx: usize| n_before + token_idx + 1 >= sampling.min_tokens as usize;
    let is_stop = |(token_idx, id): &(usize, &u32)| counts(*token_idx) && sampling.stop_token_ids.contains(id);
    let (token_idx, id) = ids.iter().enumerate().find(is_stop)?;
    let end = if sampling.include_stop_str_in_output { Some(token_idx) } else { token_idx.checked_sub(1) };
    let text_end = end.map_or(0, |end| ends[end] as usize);
    Some(StopFound { token_idx, text_end, reason: StopReason::Token(*id) })
}

/// The first token that ends a pattern which came often enough, one right after the other.
fn find_repetition(
    ends: &[u32],
    ids: &[u32],
    detection: &RepetitionDetection,
    sampling: &SamplingParams,
    before: &[u32],
) -> Option<StopFound> {
    let all: Vec<u32> = before.iter().chain(ids).copied().collect();
    let repeats = |n_tokens: usize, size: usize| {
        let Some(start) = n_tokens.checked_sub(size.saturating_mul(detection.min_count)) else { return false };
        (start..n_tokens - size).all(|at| all[at] == all[at + size])
    };
    let is_end = |n_tokens: &usize| {
        *n_tokens >= sampling.min_tokens as usize
            && detection.pattern_sizes.clone().take_while(|size| size <= n_tokens).any(|size| repeats(*n_tokens, size))
    };
    let token_idx = (before.len() + 1..=all.len()).find(is_end)? - before.len() - 1;
    Some(StopFound { token_idx, text_end: ends[token_idx] as usize, reason: StopReason::Repetition })
}

/// The stop string that is completed first in a text that follows `n_before` tokens. Where one token completes several,
/// the list's order decides, and none counts before `min_tokens` were generated (vLLM's `check_stop_strings`).
fn find_stop(text: &str, ends: &[u32], sampling: &SamplingParams, n_before: usize) -> Option<StopFound> {
    let first_checked = (sampling.min_tokens as usize).saturating_sub(n_before);
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
            reason: StopReason::Text(stop.clone()),
        })
}

/// Makes every token but the last carry only text that can no longer be part of a stop string, as vLLM's
/// detokeniser does: the last `longest stop - 1` characters stay back until the output ends.
pub(super) fn hold_back(text: &str, ends: &mut [u32], stop: &[String]) {
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
