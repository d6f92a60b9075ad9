//! Where the server is reached, and how its life begins and ends.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    HOST: IpAddr = Spec::one("host", "ADDRESS").default("0.0.0.0")
        .help("address to listen on; :: is every address, of IPv6 too"), values::address;
    PORT: u16 = Spec::one("port", "PORT").default("8000")
        .help("0 to 65535; 0: the system picks one. The address is printed on standard output"), values::whole_number;
    UDS: Option<PathBuf> = Spec::one("uds", "PATH")
        .help("listen on a Unix domain socket instead; further ranks add _dp1 and so on"), values::path;
    ROOT_PATH: String = Spec::one("root-path", "PATH")
        .help("path under which a proxy shows the server; requests may have it or not"), root_path;
    STARTUP_DURATION: Duration = Spec::one("startup-duration", "TIME").default("0")
        .help("how long /ready and /health/ready say 503 after the start; everything else answers"), values::duration;
    SHUTDOWN_TIMEOUT: Duration = Spec::one("shutdown-timeout", "SECONDS").default("0")
        .help("how long running requests may go on after SIGTERM or SIGINT; a second signal stops at once"),
        values::seconds;
}

/// What Linux has room for, less the end of it that further ranks add.
const MAX_SOCKET_PATH: usize = 103;

/// Where the server is reached, and how long its beginning and its end take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingConfig {
    /// Where to listen.
    pub address: Address,
    /// Requests may have this before their path; empty, or with a slash before and none behind.
    pub root_path: String,
    /// How long the server says that it is not ready.
    pub startup_duration: Duration,
    /// How long running requests may go on after a signal.
    pub shutdown_timeout: Duration,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Address and port; port 0: the system picks one.
    Tcp(IpAddr, u16),
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl Address {
    /// The same for a further rank: the next port, or another path. Port 0 stays: the system picks each.
    pub(super) fn of_rank(&self, ranks_on: u32) -> Self {
        match self {
            Self::Tcp(host, 0) => Self::Tcp(*host, 0),
            Self::Tcp(host, port) => Self::Tcp(*host, port.saturating_add(ranks_on as u16)),
            Self::Unix(path) if ranks_on == 0 => Self::Unix(path.clone()),
            Self::Unix(path) => {
                let mut path = path.clone().into_os_string();
                path.push(format!("_dp{ranks_on}"));
                Self::Unix(path.into())
            }
        }
    }

    /// The port that is wanted; 0 without one.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp(_, port) => *port,
            Self::Unix(_) => 0,
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>, n_ranks: u32) -> ServingConfig {
    let (host, port) = (reader.read(&HOST), reader.read(&PORT));
    let uds = reader.given(&UDS).flatten();
    if let Some(path) = uds.as_ref().filter(|path| path.as_os_str().len() > MAX_SOCKET_PATH) {
        let problem = format!(
            "{} is longer than {MAX_SOCKET_PATH} bytes, the most that a socket's path can have",
            path.display()
        );
        reader.refuse(&UDS, problem);
    }
    if uds.is_none() && port != 0 && u32::from(port) + n_ranks - 1 > u32::from(u16::MAX) {
        reader.refuse(&PORT, format!("{port} leaves no room for {n_ranks} data-parallel ranks, a port each"));
    }
    ServingConfig {
        address: uds.map_or(Address::Tcp(host, port), Address::Unix),
        root_path: reader.given(&ROOT_PATH).unwrap_or_default(),
        startup_duration: reader.read(&STARTUP_DURATION),
        shutdown_timeout: reader.read(&SHUTDOWN_TIMEOUT),
    }
}

fn root_path(value: &Value) -> Result<String, String> {
    let path = values::any_text(value)?;
    let bare = path.trim_end_matches('/');
    if bare.is_empty() || bare.starts_with('/') {
        Ok(bare.to_owned())
    } else {
        Err(format!("{path:?} does not begin with a slash"))
    }
}
