//! `GET /metrics` as scrapers of vLLM read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rehearsal_tests::{Server, until};
use serde_json::{Value, json};

use crate::clock::queued;
use crate::serve;

/// What a scraper knows of a family: its type, and of each of its rows the labels; of histograms the upper bounds too.
#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<Vec<String>>,
    bounds: BTreeSet<String>,
}

/// The families of a page.
fn families(page: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    let mut name = String::new();
    for line in page.lines() {
        if let Some(header) = line.strip_prefix("# TYPE ") {
            let (family, kind) = header.split_once(' ').unwrap();
            name = family.to_owned();
            families.entry(name.clone()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let family = families.get_mut(&name).unwrap();
            let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            let mut names = Vec::new();
            for label in labels.split("\",").filter(|label| !label.is_empty()) {
                let (label, value) = label.split_once("=\"").unwrap();
                let value = value.trim_end_matches('"');
                match label {
                    "le" => drop(family.bounds.insert(value.parse::<f64>().map_or(value.into(), |le| le.to_string()))),
                    // Which ones there are is part of the page's meaning.
                    "reason" | "source" | "finished_reason" | "sleep_state" => names.push(format!("{label}={value}")),
                    label => names.push(label.to_owned()),
                }
            }
            family.labels.insert(names);
        }
    }
    families
}

async fn page(server: &Server) -> String {
    server.get("/metrics").await.text
}

/// What stands after the name and the labels of a row.
pub(crate) fn told<'a>(page: &'a str, row: &str) -> &'a str {
    let found = page.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no row {row} in\n{page}"))
}

pub(crate) fn value(page: &str, row: &str) -> f64 {
    told(page, row).parse().unwrap()
}

#[tokio::test]
async fn the_page_has_vllms_families_types_labels_and_bounds() {
    let server = serve("--max-model-len 1024 --max-loras 4").await;
    server.post("/v1/chat/completions", &Server::chat("hi", &json!({}))).await;
    server.get("/nowhere").await;
    let mut ours = families(&page(&server).await);
    let mut vllms = families(include_str!("../data/vllm-metrics-1024.txt"));
    // Of Python itself, and when each series began.
    vllms.retain(|name, _| !name.starts_with("python_") && !name.ends_with("_created"));
    // Is not on that page, which is of a server without an engine; its labels are another test's.
    assert!(ours.remove("vllm:cache_config_info").is_some());
    for alias in [
        "vllm:gpu_cache_usage_perc",
        "vllm:gpu_prefix_cache_hits_total",
        "vllm:gpu_prefix_cache_queries_total",
        "vllm:time_per_output_token_seconds",
    ] {
        assert!(ours.remove(alias).is_some(), "{alias}");
    }
    ours.retain(|name, _| !name.starts_with("rehearsal_"));
    let (names, expected): (Vec<_>, Vec<_>) = (ours.keys().collect(), vllms.keys().collect());
    assert_eq!(names, expected);
    for (name, family) in &vllms {
        assert_eq!(&ours[name], family, "{name}");
    }
}

