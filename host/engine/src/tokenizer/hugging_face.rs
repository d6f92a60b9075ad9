//! The tokenizer of a real model, from its `tokenizer.json`.

use tokenizers::{DecoderWrapper, Encoding, Tokenizer as Model};

use super::{Encoded, Tokenizer};

/// A `tokenizer.json` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a tokenizer: {0}")]
pub struct UnreadableTokenizer(String);

/// A model's own tokenizer.
#[derive(Debug)]
pub struct HuggingFaceTokenizer {
    model: Model,
    last_id: u32,
    longest_token: usize,
}

impl HuggingFaceTokenizer {
    /// Reads the text of a `tokenizer.json`. What it says of truncation and padding does not count: a server does
    /// neither.
    pub fn from_json(json: &[u8]) -> Result<Self, UnreadableTokenizer> {
        let unreadable = |error: tokenizers::Error| UnreadableTokenizer(error.to_string());
        let mut model = Model::from_bytes(json).map_err(unreadable)?;
        model.with_truncation(None).map_err(unreadable)?;
        model.with_padding(None);
        let vocabulary = model.get_vocab(true);
        let last_id = vocabulary.values().copied().max().unwrap_or_default();
        // As they are written there, which is at least as long as the text. Only where every byte of a text is in one of
        // its tokens: others drop white space, or make one token of an unknown word of any length.
        let longest_token = match model.get_decoder() {
            Some(DecoderWrapper::ByteLevel(_)) => vocabulary.keys().map(String::len).max().unwrap_or_default(),
            _ => usize::MAX,
        };
        Ok(Self { model, last_id, longest_token })
    }

    /// None where the vocabulary lacks something of `text` and has nothing for the unknown either.
    fn encoding(&self, text: &str, is_prompt: bool) -> Option<Encoding> {
        self.model.encode_fast(text, is_prompt).ok()
    }
}

/// What stands for a text that the vocabulary has nothing for.
const UNKNOWN: u32 = 0;

impl Tokenizer for HuggingFaceTokenizer {
    fn encode_split(&self, text: &str) -> Encoded {
        let Ok(encoding) = self.model.encode(text, false) else {
            return Encoded { ids: vec![UNKNOWN], ends: vec![text.len() as u32] };
        };
        Encoded { ids: encoding.get_ids().to_vec(), ends: ends(encoding.get_offsets(), text) }
    }

    fn encode_prompt(&self, text: &str) -> Vec<u32> {
        self.encoding(text, true).map_or_else(|| vec![UNKNOWN], |encoding| encoding.get_ids().to_vec())
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.encoding(text, false).map_or_else(|| vec![UNKNOWN], |encoding| encoding.get_ids().to_vec())
    }

    fn decode_split(&self, ids: &[u32]) -> (String, Vec<u32>) {
        let mut stream = self.model.decode_stream(true);
        let mut text = String::new();
        let mut ends = Vec::with_capacity(ids.len());
        for id in ids {
            // Nothing comes out of a token that ends inside a character, or that is not in the vocabulary.
            if let Ok(Some(piece)) = stream.step(*id) {
                text.push_str(&piece);
            }
            ends.push(text.len() as u32);
        }
        // A character that stays incomplete belongs to the last token.
        if let Ok(whole) = self.model.decode(ids, true)
            && whole.starts_with(&text)
            && let Some(last) = ends.last_mut()
        {
            *last = whole.len() as u32;
            text = whole;
        }
        (text, ends)
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.model.decode(ids, false).unwrap_or_default()
    }

    fn token_string(&self, id: u32) -> String {
        self.model.id_to_token(id).unwrap_or_default()
    }

    fn last_id(&self) -> u32 {
        self.last_id
    }

    fn longest_token(&self) -> usize {
        self.longest_token
    }

    fn cuts_cleanly(&self) -> bool {
        false
    }
}

/// Where tokens end, from where they lie. Tokens that share a character lie over all of it; it goes to the last of them.
/// What lies between two, as white space does where a tokenizer drops it, goes to the second.
fn ends(offsets: &[(usize, usize)], text: &str) -> Vec<u32> {
    let mut before = 0;
    let mut ends: Vec<u32> = offsets
        .iter()
        .enumerate()
        .map(|(at, (_, end))| {
            let next_start = offsets.get(at + 1).map_or(text.len(), |(start, _)| *start);
            before = (*end).min(next_start).max(before);
            before as u32
        })
        .collect();
    if let Some(last) = ends.last_mut() {
        *last = text.len() as u32;
    }
    ends
}

#[cfg(test)]
mod tests;
