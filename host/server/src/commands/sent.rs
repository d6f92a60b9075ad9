//! Requests that were sent, in numbers; those that failed, each by what it failed of.

use std::collections::BTreeMap;

use rehearsal_open_loop::{Planned, Sent};
use rehearsal_timing::predict::Spread;

use crate::progress;

/// Sends them, with a bar.
pub(super) async fn send(url: &str, what: &'static str, requests: Vec<Planned>) -> Result<Vec<Sent>, String> {
    let bar = progress::steps(what, requests.len());
    let moving = bar.clone();
    let sent = rehearsal_open_loop::send(url, requests, move |ended| moving.set_position(ended as u64)).await;
    bar.finish_and_clear();
    sent
}

/// How many were answered, how fast, and what the others failed of.
pub(super) fn report(sent: &[Sent]) -> String {
    let good: Vec<_> = sent.iter().filter(|sent| sent.is_good()).collect();
    let span = rehearsal_open_loop::span(sent);
    let mut text =
        format!("{} sent, {} answered, {} failed, in {span:.1} s\n", sent.len(), good.len(), sent.len() - good.len());
    let ttft: Vec<_> = good.iter().filter_map(|sent| sent.ttft).collect();
    let e2e: Vec<_> = good.iter().map(|sent| sent.e2e).collect();
    for (name, values) in [("TTFT", ttft), ("E2E", e2e)] {
        if !values.is_empty() {
            let Spread { p50, p90, p99, .. } = Spread::of(&values);
            text += &format!("{name:<5} p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms\n", p50 * 1e3, p90 * 1e3, p99 * 1e3);
        }
    }
    let late = sent.iter().map(|sent| sent.start - sent.planned).fold(0.0, f64::max);
    if late > 0.05 {
        text += &format!("note: this machine was up to {:.0} ms late in sending them\n", late * 1e3);
    }
    let mut failures: BTreeMap<String, usize> = BTreeMap::new();
    for sent in sent.iter().filter(|sent| !sent.is_good()) {
        let status = sent.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        *failures.entry(format!("{status}: {}", sent.error.as_deref().unwrap_or_default())).or_default() += 1;
    }
    failures.iter().for_each(|(failure, n)| text += &format!("{n} failed: {failure}\n"));
    text
}
