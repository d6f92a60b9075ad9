//! `metrics` of an answer: how long its parts took, on a clock that is advanced by hand.

use std::sync::Arc;

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::clock::ended;
use crate::{EXE, serve};

const FLAGS: &str = "--enable-per-request-metrics --clock manual --mode echo --time-to-first-token 100 \
                     --inter-token-latency 20 --max-num-seqs 1";

#[tokio::test]
async fn an_answer_tells_how_long_it_waited_and_took() {
    let server = Arc::new(serve(FLAGS).await);
    let metrics = |queue: &str| {
        format!(
            r#""metrics":{{"time_to_first_token_ms":100.0,"generation_time_ms":40.0,"queue_time_ms":{queue},"mean_itl_ms":20.0,"tokens_per_second":21.428571428571427,"speculative_decoding":null}}"#
        )
    };
    let streamed = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let [chat, text, response, stream] = ended(
        &server,
        [
            ("/v1/chat/completions", Server::chat("one two three", &json!({}))),
            ("/v1/completions", json!({ "prompt": "one two three" })),
            ("/v1/responses", json!({ "input": "one two three" })),
            ("/v1/chat/completions", Server::chat("one two three", &streamed)),
        ],
    )
    .await;
    assert!(chat.ends_with(&format!("{}}}", metrics("0.0"))), "{chat}");
    assert!(text.ends_with(&format!("{}}}", metrics("140.0"))), "{text}");
    assert!(response.contains(&format!(r#""user":null,{},"presence_penalty""#, metrics("280.0"))), "{response}");
    // In its usage alone, and without nulls.
    let told = metrics("420.0").replace(r#","speculative_decoding":null"#, "");
    assert_eq!(stream.matches("metrics").count(), 1, "{stream}");
    assert!(stream.contains(&format!("{told}}}\n\ndata: [DONE]")), "{stream}");
}

#[tokio::test]
async fn one_token_has_no_gap_and_several_choices_have_no_moments() {
    let server = Arc::new(serve(FLAGS).await);
    let [one, two] = ended(
        &server,
        [("/v1/completions", json!({ "prompt": "one" })), ("/v1/completions", json!({ "prompt": ["one", "two"] }))],
    )
    .await;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&one["metrics"]["mean_itl_ms"], &one["metrics"]["generation_time_ms"]), (&Value::Null, &json!(0.0)));
    assert!(two.ends_with(r#""metrics":null}"#), "{two}");
}

#[tokio::test]
async fn without_statistics_there_is_nothing_to_tell() {
    let args = ["--model", "m", "--enable-per-request-metrics", "--disable-log-stats"];
    let refusal = Server::refused(EXE, &args).await;
    assert!(refusal.stderr.contains("--disable-log-stats"), "{}", refusal.stderr);
}
