//! `rehearsal replay`: what was captured once, sent again at its times.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use rehearsal_open_loop::{Planned, Sent};
use serde::Deserialize;
use serde_json::Map;
use serde_json::value::RawValue;

use super::files::{text_of, write};
use super::sent;
use crate::said::{self, Said};

/// Send the requests of a --capture-file again, at their times
#[derive(Debug, Clone, Parser)]
#[command(name = "rehearsal replay")]
struct Command {
    /// The capture
    file: PathBuf,
    /// The server
    #[arg(value_name = "URL")]
    url: String,
    /// How many times as fast as they came
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = super::predict::rate)]
    speed: f64,
    /// A header of each request, instead of what was captured, as `name: value`; keys were not captured
    #[arg(long, value_name = "HEADER", value_parser = header)]
    header: Vec<(String, String)>,
    /// What was measured, as `vllm bench serve --save-detailed` writes it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// A line of the capture, as far as it is sent again.
#[derive(Deserialize)]
struct Line {
    at: f64,
    method: String,
    path: String,
    #[serde(default)]
    headers: Map<String, serde_json::Value>,
    body: Box<RawValue>,
    body_bytes: usize,
}

/// Headers that belong to a connection, or that the client of this one writes itself.
const OF_ITS_CONNECTION: [&str; 7] =
    ["host", "content-length", "connection", "transfer-encoding", "accept-encoding", "keep-alive", "expect"];

/// As much of a body as a capture keeps, but for a character that would be cut.
const LONGEST_BODY: usize = (1 << 20) - 4;

/// What stands for a secret in a capture.
const HIDDEN: &str = "***";

pub(super) async fn run(words: &[String]) -> Result<Said, Vec<String>> {
    let command: Command = match said::parsed("rehearsal replay", words) {
        Ok(command) => command,
        Err(said) => return said,
    };
    command.replay().await.map_err(|problem| vec![problem])
}

impl Command {
    async fn replay(&self) -> Result<Said, String> {
        let requests = self.requests()?;
        let sent = sent::send(&self.url, "replaying", requests).await?;
        let mut report = sent::report(&sent);
        if let Some(path) = &self.save {
            let rate = (sent.len().saturating_sub(1)) as f64 / sent.last().map_or(1.0, |last| last.planned.max(1e-9));
            write(path, &rehearsal_open_loop::result_file("replay", rate, &sent).to_string())?;
            report += &format!("wrote {}\n", path.display());
        }
        // That some fail may be what is looked for.
        if sent.iter().any(Sent::is_good) { Ok(Said::Text(report)) } else { Ok(Said::NoGood(report)) }
    }

    /// Sorted by time. Fails with which line is wrong, and how.
    fn requests(&self) -> Result<Vec<Planned>, String> {
        let name = self.file.display();
        let text = text_of(&self.file)?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let request = |(at, line): (usize, &str)| {
            let problem = |problem: String| format!("{name}: line {}: {problem}", at + 1);
            let mut json = serde_json::Deserializer::from_str(line);
            let line: Line = serde_path_to_error::deserialize(&mut json)
                .map_err(|error| problem(format!("{}: {}", error.path(), error.inner())))?;
            self.planned(line).map_err(problem)
        };
        let mut requests = lines.map(request).collect::<Result<Vec<_>, String>>()?;
        if requests.is_empty() {
            return Err(format!("{name}: it has no requests"));
        }
        requests.sort_by_key(|request| request.at);
        Ok(requests)
    }

    fn planned(&self, line: Line) -> Result<Planned, String> {
        let Line { at, method, path, headers, body, body_bytes } = line;
        // A body that is no JSON was written down as a text.
        let body = match serde_json::from_str::<String>(body.get()) {
            Ok(text) => text,
            Err(_) => body.get().to_owned(),
        };
        // White space between lines of JSON was not kept; of a body that was too long, the beginning was.
        if body.len() < body_bytes && body.len() >= LONGEST_BODY {
            return Err(format!("its body had {body_bytes} bytes, of which {} were kept", body.len()));
        }
        let at = Duration::try_from_secs_f64(at / self.speed).map_err(|error| format!("at: {at}: {error}"))?;
        let method = method.parse().map_err(|_| format!("method: {method:?} is none"))?;
        let is_replaced = |name: &str| self.header.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let captured = headers.into_iter().filter_map(|(name, value)| {
            let value = value.as_str().filter(|value| *value != HIDDEN)?.to_owned();
            (!OF_ITS_CONNECTION.contains(&name.as_str()) && !is_replaced(&name)).then_some((name, value))
        });
        let headers = captured.chain(self.header.iter().cloned()).collect();
        Ok(Planned { at, method, path, headers, body: Bytes::from(body) })
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it is not like `name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
