//! A byte-level BPE of a handful of merges, small enough to work out by hand.

use serde_json::{Value, json};

use super::*;
use crate::output::{Completion, CompletionOutput, Content};
use crate::request::SamplingParams;

/// GPT-2's letters for bytes: printable ones stand for themselves, the others for what follows U+0100.
fn byte_letters() -> Vec<char> {
    let mut next = 0x100;
    (0..=255u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => byte.into(),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap()
            }
        })
        .collect()
}

/// Ids 0 to 255 are bytes, then the merges in order, then one special token that prompts begin with.
fn tiny() -> HuggingFaceTokenizer {
    let merges =
        [("h", "e"), ("Ġ", "t"), ("Ġt", "he"), ("l", "l"), ("o", "w"), ("e", "ll"), ("h", "ell"), ("hell", "o")];
    let mut vocab: serde_json::Map<String, Value> =
        byte_letters().iter().enumerate().map(|(id, letter)| (letter.to_string(), id.into())).collect();
    for (left, right) in merges {
        vocab.insert(format!("{left}{right}"), vocab.len().into());
    }
    let special = vocab.len();
    let merges: Vec<_> = merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let begin = json!([{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }]);
    let tokenizer = json!({
        "added_tokens": [{ "id": special, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                           "normalized": false, "special": true }],
        "normalizer": { "type": "NFC" },
        "pre_tokenizer": byte_level,
        "post_processor": { "type": "TemplateProcessing", "single": begin, "pair": begin,
                            "special_tokens": { "<s>": { "id": "<s>", "ids": [special], "tokens": ["<s>"] } } },
        "decoder": byte_level,
        "truncation": { "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0 },
        "model": { "type": "BPE", "vocab": vocab, "merges": merges },
    });
    HuggingFaceTokenizer::from_json(tokenizer.to_string().as_bytes()).unwrap()
}

fn pieces(text: &str) -> Vec<String> {
    let mut start = 0;
    let ends = tiny().split(text);
    ends.into_iter().map(|end| text[std::mem::replace(&mut start, end as usize)..end as usize].to_owned()).collect()
}

#[test]
fn tokens_joined_are_the_text_and_none_ends_inside_a_character() {
    assert_eq!(pieces("hello the low"), ["he", "ll", "o", " the", " ", "l", "ow"]);
    assert_eq!(pieces("né"), ["n", "", "é"]);
    assert_eq!(pieces("👍!"), ["", "", "", "👍", "!"]);
    // NFC makes one character of two; the text that clients get stays as it was.
    assert_eq!(pieces("e\u{301}").concat(), "e\u{301}");
    assert_eq!(pieces(""), [""; 0]);
}

#[test]
fn ids_decode_to_the_text_and_a_prompt_has_what_the_model_puts_around_it() {
    let tokenizer = tiny();
    let text = "hello né, the 👍";
    let encoded = tokenizer.encode_split(text);
    assert_eq!(tokenizer.decode_split(&encoded.ids), (text.to_owned(), encoded.ends));
    assert_eq!(tokenizer.decode(&encoded.ids), text);
    assert_eq!(tokenizer.encode_prompt("the"), [vec![264], tokenizer.encode("the")].concat());
    assert_eq!((tokenizer.count("hello the low"), tokenizer.count_prompt("hello the low")), (7, 8));
    assert_eq!((tokenizer.token_string(258), tokenizer.token_string(264)), ("Ġthe".into(), "<s>".into()));
}

#[test]
fn half_a_character_at_the_end_is_shown_as_such() {
    let tokenizer = tiny();
    let ids = tokenizer.encode("n👍");
    assert_eq!(tokenizer.decode_split(&ids[..3]), ("n\u{fffd}".into(), vec![1, 1, 4]));
    assert_eq!(tokenizer.decode_split(&[9_999]), (String::new(), vec![0]));
}

/// What a generator gets that wants its text to have `limit` tokens.
fn cut_to(text: &str, limit: u32) -> CompletionOutput {
    let content = Some(Content::Text(text.into()));
    let completion = Completion { content, token_limit: Some(limit), ..Completion::default() };
    CompletionOutput::new(completion, 1000, 7, &SamplingParams::default(), &tiny(), true).unwrap()
}

/// The promise that clients check: what was cut to a length has that length when it is tokenized again.
#[test]
fn a_text_cut_to_a_length_has_that_length_again() {
    let tokenizer = tiny();
    let text = "the low hello, it's  the\n\nhell of the low  hello!";
    for limit in 1..=tokenizer.count(text) {
        let output = cut_to(text, limit);
        assert_eq!(output.n_tokens(), limit as usize);
        assert_eq!(tokenizer.encode(output.text()), output.token_ids(), "{:?}", output.text());
        assert!(text.starts_with(output.text()));
    }
}

/// An emoji is four tokens here.
#[test]
fn where_a_character_straddles_the_cut_a_word_stands_in() {
    for limit in 2..=6 {
        let output = cut_to("o the 👍👍", limit);
        assert_eq!(tokenizer_count(&output), limit as usize, "{:?}", output.text());
    }
    assert_eq!(cut_to("o the 👍👍", 4).text(), "o the  the");
    // No word to take: the length is kept, and the text has no more than whole characters.
    let output = cut_to("n👍👍", 3);
    assert_eq!((output.text(), output.n_tokens(), output.token_ids().len()), ("n", 3, 3));
}

fn tokenizer_count(output: &CompletionOutput) -> usize {
    assert_eq!(output.n_tokens(), output.token_ids().len());
    tiny().encode(output.text()).len()
}

#[test]
fn what_is_cut_off_anyway_is_not_tokenized() {
    let tokenizer = tiny();
    let text = "the hello né ".repeat(1000);
    for n_tokens in [1, 7, 100] {
        let beginning = tokenizer.beginning(&text, n_tokens);
        assert!(beginning.len() < 20 * n_tokens + 20);
        let (whole, ids) = (tokenizer.encode(&text), tokenizer.encode(beginning));
        assert_eq!(ids[..n_tokens], whole[..n_tokens]);
        assert!(ids.len() > n_tokens, "that there is more shows");
    }
    assert_eq!(tokenizer.beginning("né", 1000), "né");
}

#[test]
fn what_is_no_tokenizer_is_refused_with_the_reason() {
    let error = HuggingFaceTokenizer::from_json(b"{}").unwrap_err().to_string();
    assert!(error.starts_with("it is not a tokenizer: "), "{error}");
}
