//! `plugin dev`: builds, tests and serves a project, and does so again when a file of it changes. One line a step, with its time.
//! What serves is the last version that was good: one that does not build, or fails a test, is told of and no more.

mod serving;
mod watch;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rehearsal_plugin_host::{PluginSource, PluginSpec};
use tokio::process::Command;

use super::project::{Build, Project};
use super::{With, conformance, spec};
use crate::process::real_time::Instant;
use crate::process::signals::StopSignals;
use crate::said::Said;
use serving::Serving;
use watch::Files;

/// Arguments of `plugin dev`.
#[derive(Debug, clap::Args)]
pub(super) struct Dev {
    /// The project
    #[arg(default_value = ".")]
    folder: PathBuf,
    #[command(flatten)]
    with: With,
    /// Flags of the server, behind --
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

impl Dev {
    /// Goes on until a signal ends it.
    pub(super) async fn run(&self) -> Result<Said, Vec<String>> {
        let mut signals = StopSignals::new().map_err(|error| vec![format!("{error:#}")])?;
        // What makes no sense from the beginning ends it.
        Project::open(&self.folder).and_then(|project| project.build()).map_err(|problem| vec![problem])?;
        let mut serving = Serving::new(&self.with, &self.flags).map_err(|error| vec![format!("{error:#}")])?;
        let ended = tokio::select! {
            ended = self.rounds(&mut serving) => ended,
            _ = signals.next() => Ok(()),
        };
        serving.stop().await;
        ended.map(|()| Said::Text(String::new())).map_err(|problem| vec![problem])
    }

    async fn rounds(&self, serving: &mut Serving) -> Result<(), String> {
        loop {
            let made = Project::open(&self.folder).and_then(|project| project.build()).map(|made| made.component);
            let not_written: Vec<_> = made.into_iter().chain(self.with.state.clone()).collect();
            let files = Files::look(&self.folder, not_written).await;
            if let Err(problem) = self.round(serving).await {
                line("", format!("{problem}\n{}", serving.what_serves_on()), None);
            }
            let changed = files.changed(serving).await?;
            line("change", changed, None);
        }
    }

    /// Fails with why this version does not serve.
    async fn round(&self, serving: &mut Serving) -> Result<(), String> {
        let project = Project::open(&self.folder)?;
        let made = project.build()?;
        let start = Instant::now();
        build(&self.folder, &made).await?;
        line("build", &made.command, Some(start.elapsed()));
        let start = Instant::now();
        let source = PluginSource::file(&made.component);
        let named = PluginSpec { name: made.name.clone(), source, ..spec(&made.name) };
        let spec = self.with.on(named, Some(&project));
        let judgement = conformance::judgement(&spec, Some(&self.with), Some(&project)).await;
        let judgement = judgement.map_err(|problems| problems.join("\n"))?;
        line("test", format!("{} checks, {} failed", judgement.n_checks, judgement.n_failed), Some(start.elapsed()));
        if judgement.n_failed > 0 {
            // What a plugin said stands on lines of its own below.
            let is_good = |line: &&str| line.starts_with("  ok    ") || line.starts_with("  n/a   ");
            let failed = judgement.report.lines().filter(|line| !is_good(line));
            return Err(failed.collect::<Vec<_>>().join("\n"));
        }
        let start = Instant::now();
        let (what, told) = serving.take_over(&spec, &made.component).await?;
        line(what, told, Some(start.elapsed()));
        Ok(())
    }
}

/// Fails with what the command said.
async fn build(folder: &std::path::Path, made: &Build) -> Result<(), String> {
    let mut command = Command::new("sh");
    command.args(["-c", &made.command]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| format!("cannot run {}: {error}", made.command))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        return Err(format!("{} failed ({}):\n{}", made.command, output.status, said.trim_end()));
    }
    if made.component.is_file() {
        Ok(())
    } else {
        Err(format!("{} went well, but there is no {}", made.command, made.component.display()))
    }
}

/// A reader that went away is no reason to end.
fn line(step: &str, what: impl Display, took: Option<Duration>) {
    let took = took.map(|took| format!("  {:.1} s", took.as_secs_f64())).unwrap_or_default();
    let _ = writeln!(std::io::stdout(), "{step:<7} {what}{took}");
}
