//! Text into tokens and back. The served model's tokenizer, or the built-in one that needs no files.

mod builtin;

pub use builtin::BuiltinTokenizer;

/// Splits, counts and numbers the tokens of a text.
pub trait Tokenizer: Send + Sync {
    /// Where each token of `text` ends, in bytes: never falling, on character boundaries, the last one its length.
    fn split(&self, text: &str) -> Vec<u32>;

    /// How many tokens `text` has.
    fn count(&self, text: &str) -> u32;

    /// The ids of the tokens of `text`.
    fn encode(&self, text: &str) -> Vec<u32>;

    /// The text of `ids`, and where each of them ends in it.
    fn decode_split(&self, ids: &[u32]) -> (String, Vec<u32>);

    /// The text of `ids`.
    fn decode(&self, ids: &[u32]) -> String {
        self.decode_split(ids).0
    }
}
