//! Addresses: taken before anything is built, so that one in use is found at once, and listened on when the server can
//! answer. Until then clients are refused, as they are by a vLLM that loads its model.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use crate::config::Address;
use crate::stale_socket;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 2048;

/// An address that is ours.
pub enum Bound {
    /// With the port that the system picked, if it was to pick one.
    Tcp(TcpSocket, SocketAddr),
    /// Where a Unix domain socket is.
    Unix(UnixSocket, PathBuf),
}

/// What is listened on.
pub enum Listening {
    /// A port.
    Tcp(TcpListener),
    /// A Unix domain socket, which is removed at the end.
    Unix(UnixListener, RemovedAtEnd),
}

/// Removes a socket's file when it is dropped.
pub struct RemovedAtEnd(PathBuf);

impl Drop for RemovedAtEnd {
    fn drop(&mut self) {
        // A file that is gone already is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Bound {
    /// Takes `address`. Fails if another process has it.
    pub fn new(address: &Address) -> Result<Self> {
        match address {
            Address::Tcp(host, port) => {
                let wanted = SocketAddr::new(*host, *port);
                let socket = if host.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
                let socket = socket.context("cannot make a socket")?;
                // A server that starts again finds its old connections still waiting out their end.
                socket.set_reuseaddr(true).context("cannot set SO_REUSEADDR")?;
                socket.bind(wanted).with_context(|| format!("cannot listen on {wanted}"))?;
                let address = socket.local_addr().context("the socket has no address")?;
                Ok(Self::Tcp(socket, address))
            }
            Address::Unix(path) => {
                let problem = || format!("cannot listen on {}", path.display());
                stale_socket::remove(path).with_context(problem)?;
                let socket = UnixSocket::new_stream().context("cannot make a socket")?;
                socket.bind(path).with_context(problem)?;
                Ok(Self::Unix(socket, path.clone()))
            }
        }
    }

    /// The port; 0 without one.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp(_, address) => address.port(),
            Self::Unix(..) => 0,
        }
    }

    /// As a URL, the way vLLM names it.
    pub fn url(&self, is_encrypted: bool) -> String {
        let scheme = if is_encrypted { "https" } else { "http" };
        match self {
            Self::Tcp(_, address) => format!("{scheme}://{address}"),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// Lets clients connect.
    pub fn listen(self) -> Result<Listening> {
        match self {
            // Two processes can take a port that nobody listens on yet; the second one fails here.
            Self::Tcp(socket, address) => {
                let listener = socket.listen(BACKLOG).with_context(|| format!("cannot listen on {address}"))?;
                Ok(Listening::Tcp(listener))
            }
            Self::Unix(socket, path) => {
                let listener =
                    socket.listen(BACKLOG).with_context(|| format!("cannot listen on {}", path.display()))?;
                Ok(Listening::Unix(listener, RemovedAtEnd(path)))
            }
        }
    }
}
