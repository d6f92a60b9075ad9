//! Sentences, for plugins that have nothing of their own to say.

mod bank;

use rehearsal_sdk::{Rng, RngExt};

/// Sentences from a bank, drawn with `rng`, with at least `n_tokens` words: and so at least as many tokens, in every
/// tokenizer that splits words from each other.
///
/// ```
/// let text = rehearsal_synthesis::sentences(12, &mut rehearsal_sdk::rng(7));
/// assert!(text.split_whitespace().count() >= 12);
/// ```
pub fn sentences(n_tokens: u32, rng: &mut impl Rng) -> String {
    let mut text = String::new();
    let mut words = 0;
    while words < n_tokens {
        let sentence = bank::SENTENCES[rng.random_range(0..bank::SENTENCES.len())];
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(sentence);
        words += sentence.split_whitespace().count() as u32;
    }
    text
}
