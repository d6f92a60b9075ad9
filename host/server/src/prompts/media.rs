//! Images, sounds and films in a conversation: counted by a rule that the README states, never fetched, never decoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rehearsal_engine::request::ContentPart;
use xxhash_rust::xxh3::xxh3_64;

/// Pixels of a side of the square that one token stands for, as Qwen2-VL has it.
const PATCH: usize = 28;
/// The fewest and the most tokens of an image.
const IMAGE: (usize, usize) = (4, 16_384);
/// Of an image whose size is not at hand: one of 448 × 448 pixels.
const UNKNOWN_IMAGE: u32 = 256;
/// Tokens of a second of sound.
const SECOND: u64 = 25;
/// Of a sound whose length is not at hand: ten seconds.
const UNKNOWN_SOUND: u32 = 250;
/// Of any film: eight images.
const FILM: u32 = 8 * UNKNOWN_IMAGE;

/// Bytes of base64 in which an image's size is looked for.
const HEADER: usize = 64 << 10;

/// A part of the kind `kind`, which is `url`, or the data of a sound in base64.
pub fn part(kind: &str, url: &str) -> ContentPart {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once("base64,")).map(|(_, data)| data);
    let n_tokens = match kind {
        "video_url" => FILM,
        "input_audio" => sound(Some(url)),
        "audio_url" => sound(data),
        _ => image(data),
    };
    ContentPart::Media { kind: kind.to_owned(), n_tokens, digest: xxh3_64(url.as_bytes()) }
}

fn image(data: Option<&str>) -> u32 {
    let size = data.and_then(|data| imagesize::blob_size(&decoded(data, HEADER)).ok());
    size.map_or(UNKNOWN_IMAGE, |size| {
        let patches = size.width.div_ceil(PATCH).saturating_mul(size.height.div_ceil(PATCH));
        patches.clamp(IMAGE.0, IMAGE.1) as u32
    })
}

/// A WAV file says how many bytes a second has.
fn sound(data: Option<&str>) -> u32 {
    let Some(data) = data else { return UNKNOWN_SOUND };
    let header = decoded(data, 64);
    let (b"RIFF", Some(rate)) = (header.get(..4).unwrap_or_default(), header.get(28..32)) else {
        return UNKNOWN_SOUND;
    };
    let bytes_a_second = u64::from(u32::from_le_bytes([rate[0], rate[1], rate[2], rate[3]]));
    let n_bytes = data.len() as u64 / 4 * 3;
    let n_tokens = n_bytes.saturating_mul(SECOND).checked_div(bytes_a_second);
    n_tokens.map_or(UNKNOWN_SOUND, |n_tokens| n_tokens.clamp(1, u32::MAX.into()) as u32)
}

/// The first bytes of what `data` has in base64; none if it is no base64.
fn decoded(data: &str, n_chars: usize) -> Vec<u8> {
    let end = data.len().min(n_chars) / 4 * 4;
    data.get(..end).and_then(|data| STANDARD.decode(data).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(kind: &str, url: &str) -> u32 {
        let ContentPart::Media { n_tokens, .. } = part(kind, url) else { panic!() };
        n_tokens
    }

    #[test]
    fn an_image_costs_what_its_header_says() {
        // A PNG of 100 × 60 pixels, its header alone.
        let header =
            [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &100_u32.to_be_bytes(), &60_u32.to_be_bytes()].concat();
        let url = format!("data:image/png;base64,{}", STANDARD.encode([header, vec![0; 20]].concat()));
        assert_eq!(tokens("image_url", &url), 4 * 3);
        assert_eq!(tokens("image_url", "https://example.com/cat.png"), UNKNOWN_IMAGE);
        assert_eq!(tokens("image_url", "data:image/png;base64,AAAA"), UNKNOWN_IMAGE);
    }

    #[test]
    fn a_sound_costs_its_seconds() {
        let mut wav = vec![0; 44 + 32_000];
        wav[..4].copy_from_slice(b"RIFF");
        wav[28..32].copy_from_slice(&16_000_u32.to_le_bytes());
        assert_eq!(tokens("input_audio", &STANDARD.encode(wav)), 2 * SECOND as u32);
        assert_eq!(tokens("audio_url", "https://example.com/a.mp3"), UNKNOWN_SOUND);
    }
}
