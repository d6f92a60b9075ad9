//! From a bound socket to the last answer: listen, say where, serve, end on a signal.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::serve::{Listener, ListenerExt};
use futures::future::{join_all, try_join_all};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::app::App;
use crate::config::Config;
use crate::kv_events::RunningKvEvents;
use crate::{reload, routes};

/// Serves until SIGTERM or SIGINT, all ranks at once. Prints each address on standard output as soon as all are listened
/// on.
pub async fn run(config: &Config, apps: Vec<App>) -> Result<()> {
    let mut servers = Vec::new();
    let mut kv_events = Vec::new();
    for (config, app) in config.of_all_ranks().zip(apps) {
        let wanted = SocketAddr::new(config.host, config.port);
        let listener = TcpListener::bind(wanted).await.with_context(|| format!("cannot listen on {wanted}"))?;
        let address = listener.local_addr().context("the socket has no address")?;
        app.set_port(address.port());
        let app = Arc::new(app);
        reload::start(app.clone(), config.watch_plugins)?;
        kv_events.extend(app.start_kv_events());
        servers.push((address, serve(listener, app, stop_signal()?, config.shutdown_timeout)));
    }
    if !kv_events.is_empty() && config.pod.ip.is_none() {
        warn!("POD_IP is not set; the topic of KV-cache events names 127.0.0.1");
    }
    for (address, _) in &servers {
        // Nobody may be reading; the log says it too.
        let _ = writeln!(std::io::stdout(), "listening on http://{address}");
        info!(%address, "listening");
    }
    let ended = try_join_all(servers.into_iter().map(|(_, server)| server)).await;
    join_all(kv_events.into_iter().map(RunningKvEvents::stop)).await;
    ended.map(drop)
}

/// Serves until `stop` resolves, then lets running requests go on for `grace`; after that they are cut, as vLLM aborts
/// them.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> Result<()> {
    let (stopping, mut stopped) = watch::channel(false);
    let on_stop = async move {
        stop.await;
        // Fails only if nobody waits for the end any more.
        let _ = stopping.send(true);
    };
    let server = axum::serve(without_delay(listener), routes::router(app)).with_graceful_shutdown(on_stop);
    let grace_is_over = async {
        // An error means that the server has ended by itself.
        if stopped.wait_for(|stopping| *stopping).await.is_ok() {
            tokio::time::sleep(grace).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = server => ended.context("the server failed"),
        () = grace_is_over => Ok(()),
    }
}

/// Nagle's algorithm would hold each token back by up to 40 ms.
fn without_delay(listener: TcpListener) -> impl Listener<Io = TcpStream, Addr = SocketAddr> {
    listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            warn!(%error, "cannot set TCP_NODELAY");
        }
    })
}

fn stop_signal() -> Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "stopping");
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_accepted_socket_has_no_delay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listener = without_delay(listener);
        for _ in 0..3 {
            let client = TcpStream::connect(address).await.unwrap();
            let (accepted, _) = listener.accept().await;
            assert!(accepted.nodelay().unwrap());
            drop(client);
        }
    }
}
