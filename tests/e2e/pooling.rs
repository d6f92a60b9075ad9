//! Embeddings, classes and scores: vLLM's keys, and numbers that mean something.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rehearsal_tests::Server;
use rehearsal_tests::examples::HASHED;
use serde_json::{Value, json};

use crate::{EXE, serve};

async fn vectors(server: &Server, body: &Value) -> Vec<Vec<f64>> {
    let answer = server.post("/v1/embeddings", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json;
    let data = answer["data"].as_array().unwrap();
    data.iter().map(|item| serde_json::from_value(item["embedding"].clone()).unwrap()).collect()
}

#[tokio::test]
async fn embeddings_are_unit_vectors_that_depend_on_the_text() {
    let server = serve("--default-embedding-dimensions 16").await;
    let body = json!({ "model": "m", "input": ["a b c", "a b c", "x y z"] });
    let many = vectors(&server, &body).await;
    assert_eq!(many[0], many[1]);
    assert_ne!(many[0], many[2]);
    for vector in &many {
        assert_eq!(vector.len(), 16);
        let length: f64 = vector.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    let ids = server.post("/tokenize", &json!({ "prompt": "a b c" })).await.json["tokens"].clone();
    for same in [json!({ "input": ids }), json!({ "input": [ids] }), json!({ "input": "a b c" })] {
        assert_eq!(vectors(&server, &same).await, many[..1], "{same}");
    }
    let of_chat = json!({ "messages": [{ "role": "user", "content": "a b c" }], "dimensions": 3 });
    assert_eq!(vectors(&server, &of_chat).await[0].len(), 3);
}

#[tokio::test]
async fn an_embedding_has_vllms_keys_in_vllms_order() {
    let server = serve("").await;
    let body = json!({ "input": "one two", "dimensions": 2, "encoding_format": "base64" }).to_string();
    let answer = server.post_text("/v1/embeddings", "application/json", &body, &[("x-request-id", "abc")]).await;
    let json = answer.json;
    let encoded = json["data"][0]["embedding"].as_str().unwrap();
    let expected = format!(
        r#"{{"id":"embd-abc","object":"list","created":{},"model":"m","data":[{{"index":0,"object":"embedding","embedding":"{encoded}"}}],"usage":{{"prompt_tokens":2,"total_tokens":2,"completion_tokens":0,"prompt_tokens_details":null,"completion_tokens_details":null}}}}"#,
        json["created"]
    );
    assert_eq!(answer.text, expected);
    let bytes = STANDARD.decode(encoded).unwrap();
    let decoded: Vec<_> =
        bytes.chunks(4).map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()))).collect();
    let floats = vectors(&server, &json!({ "input": "one two", "dimensions": 2 })).await;
    assert!(decoded.iter().zip(&floats[0]).all(|(one, other)| (one - other).abs() < 1e-6), "{decoded:?} {floats:?}");
}

#[tokio::test]
async fn a_plugin_makes_the_vectors_for_all_that_compares_texts() {
    let plugin = format!("hashed={HASHED}");
    let server = serve(&format!("--plugin {plugin} --embedding-plugin hashed --default-embedding-dimensions 4")).await;
    // Knuth's hash of 1, 2 and 6 is odd by 1, 2 and 6; 2 and 6 share a place.
    let third = (1.0_f64 / 5.0).sqrt();
    let vector = &vectors(&server, &json!({ "input": [1, 2, 6] })).await[0];
    let expected = [0.0, third, 2.0 * third, 0.0];
    assert!(vector.iter().zip(expected).all(|(is, expected)| (is - expected).abs() < 1e-6), "{vector:?}");
    assert_eq!(vectors(&server, &json!({ "input": "tea", "dimensions": 9 })).await[0].len(), 9);
    let body = json!({ "text_1": "tea", "text_2": ["tea", "quite another text"] });
    let scores = server.post("/score", &body).await.json;
    assert!(scores["data"][0]["score"].as_f64().unwrap() > 0.999, "{scores}");
    assert!(scores["data"][1]["score"].as_f64().unwrap() < 0.999, "{scores}");
    let page = server.get("/metrics").await.text;
    let calls = r#"rehearsal_plugin_calls_total{outcome="ok",plugin="hashed"} 4"#;
    assert!(page.lines().any(|line| line == calls), "{page}");
}

#[tokio::test]
async fn many_long_vectors_are_made_in_several_calls() {
    let server = serve("").await;
    let inputs: Vec<_> = (0..700).map(|n| format!("input {n}")).collect();
    // 22 MB of numbers, where one result may have 16.
    let body = json!({ "input": inputs, "dimensions": 8192, "encoding_format": "base64" });
    let answer = server.post("/v1/embeddings", &body).await;
    assert_eq!((answer.status, answer.json["data"].as_array().unwrap().len()), (200, 700));
    assert_eq!(answer.json["data"][699]["index"], 699);
    let long: Vec<u32> = (0..100_000).collect();
    let server = serve("--max-model-len 200000").await;
    assert_eq!(vectors(&server, &json!({ "input": long, "dimensions": 64 })).await[0].len(), 64);
}

#[tokio::test]
async fn what_makes_no_vectors_is_no_embedding_plugin() {
    let refusal = Server::refused(EXE, &["--model", "m", "--embedding-plugin", "echo"]).await;
    let problem = r#"embedding-plugin: "echo" is no plugin that makes vectors; known are embed"#;
    assert!(refusal.stderr.contains(problem), "{}", refusal.stderr);
}

