//! Everything at once, for as long as one likes: `soak BINARY SECONDS`. Clients at their worst, hostile guests, subscribers that do
//! not read, reloads, adapters that come and go, preemptions, and a reader of the log that comes and goes. Prints what the server holds
//! every ten seconds; ends with 1 if memory, files or threads grow or if anything is held in the end.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use rehearsal_tests::examples::SHOUT;
use rehearsal_tests::histories::live;
use rehearsal_tests::{MISBEHAVE, Server, Unread};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

/// Clients at a time.
const CROWD: usize = 48;

/// By when what is held has found its level, at most; in a short run, by a third of it. The level is the median of as long
/// a time: single looks at memory differ by 5 MiB from one to the next, by what runs at the moment.
const LEVEL: Duration = Duration::from_secs(180);

/// By how much it may then still grow: in a long run, and in one that ends before every idle slot of the plugins' pool was used.
const GROWTH: [f64; 2] = [1.1, 1.5];

/// What is looked at.
const HELD: [&str; 3] = ["memory in MiB", "files", "threads"];

/// Between two looks: several in each round of what goes on, whose phases hold up to half as many files more than others.
const LOOK: Duration = Duration::from_secs(1);

/// Of how many looks one is printed.
const PRINTED: usize = 10;

/// What must be 0 in the end.
const GAUGES: [&str; 5] = [
    "vllm:num_requests_running",
    "vllm:num_requests_waiting{",
    "vllm:kv_cache_usage_perc",
    "rehearsal_open_streams",
    "rehearsal_plugin_waiting_calls{plugin=\"guest\"",
];

/// What is to be seen once.
const EVENTS: [&str; 6] = [
    "vllm:num_preemptions_total",
    "rehearsal_kv_event_messages_dropped_total",
    "rehearsal_log_lines_dropped_total",
    "rehearsal_send_timeouts_total",
    "rehearsal_body_timeouts_total",
    "rehearsal_plugin_reloads_total{outcome=\"ok\",plugin=\"guest\"",
];

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [exe, seconds] = &args[..] else { panic!("soak BINARY SECONDS") };
    let time = Duration::from_secs(seconds.parse().expect("seconds"));
    let folder = tempfile::tempdir().expect("a folder");
    let component = folder.path().join("guest.wasm");
    std::fs::copy(MISBEHAVE, &component).expect("the component is there");
    let events = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let server = start(exe, &component, events).await;
    let address: SocketAddr = server.url.trim_start_matches("http://").parse().expect("an address");

    let (end, seeds) = (Instant::now() + time, AtomicU64::new(0));
    let clients = join_all((0..CROWD).map(|_| async {
        while Instant::now() < end {
            live(address, seeds.fetch_add(1, Ordering::Relaxed)).await;
        }
    }));
    let crowd = async {
        let subscribers = stalled_subscribers(events, end);
        let readers = join_all((0..3).map(|_| stalled_readers(address, end)));
        let reloads = reloads(&server, &component, end);
        let lines = long_lines(&server, end);
        tokio::join!(clients, hostile_guests(&server, end), lines, subscribers, readers, reloads);
    };
    let (levels, ()) = tokio::join!(watch(&server, time), crowd);
    println!("{} clients", seeds.load(Ordering::Relaxed));
    judge(&server, &levels, time).await
}

async fn start(exe: &str, component: &Path, events: u16) -> Server {
    let plugin = format!("guest={}", component.display());
    let events =
        json!({ "enable_kv_cache_events": true, "endpoint": format!("tcp://*:{events}"), "hwm": 5000 }).to_string();
    let flags = "--model m --mode guest --seed 1 --max-num-seqs 8 --max-waiting-queue-length 64 --max-model-len 41000 \
        --block-size 8 --kv-cache-size 5200 --event-batch-size 1 --max-loras 2 --capture 200 \
        --time-to-first-token 2ms --inter-token-latency 500us --header-timeout 300ms --body-timeout 300ms \
        --send-timeout 300ms --failure-injection-rate 5 -v 2 --enable-log-requests";
    let args: Vec<_> = flags.split_whitespace().chain(["--plugin", &plugin, "--kv-events-config", &events]).collect();
    Server::start_unread(exe, &args, Unread::NowAndThen).await
}

async fn hostile_guests(server: &Server, end: Instant) {
    for deed in ["spin", "grow", "panic", "sleep", "flood", "return 32 MiB", "chatter"].iter().cycle() {
        if Instant::now() > end {
            return;
        }
        let body = json!({ "prompt": deed, "max_tokens": 5 });
        let _ = server.http.post(format!("{}/v1/completions", server.url)).json(&body).send().await;
    }
}

