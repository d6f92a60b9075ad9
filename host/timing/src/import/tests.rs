use serde_json::json;

use super::*;

fn one(text: &str) -> Record {
    let benchmarks = import("f", text).unwrap();
    let [benchmark] = &benchmarks[..] else { panic!("{benchmarks:?}") };
    assert_eq!(benchmark.records.len(), 1, "{benchmark:?}");
    benchmark.records[0].clone()
}

fn close(record: &Record, ttft: f64, e2e: f64) {
    assert_eq!((record.start, record.prompt_tokens, record.output_tokens), (0.0, 100, 3), "{record:?}");
    assert!((record.ttft - ttft).abs() < 1e-6 && (record.e2e - e2e).abs() < 1e-6, "{record:?}");
}

#[test]
fn each_tool_is_known_by_its_file() {
    let vllm = json!({
        "start_times": [5.0, 6.0], "input_lens": [100, 9], "output_lens": [3, 0], "ttfts": [0.2, 0.0],
        "itls": [[0.1, 0.1], []], "errors": ["", "timeout"],
    });
    close(&one(&vllm.to_string()), 0.2, 0.4);
    assert_eq!(import("f", &vllm.to_string()).unwrap()[0].failed, 1);
    let timings =
        json!({ "request_start": 1e9, "first_token_iteration": 1e9 + 0.25, "last_token_iteration": 1e9 + 0.5 });
    let request =
        json!({ "info": { "timings": timings }, "prompt_tokens": 100, "output_tokens": 3, "cached_tokens": 16 });
    let guidellm =
        json!({ "benchmarks": [{ "requests": { "successful": [request], "errored": [{}], "incomplete": [] } }] });
    close(&one(&guidellm.to_string()), 0.25, 0.5);
    assert_eq!(one(&guidellm.to_string()).cached_tokens, 16);
    let line = |phase: &str| {
        json!({
            "metadata": { "request_start_ns": 1_000_000_000_u64, "was_cancelled": false, "benchmark_phase": phase },
            "metrics": {
                "time_to_first_token": { "value": 200.0, "unit": "ms" }, "request_latency": { "value": 400.0, "unit": "ms" },
                "input_sequence_length": { "value": 100 }, "output_sequence_length": { "value": 3 },
            },
            "error": null,
        })
    };
    close(&one(&format!("{}\n{}\n", line("warmup"), line("profiling"))), 0.2, 0.4);
    let answered = json!({
        "start_time": 7.0, "end_time": 8.0, "error": null,
        "info": {
            "request_metrics": { "text": { "input_tokens": 100 } },
            "response_metrics": { "output_tokens": 3, "output_token_times": [7.5, 7.6, 7.75] },
        },
    });
    close(
        &one(&json!([answered, { "start_time": 8.0, "error": { "error_type": "Timeout" }, "info": null }]).to_string()),
        0.5,
        0.75,
    );
    let captured = json!({
        "at": 3.0, "path": "/v1/completions", "status": 200, "prompt_tokens": 100, "completion_tokens": 3,
        "cached_tokens": 0, "ttft": 0.1, "e2e": 0.3, "outcome": "completed",
    });
    close(&one(&format!("{captured}\n")), 0.1, 0.3);
}

#[test]
fn what_is_wrong_is_told_by_record_and_field() {
    for (text, problem) in [
        ("{", "f: it is no JSON: EOF while parsing"),
        ("{\"at\": 0}\n{", "f: line 2 is no JSON"),
        ("{}", "f: it is of none of the benchmarks"),
        (
            r#"{"input_lens": [1], "output_lens": [1], "ttfts": [0.1]}"#,
            "f: it has no start_times: run the benchmark with",
        ),
        (
            r#"{"start_times": [0, 1], "input_lens": [1], "output_lens": [1, 1], "ttfts": [0.1, 0.1], "itls": [[], []]}"#,
            "f: start_times has 2 requests, and input_lens has 1",
        ),
        (
            r#"{"start_times": [0], "input_lens": [1], "output_lens": [1], "ttfts": ["soon"], "itls": [[]]}"#,
            "f: ttfts[0]: invalid type: string \"soon\", expected f64",
        ),
        (
            r#"[{"at": 0, "prompt_tokens": 5, "completion_tokens": 2, "ttft": 0.5, "e2e": 0.1, "outcome": "completed"}]"#,
            "f: line 1: its first token came after 0.5 s, and its last one after 0.1 s",
        ),
        (r#"[{"at": 0, "prompt_tokens": -5}]"#, "f: line 1, prompt_tokens: invalid value: integer `-5`, expected u32"),
        (r#"[{"start_time": 0, "error": "no", "info": null}]"#, "f: it has no request that was answered"),
    ] {
        let error = import("f", text).unwrap_err();
        assert!(error.starts_with(problem), "{error}");
    }
}
