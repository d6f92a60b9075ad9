//! How long a connection's client may do nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::open::Open;
use crate::config::ConnectionConfig;
use crate::process::real_time::{Instant, Sleep, sleep_until};

/// A stream whose client must not do nothing for too long. To its reader, one that has is at its end.
pub(in crate::process) struct Watched<S> {
    pub(super) stream: S,
    pub(super) activity: Arc<Activity>,
    pub(super) limits: ConnectionConfig,
    /// Ready when the server is about to stop; `None` once it was.
    pub(super) closed: Option<BoxFuture<'static, ()>>,
    /// Ends one that is waited for, at this moment.
    pub(super) timer: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Ends one that takes nothing.
    pub(super) sending: Option<Pin<Box<Sleep>>>,
    pub(super) open: Open,
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
