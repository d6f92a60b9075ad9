//! `plugin test`: what the contract demands of any plugin, asked one by one.
//!
//! Every check is a call or two. What a plugin answers is its own affair; that it answers, within its limits, in a form
//! that the host can serve, and twice the same, is not. A rejection is an answer.

mod checks;
mod requests;

use rehearsal_plugin_host::{LoadError, PluginSpec, Plugins};
use serde_json::{Map, Value, json};

use super::{Given, Said, load, messages, progress, spec};
use checks::Subject;

/// Arguments of `plugin test`.
#[derive(Debug, clap::Args)]
pub(super) struct Test {
    #[command(flatten)]
    given: Given,
    /// Further plugins, with no configuration of their own
    plugins: Vec<String>,
}

/// How one check ended: what was checked, and what is wrong.
type Verdict = (String, Result<(), String>);

impl Test {
    pub(super) async fn run(&self) -> Result<Said, Vec<String>> {
        let mut report = String::new();
        let mut failures = 0;
        let given = (self.given.spec(), Some(&self.given));
        for (spec, given) in std::iter::once(given).chain(self.plugins.iter().map(|plugin| (spec(plugin), None))) {
            let verdicts = judge(&spec, given).await?;
            report += &format!("{}\n", spec.name);
            for (check, verdict) in &verdicts {
                report += &match verdict {
                    Ok(()) => format!("  ok    {check}\n"),
                    Err(problem) => format!("  FAIL  {check}: {problem}\n"),
                };
            }
            let failed = verdicts.iter().filter(|(_, verdict)| verdict.is_err()).count();
            report += &format!("  {} checks, {failed} failed\n", verdicts.len());
            failures += failed;
        }
        Ok(if failures == 0 { Said::Text(report) } else { Said::NoGood(report) })
    }
}

async fn judge(spec: &PluginSpec, given: Option<&Given>) -> Result<Vec<Verdict>, Vec<String>> {
    // Two hosts, each with a state of its own that no request has touched.
    let first = load(vec![spec.clone()]).await.map_err(messages)?;
    let second = load(vec![spec.clone()]).await.map_err(messages)?;
    for host in [&first, &second] {
        given.map_or(Ok(()), |given| given.restore(host))?;
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

/// Objects that nobody who reads the plugin's schema would write.
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
