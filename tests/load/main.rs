//! Prints what must be measured and not asserted: what answers and steps cost, how scrapers, a spinning guest and large answers
//! disturb streams, and how long a zero-latency stream takes over one connection. Compare figures of one run only. Started by `tests/load/run`,
//! with the path of another binary as its argument if the two are to be compared.

mod cost;
mod scrapes;
mod steps;

use std::time::{Duration, Instant};

use rehearsal_tests::{MISBEHAVE, Server};
use serde_json::json;

const CHAT: &str = "/v1/chat/completions";
const STREAMS: usize = 50;
const TOKENS: usize = 100;
const ROUNDS: usize = 7;
const GAP: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    let exes: Vec<_> = std::env::args().skip(1).collect();
    let exe = exes.first().expect("the path of the binary is the first argument");
    cost::compare(&exes).await;
    steps::compare(exe).await;
    scrapes::full_page(exe).await;
    scrapes::beside_a_scraper(exe).await;
    beside_greedy_clients(exe).await;
    over_one_connection(exe).await;
}

/// Others' streams while a guest spins, and while large answers are made.
async fn beside_greedy_clients(exe: &str) {
    let plugin = format!("guest={MISBEHAVE}");
    let gap = format!("{}ms", GAP.as_millis());
    let limits = ["--max-num-seqs", "100", "--max-model-len", "5M"];
    let args = ["--model", "m", "--mode", "guest", "--plugin", &plugin, "--inter-token-latency", &gap];
    let server = Server::start(exe, &[&args[..], &limits].concat()).await;
    let spin = Server::chat("spin", &json!({}));
    beside(&server, "a spinning guest", || server.post(CHAT, &spin)).await;

    let server =
        Server::start(exe, &[&args[..2], &limits, &["--mode", "echo", "--inter-token-latency", &gap]].concat()).await;
    // 4 MB in 100 words, so that the time between them is what its client waits for.
    let large = Server::chat(&format!("{} ", "l".repeat(40_000)).repeat(100), &json!({}));
    let twelve = || futures::future::join_all((0..12).map(|_| server.post(CHAT, &large)));
    beside(&server, "twelve answers of 4 MB", twelve).await;
}

/// How far the gaps of streams are off alone, and beside others that do `what` again and again.
async fn beside<F: Future>(server: &Server, what: &str, others: impl Fn() -> F) {
    println!("{STREAMS} streams of {TOKENS} tokens, one each {GAP:?}; how far gaps are off, in ms:");
    println!("{:36}{:>8}{:>8}{:>8}", "", "p50", "p99", "max");
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let alone = deviations(server).await;
        let for_ever = async {
            loop {
                others().await;
            }
        };
        let beside = tokio::select! {
            beside = deviations(server) => beside,
            () = for_ever => unreachable!("it has no end"),
        };
        for (name, deviations) in [("alone", &alone), (what, &beside)] {
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| quantile(deviations, share).as_secs_f64() * 1e3);
            println!("{:36}{p50:8.2}{p99:8.2}{max:8.2}", format!("round {round}, {name}"));
        }
        let gap = |deviations: &[Duration]| (GAP + quantile(deviations, 0.99)).as_secs_f64();
        ratios.push([
            quantile(&beside, 0.99).as_secs_f64() / quantile(&alone, 0.99).as_secs_f64(),
            gap(&beside) / gap(&alone),
        ]);
    }
    // One stall of the machine decides a p99: the median of the rounds says more than any of them.
    let [lateness, gaps] = [0, 1].map(|which| {
        ratios.sort_by(|one, other| f64::total_cmp(&one[which], &other[which]));
        ratios[ROUNDS / 2][which]
    });
    println!(
        "p99 beside {what} over p99 alone, median of {ROUNDS} rounds: {lateness:.2} of lateness, {gaps:.2} of gaps"
    );
}

/// By how much each gap of each stream differs from what it should be, sorted.
async fn deviations(server: &Server) -> Vec<Duration> {
    let text = "w ".repeat(TOKENS);
    let body = Server::chat(&text, &json!({}));
    let streams = futures::future::join_all((0..STREAMS).map(|_| server.stream(CHAT, &body))).await;
    let mut deviations: Vec<_> = streams
        .iter()
        .flat_map(|stream| {
            let times = stream.token_times();
            assert_eq!(times.len(), TOKENS);
            times.windows(2).map(|pair| (pair[1] - pair[0]).abs_diff(GAP)).collect::<Vec<_>>()
        })
        .collect();
    deviations.sort();
    deviations
}

async fn over_one_connection(exe: &str) {
    let server = Server::start(exe, &["--model", "m", "--mode", "echo"]).await;
    let body = Server::chat("one two three four five six seven eight nine ten", &json!({}));
    // The connection, the caches, the branch predictors.
    for _ in 0..100 {
        server.stream(CHAT, &body).await;
    }
    let mut times = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        server.stream(CHAT, &body).await;
        times.push(start.elapsed());
    }
    times.sort();
    println!("100 streams of 10 tokens without latency, one after the other over one connection:");
    println!("p50 {:?}, p99 {:?}", quantile(&times, 0.5), quantile(&times, 0.99));
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}
