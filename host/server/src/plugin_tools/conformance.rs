//! `plugin test`: what the contract demands of any plugin, asked one by one, and what its own scenarios say.
//!
//! Every check is a call or two. What a plugin answers is its own affair; that it answers, within its limits, in a form
//! that the host can serve, in the format that was asked for, and twice the same, is not. A rejection is an answer. A project says
//! which checks do not apply to it, and why.

mod checks;
mod embeddings;
mod formats;
mod requests;

use std::collections::BTreeMap;

use rehearsal_plugin_host::{LoadError, PluginSpec, Plugins};
use serde_json::{Map, Value, json};

use super::project::Project;
use super::scenarios::{self, Verdict};
use super::{Given, Said, With, load, messages, spec};
use crate::progress;
use checks::Subject;

/// Arguments of `plugin test`.
#[derive(Debug, clap::Args)]
pub(super) struct Test {
    #[command(flatten)]
    given: Given,
    /// Further plugins, with no configuration of their own
    plugins: Vec<String>,
}

/// How all of a plugin's ended.
pub(super) struct Judgement {
    /// A line for each.
    pub(super) report: String,
    pub(super) n_checks: usize,
    pub(super) n_failed: usize,
}

impl Test {
    pub(super) async fn run(&self) -> Result<Said, Vec<String>> {
        let project = self.given.project()?;
        let mut report = String::new();
        let mut n_failed = 0;
        let given = (self.given.spec()?, Some(&self.given.with), project.as_ref());
        let others = self.plugins.iter().map(|plugin| (spec(plugin), None, None));
        for (spec, with, project) in std::iter::once(given).chain(others) {
            let judgement = judgement(&spec, with, project).await?;
            report += &format!("{}\n{}", spec.name, judgement.report);
            n_failed += judgement.n_failed;
        }
        Ok(if n_failed == 0 { Said::Text(report) } else { Said::NoGood(report) })
    }
}

/// The checks that apply to a plugin, and the scenarios of its project. Fails if the project says of a check that is none that it
/// does not apply.
pub(super) async fn judgement(
    spec: &PluginSpec,
    with: Option<&With>,
    project: Option<&Project>,
) -> Result<Judgement, Vec<String>> {
    let mut verdicts = judge(spec, with).await?;
    let Some(project) = project else { return Ok(Judgement::new(&verdicts, &BTreeMap::new())) };
    let not_applicable = project.not_applicable();
    let unknown = not_applicable.keys().filter(|check| verdicts.iter().all(|(known, _)| known != *check));
    let unknown: Vec<_> = unknown.map(|check| format!("not-applicable: {check:?} is none of its checks")).collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    verdicts.extend(scenarios::run(&project.scenarios(), spec).await?);
    Ok(Judgement::new(&verdicts, not_applicable))
}

impl Judgement {
    fn new(verdicts: &[Verdict], not_applicable: &BTreeMap<String, String>) -> Self {
        let (mut report, mut n_checks, mut n_failed) = (String::new(), 0, 0);
        for (check, verdict) in verdicts {
            if let Some(reason) = not_applicable.get(check) {
                report += &format!("  n/a   {check}: {reason}\n");
                continue;
            }
            n_checks += 1;
            report += &match verdict {
                Ok(()) => format!("  ok    {check}\n"),
                Err(problem) => {
                    n_failed += 1;
                    format!("  FAIL  {check}: {problem}\n")
                }
            };
        }
        report += &format!("  {n_checks} checks, {n_failed} failed");
        let n_others = verdicts.len() - n_checks;
        report += &if n_others == 0 { "\n".to_owned() } else { format!(", {n_others} not applicable\n") };
        Self { report, n_checks, n_failed }
    }
}

async fn judge(spec: &PluginSpec, with: Option<&With>) -> Result<Vec<Verdict>, Vec<String>> {
    // Two hosts, each with a state of its own that no request has touched.
    let first = load(vec![spec.clone()]).await.map_err(messages)?;
    let second = load(vec![spec.clone()]).await.map_err(messages)?;
    for host in [&first, &second] {
        with.map_or(Ok(()), |with| with.restore(host, &spec.name))?;
    }
    let subject = |host: &Plugins| Subject::new(host, &spec.name);
    let (subject, twin) = (subject(&first), subject(&second));
    let hostile = hostile_configurations();
    let requests = requests::all();
    let bar = progress::steps("testing", requests.len() + hostile.len());
    let mut verdicts = Vec::new();
    for (what, request) in &requests {
        for (export, verdict) in subject.check(request, &twin).await {
            verdicts.push((format!("{export}: {what}"), verdict));
        }
        bar.inc(1);
    }
    for (what, request) in embeddings::all() {
        let verdict = subject.embeds(&request, &twin).await;
        verdicts.extend(verdict.map(|verdict| (format!("embed: {what}"), verdict)));
    }
    for (what, config) in hostile {
        let verdict = survives(PluginSpec { config, ..spec.clone() }).await;
        verdicts.push((format!("configuration: {what}"), verdict));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(verdicts)
}

/// Any configuration is taken or refused in words.
async fn survives(spec: PluginSpec) -> Result<(), String> {
    match load(vec![spec]).await {
        Ok(_) => Ok(()),
        Err(errors) => match errors.iter().find(|error| !error.is_refusal()) {
            None => Ok(()),
            Some(error) => Err(LoadError::to_string(error)),
        },
    }
}

/// Objects that no reader of the plugin's schema would write.
fn hostile_configurations() -> Vec<(&'static str, Map<String, Value>)> {
    let deep = (0..200).fold(json!(null), |inner, _| json!({ "a": inner }));
    let configs = [
        ("an unknown key", json!({ "no-such-key": 1 })),
        ("odd keys", json!({ "": null, "__proto__": {}, "ключ": [], "a\u{0}b": true })),
        ("numbers out of any range", json!({ "rate": -1e308, "sides": u64::MAX, "turns": i64::MIN })),
        ("200 objects in each other", json!({ "deep": deep })),
        ("a string of 1 MiB", json!({ "long": "x".repeat(1 << 20) })),
    ];
    configs.map(|(what, config)| (what, config.as_object().cloned().unwrap_or_default())).into()
}
