//! 186 requests and what vLLM 0.33's own request layer said to each, and 57 more with its whole answers. It was run without
//! an engine, so that it took what the engine refuses later.

use rehearsal_tests::{Answer, Server};
use serde_json::Value;

use crate::serve;

/// What only the engine refuses: a 400 where the request layer alone says 200. The words must name what is wrong.
const REFUSED_BY_THE_ENGINE: [(&str, &str); 10] = [
    (r#""allowed_token_ids": []"#, "allowed_token_ids"),
    (r#"{"choice": []}"#, "choice"),
    (r#"{"json_object": false}"#, "json_object"),
    (r#"{"prompt": "x", "logprobs": -1}"#, "--max-logprobs"),
    (r#""use_beam_search": true, "n": 2, "stream": true"#, "beam search"),
    (r#"{"prompt": [[]]}"#, "prompt"),
    (r#"{"prompt": [""]}"#, "prompt"),
    (r#"{"prompt": []}"#, "prompt"),
    (r#"{"prompt": [9223372036854775808]}"#, "vocabulary"),
    (r#""max_tokens": 0}"#, "max_tokens"),
];

async fn vllm() -> Server {
    serve("--mode echo --max-model-len 1024 --tool-call-parser hermes --enable-auto-tool-choice").await
}

/// Whether this is a refusal of the engine's; then it is held to its reason here.
fn is_refused_by_the_engine(path: &str, body: &str, answer: &Answer) -> bool {
    let known = REFUSED_BY_THE_ENGINE.iter().find(|(part, _)| path != "/tokenize" && body.contains(part));
    let Some((_, why)) = known.filter(|_| answer.status != 200) else { return false };
    let message = answer.json["error"]["message"].as_str().unwrap_or_default();
    assert!(answer.status == 400 && message.contains(why), "{body}: {}", answer.text);
    true
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn status_type_param_and_code_are_vllms() {
    let server = vllm().await;
    let mut wrong = Vec::new();
    for row in include_str!("../data/vllm-requests.tsv").lines().skip(1) {
        let [path, body, expected @ ..] = &row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let answer = server.post_text(path, "application/json", body, &[]).await;
        let error = &answer.json["error"];
        let given = [answer.status.to_string(), text(&error["type"]), text(&error["param"]), text(&error["code"])];
        if given != *expected && !is_refused_by_the_engine(path, body, &answer) {
            wrong.push(format!("{row}\n    {}", answer.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of the framework, to the byte. Of vLLM, but for its sentences.
#[tokio::test]
async fn errors_are_vllms() {
    let server = vllm().await;
    let mut wrong = Vec::new();
    for case in include_str!("../data/vllm-errors.txt").split("## ").skip(1) {
        let (request, expected) = case.split_once('\n').unwrap();
        let (request, media_type) = request.rsplit_once(" | ").unwrap();
        let (path, body) = request.split_once(' ').unwrap();
        let (status, expected) = expected.trim().split_once(" application/json ").unwrap();
        let answer = match media_type {
            "None" => server.get(path).await,
            media_type => server.post_text(path, media_type, body, &[]).await,
        };
        let shape = |answer: &str| {
            let mut answer: Value = serde_json::from_str(answer).unwrap_or_default();
            if answer["error"]["type"] == "BadRequestError" || answer["error"]["type"] == "NotFoundError" {
                answer["error"]["message"] = "".into();
            }
            answer
        };
        let is_equal =
            answer.status.to_string() == status && (status == "200" || shape(&answer.text) == shape(expected));
        if !is_equal && !is_refused_by_the_engine(path, body, &answer) {
            wrong.push(format!("{request}\n    {expected}\n    {}", answer.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
