//! The token ids of a benchmark's prompts, which its own files do not have: `--prompts`.

use std::path::Path;

use rehearsal_timing::Benchmark;

use super::files::text_of;

/// Gives requests their prompts: a line of the file for each request of the benchmarks' files, those that failed included.
pub(super) fn add_prompts(benchmarks: &mut [Benchmark], path: &Path) -> Result<(), String> {
    let text = text_of(path)?;
    let lines: Vec<_> = text.lines().collect();
    let wanted: usize = benchmarks.iter().map(|benchmark| benchmark.records.len() + benchmark.failed).sum();
    if lines.len() != wanted {
        return Err(format!("{} has {} prompts, and there are {wanted} requests", path.display(), lines.len()));
    }
    let mut first = 0;
    for benchmark in benchmarks {
        for record in &mut benchmark.records {
            let line = first + record.index;
            let at = |problem: String| format!("{}: line {}: {problem}", path.display(), line + 1);
            let text = lines.get(line).ok_or_else(|| at("it is missing".into()))?;
            record.prompt = serde_json::from_str(text).map_err(|error| at(error.to_string()))?;
            if record.prompt.len() != record.prompt_tokens as usize {
                let (has, wants) = (record.prompt.len(), record.prompt_tokens);
                return Err(at(format!("it has {has} tokens, and the request {wants}")));
            }
        }
        first += benchmark.records.len() + benchmark.failed;
    }
    Ok(())
}
