//! What a connection does: it answers requests, or waits for the next one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::response::Response;
use futures::FutureExt;
use futures::future::BoxFuture;
use tower::Service;

use crate::config::ConnectionConfig;
use crate::process::real_time::Instant;
use crate::telemetry::guarded_body::{Guard, guarded};

/// What a connection is busy with.
pub(super) struct Activity(Mutex<Busy>);

struct Busy {
    /// Requests that are being answered.
    n_answering: usize,
    /// What it waits for while there are none.
    awaits: Awaits,
    /// Its reader, which looks again when it has answered: hyper itself does not, but waits for its client.
    reader: Option<Waker>,
}

/// What is to come next, and since when it is waited for.
#[derive(Clone, Copy)]
pub(super) enum Awaits {
    /// A request's headers: on a new connection, or since their first byte.
    Headers(Instant),
    /// Another request.
    Another(Instant),
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Busy { n_answering: 0, awaits: Awaits::Headers(Instant::now()), reader: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Busy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is waited for; pending while requests are being answered.
    pub(super) fn poll_awaits(&self, context: &Context<'_>) -> Poll<Awaits> {
        let mut busy = self.lock();
        match &mut busy.reader {
            Some(reader) => reader.clone_from(context.waker()),
            reader => *reader = Some(context.waker().clone()),
        }
        if busy.n_answering > 0 { Poll::Pending } else { Poll::Ready(busy.awaits) }
    }

    /// Something came.
    pub(super) fn received(&self) {
        let mut busy = self.lock();
        if let Awaits::Another(_) = busy.awaits {
            busy.awaits = Awaits::Headers(Instant::now());
        }
    }
}

impl Awaits {
    /// When it has been waited for long enough; `None`: never.
    pub(super) fn deadline(self, limits: &ConnectionConfig) -> Option<Instant> {
        match self {
            Self::Headers(since) => Some(since + limits.header_timeout?),
            Self::Another(since) => Some(since + limits.keep_alive),
        }
    }
}

/// Counts the requests of a connection that are being answered.
#[derive(Clone)]
pub(in crate::process) struct Counting<S> {
    pub(super) service: S,
    pub(super) activity: Arc<Activity>,
}

impl<S, R> Service<R> for Counting<S>
where
    S: Service<R, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let answering = Answering::new(&self.activity);
        let answered = self.service.call(request);
        async move { Ok(answered.await?.map(|body| guarded(body, answering))) }.boxed()
    }
}

/// A request that is being answered, until its last byte was handed over.
struct Answering(Arc<Activity>);

impl Answering {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.lock().n_answering += 1;
        Self(activity.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut busy = self.0.lock();
        busy.n_answering -= 1;
        busy.awaits = Awaits::Another(Instant::now());
        let reader = busy.reader.take();
        drop(busy);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Guard for Answering {}