/// Requests that are long in the log.
async fn long_lines(server: &Server, end: Instant) {
    let body = json!({ "prompt": "a long line ".repeat(10_000), "max_tokens": 1 });
    while Instant::now() < end {
        let _ = server.http.post(format!("{}/v1/completions", server.url)).json(&body).send().await;
        sleep(Duration::from_millis(20)).await;
    }
}

/// Subscribers to everything that never read, each for a while.
async fn stalled_subscribers(port: u16, end: Instant) {
    const HELLO: &[u8] = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB\0\x01\x01";
    while Instant::now() < end {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
            let _ = stream.write_all(HELLO).await;
            sleep(Duration::from_secs(20).min(end.saturating_duration_since(Instant::now()))).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Clients that ask for much, a stream of it, and read nothing.
async fn stalled_readers(address: SocketAddr, end: Instant) {
    let body = json!({ "prompt": "w ".repeat(25_000), "stream": true }).to_string();
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    while Instant::now() < end {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("it is a socket");
        if let Ok(mut stream) = socket.connect(address).await {
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            sleep(Duration::from_secs(20).min(end.saturating_duration_since(Instant::now()))).await;
        }
    }
}

async fn reloads(server: &Server, component: &Path, end: Instant) {
    for version in [SHOUT, MISBEHAVE].iter().cycle() {
        sleep(Duration::from_secs(5)).await;
        if Instant::now() > end {
            return;
        }
        // A copy that is moved into its place is whole.
        let fresh = component.with_extension("new");
        std::fs::copy(version, &fresh).and_then(|_| std::fs::rename(&fresh, component)).expect("the folder is ours");
        server.signal("HUP").await;
    }
}

/// What the server holds: memory in MiB, file descriptors, threads.
async fn watch(server: &Server, time: Duration) -> Vec<(Duration, [u64; 3])> {
    let begun = Instant::now();
    let mut levels = Vec::new();
    println!("{:>8}{:>10}{:>8}{:>10}", "s", "MiB", "files", "threads");
    while begun.elapsed() + LOOK <= time {
        sleep(LOOK).await;
        let held = server.held();
        let [memory, files, threads] = [held[0] >> 20, held[1], held[2]];
        if levels.len() % PRINTED == PRINTED - 1 {
            println!("{:8}{memory:10}{files:8}{threads:10}", begun.elapsed().as_secs());
        }
        levels.push((begun.elapsed(), [memory, files, threads]));
    }
    levels
}

async fn judge(server: &Server, levels: &[(Duration, [u64; 3])], time: Duration) -> ExitCode {
    let begun = Instant::now();
    let mut is_good = true;
    loop {
        let page = server.get("/metrics").await.text;
        let value = |name: &str| {
            let row = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
            row.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok()).expect("a number")
        };
        let held: Vec<_> = GAUGES.iter().filter(|name| value(name) != 0.0).collect();
        if held.is_empty() || begun.elapsed() > Duration::from_secs(60) {
            for name in EVENTS {
                println!("{name} {}", value(name));
                is_good &= value(name) > 0.0;
            }
            println!("held in the end: {held:?}; after {:.1} s", begun.elapsed().as_secs_f64());
            is_good &= held.is_empty();
            break;
        }
        sleep(Duration::from_millis(200)).await;
    }
    let (settled, growth) = (LEVEL.min(time / 3), GROWTH[usize::from(time < 2 * LEVEL)]);
    for (at, what) in HELD.iter().enumerate() {
        let medians = medians(levels.iter().map(|(when, held)| (*when, held[at])), settled);
        println!("{what}, medians of {} s each: {medians:?}", settled.as_secs());
        // What was held before it found its level does not count.
        if let [_, level, rest @ ..] = &medians[..] {
            is_good &= rest.iter().all(|later| *later as f64 <= *level as f64 * growth);
        }
    }
    println!("{}", if is_good { "nothing grows and nothing is held" } else { "NOT GOOD" });
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The medians of what was looked at, of one `period` after another; of one that ends before half of it, none.
fn medians(looks: impl Iterator<Item = (Duration, u64)>, period: Duration) -> Vec<u64> {
    let mut periods = BTreeMap::<u128, Vec<u64>>::new();
    for (when, held) in looks {
        periods.entry(when.as_millis() / period.as_millis()).or_default().push(held);
    }
    let median = |mut held: Vec<u64>| {
        held.sort_unstable();
        held[held.len() / 2]
    };
    let is_half = |held: &Vec<u64>| LOOK * held.len() as u32 >= period / 2;
    periods.into_values().filter(is_half).map(median).collect()
}
