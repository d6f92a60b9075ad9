//! `rehearsal health`: asks a server whether it is ready, for images that have no curl.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use super::Said;

/// Ask a server on this machine whether it is ready; exit code 0 if it is, 1 if not
#[derive(Debug, Parser)]
#[command(name = "rehearsal health")]
struct Health {
    /// Its port
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Its address
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Its Unix domain socket, instead
    #[arg(long, value_name = "PATH")]
    uds: Option<PathBuf>,
    /// What to ask
    #[arg(long, default_value = "/health/ready")]
    path: String,
    /// Seconds to wait for an answer
    #[arg(long, default_value_t = 5)]
    timeout: u64,
}

pub(super) async fn run(words: &[String]) -> Result<Said, Vec<String>> {
    let health: Health = match super::parsed("rehearsal health", words) {
        Ok(health) => health,
        Err(said) => return said,
    };
    Ok(match health.ask() {
        Ok(status) if status.contains(" 200") => Said::Text(format!("{status}\n")),
        Ok(status) => Said::NoGood(format!("{status}\n")),
        Err(error) => Said::NoGood(format!("{error:#}\n")),
    })
}

impl Health {
    /// The status line of the answer.
    fn ask(&self) -> Result<String> {
        let limit = Some(Duration::from_secs(self.timeout.max(1)));
        if let Some(path) = &self.uds {
            let stream = UnixStream::connect(path).with_context(|| format!("no server at {}", path.display()))?;
            stream.set_read_timeout(limit)?;
            return self.exchange(stream);
        }
        let (host, port) = (&self.host, self.port);
        let nowhere = || format!("no server at {host}:{port}");
        let address = (host.as_str(), port).to_socket_addrs().with_context(nowhere)?.next().with_context(nowhere)?;
        let stream = TcpStream::connect_timeout(&address, limit.unwrap_or_default()).with_context(nowhere)?;
        stream.set_read_timeout(limit)?;
        self.exchange(stream)
    }

    fn exchange(&self, mut stream: impl Read + Write) -> Result<String> {
        write!(stream, "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", self.path)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).context("the server does not answer")?;
        let answer = String::from_utf8_lossy(&answer);
        Ok(answer.lines().next().context("the server answers with nothing")?.to_owned())
    }
}
