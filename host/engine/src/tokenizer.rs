//! Text into tokens and back. The served model's tokenizer, or the built-in one that needs no files.

mod builtin;
mod hugging_face;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

pub use builtin::BuiltinTokenizer;
pub use hugging_face::{HuggingFaceTokenizer, UnreadableTokenizer};

/// A text above this size is tokenized where it holds up no other request.
const LARGE_TEXT: usize = 4 << 10;

/// Does work on a text of so many bytes; if they are many, on a thread that paces no tokens meanwhile.
pub fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let has_other_threads = || Handle::try_current().is_ok_and(|on| on.runtime_flavor() == RuntimeFlavor::MultiThread);
    if bytes > LARGE_TEXT && has_other_threads() { block_in_place(work) } else { work() }
}

/// Splits, counts and numbers the tokens of a text.
pub trait Tokenizer: Send + Sync {
    /// The tokens of a text that nothing is added to.
    fn encode_split(&self, text: &str) -> Encoded;

    /// The ids of a prompt's tokens, with those that the model wants around each prompt.
    fn encode_prompt(&self, text: &str) -> Vec<u32> {
        self.encode(text)
    }

    /// How many tokens [`Self::encode_prompt`] gives.
    fn count_prompt(&self, text: &str) -> u32 {
        self.encode_prompt(text).len() as u32
    }

    /// Where each token of `text` ends, as in [`Encoded::ends`].
    fn split(&self, text: &str) -> Vec<u32> {
        self.encode_split(text).ends
    }

    /// How many tokens `text` has.
    fn count(&self, text: &str) -> u32 {
        self.encode(text).len() as u32
    }

    /// The ids of the tokens of `text`.
    fn encode(&self, text: &str) -> Vec<u32> {
        self.encode_split(text).ids
    }

    /// The text of `ids`, and where each of them ends in it: never inside a character, so that a token that has a
    /// part of one has no text, and the one that completes it has all of it.
    fn decode_split(&self, ids: &[u32]) -> (String, Vec<u32>);

    /// The text of `ids`.
    fn decode(&self, ids: &[u32]) -> String {
        self.decode_split(ids).0
    }

    /// One token as the vocabulary writes it.
    fn token_string(&self, id: u32) -> String {
        self.decode(&[id])
    }

    /// An id for a piece of text that is to be one token, whatever this tokenizer makes of it.
    fn id_of_piece(&self, piece: &str) -> u32 {
        self.encode(piece).first().copied().unwrap_or_default()
    }

    /// Bytes that it keeps of the texts that it has seen.
    fn remembered_bytes(&self) -> usize {
        0
    }

    /// The largest id in the vocabulary.
    fn last_id(&self) -> u32;

    /// Bytes of text that one token stands for at most; `usize::MAX` if there is no such limit.
    fn longest_token(&self) -> usize;

    /// As much of a text as decides its first `n_tokens` tokens, where it is much longer: what lies behind them need not
    /// be tokenized to be cut off.
    fn beginning<'a>(&self, text: &'a str, n_tokens: usize) -> &'a str {
        &text[..text.floor_char_boundary(self.longest_token().saturating_mul(n_tokens.saturating_add(1)))]
    }

    /// Whether a text that is cut behind a token keeps the tokens before the cut, whatever follows them.
    fn cuts_cleanly(&self) -> bool;
}

/// A text's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// One for each token.
    pub ids: Vec<u32>,
    /// Where each token ends, in bytes: never falling, on character boundaries, the last one the text's length.
    pub ends: Vec<u32>,
}
