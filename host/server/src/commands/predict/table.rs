//! Predictions for reading, and for programs.

use rehearsal_timing::predict::{Prediction, Spread};
use serde_json::{Value, json};

/// All of one.
pub(super) fn whole(prediction: &Prediction) -> String {
    let Prediction { answered, refused, too_long, duration, tokens, preemptions, most, mean_running, steps, .. } =
        prediction;
    let row = |name: &str, spread: &Spread| {
        let [p50, p90, p99, mean] = [spread.p50, spread.p90, spread.p99, spread.mean].map(|seconds| seconds * 1e3);
        format!("{name:<8}{p50:>12.2}{p90:>12.2}{p99:>12.2}{mean:>12.2}\n")
    };
    let mut text = format!("{:<8}{:>12}{:>12}{:>12}{:>12}\n", "ms", "p50", "p90", "p99", "mean");
    let rows = [
        ("TTFT", &prediction.ttft),
        ("TPOT", &prediction.tpot),
        ("ITL", &prediction.itl),
        ("E2E", &prediction.e2e),
        ("queue", &prediction.queue),
    ];
    rows.iter().for_each(|(name, spread)| text += &row(name, spread));
    text += &format!(
        "\nrequests    {answered} answered, {refused} refused, {too_long} too long, in {duration:.1} s: {:.2} a second\n\
         tokens      {} of prompts ({:.1} % cached), {} of answers: {:.0} a second\n\
         sequences   {} ran and {} waited at most; {mean_running:.1} ran on average; {preemptions} preemptions\n\
         steps       {steps}\n",
        prediction.request_rate(),
        tokens.0,
        prediction.hit_rate(),
        tokens.1,
        prediction.output_rate(),
        most.0,
        most.1,
    );
    text
}

/// A row for each.
pub(super) fn rows(over: &str, rows: &[(f64, Prediction)]) -> String {
    let mut text = format!(
        "{over:>9}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}{:>9}{:>9}\n{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}{:>9}{:>9}\n",
        "TTFT p50",
        "p90",
        "p99",
        "TPOT p50",
        "p90",
        "p99",
        "E2E p50",
        "out",
        "running",
        "waiting",
        "preempt",
        "",
        "ms",
        "ms",
        "ms",
        "ms",
        "ms",
        "ms",
        "s",
        "tok/s",
        "mean",
        "most",
        "times",
    );
    for (value, prediction) in rows {
        let Prediction { ttft, tpot, e2e, mean_running, most, preemptions, .. } = prediction;
        text += &format!(
            "{value:>9}{:>10.1}{:>10.1}{:>10.1}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>10.0}{mean_running:>9.1}{:>9}{preemptions:>9}\n",
            ttft.p50 * 1e3,
            ttft.p90 * 1e3,
            ttft.p99 * 1e3,
            tpot.p50 * 1e3,
            tpot.p90 * 1e3,
            tpot.p99 * 1e3,
            e2e.p50,
            prediction.output_rate(),
            most.1,
        );
    }
    text
}

/// One as JSON, times in seconds.
pub(super) fn json(prediction: &Prediction) -> Value {
    let spread = |Spread { p50, p90, p99, mean }: Spread| json!({ "p50": p50, "p90": p90, "p99": p99, "mean": mean });
    let Prediction { answered, refused, too_long, duration, tokens, cached_tokens, preemptions, .. } = prediction;
    json!({
        "ttft": spread(prediction.ttft), "tpot": spread(prediction.tpot), "itl": spread(prediction.itl),
        "e2e": spread(prediction.e2e), "queue": spread(prediction.queue),
        "answered": answered, "refused": refused, "too_long": too_long, "duration": duration,
        "prompt_tokens": tokens.0, "output_tokens": tokens.1, "cached_tokens": cached_tokens,
        "output_tokens_per_second": prediction.output_rate(), "preemptions": preemptions,
        "max_running": prediction.most.0, "max_waiting": prediction.most.1, "mean_running": prediction.mean_running,
        "steps": prediction.steps,
    })
}

/// A line of JSON for each.
pub(super) fn json_rows(over: &str, rows: &[(f64, Prediction)]) -> String {
    let line = |(value, prediction): &(f64, Prediction)| {
        let mut row = json(prediction);
        row[over] = json!(value);
        format!("{row}\n")
    };
    rows.iter().map(line).collect()
}
