//! The batch that steps: through HTTP as in the prediction; and the tools around profiles.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use rehearsal_engine::offline::{Arriving, Fate, Offline};
use rehearsal_tests::{ROOT, Server, until};
use rehearsal_timing::Profile;
use serde_json::{Value, json};

use crate::docs::configured;
use crate::{EXE, serve};

/// Memory for about three of the requests, places for four.
const FLAGS: &str = "--latency-profile llama-3.1-8b-a100 --max-num-seqs 4 --max-num-batched-tokens 256 --max-model-len 4096 \
    --enable-kvcache --kv-cache-size 60";

/// Requests that have arrived, those that have ended included.
async fn arrived(server: &Server) -> usize {
    let page = server.get("/metrics").await.text;
    let counts = ["vllm:num_requests_running{", "vllm:num_requests_waiting{", "vllm:request_success_total{"];
    let of = page.lines().filter(|line| counts.iter().any(|count| line.starts_with(count)));
    of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as usize).sum()
}

fn requests() -> Vec<Arriving> {
    let of = |at: u32| Arriving {
        at: Duration::from_millis(u64::from(at * 37 + at * at % 11)),
        prompt_tokens: 150 + at * 53 % 170,
        prompt: (0..150 + at * 53 % 170).map(|token| 1000 * (at + 1) + token).collect(),
        output_tokens: 20 + at * 29 % 60,
    };
    (0..14).map(of).collect()
}

/// To the nanosecond, with preemptions: it is the same engine.
#[tokio::test]
async fn on_a_manual_clock_requests_take_exactly_as_long_as_predicted() {
    let args: Vec<_> = FLAGS.split_whitespace().chain(["--model", "m"]).collect();
    let config = configured(&args).unwrap();
    let requests = requests();
    let fates = Offline::new(&config.engine, &config.latency, 1, 1).run(&requests, &mut ());
    let history = |fate: &Fate| match fate {
        Fate::Answered { history, .. } => *history,
        other => panic!("{other:?}"),
    };
    let expected: Vec<_> = fates.iter().map(history).collect();
    assert!(expected.iter().any(|history| history.preemptions > 0), "memory is short");
    for stream in [false, true] {
        let server = Arc::new(serve(&format!("{FLAGS} --clock manual --capture 100")).await);
        let (mut asked, mut before) = (Vec::new(), Duration::ZERO);
        for (at, request) in requests.iter().enumerate() {
            let gap = format!("{}ms", (request.at - before).as_millis());
            before = request.at;
            if at > 0 {
                assert_eq!(server.post("/admin/clock", &json!({ "advance": gap })).await.status, 200);
            }
            let body = json!({
                "model": "m", "prompt": request.prompt, "max_tokens": request.output_tokens, "ignore_eos": true,
                "stream": stream,
            });
            let server_of_task = server.clone();
            asked.push(tokio::spawn(async move { server_of_task.post("/v1/completions", &body).await.status }));
            until("it has arrived", async || (arrived(&server).await > at).then_some(())).await;
        }
        assert_eq!(server.post("/admin/clock", &json!({ "until-idle": true })).await.status, 200);
        for status in asked {
            assert_eq!(status.await.unwrap(), 200);
        }
        let captured = server.get("/rehearsal/requests?last=100").await.json["requests"].take();
        let times = captured
            .as_array()
            .unwrap()
            .iter()
            .map(|request| (request["ttft"].as_f64().unwrap(), request["e2e"].as_f64().unwrap()));
        let seconds = |time: Option<Duration>| time.unwrap().as_secs_f64();
        let predicted = expected.iter().map(|of| (seconds(of.time_to_first_token()), seconds(of.e2e_latency())));
        assert_eq!(times.collect::<Vec<_>>(), predicted.collect::<Vec<_>>(), "streaming: {stream}");
    }
}

/// A rank's step is longer while another's runs.
#[tokio::test]
async fn ranks_of_a_mixture_of_experts_step_together() {
    let e2e = async |lockstep: &str| {
        let flags = format!(
            "--model m --latency-profile llama-3.1-8b-a100 --clock manual -dp 2 --port 0 --capture 9 {lockstep}"
        );
        let args: Vec<_> = flags.split_whitespace().collect();
        let ranks: Vec<_> = Server::start_ranks(EXE, &args, &[], 2).await.into_iter().map(Arc::new).collect();
        let mut asked = Vec::new();
        for rank in &ranks {
            let (of_task, body) =
                (rank.clone(), json!({ "model": "m", "prompt": "hi", "max_tokens": 50, "ignore_eos": true }));
            asked.push(tokio::spawn(async move { of_task.post("/v1/completions", &body).await.status }));
            until("it has arrived", async || (arrived(rank).await > 0).then_some(())).await;
        }
        ranks[0].post("/admin/clock", &json!({ "until-idle": true })).await;
        for status in asked {
            assert_eq!(status.await.unwrap(), 200);
        }
        ranks[0].get("/rehearsal/requests").await.json["requests"][0]["e2e"].as_f64().unwrap()
    };
    let (alone, together) = (e2e("").await, e2e("--data-parallel-lockstep").await);
    // 50 steps with another sequence, of 34 µs and its context.
    assert!((1.0e-3..3.0e-3).contains(&(together - alone)), "{alone} {together}");
}

fn rehearsal(args: &[&str]) -> Output {
    Command::new(EXE).args(args).output().unwrap()
}

