//! `rehearsal health`: asks a server whether it is ready, for images that have no curl.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use ureq::Agent;
use ureq::tls::TlsConfig;

use crate::said::{self, Said};

/// Ask a server on this machine whether it is ready; exit code 0 if it is, 1 if not
#[derive(Debug, Clone, Parser)]
#[command(name = "rehearsal health")]
struct Health {
    /// Port that the server listens on
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Address that it listens on
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The server encrypts; its certificate is not looked at
    #[arg(long)]
    tls: bool,
    /// The server listens on this Unix domain socket instead
    #[arg(long, value_name = "PATH")]
    uds: Option<PathBuf>,
    /// What to ask for
    #[arg(long, default_value = "/health/ready")]
    path: String,
    /// Seconds to wait for the answer
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

pub(super) async fn run(words: &[String]) -> Result<Said, Vec<String>> {
    let health: Health = match said::parsed("rehearsal health", words) {
        Ok(health) => health,
        Err(said) => return said,
    };
    let limit = Duration::from_secs(health.timeout);
    let (send, answer) = std::sync::mpsc::channel();
    // On a thread of its own, so that a server that trickles does not hold the asker for longer than the limit.
    std::thread::spawn(move || send.send(health.ask(limit)));
    Ok(match answer.recv_timeout(limit) {
        Ok(Ok(200)) => Said::Text("ready\n".into()),
        Ok(Ok(status)) => Said::NoGood(format!("not ready: {status}\n")),
        Ok(Err(error)) => Said::NoGood(format!("{error:#}\n")),
        Err(_) => Said::NoGood(format!("no answer within {limit:?}\n")),
    })
}

impl Health {
    /// The status of the answer.
    fn ask(&self, limit: Duration) -> Result<u16> {
        if let Some(path) = &self.uds {
            return self.ask_socket(path);
        }
        let scheme = if self.tls { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let url = format!("{scheme}://{host}:{}{}", self.port, self.path);
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(limit))
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().disable_verification(true).build())
            .proxy(None)
            .build()
            .into();
        let answer = agent.get(&url).call().with_context(|| format!("no answer from {url}"))?;
        Ok(answer.status().as_u16())
    }

    fn ask_socket(&self, path: &Path) -> Result<u16> {
        let problem = || format!("no answer from {}", path.display());
        let mut stream = UnixStream::connect(path).with_context(problem)?;
        write!(stream, "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", self.path)
            .with_context(problem)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).with_context(problem)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.with_context(|| format!("{} does not answer in HTTP", path.display()))
    }
}
