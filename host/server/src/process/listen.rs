//! Addresses: taken before anything is built, so that one in use is found at once, and listened on when the server can
//! answer. Until then clients are refused, as they are by a vLLM that loads its model.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use crate::config::Address;
use crate::process::stale_socket;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 2048;

/// An address that is ours.
pub enum Bound {
    /// With the port that the system picked, if it was to pick one.
    Tcp(TcpSocket, SocketAddr),
    /// A Unix domain socket; listened on at once, because another process would take a socket that is not for one that a
    /// dead process left behind.
    Unix(UnixListener, SocketFile),
}

/// What is listened on.
pub enum Listening {
    /// A port.
    Tcp(TcpListener),
    /// A Unix domain socket.
    Unix(UnixListener, SocketFile),
}

/// A socket's file, which is removed when this is dropped, unless another has taken its place.
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // A file that cannot be removed is a nuisance and no more.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|file| (file.dev(), file.ino()))
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
                if path.symlink_metadata().is_ok_and(|file| !file.file_type().is_socket()) {
                    bail!("{}: there is a file of this name, which is no socket", problem());
                }
                stale_socket::remove(path).with_context(problem)?;
                let listener = UnixListener::bind(path).with_context(problem)?;
                Ok(Self::Unix(listener, SocketFile::at(path)))
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
            Self::Unix(_, file) => format!("unix:{}", file.path.display()),
        }
    }

    /// Lets clients connect.
    pub fn listen(self) -> Result<Listening> {
        match self {
            // Two processes can bind a port before either listens on it; the second one to listen fails here.
            Self::Tcp(socket, address) => {
                let listener = socket.listen(BACKLOG).with_context(|| format!("cannot listen on {address}"))?;
                Ok(Listening::Tcp(listener))
            }
            Self::Unix(listener, file) => Ok(Listening::Unix(listener, file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_another_has_replaced_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let address = Address::Unix(path.clone());
        let first = Bound::new(&address).unwrap();
        assert!(Bound::new(&address).is_err(), "it is listened on from the beginning");
        std::fs::remove_file(&path).unwrap();
        let second = Bound::new(&address).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
        std::fs::write(&path, "notes").unwrap();
        let refused = Bound::new(&address).err().unwrap();
        assert!(refused.to_string().contains("which is no socket"), "{refused:#}");
    }
}
