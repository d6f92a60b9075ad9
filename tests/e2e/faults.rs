//! Ten thousand clients at their worst, against a server in this process: nothing is held in the end, and no memory that was not
//! held halfway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use rehearsal_server::args::{self, Parsed};
use rehearsal_server::config::Config;
use rehearsal_server::process::listen::Bound;
use rehearsal_server::process::serve::{self, Built, Front};
use rehearsal_server::process::signals::StopSignals;
use rehearsal_server::prompts::tokenizer::ServedTokenizer;
use rehearsal_server::replica::{self, Replica};
use rehearsal_tests::PATIENCE;
use rehearsal_tests::histories::live;

use crate::ALLOCATOR;

const HISTORIES: u64 = 10_000;

/// By how many bytes what is allocated may differ between halfway and the end: less than half a byte a history would be lost.
const SLACK: isize = 200 << 10;

/// Clients at a time.
const CROWD: usize = 64;

/// What must be 0 in the end.
const GAUGES: [&str; 5] = [
    "vllm:num_requests_running",
    "vllm:num_requests_waiting{",
    "vllm:kv_cache_usage_perc",
    "rehearsal_open_streams",
    "rehearsal_open_connections",
];

/// Little room and little patience, and failures on purpose.
const FLAGS: &str = "rehearsal --model m --host 127.0.0.1 --port 0 --seed 1 --max-num-seqs 12 --max-waiting-queue-length 24 \
    --max-model-len 2000 --enable-kvcache --zmq-endpoint= --block-size 8 --kv-cache-size 255 --mode echo --max-loras 2 \
    --time-to-first-token 2ms --inter-token-latency 500us --header-timeout 200ms --body-timeout 200ms --send-timeout 200ms \
    --capture 50 --failure-injection-rate 10 --failure-types rate_limit server_error";

/// The address that a server of this process listens on, and what answers there.
async fn server() -> (std::net::SocketAddr, Arc<Replica>) {
    let words = FLAGS.split_whitespace().map(str::to_owned);
    let Ok(Parsed::Run(settings)) = args::parse(words, std::iter::empty()) else { panic!("these are flags") };
    let config = Config::new(&settings).unwrap();
    let bound = Bound::new(&config.serving.address).unwrap();
    let clock = config.clock.start();
    let served = ServedTokenizer::builtin();
    let plugins = replica::load_plugins(&config, &served).await.unwrap();
    let replica = Arc::new(Replica::new(&config, &clock, served, &plugins).await.unwrap());
    let address = bound.url(false).trim_start_matches("http://").parse().unwrap();
    let (front, signals) = (Front::new(&config).unwrap(), StopSignals::new().unwrap());
    let built = vec![Built { bound, replica: replica.clone() }];
    tokio::spawn(async move { serve::run(&config, front, plugins, built, signals).await.unwrap() });
    (address, replica)
}

/// In a process of its own, where nothing else allocates.
#[test]
fn ten_thousand_clients_at_their_worst_leave_nothing_behind() {
    let exe = std::env::current_exe().unwrap();
    let alone = ["--exact", "faults::alone", "--ignored", "--nocapture"];
    let output = std::process::Command::new(exe).args(alone).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{failed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test above, alone in its process"]
async fn alone() {
    let (address, replica) = server().await;
    let half = |seeds| stream::iter(seeds).for_each_concurrent(CROWD, |seed| live(address, seed));
    half(0..HISTORIES / 2).await;
    nothing_is_held(&replica).await;
    let halfway = allocated();
    half(HISTORIES / 2..HISTORIES).await;
    let page = nothing_is_held(&replica).await;
    let more = allocated() - halfway;
    println!("{halfway} bytes allocated halfway, {more} more in the end");
    assert!(more < SLACK, "{halfway} bytes allocated halfway, {more} more in the end");
    // What they were to meet they have met.
    for met in [
        "vllm:num_preemptions_total",
        "rehearsal_body_timeouts_total",
        "rehearsal_injected_failures_total{kind=\"error\"}",
    ] {
        let row = page.lines().find(|line| line.starts_with(met)).unwrap();
        assert!(!row.ends_with(" 0"), "{row}");
    }
}

/// In bytes, in this process.
fn allocated() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

/// The page of metrics, once it says so.
async fn nothing_is_held(replica: &Replica) -> String {
    let began = Instant::now();
    let page = || {
        let page = replica.metrics.page(&replica.moment(), replica.plugins.statuses()).unwrap();
        String::from_utf8(page).unwrap()
    };
    let held = || {
        let page = page();
        let gauge = |name: &str| {
            let row = page.lines().find(|line| line.starts_with(name)).unwrap();
            row.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        GAUGES.map(gauge)
    };
    while held() != [0.0; GAUGES.len()] {
        assert!(began.elapsed() < PATIENCE, "running, waiting, blocks, streams, connections: {:?}", held());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    page()
}
