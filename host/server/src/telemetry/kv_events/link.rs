//! How subscribers and we come together: they connect to us, or we to where one of them listens, again and again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, info, warn};

use super::stream::{Listener, Stream, connect};
use super::subscribers::Subscribers;
use crate::config::ZmqEndpoint;
use crate::process::real_time::{Instant, sleep_until, timeout};

/// A try to connect takes no longer, and the next one begins no sooner after it.
const TRY: Duration = Duration::from_secs(1);

/// The task that brings subscribers in.
pub(super) struct Link(JoinHandle<()>);

impl Link {
    /// Listens, or begins to connect. `attempts` are the tries that are waited for; without success the last error is
    /// returned. 0: nothing is waited for.
    pub(super) async fn open(endpoint: &ZmqEndpoint, attempts: u32, subscribers: Arc<Subscribers>) -> Result<Self> {
        let address = endpoint.address.clone();
        if endpoint.binds {
            let listener = Listener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
            info!(endpoint = listener.address(), "listening for readers of KV-cache events");
            return Ok(Self(tokio::spawn(serve_all(listener, subscribers))));
        }
        let mut first = None;
        for attempt in 1..=attempts {
            let start = Instant::now();
            match try_connect(&address).await {
                Ok(stream) => {
                    first = Some(stream);
                    break;
                }
                Err(error) if attempt == attempts => {
                    return Err(error).with_context(|| format!("cannot connect to {address} in {attempts} attempts"));
                }
                Err(error) => warn!(address, attempt, %error, "cannot connect yet"),
            }
            sleep_until(start + TRY).await;
        }
        Ok(Self(tokio::spawn(keep_connected(address, first, subscribers))))
    }

    /// Waits until all connections have ended, which [`Subscribers::close`] tells them to.
    pub(super) async fn ended(&mut self) {
        // A panic in it was reported when it happened.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Each subscriber has a task of its own: a slow one holds up none but itself. Ends when no message will follow and the last
/// has gone.
async fn serve_all(listener: Listener, subscribers: Arc<Subscribers>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = listener.accept() => {
                let subscribers = subscribers.clone();
                connections.spawn(async move { serve(stream, &subscribers).await });
            }
            Some(_) = connections.join_next() => {}
            () = subscribers.closed() => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Connects, and connects again when the other side has gone. What is sent meanwhile is lost, as every message is
/// without a subscriber.
async fn keep_connected(address: String, mut first: Option<Box<dyn Stream>>, subscribers: Arc<Subscribers>) {
    loop {
        let start = Instant::now();
        let stream = match first.take() {
            Some(stream) => Ok(stream),
            None => tokio::select! {
                connected = try_connect(&address) => connected,
                () = subscribers.closed() => return,
            },
        };
        match stream {
            Ok(stream) => {
                info!(address, "KV-cache events have somewhere to go");
                serve(stream, &subscribers).await;
                info!(address, "the subscriber to KV-cache events has gone; connecting again");
            }
            Err(error) => debug!(address, %error, "cannot connect yet"),
        }
        tokio::select! {
            () = sleep_until(start + TRY) => {}
            () = subscribers.closed() => return,
        }
    }
}

async fn try_connect(address: &str) -> io::Result<Box<dyn Stream>> {
    timeout(TRY, connect(address)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn serve(stream: Box<dyn Stream>, subscribers: &Subscribers) {
    if let Err(error) = subscribers.serve(stream).await {
        debug!(%error, "a subscriber to KV-cache events has gone, or is left");
    }
}
