//! From taken addresses to the last answer: listen, say where, serve, end on a signal.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::SocketAddr as UnixSocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum_server::accept::{DefaultAcceptor, NoDelayAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Address, Control, Handle, Server};
use futures::future::{join_all, try_join_all};
use rehearsal_plugin_host::PluginHost;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::connection::Guarded;
use super::{reload, tls};
use crate::config::Config;
use crate::process::closing::Closing;
use crate::process::listen::{Bound, Listening};
use crate::process::signals::StopSignals;
use crate::replica::Replica;
use crate::routes::Doors;
use crate::telemetry::kv_events::RunningKvEvents;
use crate::telemetry::logs::stats;
use crate::telemetry::traces::Traces;

/// Bytes of an answer that wait in a connection for a client that does not take them, and of a request's headers.
const BUFFER: usize = 128 << 10;

/// One server that is built and not yet reached: its address, and what answers there.
pub struct Built {
    /// Where.
    pub bound: Bound,
    /// What.
    pub replica: Arc<Replica>,
}

/// What all ranks of a process share of the configuration.
pub struct Front {
    doors: Doors,
    tls: Option<RustlsConfig>,
}

impl Front {
    /// Fails with what is wrong with certificates.
    pub fn new(config: &Config) -> Result<Self, String> {
        let tls = config.access.tls.as_ref().map(tls::load).transpose()?;
        Ok(Self { doors: Doors::new(config), tls })
    }
}

/// Serves until SIGTERM or SIGINT, all ranks at once; a second signal ends what still runs. Prints each address on
/// standard output as soon as all are listened on.
pub async fn run(
    config: &Config,
    front: Front,
    plugins: Arc<PluginHost>,
    servers: Vec<Built>,
    signals: StopSignals,
) -> Result<()> {
    let Front { doors, tls } = front;
    let control = Control::new();
    // Ended with this function.
    let mut helpers = JoinSet::new();
    if let (Some(files), Some(tls)) = (config.access.tls.clone().filter(|files| files.refresh), tls.clone()) {
        helpers.spawn(tls::keep_fresh(files, tls));
    }
    helpers.spawn(reload::keep(reload::signals()?, plugins, config.watch_plugins));
    let (mut urls, mut listening) = (Vec::new(), Vec::new());
    for Built { bound, replica } in servers {
        urls.push(bound.url(tls.is_some()));
        replica.set_port(bound.port());
        listening.push((bound.listen()?, replica));
    }
    let (mut running, mut closings, mut kv_events, mut traces) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (listening, replica) in listening {
        kv_events.extend(replica.start_kv_events());
        if let (Some(throughput), Some(period)) = (replica.throughput.clone(), config.log.requests.stats) {
            helpers.spawn(log_stats(replica.clone(), throughput, period));
        }
        closings.push(replica.closing.clone());
        traces.extend(replica.traces.clone());
        running.push(serve(listening, doors.clone(), replica, tls.clone(), control.clone()));
    }
    if !kv_events.is_empty() && config.pod.ip.is_none() {
        warn!("POD_IP is not set; the topic of KV-cache events names 127.0.0.1");
    }
    helpers.spawn(stop_on(signals, control, closings, config.serving.shutdown_timeout));
    for url in &urls {
        // The reader may have gone; the log says it too.
        let _ = writeln!(std::io::stdout(), "listening on {url}");
        info!("Starting vLLM server on {url}");
    }
    info!("Application startup complete.");
    let ended = try_join_all(running).await;
    join_all(kv_events.into_iter().map(RunningKvEvents::stop)).await;
    join_all(traces.into_iter().map(Traces::stop)).await;
    ended.map(drop)
}

async fn log_stats(replica: Arc<Replica>, throughput: Arc<stats::Throughput>, period: Duration) {
    stats::log(replica.rank, period, throughput, replica.engine.config().reuses_prefixes(), replica.clock.clone())
        .await;
}

/// Serves one address until `control` ends it.
async fn serve(
    listening: Listening,
    doors: Doors,
    replica: Arc<Replica>,
    tls: Option<RustlsConfig>,
    control: Control,
) -> Result<()> {
    let (limits, metrics, closing) =
        (replica.connections, replica.metrics.connections.clone(), replica.closing.clone());
    let routes = doors.before(replica);
    let served = match listening {
        Listening::Tcp(listener) => {
            let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
            let server = server::<SocketAddr>(listener, control);
            // Nagle's algorithm would hold each token back by up to 40 ms.
            let inner = NoDelayAcceptor::new();
            match tls {
                Some(tls) => {
                    let inner = RustlsAcceptor::new(tls).acceptor(inner);
                    server.acceptor(Guarded::new(inner, limits, metrics, closing)).serve(routes).await
                }
                None => server.acceptor(Guarded::new(inner, limits, metrics, closing)).serve(routes).await,
            }
        }
        Listening::Unix(listener, _removed_at_the_end) => {
            let routes = routes.into_make_service();
            let server = server::<UnixSocketAddr>(listener, control);
            match tls {
                Some(tls) => {
                    let inner = RustlsAcceptor::new(tls);
                    server.acceptor(Guarded::new(inner, limits, metrics, closing)).serve(routes).await
                }
                None => {
                    let inner = DefaultAcceptor::new();
                    server.acceptor(Guarded::new(inner, limits, metrics, closing)).serve(routes).await
                }
            }
        }
    };
    served.context("the server failed")
}

fn server<A: Address>(listener: A::Listener, control: Control) -> Server<A> {
    let mut server = Server::<A>::from_listener(listener).handle(Handle::with_control(control));
    server.http_builder().http1().max_buf_size(BUFFER);
    server.accept_error_handler(|_, error| debug!(%error, "a connection was not accepted"))
}

/// Lets running requests go on for `grace` after the first signal, after which they are cut, as vLLM aborts them; and
/// cuts them at the second.
async fn stop_on(mut signals: StopSignals, control: Control, closings: Vec<Closing>, grace: Duration) {
    let signal = signals.next().await;
    info!(signal, ?grace, "stopping");
    closings.iter().for_each(Closing::begin);
    control.graceful_shutdown(Some(grace));
    let signal = signals.next().await;
    info!(signal, "stopping at once");
    control.shutdown();
}
