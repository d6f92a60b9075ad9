//! One connection: how many there may be, and how long its client may do nothing.

mod activity;
mod open;
mod watched;

use std::io;
use std::sync::Arc;

use axum_server::accept::Accept;
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_sync::BoundedCount;

use super::closing::Closing;
use crate::config::ConnectionConfig;
use crate::telemetry::metrics::ConnectionMetrics;
use activity::{Activity, Counting};
use open::Open;
use watched::Watched;

/// Lets connections in, as far as there may be more of them, and watches them.
#[derive(Clone)]
pub(super) struct Guarded<A> {
    inner: A,
    limits: ConnectionConfig,
    metrics: ConnectionMetrics,
    closing: Closing,
    places: Arc<BoundedCount>,
}

impl<A> Guarded<A> {
    pub(super) fn new(inner: A, limits: ConnectionConfig, metrics: ConnectionMetrics, closing: Closing) -> Self {
        Self {
            inner,
            limits,
            metrics,
            closing,
            places: Arc::new(BoundedCount::new(limits.most_connections.unwrap_or(usize::MAX))),
        }
    }
}

impl<A, I, S> Accept<I, S> for Guarded<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Watched<A::Stream>;
    type Service = Counting<A::Service>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let open = Open::new(&self.places, &self.metrics);
        let (limits, closing) = (self.limits, self.closing.clone());
        // A TLS handshake has a limit of its own.
        let accepted = open.map(|open| (open, self.inner.accept(stream, service)));
        async move {
            let (open, accepting) = accepted?;
            let (stream, service) = accepting.await?;
            let activity = Activity::new();
            let closed = async move { closing.begun().await }.boxed();
            let counting = Counting { service, activity: activity.clone() };
            Ok((Watched { stream, activity, limits, closed: Some(closed), timer: None, sending: None, open }, counting))
        }
        .boxed()
    }
}
