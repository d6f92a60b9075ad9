//! Answers of a format: JSON for a schema, one of several texts, a text that an expression matches.

use rehearsal_tests::Server;
use serde_json::{Value, json};

use crate::serve;

const CHAT: &str = "/v1/chat/completions";

async fn content(server: &Server, more: &Value) -> String {
    let answer = server.post(CHAT, &Server::chat("hi", more)).await;
    assert_eq!(answer.status, 200, "{more}: {}", answer.text);
    answer.json["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn both_built_in_strategies_answer_in_the_format_that_is_asked_for() {
    let schema = json!({
        "type": "object",
        "properties": { "zip": { "type": "string", "pattern": "^[0-9]{5}$" }, "age": { "type": "integer", "minimum": 18 } },
        "required": ["zip", "age"],
    });
    for mode in ["--mode echo", "--mode random"] {
        let server = serve(mode).await;
        for more in [
            json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": schema } } }),
            json!({ "structured_outputs": { "json": schema } }),
            json!({ "structured_outputs": { "json": schema.to_string() } }),
            json!({ "guided_json": schema }),
        ] {
            let text = content(&server, &more).await;
            let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(text.starts_with(r#"{"zip":"#), "in the schema's order: {text}");
            assert!(
                value["zip"].as_str().is_some_and(|zip| zip.len() == 5) && value["age"].as_i64() >= Some(18),
                "{text}"
            );
        }
        let object = content(&server, &json!({ "response_format": { "type": "json_object" } })).await;
        assert!(serde_json::from_str::<Value>(&object).unwrap().is_object(), "{object}");
        let choice = content(&server, &json!({ "structured_outputs": { "choice": ["yes", "no"] } })).await;
        assert!(["yes", "no"].contains(&choice.as_str()), "{choice}");
        let digits = content(&server, &json!({ "structured_outputs": { "regex": "[0-9]{3}" } })).await;
        assert!(digits.len() == 3 && digits.parse::<u32>().is_ok(), "{digits}");
        let text = json!({ "prompt": "hi", "max_tokens": 50, "structured_outputs": { "choice": ["only"] } });
        assert_eq!(server.post("/v1/completions", &text).await.json["choices"][0]["text"], "only");
    }
}

#[tokio::test]
async fn a_limit_may_cut_it_as_any_answer() {
    let server = serve("").await;
    let body = Server::chat("hi", &json!({ "response_format": { "type": "json_object" }, "max_tokens": 2 }));
    let choice = server.post(CHAT, &body).await.json["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "length");
    assert!(serde_json::from_str::<Value>(choice["message"]["content"].as_str().unwrap()).is_err());
}

#[tokio::test]
async fn a_format_that_cannot_be_had_is_a_400_or_an_event_of_the_stream() {
    let server = serve("").await;
    for (format, why) in [
        (json!({ "grammar": "root ::= \"a\"" }), "grammar"),
        (json!({ "choice": [] }), "empty"),
        (json!({ "regex": "(" }), "unclosed"),
        (json!({ "json": { "type": "nonsense" } }), "nonsense"),
    ] {
        let mut body = Server::chat("hi", &json!({ "structured_outputs": format }));
        let answer = server.post(CHAT, &body).await;
        let message = answer.json["error"]["message"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && message.contains(why), "{format}: {}", answer.text);
        body["stream"] = true.into();
        let stream = server.stream(CHAT, &body).await;
        assert_eq!((stream.status, stream.events.len()), (200, 2), "{format}");
        assert!(stream.events[0].data.contains(why) && stream.events[1].data == "[DONE]");
    }
}

#[tokio::test]
async fn the_log_tells_of_a_plugin_that_ignores_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let plugin = format!("guest={}", rehearsal_tests::MISBEHAVE);
    let log = ["--logtostderr=false", "--log_file", path.to_str().unwrap()];
    let args = [&["--model", "m", "--mode", "guest", "--plugin", &plugin][..], &log].concat();
    let server = Server::start(crate::EXE, &args).await;
    content(&server, &json!({ "response_format": { "type": "json_object" } })).await;
    assert_eq!(server.terminate().await, Some(0));
    let log = std::fs::read_to_string(&path).unwrap();
    assert!(log.contains("does not have the format that the request asks for"), "{log}");
}

/// References that double what they lead to: what cannot be followed is refused, and holds up no other request.
#[tokio::test]
async fn schemas_that_cannot_be_followed_are_refused() {
    let server = serve("").await;
    for n in [10, 14, 45] {
        let double = |index: usize| match index {
            _ if index == n => json!({ "type": "integer" }),
            _ => {
                let next = format!("#/$defs/a{}", index + 1);
                // That one part leads back does not make the others smaller.
                json!({ "allOf": [{ "$ref": next }, { "$ref": next }], "properties": { "up": { "$ref": "#" } } })
            }
        };
        let defs: serde_json::Map<_, _> = (0..=n).map(|index| (format!("a{index}"), double(index))).collect();
        for schema in [
            json!({ "$ref": "#/$defs/a0", "$defs": defs }),
            json!({ "type": "array", "minItems": 2, "unevaluatedItems": { "$ref": "#/$defs/a0" }, "$defs": defs }),
        ] {
            let tool = json!({ "type": "function", "function": { "name": "f", "parameters": schema } });
            for more in [
                json!({ "structured_outputs": { "json": schema } }),
                json!({ "tools": [tool], "tool_choice": "required" }),
            ] {
                let answer = server.post(CHAT, &Server::chat("hi", &more)).await;
                let is_refused = answer.status == 400 && answer.text.contains("more than 20000 parts");
                assert!(is_refused == (n > 10) && answer.status < 500, "{n}: {}", answer.text);
            }
        }
    }
    // A chain as long as its client likes would need a stack as deep.
    for n in [1_000, 20_000] {
        let link = |at: usize| (format!("a{at}"), json!({ "$ref": format!("#/$defs/a{}", at + 1) }));
        let mut defs: serde_json::Map<_, _> = (0..n).map(link).collect();
        defs.insert(format!("a{n}"), json!({ "type": "integer" }));
        let schema = json!({ "type": "object", "properties": { "x": { "$ref": "#/$defs/a0" } }, "$defs": defs });
        let tool = json!({ "type": "function", "function": { "name": "f", "parameters": schema } });
        for more in
            [json!({ "structured_outputs": { "json": schema } }), json!({ "tools": [tool], "tool_choice": "none" })]
        {
            let answer = server.post(CHAT, &Server::chat("hi", &more)).await;
            assert!(answer.status == 400 && answer.text.contains("more than 250 levels"), "{n}: {}", answer.text);
        }
    }
    assert_eq!(server.get("/health").await.status, 200);
}

/// The first would have been too many parts; the second takes longer than a plugin may.
#[tokio::test]
async fn what_is_hard_to_make_up_is_made_up_or_given_up_and_no_plugin_is_blamed() {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "plugins: [{name: random, limits: {cpu: 10ms}}]\n").unwrap();
    let quick = serve(&format!("--max-model-len 1000000 --config {}", config.path().display())).await;
    // A busy machine's time is no guest's.
    let patient = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(patient.path(), "plugins: [{name: random, limits: {cpu: 2s, wall: 20s}}]\n").unwrap();
    let usual = serve(&format!("--max-model-len 1000000 --config {}", patient.path().display())).await;
    let body = |n_properties: usize| {
        let names: Vec<_> = (0..n_properties).map(|at| format!("p{at}")).collect();
        let properties: serde_json::Map<_, _> =
            names.iter().map(|name| (name.clone(), json!({ "type": "integer" }))).collect();
        let schema = json!({ "type": "object", "properties": properties, "required": names });
        let format = json!({ "type": "json_schema", "json_schema": { "name": "s", "schema": schema } });
        Server::chat("x", &json!({ "response_format": format }))
    };
    let answer = usual.post(CHAT, &body(5_000)).await;
    let content: Value =
        serde_json::from_str(answer.json["choices"][0]["message"]["content"].as_str().expect(&answer.text)).unwrap();
    assert_eq!(content.as_object().unwrap().len(), 5_000);
    let answer = quick.post(CHAT, &body(15_000)).await;
    let message = "gave up after 10 ms over an answer in the format that is asked for: a simpler schema may do";
    assert_eq!((answer.status, answer.json["error"]["message"].as_str()), (400, Some(message)));
}
