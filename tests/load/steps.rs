//! What a token of a thousand streams costs the server, at each stream's own pace and in steps.

use std::time::Duration;

use rehearsal_open_loop::{Planned, send};
use rehearsal_tests::Server;
use serde_json::json;

const STREAMS: u32 = 1000;
const TOKENS: u32 = 200;
const ROUNDS: usize = 3;

/// Steps of 20 ms, whatever is in them.
const PROFILE: &str = "status: published\nmodel: m\ngpu: none\nsource: a load test\nstep-time:\n  base-ms: 20\n  \
    per-sequence-us: 0\n  per-context-token-ns: 0\n  per-prefill-token-us: 0\n";

pub(super) async fn compare(exe: &str) {
    let profile = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a temporary file");
    std::fs::write(profile.path(), PROFILE).expect("a temporary file is writable");
    let in_steps = format!("--latency-profile {}", profile.path().display());
    println!("{STREAMS} streams of {TOKENS} tokens, one each 20 ms; the server's processor time for a token, in µs:");
    for round in 1..=ROUNDS {
        for (name, pace) in [("own pace", "--time-to-first-token 20 --inter-token-latency 20"), ("steps", &in_steps)] {
            let flags = format!("--model m --max-num-seqs {STREAMS} {pace}");
            let server = Server::start(exe, &flags.split_whitespace().collect::<Vec<_>>()).await;
            let before = server.cpu_time();
            let sent = send(&server.url, streams(), |_| {}).await.expect("a client");
            let failed = sent.iter().filter(|sent| !sent.is_good()).count();
            let spent = server.cpu_time() - before;
            let of_token = spent.as_secs_f64() * 1e6 / f64::from(STREAMS * TOKENS);
            println!("round {round}, {name:<10}{of_token:8.2}   {failed} failed");
        }
    }
}

/// All at once.
fn streams() -> Vec<Planned> {
    let body = json!({ "model": "m", "prompt": "hi", "max_tokens": TOKENS, "ignore_eos": true, "stream": true });
    let planned = Planned {
        at: Duration::ZERO,
        method: reqwest::Method::POST,
        path: "/v1/completions".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.to_string().into(),
    };
    vec![planned; STREAMS as usize]
}
