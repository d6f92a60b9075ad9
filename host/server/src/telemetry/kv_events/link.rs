//! The socket that events leave by: ours, to which others connect, or one that connects to theirs and goes on trying.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tracing::{debug, info, warn};
use zeromq::{PubSocket, Socket, SocketEvent, SocketOptions, SocketSend, ZmqMessage};

use crate::config::ZmqEndpoint;
use crate::process::real_time::{Instant, sleep_until};
use crate::process::stale_socket;

/// A try to connect takes no longer, and the next one begins no sooner after it. The library's own pauses between tries
/// grow to half a minute, so each of its calls is ended before that.
const TRY: Duration = Duration::from_secs(1);

/// A publishing socket.
pub(super) struct Link {
    address: String,
    state: State,
}

enum State {
    /// Others come and go.
    Bound(PubSocket),
    /// Somebody listens; the receiver tells when that ends.
    Connected(PubSocket, mpsc::Receiver<SocketEvent>),
    /// What is sent meanwhile is lost, as everything is that nobody subscribes to.
    Connecting(BoxFuture<'static, PubSocket>),
}

impl Link {
    /// Listens, or begins to connect. `attempts` are the tries that are waited for; without success the last error is
    /// returned. 0: nothing is waited for.
    pub(super) async fn open(endpoint: &ZmqEndpoint, attempts: u32) -> Result<Self> {
        let address = endpoint.address.clone();
        if endpoint.binds {
            let mut socket = PubSocket::new();
            bind(&mut socket, &address).await?;
            return Ok(Self { address, state: State::Bound(socket) });
        }
        for attempt in 1..=attempts {
            let start = Instant::now();
            match connect(&address).await {
                Ok(socket) => return Ok(Self { state: connected(socket), address }),
                Err(error) if attempt == attempts => {
                    return Err(error).with_context(|| format!("cannot connect to {address} in {attempts} attempts"));
                }
                Err(error) => warn!(address, attempt, %error, "cannot connect yet"),
            }
            sleep_until(start + TRY).await;
        }
        Ok(Self { state: connecting(address.clone()), address })
    }

    /// Hands a message to whoever subscribes; to nobody, if nobody does.
    pub(super) async fn send(&mut self, message: ZmqMessage) {
        let (State::Bound(socket) | State::Connected(socket, _)) = &mut self.state else { return };
        if let Err(error) = socket.send(message).await {
            debug!(%error, "an event was not sent");
        }
    }

    /// Whether anybody can be reached.
    pub(super) fn may_reach_somebody(&self) -> bool {
        !matches!(self.state, State::Connecting(_))
    }

    /// Connects, and connects again when the other side has gone. Never returns; can be dropped at any time.
    pub(super) async fn keep(&mut self) {
        loop {
            match &mut self.state {
                State::Bound(_) => std::future::pending().await,
                State::Connecting(connecting) => {
                    let socket = Pin::new(connecting).await;
                    info!(address = self.address, "KV-cache events have somewhere to go");
                    self.state = connected(socket);
                }
                State::Connected(_, events) => match events.next().await {
                    Some(SocketEvent::Disconnected(_)) | None => {
                        info!(address = self.address, "nobody takes KV-cache events any more; connecting again");
                        self.state = connecting(self.address.clone());
                    }
                    Some(_) => {}
                },
            }
        }
    }
}

fn connected(mut socket: PubSocket) -> State {
    let events = socket.monitor();
    State::Connected(socket, events)
}

fn connecting(address: String) -> State {
    let connecting = async move {
        loop {
            let start = Instant::now();
            match connect(&address).await {
                Ok(socket) => return socket,
                Err(error) => debug!(address, %error, "cannot connect yet"),
            }
            sleep_until(start + TRY).await;
        }
    };
    State::Connecting(connecting.boxed())
}

async fn connect(address: &str) -> Result<PubSocket> {
    let mut options = SocketOptions::default();
    options.connect_timeout(TRY);
    let mut socket = PubSocket::with_options(options);
    socket.connect(address).await?;
    Ok(socket)
}

/// Listens on `address`.
async fn bind(socket: &mut PubSocket, address: &str) -> Result<()> {
    remove_stale(address)?;
    let bound = socket.bind(&wildcard_replaced(address)).await;
    let endpoint = bound.with_context(|| format!("cannot listen on {address}"))?;
    info!(%endpoint, "listening for readers of KV-cache events");
    Ok(())
}

/// ZeroMQ's `*` stands for every address of ours.
pub(super) fn wildcard_replaced(address: &str) -> String {
    address.replacen("tcp://*:", "tcp://0.0.0.0:", 1)
}

/// Removes the socket of an `ipc` address that a dead process left behind.
pub(super) fn remove_stale(address: &str) -> io::Result<()> {
    address.strip_prefix("ipc://").map_or(Ok(()), |path| stale_socket::remove(Path::new(path)))
}
