//! What a scraper costs: how long a full page takes, and how scrapes disturb streams.

use std::time::{Duration, Instant};

use futures::future::join_all;
use rehearsal_tests::{MISBEHAVE, Server};
use serde_json::json;

use crate::{CHAT, ROUNDS, quantile};

const ADAPTERS: usize = 40;
/// Beside the built-in ones that are loaded, all that there are to be: sixteen.
const MORE_PLUGINS: usize = 12;
const STREAMS: usize = 500;
const TOKENS: usize = 100;
const GAP: &str = "20ms";
/// Two hundred a second.
const BETWEEN_SCRAPES: Duration = Duration::from_millis(5);

/// How long a page takes that has as many rows as there may be.
pub(crate) async fn full_page(exe: &str) {
    let adapters: Vec<_> = (0..ADAPTERS).map(|at| format!("adapter-{at}=/p")).collect();
    let plugins: Vec<_> = (0..MORE_PLUGINS).map(|at| format!("plugin-{at}={MISBEHAVE}")).collect();
    let mut args = vec!["--model", "m", "--mode", "echo", "--max-loras", "40", "--lora-modules"];
    args.extend(adapters.iter().map(String::as_str));
    plugins.iter().for_each(|plugin| args.extend(["--plugin", plugin]));
    let server = Server::start(exe, &args).await;
    for at in 0..ADAPTERS {
        server.post("/v1/completions", &json!({ "model": format!("adapter-{at}"), "prompt": "hi" })).await;
    }
    let (mut times, mut n_bytes) = (Vec::new(), 0);
    for _ in 0..1_000 {
        let start = Instant::now();
        n_bytes = server.get("/metrics").await.text.len();
        times.push(start.elapsed());
    }
    times.sort();
    println!(
        "a page of {n_bytes} bytes, {ADAPTERS} adapters and 16 plugins: p50 {:?}, p99 {:?}",
        quantile(&times, 0.5),
        quantile(&times, 0.99)
    );
}

/// The gaps of many streams, with a scraper and without, turn by turn.
pub(crate) async fn beside_a_scraper(exe: &str) {
    let args = ["--model", "m", "--mode", "echo", "--max-num-seqs", "1000", "--max-model-len", "64k"];
    let server = Server::start(exe, &[&args[..], &["--inter-token-latency", GAP]].concat()).await;
    println!("{STREAMS} streams of {TOKENS} tokens, one each {GAP}; p99 of the gaps, in ms:");
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let alone = gaps(&server).await;
        let scraper = async {
            let mut ticks = tokio::time::interval(BETWEEN_SCRAPES);
            loop {
                ticks.tick().await;
                server.get("/metrics").await;
            }
        };
        let beside = tokio::select! {
            beside = gaps(&server) => beside,
            () = scraper => unreachable!("it scrapes for ever"),
        };
        let [alone, beside] = [alone, beside].map(|gaps| quantile(&gaps, 0.99).as_secs_f64() * 1e3);
        println!("round {round}: alone {alone:.2}, beside 200 scrapes a second {beside:.2}");
        ratios.push(beside / alone);
    }
    ratios.sort_by(f64::total_cmp);
    println!("beside a scraper over alone, median of {ROUNDS} rounds: {:.2}", ratios[ROUNDS / 2]);
}

/// All gaps of all streams, sorted.
async fn gaps(server: &Server) -> Vec<Duration> {
    let body = Server::chat(&"w ".repeat(TOKENS), &json!({}));
    let streams = join_all((0..STREAMS).map(|_| server.stream(CHAT, &body))).await;
    let gaps = streams.iter().flat_map(|stream| {
        let times = stream.token_times();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    });
    let mut gaps: Vec<_> = gaps.collect();
    gaps.sort();
    gaps
}
