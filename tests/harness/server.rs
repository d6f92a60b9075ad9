//! A server process.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use crate::{http_client, in_time};

/// A running server on a port of its own.
pub struct Server {
    /// None for further ranks of a process that another one stands for.
    child: Option<Child>,
    /// `http://127.0.0.1:<port>`, or what else it says that it listens on.
    pub url: String,
    /// Keeps its connections alive between requests.
    pub http: reqwest::Client,
    /// Its log, where it is to stay unread.
    _unread: Option<ChildStderr>,
}

/// What becomes of a log that is not read.
pub enum Unread {
    /// Its pipe is closed once the server listens.
    Closed,
    /// Its pipe is open, and is never read once the server listens.
    Full,
    /// It is read for a while, and then not for a while.
    NowAndThen,
}

/// A server that did not start.
#[derive(Debug)]
pub struct Refusal {
    /// Exit code.
    pub code: Option<i32>,
    /// What it said.
    pub stderr: String,
}

impl Server {
    /// Starts the binary `exe` with `args`, on a port that the system picks.
    ///
    /// # Panics
    /// If it does not listen within a minute.
    pub async fn start(exe: &str, args: &[&str]) -> Self {
        Self::start_with_env(exe, args, &[]).await
    }

    /// The same, with environment variables.
    pub async fn start_with_env(exe: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_ranks(exe, args, env, 1).await.remove(0)
    }

    /// The same for a server whose log is not read.
    pub async fn start_unread(exe: &str, args: &[&str], unread: Unread) -> Self {
        Self::listening(command(exe, args, &[]), 1, Some(unread)).await.remove(0)
    }

    /// The same for a process that serves `n` data-parallel ranks. It ends with the first of them.
    pub async fn start_ranks(exe: &str, args: &[&str], env: &[(&str, &str)], n: usize) -> Vec<Self> {
        Self::listening(command(exe, args, env), n, None).await
    }

    /// Starts a command line from another program's manifest: its arguments as they stand, but for the address.
    pub async fn start_verbatim(exe: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = bare_command(exe, env);
        // Of flags that come twice, the last one counts.
        command.args(args).args(["--host", "127.0.0.1", "--port", "0"]);
        Self::listening(command, 1, None).await.remove(0)
    }

    async fn listening(mut command: Command, n: usize, unread: Option<Unread>) -> Vec<Self> {
        let mut child = command.spawn().expect("the binary exists");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let mut child = Some(child);
        let mut servers = Vec::new();
        for _ in 0..n {
            let mut line = String::new();
            in_time("it says where it listens", stdout.read_line(&mut line)).await.unwrap();
            let Some(url) = line.trim().strip_prefix("listening on ") else {
                let mut said = String::new();
                stderr.read_to_string(&mut said).await.unwrap();
                panic!("the server did not start: {line}{said}");
            };
            let (url, http) = (url.to_owned(), http_client().build().expect("a client"));
            servers.push(Self { child: child.take(), url, http, _unread: None });
        }
        match unread {
            Some(Unread::Closed) => drop(stderr),
            Some(Unread::Full) => servers[0]._unread = Some(stderr),
            Some(Unread::NowAndThen) => drop(tokio::spawn(async move {
                let mut lines = vec![0; 1 << 20];
                loop {
                    let until = tokio::time::Instant::now() + Duration::from_secs(1);
                    while let Ok(Ok(1..)) = tokio::time::timeout_at(until, stderr.read(&mut lines)).await {}
                    tokio::time::sleep(Duration::from_secs(9)).await;
                }
            })),
            None => drop(tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await })),
        }
        tokio::spawn(async move { tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await });
        servers
    }

    /// Starts a server that must refuse to.
    pub async fn refused(exe: &str, args: &[&str]) -> Refusal {
        let output = in_time("it ends", command(exe, args, &[]).output()).await.expect("the binary exists");
        Refusal { code: output.status.code(), stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    /// Sends a signal: `HUP`, `TERM`, …
    pub async fn signal(&self, name: &str) {
        let pid = self.child.as_ref().and_then(Child::id).expect("it runs").to_string();
        Command::new("kill").args(["-s", name, &pid]).status().await.expect("kill exists");
    }

    /// Processor time that the process has taken so far, its own and the kernel's for it. Of Linux alone.
    pub fn cpu_time(&self) -> Duration {
        /// `USER_HZ`: the same on every Linux that matters.
        const TICKS_PER_SECOND: f64 = 100.0;
        let pid = self.child.as_ref().and_then(Child::id).expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
        // What follows the name, which may have spaces: fields 3 and on.
        let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("a number"));
        Duration::from_secs_f64(ticks.sum::<f64>() / TICKS_PER_SECOND)
    }

    /// The most memory that the process has had so far, in bytes. Of Linux alone.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let pid = self.child.as_ref().and_then(Child::id).expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let size = status.lines().find_map(|line| line.strip_prefix(which)?.trim().strip_suffix(" kB"));
        size.and_then(|size| size.trim().parse::<u64>().ok()).expect("the kernel tells it") << 10
    }

    /// What the process holds: memory of its own in bytes, open files, threads. The program's text, which is mapped as it is first run,
    /// does not count. Of Linux alone.
    pub fn held(&self) -> [u64; 3] {
        let pid = self.child.as_ref().and_then(Child::id).expect("it runs");
        let entries = |of: &str| std::fs::read_dir(format!("/proc/{pid}/{of}")).expect("it runs").count() as u64;
        [self.memory("RssAnon:"), entries("fd"), entries("task")]
    }

    /// Sends SIGTERM and waits for the end; the exit code.
    pub async fn terminate(self) -> Option<i32> {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Waits for the end; the exit code.
    pub async fn ended(mut self) -> Option<i32> {
        let mut child = self.child.take().expect("the first rank");
        in_time("it ends", child.wait()).await.unwrap().code()
    }
}

fn command(exe: &str, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = bare_command(exe, env);
    command.args(["--host", "127.0.0.1", "--port", "0"]).args(args);
    command
}

fn bare_command(exe: &str, env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(exe);
    // The machine's own settings are not the test's.
    for name in ["POD_NAME", "POD_NAMESPACE", "POD_IP", "SIM_MODEL", "PYTHONHASHSEED", "RUST_BACKTRACE", "VLLM_API_KEY"]
    {
        command.env_remove(name);
    }
    // Nor is the model hub.
    command.env("HF_HUB_OFFLINE", "1");
    command.envs(env.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
