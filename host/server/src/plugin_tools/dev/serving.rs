//! The server of `plugin dev`: a process of its own, which has a copy of the component and takes over another when it is told to.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rehearsal_plugin_host::{Limits, MAX_COMPONENT_BYTES, PluginSource, PluginSpec, regular_file, sha256};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
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

/// The largest answer about what a plugin keeps.
const MOST_STATE_BYTES: u64 = 64 << 20;

/// Flags with which the server could not be asked how the plugin does.
const NOT_HERE: [&str; 6] =
    ["--config", "--api-key", "--uds", "--ssl-keyfile", "--ssl-certfile", "--self-signed-certs"];

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
    /// What it was started with: another configuration, other limits or other exports take another start.
    began_with: Began,
}

#[derive(PartialEq)]
struct Began {
    name: String,
    config: Map<String, Value>,
    limits: Limits,
    /// The flags by which it uses the plugin.
    uses: Vec<String>,
}

impl Serving {
    /// Nothing yet. Fails with a flag that cannot be given here.
    pub(super) fn new(with: &With, flags: &[String]) -> Result<Self> {
        let is_refused = |flag: &&String| NOT_HERE.contains(&flag.split('=').next().unwrap_or_default());
        if let Some(flag) = flags.iter().find(is_refused) {
            anyhow::bail!(
                "{flag} cannot be given to the server of plugin dev, which asks it over plain HTTP how the plugin does"
            );
        }
        let folder = tempfile::tempdir().context("cannot make a folder for the component that serves")?;
        Ok(Self { folder, flags: flags.to_vec(), state: with.state.clone(), running: None })
    }

    /// What is told after something went wrong.
    pub(super) fn what_serves_on(&self) -> String {
        match &self.running {
            Some(running) => format!("the version before serves on at {}", running.url),
            None => "nothing serves".to_owned(),
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
        let uses = flags_of(spec).await.map_err(|problems| problems.join("\n"))?;
        let PluginSpec { name, config, limits, .. } = spec.clone();
        let begins_with = Began { name, config, limits, uses };
        if let Some(running) = self.running.as_ref().filter(|running| running.began_with == begins_with) {
            running.reload(&sha256).await.map_err(told)?;
            return Ok(("reload", running.url.clone()));
        }
        self.stop().await;
        let running = self.start(spec, begins_with).await.map_err(told)?;
        let url = running.url.clone();
        self.running = Some(running);
        Ok(("serve", url))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("plugin.wasm")
    }

    /// The hash of what is copied.
    fn copy(&self, component: &Path) -> Result<String> {
        let bytes = regular_file::read(component, MAX_COMPONENT_BYTES)?;
        let fresh = self.folder.path().join("fresh");
        std::fs::write(&fresh, &bytes).and_then(|()| std::fs::rename(&fresh, self.path()))?;
        Ok(sha256(&bytes))
    }

    async fn start(&self, spec: &PluginSpec, began_with: Began) -> Result<Running> {
        let file = PluginSpec { source: PluginSource::file(self.path()), ..spec.clone() };
        let config = self.folder.path().join("server.yaml");
        std::fs::write(&config, plugins(&file).to_string())?;
        let mut command = Command::new(std::env::current_exe().context("cannot tell which program this is")?);
        command.arg("--config").arg(&config);
        if !self.flags.iter().any(|flag| flag == "--model" || flag.starts_with("--model=")) {
            command.args(["--model", MODEL]);
        }
        command.args(&began_with.uses).args(&self.flags);
        // It ends when it is told to, after it was asked what the plugin keeps, and not with the terminal's Ctrl-C.
        command.process_group(0);
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
        let running = Running { child, url, began_with };
        if let Some(file) = &self.state {
            match std::fs::read(file) {
                Ok(kept) => running.keep(kept).await.with_context(|| file.display().to_string())?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
            }
        }
        Ok(running)
    }

    /// Ends the server, and writes what the plugin keeps.
    pub(super) async fn stop(&mut self) {
        let Some(running) = self.running.as_mut() else { return };
        if let Some(file) = &self.state {
            let kept = async { anyhow::Ok(std::fs::write(file, running.kept().await?)?) };
            if let Err(error) = kept.await {
                let file = file.display();
                super::line("", format!("what the plugin keeps was not written to {file}: {error:#}"), None);
            }
        }
        running.signal(Signal::TERM);
        if timeout(PATIENCE, running.child.wait()).await.is_err() {
            let _ = running.child.kill().await;
        }
        self.running = None;
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
            let (url, name) = (format!("{}/rehearsal/plugins", self.url), self.began_with.name.clone());
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

    fn state_url(&self) -> String {
        format!("{}/rehearsal/plugins/{}/state", self.url, self.began_with.name)
    }

    /// What the plugin keeps, as JSON.
    async fn kept(&self) -> Result<String> {
        let url = self.state_url();
        let ask = move || {
            let kept: Value = agent().get(&url).call()?.body_mut().with_config().limit(MOST_STATE_BYTES).read_json()?;
            anyhow::Ok(format!("{kept:#}\n"))
        };
        tokio::task::spawn_blocking(ask).await?
    }

    /// Lets the plugin keep this too. Fails with what the server says of it.
    async fn keep(&self, kept: Vec<u8>) -> Result<()> {
        let url = self.state_url();
        let tell = move || {
            let mut answer = agent().put(&url).content_type("application/json").send(&kept)?;
            let (status, said) = (answer.status(), answer.body_mut().read_to_string()?);
            anyhow::ensure!(status.is_success(), "{said}");
            Ok(())
        };
        tokio::task::spawn_blocking(tell).await?
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).http_status_as_error(false);
    config.proxy(None).build().into()
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
