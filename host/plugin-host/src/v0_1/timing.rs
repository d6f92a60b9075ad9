//! A generator's say in when its tokens fall due: `ttft-us`, `delays-us` and `timing` among the extras of a completion.

use std::time::Duration;

use rehearsal_engine::{Delays, Timing};
use serde::Deserialize;

/// By part, in microseconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    reasoning: Option<u64>,
    content: Option<u64>,
    arguments: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum DelaysUs {
    OfTokens(Vec<u64>),
    OfParts(Parts),
}

/// `None` if it says nothing of time. Fails with the name and the value that is wrong.
pub(crate) fn read(extras: &[(String, String)]) -> Result<Option<Box<Timing>>, String> {
    let mut timing = None;
    for (name, text) in extras {
        let wrong = |expected: &str| {
            let shown: String = text.chars().take(100).collect();
            format!("its extra {name:?} is {shown:?}: expected {expected}")
        };
        match name.as_str() {
            "ttft-us" => {
                let micros = serde_json::from_str(text).map_err(|_| wrong("a whole number of microseconds"))?;
                timing.get_or_insert_with(Timing::default).ttft = Some(Duration::from_micros(micros));
            }
            "delays-us" => {
                let expected =
                    "whole numbers of microseconds, in a list or as reasoning, content and arguments of an object";
                let delays = serde_json::from_str(text).map_err(|_| wrong(expected))?;
                timing.get_or_insert_with(Timing::default).delays = of_micros(delays);
            }
            "timing" => {
                let replaces = match serde_json::from_str::<&str>(text) {
                    Ok("replace") => true,
                    Ok("add") => false,
                    _ => return Err(wrong("\"add\" or \"replace\"")),
                };
                timing.get_or_insert_with(Timing::default).replaces = replaces;
            }
            _ => {}
        }
    }
    Ok(timing.map(Box::new))
}

fn of_micros(delays: DelaysUs) -> Delays {
    let micros = |micros: Option<u64>| micros.map(Duration::from_micros);
    match delays {
        DelaysUs::OfTokens(delays) => Delays::OfTokens(delays.into_iter().map(Duration::from_micros).collect()),
        DelaysUs::OfParts(Parts { reasoning, content, arguments }) => {
            Delays::OfParts { reasoning: micros(reasoning), content: micros(content), arguments: micros(arguments) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(extras: &[(&str, &str)]) -> Result<Option<Box<Timing>>, String> {
        let owned: Vec<_> = extras.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        super::read(&owned)
    }

    #[test]
    fn what_is_said_of_time_is_read_and_nothing_else() {
        assert_eq!(read(&[("unheard-of", "[")]), Ok(None));
        let timing = read(&[("delays-us", "[1, 2500]"), ("ttft-us", "7"), ("timing", "\"replace\"")]).unwrap().unwrap();
        let delays = Delays::OfTokens([1, 2500].map(Duration::from_micros).into());
        assert_eq!(*timing, Timing { ttft: Some(Duration::from_micros(7)), delays, replaces: true });
        let timing = read(&[("delays-us", r#"{"content": 5}"#)]).unwrap().unwrap();
        let content = Some(Duration::from_micros(5));
        assert_eq!(timing.delays, Delays::OfParts { reasoning: None, content, arguments: None });
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (name, text, expected) in [
            ("ttft-us", "-1", "its extra \"ttft-us\" is \"-1\": expected a whole number of microseconds"),
            ("delays-us", r#"{"text": 5}"#, "its extra \"delays-us\" is "),
            ("timing", "\"swap\"", "expected \"add\" or \"replace\""),
        ] {
            let problem = read(&[(name, text)]).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