fn good(args: &[&str]) -> String {
    let output = rehearsal(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(args: &[&str], problem: &str) {
    let output = rehearsal(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && stderr.contains(problem), "{args:?}: {problem}: {stderr}");
}

/// 150 requests of a real vLLM on an RTX PRO 6000.
#[test]
fn a_real_run_is_fitted_and_predicted() {
    let (run, folder) = (format!("{ROOT}/tests/data/vllm-run.json"), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (profile, plot) = (path("p.yaml"), path("p.svg"));
    let server = ["--max-num-seqs", "128", "--max-num-batched-tokens", "2048", "--goes-on"];
    let report = good(&[&["fit", &run, "-o", &profile, "--plot", &plot][..], &server].concat());
    assert!(report.contains("\ngood: ") || report.contains("\nfair: "), "{report}");
    assert!(std::fs::read_to_string(plot).unwrap().contains("TTFT, ms"));
    let fitted = Profile::parse(&std::fs::read_to_string(&profile).unwrap()).unwrap();
    assert!(fitted.errors.is_some_and(|errors| errors.worst() < 10.0) && fitted.covered.is_some(), "{fitted:?}");
    let predicted: Value = serde_json::from_str(&good(&["predict", &profile, &run, "--json"])).unwrap();
    assert_eq!((predicted["answered"].as_u64(), predicted["refused"].as_u64()), (Some(150), Some(0)));
    let compared = good(&["predict", &profile, &run, "--compare=100"]);
    assert!(compared.contains("off what was measured, from request 100 on"), "{compared}");
    let sweep = good(&["predict", &profile, &run, "--sweep", "replicas=1,2", "--plot", &path("s.svg")]);
    assert_eq!(sweep.lines().count(), 4, "{sweep}");
    refused(&["fit", &run], "--max-num-seqs is missing");
    refused(&[&["fit", "/no/such.json"][..], &server].concat(), "cannot read /no/such.json");
    let bad = path("bad.json");
    std::fs::write(
        &bad,
        r#"{"start_times": [0], "input_lens": [5], "output_lens": [5], "ttfts": ["x"], "itls": [[]]}"#,
    )
    .unwrap();
    refused(&[&["fit", &bad][..], &server].concat(), "ttfts[0]: invalid type: string \"x\"");
    refused(&["predict", &profile, &bad], "ttfts[0]");
    refused(&["predict", "no-such", &run], "\"no-such\" is no built-in profile");
}

#[test]
fn profiles_are_listed_and_shown_and_what_they_have_no_place_for_is_told() {
    let list = good(&["profile", "list"]);
    assert!(
        list.contains("llama-3.1-8b-rtx-4090") && list.contains("measured") && list.contains("published, not verified")
    );
    let name = list.lines().next().unwrap().split(' ').next().unwrap();
    assert!(Profile::parse(&good(&["profile", "show", name])).is_ok());
    refused(&["profile", "show", "none"], "\"none\" is no built-in profile");
    refused(&["--model", "m", "--latency-calculator", "step"], "latency-calculator: step needs latency-profile");
    let checked = good(&["check", "--model", "m", "--latency-profile", name, "--time-to-first-token", "1s"]);
    assert!(checked.contains("time-to-first-token: it has no effect where the batch goes in steps"), "{checked}");
    let checked = good(&["check", "--model", "m", "--max-num-batched-tokens", "4096"]);
    assert!(checked.contains("max-num-batched-tokens: it has no effect without latency-calculator: step"), "{checked}");
    let few = ["--model", "m", "--latency-profile", name, "--max-num-seqs", "64", "--max-num-batched-tokens", "32"];
    refused(&few, "max-num-batched-tokens: 32 is less than max-num-seqs (64)");
}

#[tokio::test]
async fn whether_the_batch_steps_cannot_be_changed_while_the_server_runs() {
    for (flags, other) in [("", json!("step")), ("--latency-profile qwen3-8b-h100", json!("constant"))] {
        let server = serve(flags).await;
        let answer = server.post("/admin/config", &json!({ "latency-calculator": other })).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains("latency-calculator"), "{}", answer.text);
    }
}

/// Against this server: a short calibration, and its requests once more.
#[tokio::test]
async fn a_server_is_calibrated_and_its_requests_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (capture, profile, saved) = (path("capture.jsonl"), path("p.yaml"), path("replayed.json"));
    let server = serve(&format!(
        "--latency-profile qwen3-0.6b-h100 --max-num-seqs 16 --max-model-len 2048 --capture-file {capture}"
    ))
    .await;
    let url = server.url.clone();
    let args = [
        "calibrate",
        &url,
        "--input-len",
        "50",
        "--output-len",
        "8",
        "-n",
        "30",
        "--rates",
        "40,inf",
        "--max-num-seqs",
        "16",
        "--max-num-batched-tokens",
        "2048",
        "-o",
        &profile,
    ];
    let args = args.map(str::to_owned);
    let report = tokio::task::spawn_blocking(move || good(&args.each_ref().map(String::as_str))).await.unwrap();
    assert_eq!(report.matches("30 sent, 30 answered, 0 failed").count(), 2, "{report}");
    assert!(Profile::parse(&std::fs::read_to_string(profile).unwrap()).is_ok());
    // Its lines are written in the background.
    while std::fs::read_to_string(&capture).unwrap().lines().count() < 60 {
        tokio::task::yield_now().await;
    }
    std::fs::copy(&capture, path("copy.jsonl")).unwrap();
    let args = ["replay", &path("copy.jsonl"), &url, "--speed", "2", "--save", &saved].map(str::to_owned);
    let report = tokio::task::spawn_blocking(move || good(&args.each_ref().map(String::as_str))).await.unwrap();
    assert!(report.contains("answered, 0 failed"), "{report}");
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(saved).unwrap()).unwrap();
    assert!(saved["completed"].as_u64() >= Some(60) && saved["output_lens"][5] == 8, "{saved}");
    refused(&["replay", "/no/such.jsonl", "http://localhost:1"], "cannot read /no/such.jsonl");
}
