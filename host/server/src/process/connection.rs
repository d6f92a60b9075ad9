//! One connection: how many there may be, and how long its client may do nothing.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use axum::body::Body;
use axum::response::Response;
use axum_server::accept::Accept;
use futures::FutureExt;
use futures::future::BoxFuture;
use rehearsal_sync::{BoundedCount, Place};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use super::closing::Closing;
use super::real_time::{Instant, Sleep, sleep_until};
use crate::config::ConnectionConfig;
use crate::telemetry::guarded_body::{Guard, guarded};
use crate::telemetry::metrics::ConnectionMetrics;

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

/// A connection that is open, until this is dropped.
struct Open {
    metrics: ConnectionMetrics,
    _place: Place,
}

impl Open {
    fn new(places: &Arc<BoundedCount>, metrics: &ConnectionMetrics) -> io::Result<Self> {
        let Some(place) = Place::take(places) else {
            metrics.refused.inc();
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "there are too many connections"));
        };
        metrics.open.inc();
        Ok(Self { metrics: metrics.clone(), _place: place })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

/// What a connection is busy with.
struct Activity(Mutex<Busy>);

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
enum Awaits {
    /// A request's headers: on a new connection, or since their first byte.
    Headers(Instant),
    /// Another request.
    Another(Instant),
}

impl Activity {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Busy { n_answering: 0, awaits: Awaits::Headers(Instant::now()), reader: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Busy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is waited for; pending while requests are being answered.
    fn poll_awaits(&self, context: &Context<'_>) -> Poll<Awaits> {
        let mut busy = self.lock();
        match &mut busy.reader {
            Some(reader) => reader.clone_from(context.waker()),
            reader => *reader = Some(context.waker().clone()),
        }
        if busy.n_answering > 0 { Poll::Pending } else { Poll::Ready(busy.awaits) }
    }

    /// Something came.
    fn received(&self) {
        let mut busy = self.lock();
        if let Awaits::Another(_) = busy.awaits {
            busy.awaits = Awaits::Headers(Instant::now());
        }
    }
}

impl Awaits {
    /// When it has been waited for long enough; `None`: never.
    fn deadline(self, limits: &ConnectionConfig) -> Option<Instant> {
        match self {
            Self::Headers(since) => Some(since + limits.header_timeout?),
            Self::Another(since) => Some(since + limits.keep_alive),
        }
    }
}

/// A stream whose client must not do nothing for too long. To its reader, one that has is at its end.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    limits: ConnectionConfig,
    /// Ready when the server is about to stop; `None` once it was.
    closed: Option<BoxFuture<'static, ()>>,
    /// Ends one that is waited for, at this moment.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Ends one that takes nothing.
    sending: Option<Pin<Box<Sleep>>>,
    open: Open,
}

impl<S> Watched<S> {
    /// Ready when what is to come next is not waited for any longer: too long already, or when the server is about to stop.
    fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let awaits = ready!(self.activity.poll_awaits(context));
        if let Some(closed) = &mut self.closed {
            if closed.poll_unpin(context).is_pending() {
                let Some(deadline) = awaits.deadline(&self.limits) else { return Poll::Pending };
                return self.poll_until(deadline, context);
            }
            self.closed = None;
        }
        Poll::Ready(())
    }

    fn poll_until(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_ref().is_none_or(|(set_to, _)| *set_to != deadline) {
            self.timer = Some((deadline, Box::pin(sleep_until(deadline))));
        }
        self.timer.as_mut().map_or(Poll::Pending, |(_, timer)| timer.as_mut().poll(context))
    }

    /// What came of trying to send; fails if the client has taken nothing for too long.
    fn poll_sent<T>(&mut self, sent: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.sending = None;
            return sent;
        }
        let Some(time) = self.limits.send_timeout else { return Poll::Pending };
        let timer = self.sending.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + time)));
        ready!(timer.as_mut().poll(context));
        self.open.metrics.stalled.inc();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        match read {
            Poll::Pending => this.poll_given_up(context).map(Ok),
            Poll::Ready(_) => {
                if buffer.filled().len() > before {
                    this.activity.received();
                }
                read
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.poll_sent(sent, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.poll_sent(sent, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.stream).poll_flush(context);
        this.poll_sent(sent, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.stream).poll_shutdown(context);
        this.poll_sent(sent, context)
    }
}

/// Counts the requests of a connection that are being answered.
#[derive(Clone)]
pub(super) struct Counting<S> {
    service: S,
    activity: Arc<Activity>,
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
