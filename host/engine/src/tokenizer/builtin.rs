//! The tokenizer for models whose own is not at hand: words, punctuation and white space.
//!
//! For ASCII it splits as llm-d's simulated tokenizer does: a word or one punctuation mark, each with the white space
//! that follows it. Unlike that one it drops nothing: tokens joined are the text.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use unicode_segmentation::UnicodeSegmentation;

use super::{Encoded, Tokenizer};

/// Bytes of different tokens that are remembered, so that their ids can be decoded. Past it new ones decode to stand-ins.
const MOST_BYTES: usize = 64 << 20;

/// Of a text of so many bytes, looking for its beginning costs more than it saves.
const SHORT: usize = 64 << 10;

/// What a remembered token takes beside its text.
const TOKEN_BYTES: usize = 48;

/// The built-in tokenizer. An id is the 32-bit FNV-1a hash of its token's bytes, the same in every process; decoding
/// looks it up among the tokens that this process has encoded. An id never seen decodes to the one-token word `t<id>`.
#[derive(Debug, Default)]
pub struct BuiltinTokenizer {
    seen: RwLock<Seen>,
}

/// Tokens by their ids.
#[derive(Debug, Default)]
struct Seen {
    tokens: HashMap<u32, Box<str>>,
    bytes: usize,
}

impl Seen {
    fn remember(&mut self, id: u32, token: &str) {
        let bytes = self.bytes + TOKEN_BYTES + token.len();
        if bytes <= MOST_BYTES && !self.tokens.contains_key(&id) {
            self.tokens.insert(id, token.into());
            self.bytes = bytes;
        }
    }
}

impl Tokenizer for BuiltinTokenizer {
    fn split(&self, text: &str) -> Vec<u32> {
        let mut ends = Vec::with_capacity(text.len() / 4);
        each_token_end(text, |end| ends.push(end as u32));
        ends
    }

    fn count(&self, text: &str) -> u32 {
        let mut count = 0;
        each_token_end(text, |_| count += 1);
        count
    }

    fn count_prompt(&self, text: &str) -> u32 {
        self.count(text)
    }

    fn encode_split(&self, text: &str) -> Encoded {
        let mut encoded = Encoded { ids: Vec::with_capacity(text.len() / 4), ends: Vec::with_capacity(text.len() / 4) };
        let mut new = Vec::new();
        {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            let mut start = 0;
            each_token_end(text, |end| {
                let token = &text[start..end];
                let id = fnv1a(token.as_bytes());
                if !seen.tokens.contains_key(&id) {
                    new.push((id, token));
                }
                encoded.ids.push(id);
                encoded.ends.push(end as u32);
                start = end;
            });
        }
        if !new.is_empty() {
            let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
            new.into_iter().for_each(|(id, token)| seen.remember(id, token));
        }
        encoded
    }

    fn beginning<'a>(&self, text: &'a str, n_tokens: usize) -> &'a str {
        if text.len() <= SHORT.max(n_tokens) {
            return text;
        }
        let (mut at, mut left) = (0, n_tokens.saturating_add(1));
        while at < text.len() && left > 0 {
            at = token_end(text, at);
            left -= 1;
        }
        &text[..at]
    }

    fn remembered_bytes(&self) -> usize {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).bytes
    }

    fn id_of_piece(&self, piece: &str) -> u32 {
        fnv1a(piece.as_bytes())
    }

    fn last_id(&self) -> u32 {
        u32::MAX
    }

    fn longest_token(&self) -> usize {
        usize::MAX
    }

    fn cuts_cleanly(&self) -> bool {
        true
    }

    fn decode_split(&self, ids: &[u32]) -> (String, Vec<u32>) {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let ends = ids
            .iter()
            .map(|id| {
                match seen.tokens.get(id) {
                    Some(token) => text.push_str(token),
                    None => text.push_str(&format!("t{id} ")),
                }
                text.len() as u32
            })
            .collect();
        (text, ends)
    }
}

/// Calls `found` with the end of each token, in order.
fn each_token_end(text: &str, mut found: impl FnMut(usize)) {
    let mut at = 0;
    while at < text.len() {
        at = token_end(text, at);
        found(at);
    }
}

/// Where the token ends that begins at `at`.
fn token_end(text: &str, at: usize) -> usize {
    let core = at + core_len(&text[at..]);
    core + white_space_len(&text[core..])
}

/// The length of the token that `rest` begins with, without the white space behind it.
fn core_len(rest: &str) -> usize {
    let Some(first) = rest.chars().next() else { return 0 };
    if first.is_whitespace() {
        return 0;
    }
    // An underscore begins no word, but may stand inside one.
    if is_word(first) && first != '_' {
        return rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    }
    if first.is_ascii() {
        // Not a grapheme yet: a mark may combine with it.
        if rest.as_bytes().get(1).is_none_or(u8::is_ascii) {
            return 1;
        }
    }
    // One character as a reader sees it: an ideograph, or an emoji with its joiners and modifiers.
    let grapheme = rest.graphemes(true).next().unwrap_or_default();
    grapheme.find(char::is_whitespace).unwrap_or(grapheme.len())
}