/// llm-d's router takes a server for one of vLLM's only if its first scrape has these.
#[tokio::test]
async fn a_router_finds_what_it_needs_in_the_first_scrape() {
    for flags in ["", "--enable-kvcache --zmq-endpoint= --block-size 8 --kv-cache-size 100"] {
        let server = serve(flags).await;
        let page = page(&server).await;
        for name in ["num_requests_waiting", "num_requests_running", "kv_cache_usage_perc"] {
            assert_eq!(value(&page, &format!(r#"vllm:{name}{{engine="0",model_name="m"}}"#)), 0.0);
        }
        let config = page.lines().find(|line| line.starts_with("vllm:cache_config_info{")).unwrap();
        let label = |name: &str| {
            let (_, rest) = config.split_once(&format!("{name}=\"")).unwrap();
            rest.split_once('"').unwrap().0.parse::<u64>().unwrap()
        };
        let expected = if flags.is_empty() { (16, 5 * 64) } else { (8, 100) };
        assert_eq!((label("block_size"), label("num_gpu_blocks")), expected, "{config}");
        assert!(config.ends_with("} 1") && config.contains(r#"enable_prefix_caching="True""#), "{config}");
        let lora = r#"vllm:lora_requests_info{max_lora="1",running_lora_adapters="",waiting_lora_adapters=""}"#;
        assert!(value(&page, lora) > 1.7e9);
    }
}

#[tokio::test]
async fn adapters_are_listed_as_routers_want_them_or_as_vllm_does() {
    for (lists, running, waiting) in [("split", "a", "b"), ("equal", "a,b", "a,b")] {
        let flags = "--lora-modules a=/p b=/p --clock manual --time-to-first-token 1s --lora-requests-info";
        let server = Arc::new(serve(&format!("{flags} {lists}")).await);
        for (at, model) in ["a", "b"].into_iter().enumerate() {
            let (of_task, body) = (server.clone(), json!({ "model": model, "prompt": "hi" }));
            tokio::spawn(async move { of_task.post("/v1/completions", &body).await });
            queued(&server, at + 1).await;
        }
        let page = page(&server).await;
        let row = format!(
            r#"vllm:lora_requests_info{{max_lora="1",running_lora_adapters="{running}",waiting_lora_adapters="{waiting}"}}"#
        );
        assert_eq!(value(&page, &row), 1_767_225_600.0, "one row, of this moment");
        let by_reason = |reason: &str| {
            let labels = format!(r#"{{engine="0",model_name="m",reason="{reason}"}}"#);
            value(&page, &format!("vllm:num_requests_waiting_by_reason{labels}"))
        };
        assert_eq!((by_reason("capacity"), by_reason("deferred")), (0.0, 1.0));
    }
}

/// Five requests on a clock that is advanced by hand: two with the same prompt, one of them streamed and queued behind the
/// other, one that its client gives up, one that fails on purpose, and one more.
#[tokio::test]
async fn what_is_measured_of_five_requests_is_exact() {
    let flags = "--clock manual --mode echo --time-to-first-token 100 --inter-token-latency 20 --max-num-seqs 1 \
                 --enable-kvcache --zmq-endpoint= --block-size 16";
    let server = Arc::new(serve(flags).await);
    let prompt = (0..40).map(|at| format!("w{at}")).collect::<Vec<_>>().join(" ");
    let text = |stream: bool| json!({ "prompt": prompt, "max_tokens": 3, "stream": stream });
    let ask = |body: Value| {
        let server = server.clone();
        tokio::spawn(async move { server.post("/v1/completions", &body).await })
    };
    let mut asked = vec![ask(text(false))];
    queued(&server, 1).await;
    asked.push(ask(text(true)));
    queued(&server, 2).await;
    let given_up = ask(text(false));
    queued(&server, 3).await;
    given_up.abort();
    let fails = [("x-return-error", "503")];
    let failed = server.post_text("/v1/completions", "application/json", &text(false).to_string(), &fails).await;
    assert_eq!(failed.status, 503);
    let waiting = r#"vllm:num_requests_waiting{engine="0",model_name="m"}"#;
    until("it has left", async || (value(&page(&server).await, waiting) <= 1.0).then_some(())).await;
    asked.push(ask(json!({ "prompt": "one", "max_tokens": 5 })));
    queued(&server, 3).await;
    server.post("/admin/clock", &json!({ "until-idle": true })).await;
    for answer in asked {
        assert_eq!(answer.await.unwrap().status, 200);
    }

    let page = page(&server).await;
    let number = |name: &str, label: &str| {
        let labels = match label.split_once('=') {
            // Labels stand in the order of their names.
            Some((label, value)) if label < "model_name" => format!(r#"engine="0",{label}="{value}",model_name="m""#),
            Some((label, value)) => format!(r#"engine="0",model_name="m",{label}="{value}""#),
            None => r#"engine="0",model_name="m""#.to_owned(),
        };
        value(&page, &format!("vllm:{name}{{{labels}}}"))
    };
    for (name, label, expected) in [
        ("num_requests_running", "", 0.0),
        ("num_requests_waiting", "", 0.0),
        ("kv_cache_usage_perc", "", 0.0),
        ("prefix_cache_queries_total", "", 81.0),
        ("prefix_cache_hits_total", "", 32.0),
        ("gpu_prefix_cache_hits_total", "", 32.0),
        ("prompt_tokens_total", "", 81.0),
        ("prompt_tokens_by_source_total", "source=local_compute", 49.0),
        ("prompt_tokens_by_source_total", "source=local_cache_hit", 32.0),
        ("prompt_tokens_by_source_total", "source=external_kv_transfer", 0.0),
        ("prompt_tokens_cached_total", "", 32.0),
        ("prompt_tokens_cached_by_source_total", "source=device", 32.0),
        ("generation_tokens_total", "", 7.0),
        ("request_success_total", "finished_reason=length", 2.0),
        ("request_success_total", "finished_reason=stop", 1.0),
        ("request_success_total", "finished_reason=abort", 0.0),
        ("request_success_total", "finished_reason=error", 0.0),
        ("num_preemptions_total", "", 0.0),
    ] {
        assert_eq!(number(name, label), expected, "{name} {label}");
    }
    for (name, count, sum) in [
        ("time_to_first_token_seconds", 3.0, 0.1 + 0.24 + 0.38),
        ("inter_token_latency_seconds", 4.0, 0.08),
        ("time_per_output_token_seconds", 4.0, 0.08),
        ("request_time_per_output_token_seconds", 3.0, 0.04),
        ("e2e_request_latency_seconds", 3.0, 0.14 + 0.28 + 0.38),
        ("request_queue_time_seconds", 3.0, 0.14 + 0.28),
        ("request_prefill_time_seconds", 3.0, 0.3),
        ("request_decode_time_seconds", 3.0, 0.08),
        ("request_inference_time_seconds", 3.0, 0.14 + 0.14 + 0.1),
        ("request_prompt_tokens", 3.0, 81.0),
        ("request_generation_tokens", 3.0, 7.0),
        ("request_max_num_generation_tokens", 3.0, 7.0),
        ("request_params_max_tokens", 3.0, 11.0),
        ("request_params_n", 3.0, 3.0),
        ("request_num_preemptions", 3.0, 0.0),
        ("request_prefill_kv_computed_tokens", 3.0, 49.0),
        ("iteration_tokens_total", 7.0, 41.0 + 1.0 + 1.0 + 9.0 + 1.0 + 1.0 + 2.0),
    ] {
        assert_eq!(number(&format!("{name}_count"), ""), count, "{name}");
        let given = number(&format!("{name}_sum"), "");
        assert!((given - sum).abs() < 1e-9, "{name}: {given}, not {sum}");
    }
}

#[tokio::test]
async fn several_answers_to_a_prompt_are_told_of_together() {
    let server = serve("--mode echo").await;
    server.post("/v1/completions", &json!({ "prompt": ["one two", "three"], "n": 2, "temperature": 1 })).await;
    let page = page(&server).await;
    let number = |name: &str| value(&page, &format!(r#"vllm:{name}{{engine="0",model_name="m"}}"#));
    assert_eq!((number("request_params_n_count"), number("request_params_n_sum")), (2.0, 4.0));
    assert_eq!(number("request_max_num_generation_tokens_sum"), 3.0);
    assert_eq!((number("e2e_request_latency_seconds_count"), number("request_generation_tokens_sum")), (4.0, 6.0));
}

#[tokio::test]
async fn a_prefill_that_another_server_made_is_told_of() {
    let server = serve("--mode echo").await;
    let params = json!({ "do_remote_prefill": true, "do_remote_decode": false });
    server.post("/v1/completions", &json!({ "prompt": "one two", "kv_transfer_params": params })).await;
    let page = page(&server).await;
    let source = |source: &str| {
        let labels = format!(r#"{{engine="0",model_name="m",source="{source}"}}"#);
        value(&page, &format!("vllm:prompt_tokens_by_source_total{labels}"))
    };
    assert_eq!((source("external_kv_transfer"), source("local_compute")), (2.0, 0.0));
    assert_eq!(value(&page, r#"vllm:external_prefix_cache_hits_total{engine="0",model_name="m"}"#), 2.0);
}

#[tokio::test]
async fn what_is_turned_away_is_counted_once_a_request() {
    let flags = "--max-num-seqs 1 --max-waiting-queue-length 0 --clock manual --time-to-first-token 1s";
    let server = Arc::new(serve(flags).await);
    let of_task = server.clone();
    tokio::spawn(async move { of_task.post("/v1/completions", &json!({ "prompt": "hi" })).await });
    queued(&server, 1).await;
    let refused = server.post("/v1/completions", &json!({ "prompt": "hi", "n": 3, "temperature": 1 })).await;
    assert_eq!(refused.status, 429);
    let row = r#"vllm:admission_rejections_total{model_name="m",reason="max_num_queued_reqs"}"#;
    assert_eq!(value(&page(&server).await, row), 1.0);
}

#[tokio::test]
async fn a_sleeping_engine_says_so() {
    let env = [("VLLM_SERVER_DEV_MODE", "1")];
    let server = Server::start_with_env(crate::EXE, &["--model", "m"], &env).await;
    let states = async || {
        let page = page(&server).await;
        ["awake", "weights_offloaded", "discard_all"].map(|state| {
            value(&page, &format!(r#"vllm:engine_sleep_state{{engine="0",model_name="m",sleep_state="{state}"}}"#))
        })
    };
    assert_eq!(states().await, [1.0, 0.0, 0.0]);
    server.post("/sleep?level=1", &json!({})).await;
    assert_eq!(states().await, [0.0, 1.0, 0.0]);
    server.post("/wake_up", &json!({})).await;
    server.post("/sleep?level=2", &json!({})).await;
    assert_eq!(states().await, [0.0, 0.0, 1.0]);
    server.post("/wake_up", &json!({})).await;
    assert_eq!(states().await, [1.0, 0.0, 0.0]);
}

#[tokio::test]
async fn requests_are_counted_by_endpoint_as_vllms_framework_does() {
    let server = serve("--mode echo").await;
    let body = Server::chat("hi", &json!({ "stream": true })).to_string();
    server.post_text("/v1/chat/completions", "application/json", &body, &[]).await;
    server.post("/v1/chat/completions", &json!({})).await;
    server.get("/v1/chat/completions").await;
    for path in ["/nowhere", "/health", "/health/ready", "/ping", "/version", "/load", "/metrics"] {
        server.get(path).await;
    }
    for made_up in ["BREW", "WHEN"] {
        let method = reqwest::Method::from_bytes(made_up.as_bytes()).unwrap();
        server.http.request(method, format!("{}/tea", server.url)).send().await.unwrap();
    }
    let page = page(&server).await;
    let chat = r#"handler="/v1/chat/completions",method"#;
    for (row, expected) in [
        (format!(r#"http_requests_total{{{chat}="POST",status="2xx"}}"#), 1.0),
        (format!(r#"http_requests_total{{{chat}="POST",status="4xx"}}"#), 1.0),
        (format!(r#"http_requests_total{{{chat}="GET",status="4xx"}}"#), 1.0),
        (r#"http_requests_total{handler="none",method="GET",status="4xx"}"#.into(), 1.0),
        (r#"http_request_size_bytes_count{handler="/v1/chat/completions"}"#.into(), 3.0),
        (r#"http_request_size_bytes_sum{handler="/v1/chat/completions"}"#.into(), body.len() as f64 + 2.0),
        (format!(r#"http_request_duration_seconds_count{{{chat}="POST"}}"#), 2.0),
        (r#"http_requests_total{handler="none",method="OTHER",status="4xx"}"#.into(), 2.0),
        ("http_request_duration_highr_seconds_count".into(), 6.0),
        (r#"http_response_size_bytes_sum{handler="none"}"#.into(), 66.0),
    ] {
        assert_eq!(value(&page, &row), expected, "{row}");
    }
    assert_eq!(page.lines().filter(|line| line.starts_with("http_requests_total{")).count(), 5, "{page}");
}

#[tokio::test]
async fn other_engines_names_tell_what_routers_read_of_them_and_nothing_else() {
    for (dialect, expected) in [
        (
            "sglang",
            "sglang:cache_config_info{page_size=\"8\",num_pages=\"100\"} 1\nsglang:num_queue_reqs 0\n\
             sglang:num_running_reqs 0\nsglang:token_usage 0",
        ),
        (
            "trtllm",
            "trtllm_kv_cache_max_blocks 100\ntrtllm_kv_cache_tokens_per_block 8\ntrtllm_kv_cache_utilization 0\n\
             trtllm_num_requests_running 0\ntrtllm_num_requests_waiting 0",
        ),
    ] {
        let flags = "--enable-kvcache --zmq-endpoint= --block-size 8 --kv-cache-size 100 --metrics-dialect";
        let page = page(&serve(&format!("{flags} {dialect}")).await).await;
        let own = ["#", "rehearsal_", "process_", "http_"];
        let rows = page.lines().filter(|line| !own.iter().any(|prefix| line.starts_with(prefix)));
        let mut rows: Vec<_> = rows.map(|row| row.replace(r#"{engine="0",model_name="m"}"#, "")).collect();
        rows.sort();
        assert_eq!(rows.join("\n"), expected);
    }
}

/// Every metric that the dashboard asks Prometheus for is on the page.
#[tokio::test]
async fn the_dashboard_asks_for_what_there_is() {
    let server = serve("").await;
    server.post("/v1/completions", &json!({ "prompt": "hi" })).await;
    let page = page(&server).await;
    let dashboard: Value = serde_json::from_str(include_str!("../../manifests/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut n_metrics = 0;
    for target in targets {
        let query = target["expr"].as_str().unwrap();
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        for name in words.filter(|word| ["vllm:", "http_", "rehearsal_"].iter().any(|own| word.starts_with(own))) {
            assert!(page.lines().any(|line| line.starts_with(&format!("{name}{{"))), "{name} of {query}");
            n_metrics += 1;
        }
    }
    assert!(n_metrics > 20);
}
