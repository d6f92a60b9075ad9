//! What a calibration asks for: the user's own prompts, or random tokens.

use std::path::Path;

use rehearsal_engine::seed::{self, Purpose};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::commands::files::text_of;

/// Prompts, by the number of the request.
pub(super) enum Prompts {
    /// The user's, over and over, with the length of the answer.
    Own(Vec<(Value, u32)>),
    /// So many random tokens.
    Random { n_tokens: u32, output_len: u32, seed: u64 },
}

/// A line of the user's file.
#[derive(Deserialize)]
struct Line {
    prompt: Value,
    output_len: Option<u32>,
}

/// Tokens that every vocabulary has, and no tokenizer treats as special.
const TOKENS: std::ops::Range<u64> = 1000..20_000;

impl Prompts {
    /// Those of a file; else of `n_tokens` each. Fails with which line is wrong.
    pub(super) fn new(file: Option<&Path>, n_tokens: Option<u32>, output_len: u32, seed: u64) -> Result<Self, String> {
        let Some(path) = file else {
            return Ok(Self::Random { n_tokens: n_tokens.unwrap_or(1), output_len, seed });
        };
        let text = text_of(path)?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let prompt = |(at, line): (usize, &str)| {
            let problem = |problem: String| format!("{}: line {}: {problem}", path.display(), at + 1);
            if !line.starts_with('{') {
                return Ok((json!(line), output_len));
            }
            let Line { prompt, output_len: own } =
                serde_json::from_str(line).map_err(|error| problem(error.to_string()))?;
            let is_ids = prompt.as_array().is_some_and(|ids| !ids.is_empty() && ids.iter().all(Value::is_u64));
            if !(prompt.is_string() || is_ids) {
                return Err(problem("prompt: it is neither a text nor a list of token ids".into()));
            }
            Ok((prompt, own.unwrap_or(output_len).max(1)))
        };
        let prompts = lines.map(prompt).collect::<Result<Vec<_>, String>>()?;
        if prompts.is_empty() { Err(format!("{}: it has no prompts", path.display())) } else { Ok(Self::Own(prompts)) }
    }

    /// How many there are, if they do not go on for ever.
    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Self::Own(prompts) => Some(prompts.len()),
            Self::Random { .. } => None,
        }
    }

    /// The prompt of a request, and how many tokens are to answer it.
    pub(super) fn get(&self, at: usize) -> (Value, u32) {
        match self {
            Self::Own(prompts) => prompts[at % prompts.len()].clone(),
            Self::Random { n_tokens, output_len, seed } => {
                let mut rng = seed::rng(Purpose::Arrivals, &[*seed, at as u64, 1]);
                let span = (TOKENS.end - TOKENS.start) as f64;
                let token = |_| TOKENS.start + (seed::share(&mut rng) * span) as u64;
                ((0..*n_tokens).map(token).collect(), *output_len)
            }
        }
    }
}
