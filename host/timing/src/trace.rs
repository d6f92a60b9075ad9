//! Requests of which only arrivals and lengths are known: from traces that were published, from benchmarks, or made up.

use rehearsal_engine::offline::Arriving;
use rehearsal_engine::seed::{self, Purpose};
use serde::Deserialize;

use crate::benchmark::{Benchmark, Record, moment};
use crate::import::import;

/// How made-up requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// At random, independently of each other.
    Poisson,
}

/// The moments of `n` requests at `rate` a second; all at once if that is infinite.
pub fn arrivals(rate: f64, n: usize, arrivals: Arrivals, seed: u64) -> Vec<f64> {
    let mut rng = seed::rng(Purpose::Arrivals, &[seed]);
    let mut at = 0.0;
    let mut next = || {
        let now = at;
        if rate.is_finite() {
            at += match arrivals {
                Arrivals::Constant => 1.0 / rate,
                Arrivals::Poisson => -(1.0 - seed::share(&mut rng)).ln() / rate,
            };
        }
        now
    };
    (0..n).map(|_| next()).collect()
}

/// Requests of one length, at these moments.
pub fn made_up(moments: &[f64], prompt_tokens: u32, output_tokens: u32) -> Vec<Arriving> {
    let of = |at: &f64| Arriving { at: moment(*at), prompt_tokens, prompt: Vec::new(), output_tokens };
    moments.iter().map(of).collect()
}

/// Understands a trace: Azure's CSV, Mooncake's lines, or whatever [`import`] does. Sorted by arrival, the first at 0. Fails with
/// which line and field is wrong.
pub fn trace(name: &str, text: &str) -> Result<Vec<Arriving>, String> {
    let first = text.lines().next().unwrap_or_default();
    let mut requests = if first.contains("ContextTokens") {
        azure(text).map_err(|problem| format!("{name}: {problem}"))?
    } else if first.contains("\"hash_ids\"") || (first.contains("\"timestamp\"") && first.contains("\"input_length\""))
    {
        mooncake(text).map_err(|problem| format!("{name}: {problem}"))?
    } else {
        import(name, text)?.iter().flat_map(of_benchmark).collect()
    };
    requests.sort_by_key(|request| request.at);
    let begin = requests.first().map(|first| first.at).ok_or_else(|| format!("{name}: it has no requests"))?;
    requests.iter_mut().for_each(|request| request.at -= begin);
    Ok(requests)
}

/// The requests of a benchmark.
pub fn of_benchmark(benchmark: &Benchmark) -> Vec<Arriving> {
    let of = |record: &Record| Arriving {
        at: moment(record.start),
        prompt_tokens: record.prompt_tokens,
        prompt: record.prompt.clone(),
        output_tokens: record.output_tokens,
    };
    benchmark.records.iter().map(of).collect()
}

/// The same requests, so many a second on average.
pub fn at_rate(requests: &[Arriving], rate: f64) -> Vec<Arriving> {
    let span = requests.last().map_or(0.0, |last| last.at.as_secs_f64());
    // Those that come all at once have no rate to be changed.
    let factor = if span > 0.0 { (requests.len() - 1) as f64 / span / rate } else { 0.0 };
    let scaled = |request: &Arriving| Arriving { at: moment(request.at.as_secs_f64() * factor), ..request.clone() };
    requests.iter().map(scaled).collect()
}

/// `TIMESTAMP,ContextTokens,GeneratedTokens`, as Azure published its traces of 2023 and 2024.
fn azure(text: &str) -> Result<Vec<Arriving>, String> {
    let header: Vec<_> = text.lines().next().unwrap_or_default().split(',').map(str::trim).collect();
    let column = |name: &str| {
        header
            .iter()
            .position(|column| column.eq_ignore_ascii_case(name))
            .ok_or_else(|| format!("it has no column {name}"))
    };
    let (when, context, generated) = (column("TIMESTAMP")?, column("ContextTokens")?, column("GeneratedTokens")?);
    let rows = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    let row = |(at, line): (usize, &str)| {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        let problem = |name: &str, why: &str| format!("line {}: {name}: {why}", at + 1);
        let field =
            |column: usize, name: &str| fields.get(column).copied().ok_or_else(|| problem(name, "it is missing"));
        let count = |column: usize, name: &str| {
            let text = field(column, name)?;
            text.parse::<u32>().map_err(|_| problem(name, &format!("{text:?} is no number of tokens")))
        };
        let text = field(when, "TIMESTAMP")?;
        let seconds = seconds_of_day(text).ok_or_else(|| problem("TIMESTAMP", &format!("{text:?} is no time")))?;
        Ok(Arriving {
            at: moment(seconds),
            prompt_tokens: count(context, "ContextTokens")?.max(1),
            prompt: Vec::new(),
            output_tokens: count(generated, "GeneratedTokens")?.max(1),
        })
    };
    rows.map(row).collect()
}

