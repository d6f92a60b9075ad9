//! Scenarios: files of a project that say what a plugin answers to requests that follow one another. Time is advanced by hand, so
//! that half an hour between two requests takes none and every duration is exact.

mod answered;
mod expect;
mod file;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rehearsal_engine::ManualClock;
use rehearsal_plugin_host::PluginSpec;

use super::in_process::{Answer, InProcess, MODEL};
use crate::process::real_time::{sleep, timeout};
use answered::Answered;
use expect::Ends;
use file::{Scenario, Step};

/// How one check ended: what was checked, and what is wrong.
pub(super) type Verdict = (String, Result<(), String>);

/// How long a connection on which nothing more is due is looked at before it counts as one that never ends.
const PATIENCE: Duration = Duration::from_millis(500);

/// Between two looks at whether anything is due.
const LOOK: Duration = Duration::from_micros(200);

/// Runs the scenarios of `folder`, in the order of their names; none if there is no such folder.
pub(super) async fn run(folder: &Path, spec: &PluginSpec) -> Result<Vec<Verdict>, Vec<String>> {
    let mut verdicts = Vec::new();
    for path in files(folder).map_err(|error| vec![format!("cannot list {}: {error}", folder.display())])? {
        let scenario = Scenario::read(&path).map_err(|problem| vec![problem])?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        verdicts.push((format!("scenario: {name}"), play(&scenario, spec).await));
    }
    Ok(verdicts)
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let mut files: Vec<_> = paths.into_iter().filter(is_yaml).collect();
    files.sort();
    Ok(files)
}

/// Fails with the first step that is not as it should be.
async fn play(scenario: &Scenario, spec: &PluginSpec) -> Result<(), String> {
    let config = scenario.config.clone().unwrap_or_else(|| spec.config.clone());
    let spec = PluginSpec { config, ..spec.clone() };
    let flags = ["--clock", "manual"].into_iter().chain(scenario.flags.iter().map(String::as_str));
    let server = InProcess::start(&spec, MODEL, flags, false).await.map_err(|problems| problems.join("; "))?;
    for entry in &scenario.state {
        let restored = entry.clone().restore(&server.replica.plugins, &spec.name);
        restored.map_err(|problem| format!("state: {problem}"))?;
    }
    for (index, step) in scenario.steps.iter().enumerate() {
        take(step, &server).await.map_err(|problem| format!("step {}: {problem}", index + 1))?;
    }
    Ok(())
}

async fn take(step: &Step, server: &InProcess) -> Result<(), String> {
    let clock = server.replica.clock.as_manual().ok_or("flags: a scenario's clock is advanced by hand")?;
    clock.advance(step.after).await;
    let before = server.replica.clock.now();
    let body = step.body();
    let headers = step.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let answer = tokio::select! {
        answer = server.answer(&body, body.to_string(), headers) => Some(answer?),
        () = nothing_more_is_due(server, clock) => None,
    };
    let took = server.replica.clock.now().since(before);
    told(server, clock).await;
    let said = || server.status().last_call_error.map(|error| error.message);
    let (ends, answered) = match answer {
        None => (Ends::Never, Answered::default()),
        Some(Answer { status, body, broken, .. }) => {
            (if broken.is_none() { Ends::Whole } else { Ends::Broken }, Answered::new(status, &body))
        }
    };
    step.expect.judge(ends, &answered, took).map_err(|problem| match said() {
        Some(error) => format!("{problem}; the plugin: {error}"),
        None => problem,
    })?;
    let state = server.replica.plugins.state(&server.status().info.name, "").unwrap_or_default();
    step.expect.judge_state(state)
}

/// Lets time pass as long as anything is due.
async fn nothing_more_is_due(server: &InProcess, clock: &ManualClock) {
    let is_idle = || server.replica.clock.next_deadline().is_none() && server.replica.clock.calls_in_flight() == 0;
    loop {
        clock.advance_until_idle().await;
        sleep(LOOK).await;
        if !is_idle() {
            continue;
        }
        // A client that was sent its last token is still to read it.
        sleep(PATIENCE).await;
        if is_idle() {
            return;
        }
    }
}

/// Waits until observers were told how the request ended.
async fn told(server: &InProcess, clock: &ManualClock) {
    clock.advance_until_idle().await;
    let told = async {
        while server.replica.plugins.has_endings_to_tell() {
            sleep(LOOK).await;
        }
    };
    // One that does not return is stopped by its own limits, long before.
    let _ = timeout(Duration::from_secs(60), told).await;
}
