//! How an output comes to be: part by part, until there is no more room or an end was found.

use smallvec::SmallVec;

use super::completion::{Content, Tokens};
use super::part::{OutputCall, OutputText, Part};
use super::stop::{StopReason, find_end, hold_back};
use crate::request::{SamplingParams, ToolCall};
use crate::tokenizer::Tokenizer;

/// An output on its way: parts follow one another until there is no more room or an end was found.
pub(super) struct Writing<'a> {
    sampling: &'a SamplingParams,
    tokenizer: &'a dyn Tokenizer,
    wants_ids: bool,
    /// Tokens that may follow.
    pub(super) room: usize,
    n_tokens: usize,
    pub(super) parts: SmallVec<[Part; 1]>,
    pub(super) ids: Vec<u32>,
    /// Something found no room.
    pub(super) was_cut: bool,
    pub(super) stop_reason: Option<StopReason>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        room: usize,
        sampling: &'a SamplingParams,
        tokenizer: &'a dyn Tokenizer,
        wants_ids: bool,
    ) -> Self {
        let (parts, ids) = (SmallVec::new(), Vec::new());
        Self { sampling, tokenizer, wants_ids, room, n_tokens: 0, parts, ids, was_cut: false, stop_reason: None }
    }

    /// As much of a text as fits, cut at `limit` by its strategy's own choice.
    pub(super) fn text(&mut self, content: Content, limit: Option<u32>) -> Result<Tokens, String> {
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
    pub(super) fn push(&mut self, tokens: Tokens, part: fn(OutputText) -> Part) {
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
    pub(super) fn calls(&mut self, calls: Vec<ToolCall>) -> bool {
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