/// Seconds since the year 0 of `2023-11-16 18:17:03.9799600`, which may end in a time zone; or a plain number of seconds.
fn seconds_of_day(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds >= 0.0 && seconds.is_finite()).then_some(seconds);
    }
    let text = text.trim_end_matches("+00:00").trim_end_matches('Z');
    let (date, time) = text.split_once([' ', 'T'])?;
    let mut date = date.split('-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if year > 9999 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since a March, so that a leap day is the last of its year.
    let (shifted, months) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * months + 2) / 5 + day;
    let mut time = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    let is_sound =
        [(hours, 24.0), (minutes, 60.0), (seconds, 61.0)].iter().all(|(part, end)| (0.0..*end).contains(part));
    is_sound.then(|| f64::from(days) * 86_400.0 + hours * 3600.0 + minutes * 60.0 + seconds)
}

/// A line of Mooncake's traces.
#[derive(Deserialize)]
struct Mooncake {
    /// Milliseconds.
    timestamp: f64,
    input_length: u32,
    output_length: u32,
    /// Of each block of 512 tokens; equal ones are equal prefixes.
    #[serde(default)]
    hash_ids: Vec<u32>,
}

fn mooncake(text: &str) -> Result<Vec<Arriving>, String> {
    const BLOCK: usize = 512;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let line = |(at, line): (usize, &str)| {
        let mut json = serde_json::Deserializer::from_str(line);
        let Mooncake { timestamp, input_length, output_length, hash_ids } = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| format!("line {}, {}: {}", at + 1, error.path(), error.inner()))?;
        if timestamp < 0.0 || !timestamp.is_finite() {
            return Err(format!("line {}, timestamp: {timestamp} is no time", at + 1));
        }
        // A token stands for the block that it is in.
        let token = |at: usize| hash_ids.get(at / BLOCK).or(hash_ids.last()).copied().unwrap_or_default();
        let prompt = if hash_ids.is_empty() { Vec::new() } else { (0..input_length as usize).map(token).collect() };
        let at = moment(timestamp * 1e-3);
        Ok(Arriving { at, prompt_tokens: input_length.max(1), prompt, output_tokens: output_length.max(1) })
    };
    lines.map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn traces_are_known_by_what_is_in_them() {
        let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n";
        let requests = trace("a.csv", azure).unwrap();
        assert_eq!((requests[0].prompt_tokens, requests[0].output_tokens, requests[0].at), (374, 44, Duration::ZERO));
        assert!((requests[1].at.as_secs_f64() - 4.314579).abs() < 1e-5, "{requests:?}");
        let midnight = "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-02-29 23:59:59.5+00:00,1,1\n2024-03-01 00:00:00.5+00:00,1,1\n";
        assert!((trace("a.csv", midnight).unwrap()[1].at.as_secs_f64() - 1.0).abs() < 1e-5);
        let mooncake = "{\"timestamp\": 27482, \"input_length\": 600, \"output_length\": 52, \"hash_ids\": [46, 47]}\n";
        let request = &trace("m.jsonl", mooncake).unwrap()[0];
        assert_eq!((request.prompt.len(), request.prompt[511], request.prompt[512]), (600, 46, 47));
        let twice = at_rate(&requests, 1.0);
        assert!((twice[1].at.as_secs_f64() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_field() {
        for (text, problem) in [
            ("TIMESTAMP,ContextTokens\n", "t: it has no column GeneratedTokens"),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\nnoon,1,1\n", "t: line 2: TIMESTAMP: \"noon\" is no time"),
            (
                "TIMESTAMP,ContextTokens,GeneratedTokens\n5,many,1\n",
                "t: line 2: ContextTokens: \"many\" is no number of tokens",
            ),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "t: it has no requests"),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\ninf,1,1\n", "t: line 2: TIMESTAMP: \"inf\" is no time"),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-13-01 00:00:00,1,1\n", "t: line 2: TIMESTAMP: "),
            (
                "{\"timestamp\": 1, \"input_length\": -1, \"output_length\": 1}",
                "t: line 1, input_length: invalid value",
            ),
        ] {
            let error = trace("t", text).unwrap_err();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    #[test]
    fn no_rate_and_no_time_is_too_much() {
        let at_once = made_up(&[0.0; 3], 1, 1);
        assert_eq!(at_rate(&at_once, 2.0)[2].at, Duration::ZERO);
        assert_eq!(at_rate(&made_up(&[0.0, 1.0], 1, 1), 1e-300)[1].at, Duration::MAX);
        assert_eq!(made_up(&arrivals(1e-300, 3, Arrivals::Constant, 1), 1, 1)[2].at, Duration::MAX);
        let late = trace("m", "{\"timestamp\": 1e300, \"input_length\": 1, \"output_length\": 1}").unwrap();
        assert_eq!(late[0].at, Duration::ZERO, "the first is the beginning");
    }

    #[test]
    fn made_up_requests_come_at_their_rate() {
        assert_eq!(arrivals(4.0, 3, Arrivals::Constant, 1), [0.0, 0.25, 0.5]);
        let random = arrivals(10.0, 20_001, Arrivals::Poisson, 1);
        assert!((random[20_000] / 2000.0 - 1.0).abs() < 0.03 && random == arrivals(10.0, 20_001, Arrivals::Poisson, 1));
        assert_eq!(arrivals(f64::INFINITY, 2, Arrivals::Poisson, 1), [0.0, 0.0]);
    }
}
