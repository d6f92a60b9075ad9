//! Stop strings: where they end an output, and what a stream holds back because it may become one.

use crate::request::SamplingParams;

/// Where a stop string ended the output.
pub(super) struct StopFound {
    /// The token that completed it.
    pub(super) token_idx: usize,
    /// Bytes of text that the client gets.
    pub(super) text_end: usize,
    /// The stop string.
    pub(super) reason: String,
}

/// The stop string that is completed first in a text that follows `n_before` tokens. Where one token completes several,
/// the list's order decides, and none counts before `min_tokens` were generated (vLLM's `check_stop_strings`).
pub(super) fn find_stop(text: &str, ends: &[u32], sampling: &SamplingParams, n_before: usize) -> Option<StopFound> {
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
            reason: stop.clone(),
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
