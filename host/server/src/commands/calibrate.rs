//! `rehearsal calibrate`: measures a real server at several rates, and fits a profile to that.

mod prompts;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Parser;
use rehearsal_engine::seed::{self, Purpose};
use rehearsal_open_loop::{Planned, Sent, client, result_file, span};
use rehearsal_timing::import::import;
use rehearsal_timing::moment;
use rehearsal_timing::trace::arrivals;
use serde_json::{Value, json};

use super::files::{no_folder, write};
use super::fit::FitArgs;
use super::predict::{ArrivalsName, rate};
use super::sent;
use crate::said::{self, Said};
use prompts::Prompts;

/// Measure a real server at several rates, and fit a latency profile to it
///
/// An unlimited rate first; without --rates, then a fifth and three fifths of what the server did. Prompts are the user's own, or
/// random tokens. Give what the server was started with, as for `rehearsal fit`.
#[derive(Debug, Clone, Parser)]
#[command(name = "rehearsal calibrate")]
struct Command {
    /// The server
    #[arg(value_name = "URL")]
    url: String,
    /// Requests a second, one run for each, such as `1,4,inf`; not given: a low, a medium and an unlimited one
    #[arg(long, value_delimiter = ',', value_parser = rate)]
    rates: Vec<f64>,
    /// Prompts: a text on each line, or JSON with `prompt`, a text or token ids, and perhaps `output_len`
    #[arg(long, value_name = "FILE", conflicts_with = "input_len", required_unless_present = "input_len")]
    prompt_file: Option<PathBuf>,
    /// Tokens of random prompts; with a prompt file, that is not needed
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    input_len: Option<u32>,
    /// Tokens of answers
    #[arg(long, value_name = "TOKENS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    output_len: u32,
    /// Requests of each run
    #[arg(short = 'n', long, value_name = "N", default_value_t = 150, value_parser = clap::value_parser!(u32).range(2..))]
    requests: u32,
    /// How requests arrive
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: ArrivalsName,
    /// Decides what is random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The model's name on the server; not given: its first
    #[arg(long, value_name = "NAME")]
    served_model: Option<String>,
    /// Sent as a bearer token
    #[arg(long, value_name = "KEY", env = "OPENAI_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Where each run's result is kept, as `vllm bench serve --save-detailed` writes it
    #[arg(long, value_name = "FOLDER")]
    save_to: Option<PathBuf>,
    #[command(flatten)]
    fit: FitArgs,
}

/// Shares of the unlimited rate that are measured too.
const SHARES: [f64; 2] = [0.2, 0.6];

pub(super) async fn run(words: &[String]) -> Result<Said, Vec<String>> {
    let command: Command = match said::parsed("rehearsal calibrate", words) {
        Ok(command) => command,
        Err(said) => return said,
    };
    // What is missing is told before an hour was spent on measuring.
    let options = command.fit.options()?;
    if let Some(problem) = command.save_to.as_deref().and_then(|folder| no_folder(&folder.join("run"))) {
        return Err(vec![problem]);
    }
    let calibrated = async {
        let prompts =
            Prompts::new(command.prompt_file.as_deref(), command.input_len, command.output_len, command.seed)?;
        let model = command.model().await?;
        let mut report = format!("measuring {model:?} at {}\n", command.url);
        let wanted = command.requests as usize * command.rates.len().max(1 + SHARES.len());
        if let Some(n) = prompts.count().filter(|n| *n < wanted) {
            report += &format!(
                "note: {n} prompts for {wanted} requests: those that come again are found in the server's KV cache, and seem to cost less\n"
            );
        }
        let mut benchmarks = Vec::new();
        let mut rates = if command.rates.is_empty() { vec![f64::INFINITY] } else { command.rates.clone() };
        let mut at = 0;
        while let Some(rate) = rates.get(at).copied() {
            let sent = command.measure(rate, at, &model, &prompts, &mut report).await?;
            let (name, file) = (format!("rate-{rate:.2}.json"), result_file(&model, rate, &sent).to_string());
            if let Some(folder) = &command.save_to {
                save(&folder.join(&name), &file, &mut report)?;
            }
            if command.rates.is_empty() && at == 0 {
                let answered = sent.iter().filter(|sent| sent.is_good()).count();
                rates.extend(SHARES.map(|share| share * answered as f64 / span(&sent).max(1e-3)));
            }
            benchmarks.extend(import(&name, &file)?);
            at += 1;
        }
        report += "\n";
        Ok(report + &command.fit.fit(&benchmarks, &options)?)
    };
    calibrated.await.map(Said::Text).map_err(|problem: String| vec![problem])
}

fn save(path: &Path, file: &str, report: &mut String) -> Result<(), String> {
    write(path, file)?;
    *report += &format!("wrote {}\n", path.display());
    Ok(())
}

impl Command {
    /// The name that requests ask for.
    async fn model(&self) -> Result<String, String> {
        if let Some(model) = &self.served_model {
            return Ok(model.clone());
        }
        let url = format!("{}/v1/models", self.url.trim_end_matches('/'));
        let at = |problem: String| format!("{url}: {problem}");
        let mut asking = client()?.get(&url);
        if let Some(key) = &self.api_key {
            asking = asking.bearer_auth(key);
        }
        let answer = asking.send().await.map_err(|error| at(error.to_string()))?;
        let status = answer.status();
        let models: Value = answer.json().await.map_err(|error| at(format!("{status}: {error}")))?;
        let first = models["data"][0]["id"].as_str();
        first.map(str::to_owned).ok_or_else(|| at(format!("{status}: it names no model: give --served-model")))
    }

    /// One run. Fails if nothing was answered.
    async fn measure(
        &self,
        rate: f64,
        run: usize,
        model: &str,
        prompts: &Prompts,
        report: &mut String,
    ) -> Result<Vec<Sent>, String> {
        // Other prompts in each run, or the KV cache would have them.
        let first = run * self.requests as usize;
        let moments = arrivals(
            rate,
            self.requests as usize,
            self.arrivals.get(),
            seed::derive(Purpose::Arrivals, &[self.seed, run as u64]),
        );
        let requests = moments.iter().enumerate().map(|(at, moment)| self.planned(model, prompts, first + at, *moment));
        let sent = sent::send(&self.url, "measuring", requests.collect()).await?;
        let failed = sent.iter().find(|sent| !sent.is_good());
        *report += &format!("\n{rate:.2} a second: {}", sent::report(&sent));
        match failed {
            Some(failed) if sent.iter().all(|sent| !sent.is_good()) => {
                let error = failed.error.as_deref().unwrap_or_default();
                Err(format!("at {rate:.2} a second, none of {} requests was answered: {error}", sent.len()))
            }
            _ => Ok(sent),
        }
    }

    fn planned(&self, model: &str, prompts: &Prompts, at: usize, seconds: f64) -> Planned {
        let (prompt, output_len) = prompts.get(at);
        let body = json!({
            "model": model,
            "prompt": prompt,
            "max_tokens": output_len,
            "min_tokens": output_len,
            "ignore_eos": true,
            "temperature": 0,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        headers.extend(self.api_key.as_ref().map(|key| ("authorization".to_owned(), format!("Bearer {key}"))));
        Planned {
            at: moment(seconds),
            method: reqwest::Method::POST,
            path: "/v1/completions".to_owned(),
            headers,
            body: Bytes::from(body.to_string()),
        }
    }
}
