//! Single values: from a flag's text, or from a file where they may already be numbers. Each error has the value.

use std::net::{IpAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// The value as the user would have typed it.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(switch) => Ok(switch.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!("{value} is not a single value")),
    }
}

pub(super) fn name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    if name.is_empty() { Err("\"\" is empty: write a name".into()) } else { Ok(name) }
}

/// Any text without the spaces around it, an empty one too.
pub(crate) fn any_text(value: &Value) -> Result<String, String> {
    text(value)
}

/// One or more names: a list, or one string with spaces between them.
pub(super) fn names(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(values) => values.iter().map(name).collect(),
        _ => Ok(text(value)?.split_whitespace().map(str::to_owned).collect()),
    }
}

/// The same, as JSON; commas may stand between them too.
pub(super) fn list(value: &Value) -> Result<Value, String> {
    let names = names(value)?;
    Ok(names.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty()).collect())
}

/// Whole numbers, and which of them a type holds.
pub(super) trait Whole: FromStr {
    /// The least and the greatest.
    const RANGE: (i128, i128);
}

macro_rules! whole {
    ($($type:ty),+) => {
        $(impl Whole for $type {
            const RANGE: (i128, i128) = (<$type>::MIN as i128, <$type>::MAX as i128);
        })+
    };
}
whole!(u16, u32, u64, usize, i64);

impl Whole for NonZeroU32 {
    const RANGE: (i128, i128) = (1, u32::MAX as i128);
}

/// As Python writes them too: `8_192`.
pub(super) fn whole_number<T: Whole>(value: &Value) -> Result<T, String> {
    let text = text(value)?;
    let (least, greatest) = T::RANGE;
    text.replace('_', "").parse().map_err(|_| format!("{text:?} is not a whole number from {least} to {greatest}"))
}

/// A count of things of which there must be one.
pub(super) fn at_least_one(value: &Value) -> Result<u32, String> {
    whole_number(value).map(NonZeroU32::get)
}

pub(super) fn number_in(value: &Value, range: RangeInclusive<u32>) -> Result<u32, String> {
    let number = whole_number(value)?;
    let (first, last) = (range.start(), range.end());
    if range.contains(&number) { Ok(number) } else { Err(format!("{number} is not between {first} and {last}")) }
}

/// A number as JSON; a whole one stays whole.
pub(super) fn number(value: &Value) -> Result<Value, String> {
    let text = text(value)?;
    match serde_json::from_str(&text) {
        Ok(number @ Value::Number(_)) => Ok(number),
        _ => Err(format!("{text:?} is not a number")),
    }
}

/// Any 64-bit number, signed or not: a seed is only a seed.
pub(super) fn seed(value: &Value) -> Result<u64, String> {
    let problem = |_| format!("{value} is not a whole number from {} to {}", i64::MIN, u64::MAX);
    whole_number(value).or_else(|_| whole_number::<i64>(value).map(|seed| seed as u64)).map_err(problem)
}

pub(crate) fn switch(value: &Value) -> Result<bool, String> {
    match text(value)?.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
}

pub(super) fn address(value: &Value) -> Result<IpAddr, String> {
    let text = text(value)?;
    if text == "localhost" {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&text);
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    let problem = || format!("{text:?} is neither an IP address like 0.0.0.0 or :: nor the name of this machine");
    let found: Vec<_> = (bare, 0).to_socket_addrs().map_err(|_| problem())?.map(|address| address.ip()).collect();
    found.iter().find(|address| address.is_ipv4()).or(found.first()).copied().ok_or_else(problem)
}

/// vLLM's way of writing large numbers: `32k` is 32,000 and `32K` is 32,768; likewise m, M, g, G, t, T.
pub(super) fn token_count(value: &Value) -> Result<u32, String> {
    let text = text(value)?;
    let count = large_number(&text).filter(|count| (1.0..=f64::from(u32::MAX)).contains(count));
    count.map(|count| count as u32).ok_or_else(|| format!("{text:?} is not a number of tokens from 1 to {}", u32::MAX))
}

/// A whole number as vLLM writes large ones, with or without its suffix.
pub(crate) fn large_number(text: &str) -> Option<f64> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (&text[..at], unit),
        _ => (text, ' '),
    };
    let factor: f64 = match unit {
        ' ' => 1.0,
        'k' => 1e3,
        'm' => 1e6,
        'g' => 1e9,
        't' => 1e12,
        'K' => 1024f64,
        'M' => 1024f64.powi(2),
        'G' => 1024f64.powi(3),
        'T' => 1024f64.powi(4),
        _ => return None,
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let count = digits.replace('_', "").parse::<f64>().ok()? * factor;
    (count.fract() == 0.0).then_some(count)
}

/// One of a few words, by what it means. `kind` is what the words are, for the message.
pub(super) fn word<T: Copy>(value: &Value, kind: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(word, _)| value.as_str() == Some(word));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
        let words = match words.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
            _ => words.concat(),
        };
        format!("{value} is no {kind}; known are {words}")
    })
}

