//! Strings: words, formats, patterns.

use regex_syntax::hir::{Class, Hir, HirKind};
use rehearsal_sdk::{Rng, RngExt};
use serde_json::{Map, Value};

use super::lengths::lengths;

const WORDS: [&str; 16] = [
    "amber", "basket", "copper", "drizzle", "ember", "fjord", "garden", "harbour", "island", "juniper", "kettle",
    "lantern", "meadow", "nutmeg", "orchard", "pebble",
];

/// Repetitions past the least that a pattern demands.
const MORE_REPETITIONS: u32 = 4;

/// Characters of a string whose length the schema leaves open.
const USUAL: (usize, usize) = (1, 40);

/// Characters of a string that is made up.
const MOST_CHARACTERS: usize = 50_000;

/// Attempts at a string that matches a pattern and has the length that is wanted.
const LENGTH_TRIES: u32 = 24;

/// One word.
pub(super) fn word(rng: &mut impl Rng) -> String {
    WORDS[rng.random_range(0..WORDS.len())].to_owned()
}

/// A string for a schema of one.
pub(super) fn string(schema: &Map<String, Value>, rng: &mut impl Rng) -> Result<String, String> {
    let size = |keyword: &str| schema.get(keyword).and_then(Value::as_f64).map(|size| size as usize);
    let (min_length, max_length) = (size("minLength"), size("maxLength"));
    let (shortest, longest) = lengths(min_length, max_length, USUAL)?;
    if shortest > MOST_CHARACTERS {
        return Err(format!("a string of {shortest} characters is more than the {MOST_CHARACTERS} that are made up"));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        return matching(pattern, (min_length.unwrap_or(0), max_length.unwrap_or(usize::MAX)), rng);
    }
    if let Some(text) = schema.get("format").and_then(Value::as_str).and_then(|format| formatted(format, rng)) {
        return Ok(lengthened(text, shortest, rng));
    }
    let mut text = word(rng);
    while text.chars().count() < shortest {
        text.push(' ');
        text.push_str(&word(rng));
    }
    // A longer one is only cut if the schema says so.
    Ok(if max_length.is_some() { text.chars().take(longest).collect() } else { text })
}

/// Whether `pattern` is found in `text`. One that cannot be read matches everything.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    regex_lite::Regex::new(pattern).map_or(true, |regex| regex.is_match(text))
}

fn formatted(format: &str, rng: &mut impl Rng) -> Option<String> {
    let (year, month, day) = (rng.random_range(1970..2040), rng.random_range(1..=12), rng.random_range(1..=28));
    let (hour, minute, second) = (rng.random_range(0..24), rng.random_range(0..60), rng.random_range(0..60));
    let date = format!("{year:04}-{month:02}-{day:02}");
    let time = format!("{hour:02}:{minute:02}:{second:02}Z");
    let (one, two) = (word(rng), word(rng));
    Some(match format {
        "date" => date,
        "time" => time,
        "date-time" => format!("{date}T{time}"),
        "duration" => format!("P{day}DT{hour}H{minute}M"),
        "email" | "idn-email" => format!("{one}@{two}.example"),
        "hostname" | "idn-hostname" => format!("{one}.{two}.example"),
        "ipv4" => format!("192.0.2.{}", rng.random_range(1..255)),
        "ipv6" => format!("2001:db8::{:x}", rng.random_range(1..0xffff)),
        "uri" | "iri" | "url" => format!("https://{one}.example/{two}"),
        "uri-reference" | "iri-reference" => format!("/{one}/{two}"),
        "uri-template" => format!("https://{one}.example/{{{two}}}"),
        "json-pointer" => format!("/{one}/{two}"),
        "relative-json-pointer" => format!("1/{one}"),
        "regex" => format!("^{one}.*$"),
        "uuid" => {
            let (a, b): (u64, u64) = (rng.random(), rng.random());
            let hex = format!("{a:016x}{b:016x}");
            format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
        }
        _ => return None,
    })
}

/// A string of a format, made longer where the format has a place for more.
fn lengthened(mut text: String, shortest: usize, rng: &mut impl Rng) -> String {
    let missing = |text: &String| text.chars().count() < shortest;
    while text.contains('/') && missing(&text) {
        text.push('/');
        text.push_str(&word(rng));
    }
    while text.contains('@') && missing(&text) {
        text = format!("{}.{text}", word(rng));
    }
    text
}

/// A string in which `pattern` is found, if possible of a length between the two.
pub(super) fn matching(
    pattern: &str,
    (shortest, longest): (usize, usize),
    rng: &mut impl Rng,
) -> Result<String, String> {
    let pattern_of = |pattern: &str| regex_syntax::Parser::new().parse(pattern);
    let hir = pattern_of(pattern).map_err(|_| format!("the pattern {pattern:?} has parts that are not supported"))?;
    let too_long =
        || format!("the pattern {pattern:?} wants more than the {MOST_CHARACTERS} characters that are made up");
    if hir.properties().minimum_len().is_some_and(|least| least > MOST_CHARACTERS) {
        return Err(too_long());
    }
    let mut text = String::new();
    for attempt in 0..LENGTH_TRIES {
        text.clear();
        // First as usual; then what repeats at will repeats as often as the length wants, or half as often, or …
        let wanted = (shortest as u32).saturating_add(shortest as u32 / 2) >> (attempt.saturating_sub(4) / 4);
        let more = if attempt < 4 { MORE_REPETITIONS } else { MORE_REPETITIONS.max(wanted) };
        write_match(&hir, more, rng, &mut text);
        if text.len() > MOST_CHARACTERS {
            return Err(too_long());
        }
        if (shortest..=longest).contains(&text.chars().count()) {
            break;
        }
    }
    Ok(text)
}

/// Stops where a text has become too long.
fn write_match(hir: &Hir, more: u32, rng: &mut impl Rng, text: &mut String) {
    if text.len() > MOST_CHARACTERS {
        return;
    }
    match hir.kind() {
        // Anchors hold by themselves: nothing is written before the first or after the last.
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.extend(character(class, rng)),
        HirKind::Repetition(repetition) => {
            let least = repetition.min;
            let most = repetition.max.unwrap_or(u32::MAX).min(least.saturating_add(more));
            // Where a length is wanted, half of the freedom is used at least.
            let least = if more > MORE_REPETITIONS { least + (most - least) / 2 } else { least };
            for _ in 0..rng.random_range(least..=most) {
                write_match(&repetition.sub, more, rng, text);
                if text.len() > MOST_CHARACTERS {
                    return;
                }
            }
        }
        HirKind::Capture(capture) => write_match(&capture.sub, more, rng, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write_match(part, more, rng, text)),
        HirKind::Alternation(branches) => write_match(&branches[rng.random_range(0..branches.len())], more, rng, text),
    }
}

/// A character of the class; a letter, digit or mark that everybody can read where there is one.
fn character(class: &Class, rng: &mut impl Rng) -> Option<char> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        Class::Bytes(class) => class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect(),
    };
    let readable: Vec<char> =
        ('!'..='~').filter(|c| ranges.iter().any(|(start, end)| (*start..=*end).contains(&u32::from(*c)))).collect();
    let simple: Vec<char> = readable.iter().copied().filter(char::is_ascii_alphanumeric).collect();
    let choices = if simple.is_empty() { readable } else { simple };
    if choices.is_empty() {
        return ranges.first().and_then(|(start, _)| char::from_u32(*start));
    }
    Some(choices[rng.random_range(0..choices.len())])
}
