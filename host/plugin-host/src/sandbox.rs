//! WASI that grants nothing. Every std guest imports it, even one that uses none of it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

/// What a guest's standard streams keep: enough for a panic's text.
const TAIL_BYTES: usize = 8 << 10;

/// What one write may bring.
const WRITE_BYTES: usize = 64 << 10;

/// No files, no network, no environment; clocks that stand still; randomness that follows from `seed`.
pub(crate) fn wasi(seed: u64, output: &OutputTail) -> WasiCtx {
    let rng = || Xoshiro256PlusPlus::seed_from_u64(seed);
    WasiCtxBuilder::new()
        .stdout(output.clone())
        .stderr(output.clone())
        .secure_random(rng())
        .insecure_random(rng())
        .insecure_random_seed(u128::from(seed))
        .wall_clock(StoppedClock)
        .monotonic_clock(StoppedClock)
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

struct StoppedClock;

/// 2026-01-01T00:00:00Z: late enough for guests that refuse to live in 1970.
const STOPPED_AT: Duration = Duration::from_secs(1_767_225_600);

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        STOPPED_AT
    }
}

impl HostMonotonicClock for StoppedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// Takes all that a guest prints and keeps the end of it. Never full and never failing: a bounded pipe would make a
/// chatty guest panic, and the server's own output is not the guest's to flood.
#[derive(Clone, Default)]
pub(crate) struct OutputTail(Arc<Mutex<Vec<u8>>>);

impl OutputTail {
    /// What was printed last.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Forgets what an earlier call of the instance printed.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Adds a line that was not printed, on a line of its own.
    pub(crate) fn push_line(&self, line: &str) {
        let begins_one = self.0.lock().unwrap_or_else(PoisonError::into_inner).last().is_none_or(|last| *last == b'\n');
        self.push(format!("{}{line}\n", if begins_one { "" } else { "\n" }).as_bytes());
    }

    fn push(&self, bytes: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        let excess = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..excess);
    }
}

impl IsTerminal for OutputTail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for OutputTail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for OutputTail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for OutputTail {
    async fn ready(&mut self) {}
}

impl AsyncWrite for OutputTail {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_its_end() {
        let tail = OutputTail::default();
        for _ in 0..10_000 {
            tail.push(b"0123456789abcdef");
        }
        tail.push(b"the end");
        assert_eq!(tail.text().len(), TAIL_BYTES);
        assert!(tail.text().ends_with("abcdefthe end"));
        tail.push(&[b'x'; 3 * TAIL_BYTES]);
        assert_eq!(tail.text(), "x".repeat(TAIL_BYTES));
    }
}