/// An answer with 0 in place of its moment and of the numbers that are made of texts.
async fn masked(server: &Server, path: &str, body: &Value) -> String {
    let answer = server.post_text(path, "application/json", &body.to_string(), &[("x-request-id", "abc")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let created = format!("\"created\":{}", answer.json["created"]);
    let mut masked = answer.text.replace(&created, "\"created\":0");
    while let Some(point) = masked.find("0.").or_else(|| masked.find("1.0")) {
        let digits = masked[point + 2..].find(|after: char| !after.is_ascii_digit()).unwrap();
        let start = point - usize::from(masked[..point].ends_with('-'));
        masked.replace_range(start..point + 2 + digits, "N");
    }
    masked
}

#[tokio::test]
async fn the_others_of_the_family_have_vllms_keys_in_vllms_order() {
    const USAGE: &str = r#""usage":{"prompt_tokens":P,"total_tokens":P,"completion_tokens":0,"prompt_tokens_details":null,"completion_tokens_details":null}}"#;
    let server = serve("--default-embedding-dimensions 2").await;
    let usage = |n_tokens: u32| USAGE.replace('P', &n_tokens.to_string());
    let texts = json!({ "input": ["one two", "three"] });
    assert_eq!(
        masked(&server, "/pooling", &texts).await,
        format!(
            r#"{{"id":"pooling-abc","object":"list","created":0,"model":"m","data":[{{"index":0,"object":"pooling","data":[N,N]}},{{"index":1,"object":"pooling","data":[N,N]}}],{}"#,
            usage(3)
        )
    );
    let classes = masked(&server, "/classify", &texts).await.replace("LABEL_1", "LABEL_0");
    assert_eq!(
        classes,
        format!(
            r#"{{"id":"classify-abc","object":"list","created":0,"model":"m","data":[{{"index":0,"label":"LABEL_0","probs":[N,N],"num_classes":2}},{{"index":1,"label":"LABEL_0","probs":[N,N],"num_classes":2}}],{}"#,
            usage(3)
        )
    );
    let pairs = json!({ "queries": "one two", "documents": ["three", "one four"] });
    for path in ["/score", "/v1/score"] {
        assert_eq!(
            masked(&server, path, &pairs).await,
            format!(
                r#"{{"id":"score-abc","object":"list","created":0,"model":"m","data":[{{"index":0,"object":"score","score":N}},{{"index":1,"object":"score","score":N}}],{}"#,
                usage(7)
            )
        );
    }
    let ranked = json!({ "query": "one two", "documents": ["three", "one two"] });
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
        assert_eq!(
            masked(&server, path, &ranked).await,
            r#"{"id":"score-abc","model":"m","usage":{"prompt_tokens":7,"total_tokens":7},"results":[{"index":1,"document":{"text":"one two","multi_modal":null},"relevance_score":N},{"index":0,"document":{"text":"three","multi_modal":null},"relevance_score":N}]}"#
        );
    }
}

#[tokio::test]
async fn what_is_alike_scores_and_ranks_higher() {
    let server = serve("").await;
    let documents = json!(["x y z", "a b c", "a b d"]);
    let scored = server.post("/score", &json!({ "queries": "a b c", "documents": documents })).await.json;
    let scores: Vec<_> =
        scored["data"].as_array().unwrap().iter().map(|item| item["score"].as_f64().unwrap()).collect();
    assert!(scores[1] > scores[2] && scores[2] > scores[0], "{scores:?}");
    let ranked = server.post("/v2/rerank", &json!({ "query": "a b c", "documents": documents, "top_n": 2 })).await.json;
    let order: Vec<_> =
        ranked["results"].as_array().unwrap().iter().map(|result| result["index"].as_u64().unwrap()).collect();
    assert_eq!(order, [1, 2]);
    assert_eq!(ranked["results"][0]["document"], json!({ "text": "a b c", "multi_modal": null }));
    let class = server.post("/classify", &json!({ "input": "a b c" })).await.json;
    let probs: Vec<f64> = serde_json::from_value(class["data"][0]["probs"].clone()).unwrap();
    assert!((probs[0] + probs[1] - 1.0).abs() < 1e-9, "{class}");
    assert_eq!(server.post("/pooling", &json!({ "input": "a" })).await.json["data"][0]["object"], "pooling");
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let server = serve("--max-model-len 4").await;
    for (path, body, param) in [
        ("/v1/embeddings", json!({ "input": "a", "dimensions": 0 }), json!("dimensions")),
        ("/v1/embeddings", json!({ "input": "a b c d e" }), json!("input_tokens")),
        ("/v1/embeddings", json!({ "input": "a", "embed_dtype": "float16" }), json!("embed_dtype")),
        ("/v1/embeddings", json!({ "input": "a", "model": "none" }), Value::Null),
        ("/pooling", json!({ "input": "a", "dimensions": 3 }), json!("dimensions")),
        ("/classify", json!({ "input": "a", "task": "score" }), json!("task")),
        ("/score", json!({ "queries": ["a", "b"], "documents": ["a", "b", "c"] }), Value::Null),
        ("/rerank", json!({ "documents": ["a"] }), json!("body.query")),
    ] {
        let answer = server.post(path, &body).await;
        let error = answer.json["error"].clone();
        assert!([400, 404].contains(&answer.status), "{path} {body}: {}", answer.text);
        assert_eq!(error["param"], param, "{path} {body}: {error}");
    }
}
