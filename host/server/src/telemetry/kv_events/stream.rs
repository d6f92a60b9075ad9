//! Connections over TCP and over sockets of the file system, by ZeroMQ's addresses.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tracing::debug;

use crate::process::real_time::sleep;
use crate::process::stale_socket;

/// After a connection that could not be accepted: out of file descriptors, most likely; a moment later there may be one.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where others connect to us.
pub(super) enum Listener {
    Tcp(TcpListener),
    Ipc(UnixListener, String),
}

impl Listener {
    /// Listens on `tcp://host:port`, in which `*` stands for every address of ours, or on `ipc://path`, where the socket of
    /// a dead process is removed.
    pub(super) async fn bind(address: &str) -> io::Result<Self> {
        if let Some(path) = address.strip_prefix("ipc://") {
            stale_socket::remove(Path::new(path))?;
            return Ok(Self::Ipc(UnixListener::bind(path)?, address.to_owned()));
        }
        let address = address.trim_start_matches("tcp://");
        let address = address.strip_prefix("*:").map_or_else(|| address.to_owned(), |port| format!("0.0.0.0:{port}"));
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// As ZeroMQ would have it, with the port that the system has picked.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|_| "tcp".into(), |at| format!("tcp://{at}")),
            Self::Ipc(_, address) => address.clone(),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> Box<dyn Stream> {
        loop {
            match self.try_accept().await {
                Ok(stream) => return stream,
                Err(error) => {
                    debug!(%error, "a connection for KV-cache events was not accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => no_delay(listener.accept().await?.0)?,
            Self::Ipc(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Connects to where a subscriber listens.
pub(super) async fn connect(address: &str) -> io::Result<Box<dyn Stream>> {
    match address.strip_prefix("ipc://") {
        Some(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        None => no_delay(TcpStream::connect(address.trim_start_matches("tcp://")).await?),
    }
}

fn no_delay(stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