fn white_space_len(rest: &str) -> usize {
    rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len())
}

fn is_word(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || c == '_'
    } else {
        c.is_alphanumeric() && !is_ideographic(c) || is_mark(c)
    }
}

/// Scripts that are written without spaces: each character is a token, or a page would be one.
fn is_ideographic(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}'      // Thai, Lao
        | '\u{1000}'..='\u{109F}'    // Myanmar
        | '\u{1780}'..='\u{17FF}'    // Khmer
        | '\u{3040}'..='\u{30FF}'    // Hiragana, Katakana
        | '\u{3100}'..='\u{312F}'    // Bopomofo
        | '\u{3400}'..='\u{4DBF}'    // Han, extension A
        | '\u{4E00}'..='\u{9FFF}'    // Han
        | '\u{F900}'..='\u{FAFF}'    // Han, compatibility
        | '\u{20000}'..='\u{3FFFF}') // Han, further extensions
}

/// Combining marks inside a word, which `char::is_alphanumeric` leaves out.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0489}' | '\u{0591}'..='\u{05C7}' | '\u{064B}'..='\u{065F}' | '\u{0900}'..='\u{0903}' | '\u{093A}'..='\u{094F}')
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<&str> {
        let mut start = 0;
        let tokenizer = BuiltinTokenizer::default();
        let split = tokenizer.split(text);
        assert_eq!(split.len() as u32, tokenizer.count(text));
        split.into_iter().map(|end| &text[std::mem::replace(&mut start, end as usize)..end as usize]).collect()
    }

    #[test]
    fn of_a_long_text_its_beginning_shows_that_it_is_too_long() {
        let tokenizer = BuiltinTokenizer::default();
        let text = "word, ".repeat(50_000);
        let beginning = tokenizer.beginning(&text, 1000);
        assert_eq!((tokenizer.count(beginning), text.starts_with(beginning)), (1001, true));
        assert_eq!(tokenizer.beginning(&text, 100_000), text);
        assert_eq!(tokenizer.beginning(&text[..60_000], 1000), &text[..60_000]);
    }

    #[test]
    fn words_and_punctuation_keep_the_white_space_behind_them() {
        assert_eq!(tokens("This is a test."), ["This ", "is ", "a ", "test", "."]);
        assert_eq!(tokens("_y a_b"), ["_", "y ", "a_b"]);
        assert_eq!(
            tokens("if (x >= 10) {\n\treturn;\r\n}"),
            ["if ", "(", "x ", ">", "= ", "10", ") ", "{\n\t", "return", ";\r\n", "}"]
        );
        assert_eq!(tokens("don't `a|b`"), ["don", "'", "t ", "`", "a", "|", "b", "`"]);
    }

    #[test]
    fn leading_white_space_is_a_token() {
        assert_eq!(tokens("  \n x "), ["  \n ", "x "]);
        assert_eq!(tokens(" "), [" "]);
        assert_eq!(tokens(""), [""; 0]);
    }

    #[test]
    fn other_scripts_split_where_a_reader_would() {
        assert_eq!(tokens("café_x мир, cafe\u{301} ok"), ["café_x ", "мир", ", ", "cafe\u{301} ", "ok"]);
        assert_eq!(tokens("你好，世界。"), ["你", "好", "，", "世", "界", "。"]);
        assert_eq!(tokens("カタ が"), ["カ", "タ ", "が"]);
        assert_eq!(tokens("👩‍👩‍👧‍👦 👍🏽!🇩🇪"), ["👩‍👩‍👧‍👦 ", "👍🏽", "!", "🇩🇪"]);
    }

    #[test]
    fn nothing_is_lost_from_any_text() {
        let alphabet: Vec<char> =
            "aZ_9 \t\r\n.'`|é\u{301}\u{200d}я你が👩🏽🇩\u{0}\u{a0}\u{2028}\u{fffd}ไ".chars().collect();
        let mut state = 1u64;
        for _ in 0..2_000 {
            let text: String = (0..20)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    alphabet[(state >> 33) as usize % alphabet.len()]
                })
                .collect();
            let tokens = tokens(&text);
            assert_eq!(tokens.concat(), text);
            assert!(tokens.iter().all(|token| !token.is_empty()), "{tokens:?}");
        }
    }

    #[test]
    fn ids_are_stable_and_decode_to_what_was_encoded() {
        let tokenizer = BuiltinTokenizer::default();
        assert_eq!(tokenizer.encode("Hello"), [4_116_459_851]);
        assert_eq!(tokenizer.encode("This ### "), [3_157_421_587, fnv1a(b"#"), fnv1a(b"#"), fnv1a(b"# ")]);
        let text = "Täglich  grüßt 你 the 👩‍👩‍👧‍👦.\n";
        assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
    }

    #[test]
    fn an_id_never_seen_decodes_to_one_token() {
        let tokenizer = BuiltinTokenizer::default();
        assert_eq!(tokenizer.decode_split(&[1, 2]), ("t1 t2 ".into(), vec![3, 6]));
        assert_eq!(tokenizer.count("t1 t2 "), 2);
    }
}
