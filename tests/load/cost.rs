//! What answers cost the server, in processor time: of one binary, or of two side by side, turn by turn.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::{CHAT, quantile};

const ROUNDS: usize = 7;
const CONNECTIONS: usize = 16;
const UNARY: usize = 4_000;
const PACED_TOKENS: usize = 100;
const PACED_GAP: &str = "20ms";

/// One thing that is measured: its name, how it is done, and a figure in microseconds.
type Measure = (&'static str, Kind);

#[derive(Clone, Copy)]
enum Kind {
    /// Processor time of an answer in one piece, over several connections.
    Unary,
    /// How long an answer in one piece takes over one connection: the median.
    OneConnection,
    /// Processor time of a token, in so many paced streams at once.
    Paced(usize),
}

const MEASURES: [Measure; 4] = [
    ("unary, 16 connections: CPU µs/request", Kind::Unary),
    ("unary, 1 connection: p50 µs", Kind::OneConnection),
    ("1,000 paced streams: CPU µs/token", Kind::Paced(1_000)),
    ("2,000 paced streams: CPU µs/token", Kind::Paced(2_000)),
];

/// Prints medians, and with two binaries the ratio of the first to the second.
pub(crate) async fn compare(exes: &[String]) {
    println!("medians of {ROUNDS} rounds; {}", exes.join(" over "));
    for (name, kind) in MEASURES {
        let mut figures = vec![Vec::new(); exes.len()];
        for _ in 0..ROUNDS {
            for (exe, figures) in exes.iter().zip(&mut figures) {
                figures.push(kind.measure(exe).await);
            }
        }
        let medians: Vec<_> = figures
            .iter_mut()
            .map(|figures| {
                figures.sort_by(f64::total_cmp);
                figures[ROUNDS / 2]
            })
            .collect();
        let shown = medians.iter().map(|median| format!("{median:10.2}")).collect::<String>();
        let ratio = medians.get(1).map_or_else(String::new, |base| format!("  ratio {:.2}", medians[0] / base));
        println!("{name:42}{shown}{ratio}");
    }
}

impl Kind {
    async fn measure(self, exe: &str) -> f64 {
        let args = ["--model", "m", "--mode", "echo", "--max-num-seqs", "4000", "--max-model-len", "64k"];
        match self {
            Self::Unary => {
                let server = Server::start(exe, &args).await;
                unary(&server, UNARY / 10).await;
                let before = server.cpu_time();
                unary(&server, UNARY).await;
                per(server.cpu_time() - before, UNARY)
            }
            Self::OneConnection => {
                let server = Server::start(exe, &args).await;
                let mut times = Vec::new();
                for _ in 0..UNARY / 2 {
                    let start = Instant::now();
                    server.post(CHAT, &short()).await;
                    times.push(start.elapsed());
                }
                times.drain(..UNARY / 10);
                times.sort();
                per(quantile(&times, 0.5), 1)
            }
            Self::Paced(streams) => {
                let paced =
                    [&args[..], &["--time-to-first-token", "500ms", "--inter-token-latency", PACED_GAP]].concat();
                let server = Server::start(exe, &paced).await;
                let text = "w ".repeat(PACED_TOKENS);
                let body = Server::chat(&text, &json!({ "stream": true }));
                let before = server.cpu_time();
                join_all((0..streams).map(|_| drained(&server, &body))).await;
                per(server.cpu_time() - before, streams * PACED_TOKENS)
            }
        }
    }
}

fn short() -> Value {
    Server::chat("one two three four five six seven eight nine ten", &json!({}))
}

async fn unary(server: &Server, n: usize) {
    let body = short();
    let connection = || async {
        for _ in 0..n / CONNECTIONS {
            server.post(CHAT, &body).await;
        }
    };
    join_all((0..CONNECTIONS).map(|_| connection())).await;
}

/// Reads a stream and forgets it: the reader must not be what takes the time.
async fn drained(server: &Server, body: &Value) {
    let request = server.http.post(format!("{}{CHAT}", server.url)).json(body);
    let mut bytes = request.send().await.expect("it answers").bytes_stream();
    while let Some(part) = bytes.next().await {
        part.expect("the stream is whole");
    }
}

fn per(time: Duration, n: usize) -> f64 {
    time.as_secs_f64() * 1e6 / n as f64
}