/// A number of milliseconds, or a sum of numbers with units as Go writes durations: `1.5s`, `250us`, `1m30s`.
pub(crate) fn duration(value: &Value) -> Result<Duration, String> {
    let text = text(value)?;
    if let Ok(millis) = text.parse::<u64>() {
        return bounded(Duration::from_millis(millis), &text);
    }
    with_units(&text, "milliseconds")
}

/// The longest time that makes sense; much longer ones would overflow the clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

fn bounded(duration: Duration, text: &str) -> Result<Duration, String> {
    if duration <= LONGEST { Ok(duration) } else { Err(format!("{text:?} is longer than a year")) }
}

fn with_units(text: &str, bare: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is not a duration: write {bare}, or a number with ns, us, ms, s, m or h");
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(problem)?;
        let number: f64 = rest[..digits].parse().map_err(|_| problem())?;
        let after = &rest[digits..];
        let unit = &after[..after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len())];
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(problem()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| problem())?;
        total = bounded(total.saturating_add(part), text)?;
        rest = &after[unit.len()..];
    }
    if text.is_empty() { Err(problem()) } else { Ok(total) }
}

/// A number of seconds, as vLLM counts its shutdown timeout, or a duration with units.
pub(super) fn seconds(value: &Value) -> Result<Duration, String> {
    let text = text(value)?;
    match text.parse() {
        Ok(seconds) => bounded(Duration::from_secs(seconds), &text),
        Err(_) => with_units(&text, "seconds"),
    }
}

/// A number of bytes, or one with a unit: `64MiB`.
pub(super) fn bytes(value: &Value) -> Result<usize, String> {
    let text = text(value)?;
    let size: bytesize::ByteSize = text.parse().map_err(|_| format!("{text:?} is not a size like 64MiB"))?;
    usize::try_from(size.as_u64()).map_err(|_| format!("{text:?} is too large"))
}

pub(super) fn log_filter(value: &Value) -> Result<String, String> {
    let text = name(value)?;
    // A bare word would be taken for the name of a target, and everything else would be silent.
    if text.chars().all(char::is_alphanumeric) {
        let level = match text.to_lowercase().as_str() {
            "warning" => "warn".to_owned(),
            "critical" | "fatal" => "error".to_owned(),
            other => other.to_owned(),
        };
        return match level.parse::<LevelFilter>() {
            Ok(_) => Ok(level),
            Err(_) => Err(format!("{text:?} is none of off, error, warn, info, debug and trace, and no filter either")),
        };
    }
    match EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(format!("{text:?} is neither a level nor a filter: {error}")),
    }
}

pub(super) fn is_json_format(value: &Value) -> Result<bool, String> {
    match text(value)?.as_str() {
        "json" => Ok(true),
        "text" => Ok(false),
        other => Err(format!("{other:?} is neither text nor json")),
    }
}

/// A path; `None` if it is empty.
pub(super) fn path(value: &Value) -> Result<Option<PathBuf>, String> {
    let text = text(value)?;
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// A JSON object, or its text.
pub(super) fn json_object(value: &Value) -> Result<Map<String, Value>, String> {
    let parsed = match value {
        Value::String(text) => {
            serde_json::from_str(text).map_err(|error| format!("{text:?} is not a JSON object: {error}"))?
        }
        other => other.clone(),
    };
    match parsed {
        Value::Object(object) => Ok(object),
        other => Err(format!("{other} is not a JSON object like {{\"key\": 1}}")),
    }
}

/// Several words: a list, its JSON text, or words with spaces between them. vLLM's CORS flags take JSON lists.
pub(super) fn words(value: &Value) -> Result<Vec<String>, String> {
    let values = match value {
        Value::Array(values) => values.clone(),
        other => vec![other.clone()],
    };
    let mut words = Vec::new();
    for value in values {
        let text = text(&value)?;
        let problem = |error| format!("{text:?} is not a JSON list of strings: {error}");
        match text.chars().next() {
            Some('[') => words.extend(serde_json::from_str::<Vec<String>>(&text).map_err(problem)?),
            Some('"') => words.push(serde_json::from_str(&text).map_err(problem)?),
            _ => words.extend(text.split_whitespace().map(str::to_owned)),
        }
    }
    Ok(words)
}

/// Any text as it is, spaces around it included.
pub(super) fn raw_text(value: &Value) -> Result<String, String> {
    value.as_str().map_or_else(|| text(value), |text| Ok(text.to_owned()))
}

/// A number of seconds, whole or not; what is not above 0 is the `usual` one. No less than a tenth of a second.
pub(super) fn interval(value: &Value, usual: Duration) -> Result<Duration, String> {
    let text = text(value)?;
    match text.parse::<f64>() {
        Ok(seconds) if seconds <= 0.0 => Ok(usual),
        Ok(seconds) if seconds < LONGEST.as_secs_f64() => Ok(Duration::from_secs_f64(seconds.max(0.1))),
        _ => Err(format!("{text:?} is not a number of seconds")),
    }
}
