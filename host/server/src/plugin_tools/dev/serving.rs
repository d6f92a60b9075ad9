//! The server of `plugin dev`: a process of its own, which has a copy of the component and takes over another when it is told to.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rehearsal_plugin_host::{Limits, PluginSource, PluginSpec, regular_file};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use ureq::Agent;

use crate::plugin_tools::With;
use crate::plugin_tools::in_process::{MODEL, flags_of};
use crate::process::real_time::{Instant, sleep, timeout};

/// How long a version may take until it serves, its compilation included.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two questions whether it does.
const INTERVAL: Duration = Duration::from_millis(20);

/// The largest component.
const MOST_BYTES: u64 = 1 << 30;

/// What serves, if anything does.
pub(super) struct Serving {
    /// Of the copy.
    folder: TempDir,
    flags: Vec<String>,
    state: Option<PathBuf>,
    running: Option<Running>,
}

struct Running {
    child: Child,
    url: String,
    name: String,
    config: Map<String, Value>,
}

impl Serving {
    /// Nothing yet.
    pub(super) fn new(with: &With, flags: &[String]) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for the component that serves")?;
        Ok(Self { folder, flags: flags.to_vec(), state: with.state.clone(), running: None })
    }

    /// For whoever waits after something went wrong.
    pub(super) fn what_serves_on(&self) -> String {
        match &self.running {
            Some(running) => format!("the version before serves on at {}", running.url),
            None => "nothing serves yet".to_owned(),
        }
    }

    /// Fails if the server has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let ended = self.running.as_mut().and_then(|running| running.child.try_wait().ok().flatten());
        ended.map_or(Ok(()), |status| Err(format!("the server has ended: {status}")))
    }

    /// Lets `component` serve: in the process that runs, or in one that is started. What was done, and what came of it.
    pub(super) async fn take_over(
        &mut self,
        spec: &PluginSpec,
        component: &Path,
    ) -> Result<(&'static str, String), String> {
        let told = |error: anyhow::Error| format!("{error:#}");
        let sha256 = self.copy(component).map_err(told)?;
        let goes_on =
            self.running.as_ref().is_some_and(|running| running.config == spec.config && running.name == spec.name);
        if goes_on && let Some(running) = &self.running {
            running.reload(&sha256).await.map_err(told)?;
            return Ok(("reload", running.url.clone()));
        }
        self.stop().await;
        let running = self.start(spec).await.map_err(told)?;
        let url = running.url.clone();
        self.running = Some(running);
        Ok(("serve", url))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("plugin.wasm")
    }

    /// The hash of what is copied.
    fn copy(&self, component: &Path) -> Result<String> {
        let bytes = regular_file::read(component, MOST_BYTES)?;
        let fresh = self.folder.path().join("fresh");
        std::fs::write(&fresh, &bytes).and_then(|()| std::fs::rename(&fresh, self.path()))?;
        Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    async fn start(&self, spec: &PluginSpec) -> Result<Running> {
        let file = PluginSpec { source: PluginSource::file(self.path()), ..spec.clone() };
        let config = self.folder.path().join("server.yaml");
        std::fs::write(&config, plugins(&file).to_string())?;
        let mut command = Command::new(std::env::current_exe().context("cannot tell which program this is")?);
        command.arg("--config").arg(&config);
        if !self.flags.iter().any(|flag| flag == "--model" || flag.starts_with("--model=")) {
            command.args(["--model", MODEL]);
        }
        let used = flags_of(spec).await.map_err(|problems| anyhow::anyhow!(problems.join("; ")))?;
        command.args(used).args(&self.flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start the server")?;
        let stdout = child.stdout.take().context("it was asked for")?;
        let mut lines = BufReader::new(stdout).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.strip_prefix("listening on ") {
                    return Ok(url.to_owned());
                }
            }
            anyhow::bail!("the server did not start")
        };
        let url = timeout(PATIENCE, listening).await.context("the server does not start")??;
        // Nothing more is said there.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let running = Running { child, url, name: spec.name.clone(), config: spec.config.clone() };
        if let Some(kept) = self.state.as_ref().and_then(|file| std::fs::read(file).ok()) {
            running
                .ask(move |agent, url| agent.put(url).content_type("application/json").send(&kept).map(drop))
                .await?;
        }
        Ok(running)
    }

    /// Ends the server, and writes what the plugin keeps.
    pub(super) async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        if let Some(file) = self.state.clone() {
            let kept = running.ask(move |agent, url| {
                let kept: Value = agent.get(url).call()?.body_mut().read_json()?;
                std::fs::write(&file, format!("{kept:#}\n")).map_err(ureq::Error::Io)
            });
            if let Err(error) = kept.await {
                super::line("", format!("what the plugin keeps was not written: {error:#}"), None);
            }
        }
        running.signal(Signal::TERM);
        if timeout(PATIENCE, running.child.wait()).await.is_err() {
            let _ = running.child.kill().await;
        }
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        // One that has ended needs none.
        let _ = pid.map(|pid| kill_process(pid, signal));
    }

    /// Until the plugin with this hash serves. Fails with why it does not.
    async fn reload(&self, sha256: &str) -> Result<()> {
        let start = Instant::now();
        self.signal(Signal::HUP);
        while start.elapsed() < PATIENCE {
            let (url, name) = (format!("{}/rehearsal/plugins", self.url), self.name.clone());
            let status = tokio::task::spawn_blocking(move || {
                let list: Value = agent().get(&url).call()?.body_mut().read_json()?;
                let plugins = list["plugins"].as_array().cloned().unwrap_or_default();
                Ok::<_, ureq::Error>(plugins.into_iter().find(|plugin| plugin["name"] == *name))
            });
            let status = status.await?.context("the server does not tell how its plugins do")?.unwrap_or_default();
            if status["sha256"] == *sha256 {
                return Ok(());
            }
            let last = &status["last_reload"];
            if last["sha256"] == *sha256 && last["outcome"] != "ok" {
                anyhow::bail!("{}", last["error"].as_str().unwrap_or("the server refuses it"));
            }
            sleep(INTERVAL).await;
        }
        anyhow::bail!("it did not serve within {PATIENCE:?}")
    }

    /// Asks what the plugin keeps, or tells it.
    async fn ask(&self, question: impl FnOnce(&Agent, &str) -> Result<(), ureq::Error> + Send + 'static) -> Result<()> {
        let url = format!("{}/rehearsal/plugins/{}/state", self.url, self.name);
        tokio::task::spawn_blocking(move || question(&agent(), &url)).await?.with_context(|| "state")
    }
}

fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).proxy(None).build().into()
}

/// As a configuration file lists it.
fn plugins(PluginSpec { name, source, config, limits }: &PluginSpec) -> Value {
    let PluginSource::File { path, .. } = source else { return json!({}) };
    let Limits { cpu, wall, memory, reuse, concurrency, waiting, .. } = limits;
    let us = |time: &Duration| format!("{}us", time.as_micros());
    let limits = json!({
        "cpu": us(cpu), "wall": us(wall), "memory": memory, "reuse": reuse, "concurrency": concurrency, "waiting": waiting,
    });
    json!({ "plugins": [{ "name": name, "path": path, "config": config, "limits": limits }] })
}
