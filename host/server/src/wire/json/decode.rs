//! The text of a body. JSON begins with two ASCII characters, so where zeros are among the first bytes tells the encoding
//! (Python's `json.detect_encoding`).

/// The characters of `body`; `None` if it is not in the encoding that it seems to be in.
pub(super) fn text(body: &[u8]) -> Option<Vec<char>> {
    match body {
        [0, 0, 0xfe, 0xff, rest @ ..] => utf_32(rest, u32::from_be_bytes),
        [0xff, 0xfe, 0, 0, rest @ ..] => utf_32(rest, u32::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf_8(rest),
        [0, 0, _, _, ..] => utf_32(body, u32::from_be_bytes),
        [0, _, _, _, ..] | [0, _] => utf_16(body, u16::from_be_bytes),
        [_, 0, 0, 0, ..] => utf_32(body, u32::from_le_bytes),
        [_, 0, _, _, ..] | [_, 0] => utf_16(body, u16::from_le_bytes),
        _ => utf_8(body),
    }
}

/// Python takes surrogates in UTF-8 for characters; here they become replacement characters, as they do in escapes.
fn utf_8(bytes: &[u8]) -> Option<Vec<char>> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.extend(valid.chars());
                return Some(text);
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.extend(std::str::from_utf8(valid).ok()?.chars());
                let [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] = after else { return None };
                text.push(char::REPLACEMENT_CHARACTER);
                rest = after;
            }
        }
    }
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Vec<char>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    rest.is_empty().then_some(text)
}

fn utf_32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Option<Vec<char>> {
    let (quads, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    quads.iter().map(|quad| char::from_u32(unit(*quad))).collect()
}
