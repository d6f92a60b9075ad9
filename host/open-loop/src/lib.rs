//! An open-loop client: requests are sent at their times, whatever became of those before. A server that falls behind has more
//! of them at once, as it has from real users; a client that waits for answers would spare it that.
//!
//! Nothing is hidden: each request that was to be sent has a [`Sent`], with when it was sent and what it failed of.

mod chunks;
mod measure;
mod result_file;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method};
use tokio::time::{Instant, sleep_until};

pub use result_file::result_file;

/// A request that is to be sent.
#[derive(Debug, Clone)]
pub struct Planned {
    /// After the first one.
    pub at: Duration,
    /// `POST`, for what generates.
    pub method: Method,
    /// With the slash, without the server.
    pub path: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Bytes,
}

/// What became of one, as its client saw it. Times are in seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sent {
    /// When it was to be sent, after the first.
    pub planned: f64,
    /// When it was sent, after the first was to be.
    pub start: f64,
    /// The answer's status; `None` if there was no answer.
    pub status: Option<u16>,
    /// From its start to the first token; `None` if there was none.
    pub ttft: Option<f64>,
    /// From its start to the last token, or to the end of an answer in one piece.
    pub e2e: f64,
    /// From each part of a stream that had tokens to the next.
    pub gaps: Vec<f64>,
    /// Tokens of its prompt, as the server counted them.
    pub prompt_tokens: Option<u32>,
    /// Tokens of its answer, as the server counted them.
    pub output_tokens: Option<u32>,
    /// What it failed of.
    pub error: Option<String>,
}

impl Sent {
    /// Whether it was answered, and whole.
    pub fn is_good(&self) -> bool {
        self.error.is_none()
    }
}

/// Sends `requests`, sorted by time, to the server at `url`; one for each, in their order. `progress` is told how many have ended.
///
/// # Errors
/// If there can be no client at all.
pub async fn send(
    url: &str,
    requests: Vec<Planned>,
    progress: impl Fn(usize) + Send + Sync + 'static,
) -> Result<Vec<Sent>, String> {
    let client = client()?;
    let (progress, ended) = (Arc::new(progress), Arc::new(AtomicUsize::new(0)));
    let begin = Instant::now();
    let mut running = Vec::with_capacity(requests.len());
    for request in requests {
        sleep_until(begin + request.at).await;
        let url = format!("{}{}", url.trim_end_matches('/'), request.path);
        let (client, progress, ended) = (client.clone(), progress.clone(), ended.clone());
        running.push(tokio::spawn(async move {
            let sent = measure::send(&client, &url, request, begin).await;
            progress(ended.fetch_add(1, Ordering::Relaxed) + 1);
            sent
        }));
    }
    let mut all = Vec::with_capacity(running.len());
    for sent in running {
        all.push(sent.await.unwrap_or_else(|error| Sent { error: Some(error.to_string()), ..Sent::default() }));
    }
    Ok(all)
}

/// How long a server may say nothing: one that hangs must not hold all else up.
const PATIENCE: Duration = Duration::from_secs(600);

/// When the last of them had ended, after the first was to be sent; in seconds.
pub fn span(sent: &[Sent]) -> f64 {
    sent.iter().map(|sent| sent.start + sent.e2e).fold(0.0, f64::max)
}

/// A client that holds as many connections as there are requests, and waits up to ten minutes for each part of an answer.
///
/// # Errors
/// If there can be none.
pub fn client() -> Result<Client, String> {
    // Once per process; fails where that was done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(30))
        .read_timeout(PATIENCE)
        .pool_max_idle_per_host(usize::MAX)
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
