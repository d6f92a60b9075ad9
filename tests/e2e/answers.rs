//! What is answered: echo to the byte, lengths, choices, stop strings, names and headers.

use rehearsal_tests::{Server, content_of};
use serde_json::{Value, json};

use crate::{EXE, serve};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

#[tokio::test]
async fn echo_returns_any_text_to_the_byte_whole_and_streamed() {
    let server = serve("--mode echo --max-model-len 1m").await;
    let prose = "The ferry was late, the coffee was early, and everybody blamed the tide. ".repeat(1400);
    assert!(prose.len() > 100_000);
    let texts = [
        "fn main() {\r\n\tprintln!(\"{}\", 1 << 3);\r\n}\r\n",
        "Съешь же ещё этих мягких французских булок, да выпей чаю.",
        "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。",
        "👩‍👩‍👧‍👦 and 🏳️‍🌈 met 👍🏽\u{200d} at 🇩🇪🇫🇷",
        prose.as_str(),
        "",
    ];
    for text in texts {
        let whole = server.post(CHAT, &Server::chat(text, &json!({}))).await;
        assert_eq!(content_of(&whole.json["choices"][0]), text);
        assert_eq!(server.stream(CHAT, &Server::chat(text, &json!({}))).await.text(0), text);
        if !text.is_empty() {
            let whole = server.post(TEXT, &json!({ "prompt": text })).await;
            assert_eq!(content_of(&whole.json["choices"][0]), text);
            assert_eq!(server.stream(TEXT, &json!({ "prompt": text })).await.text(0), text);
        }
    }
}

#[tokio::test]
async fn echo_answers_the_last_user_message_and_counts_all_of_them() {
    let server = serve("--mode echo").await;
    let messages = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": [{ "type": "text", "text": "first" }, { "type": "text", "text": "second" },
                                      { "type": "image_url", "image_url": { "url": "data:," } }] },
        { "role": "assistant", "content": null },
    ]);
    let answer = server.post(CHAT, &json!({ "messages": messages })).await;
    assert_eq!(content_of(&answer.json["choices"][0]), "first\nsecond");
    // An image of unknown size costs 256.
    assert_eq!(answer.json["usage"]["prompt_tokens"], 5 + 256);
    let test = server.post(CHAT, &Server::chat("This is a test.", &json!({}))).await;
    assert_eq!(
        test.json["usage"],
        json!({ "prompt_tokens": 5, "total_tokens": 10, "completion_tokens": 5,
        "prompt_tokens_details": null, "completion_tokens_details": null })
    );
    let no_user = server.post(CHAT, &json!({ "messages": [{ "role": "system", "content": "x" }] })).await;
    assert_eq!(content_of(&no_user.json["choices"][0]), "");
}

#[tokio::test]
async fn answers_are_cut_at_the_limit_and_say_so() {
    let server = serve("--mode echo").await;
    for (body, text, reason) in [
        (json!({ "max_tokens": 2 }), "one two ", "length"),
        (json!({ "max_completion_tokens": 1, "max_tokens": 2 }), "one ", "length"),
        (json!({ "max_tokens": "3" }), "one two three", "length"),
        (json!({ "max_tokens": 4 }), "one two three", "stop"),
        (json!({}), "one two three", "stop"),
    ] {
        let answer = server.post(CHAT, &Server::chat("one two three", &body)).await;
        let choice = &answer.json["choices"][0];
        assert_eq!((content_of(choice), choice["finish_reason"].as_str()), (text, Some(reason)), "{body}");
    }
}

#[tokio::test]
async fn random_answers_have_the_length_that_was_asked_for() {
    let server = serve("--seed 3 --max-model-len 4096").await;
    for max_tokens in [1, 10, 333] {
        let body = Server::chat("hi", &json!({ "max_tokens": max_tokens, "ignore_eos": true }));
        let answer = server.post(CHAT, &body).await;
        assert_eq!(answer.json["usage"]["completion_tokens"], max_tokens);
        assert_eq!(answer.json["choices"][0]["finish_reason"], "length");
        let streamed = server.stream(CHAT, &body).await;
        assert_eq!(streamed.token_times().len(), max_tokens);
    }
    let mut reasons = Vec::new();
    for _ in 0..40 {
        let answer = server.post(CHAT, &Server::chat("hi", &json!({ "max_tokens": 30 }))).await;
        let tokens = answer.json["usage"]["completion_tokens"].as_u64().unwrap();
        let reason = answer.json["choices"][0]["finish_reason"].as_str().unwrap().to_owned();
        assert_eq!(reason == "length", tokens == 30, "{reason} after {tokens}");
        reasons.push(reason);
    }
    assert!(reasons.iter().any(|reason| reason == "stop") && reasons.iter().any(|reason| reason == "length"));
}

#[tokio::test]
async fn each_prompt_makes_n_choices_in_order() {
    let server = serve("--mode echo").await;
    let body = json!({ "prompt": ["one two", "three"], "n": 2 });
    let answer = server.post(TEXT, &body).await;
    let choices = answer.json["choices"].as_array().unwrap();
    let texts: Vec<_> = choices.iter().map(content_of).collect();
    assert_eq!(texts, ["one two", "one two", "three", "three"]);
    assert!((0..4).all(|index| choices[index]["index"] == index));
    assert_eq!(answer.json["usage"]["prompt_tokens"], 3);
    assert_eq!(answer.json["usage"]["completion_tokens"], 6);
    let streamed = server.stream(TEXT, &body).await;
    assert_eq!((0..4).map(|index| streamed.text(index)).collect::<Vec<_>>(), ["one two", "one two", "three", "three"]);
    let finished = streamed.chunks().iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop").count();
    assert_eq!(finished, 4);

    let random = serve("--seed 5").await;
    let answer = random.post(CHAT, &Server::chat("hi", &json!({ "n": 3 }))).await;
    let texts: Vec<_> = answer.json["choices"].as_array().unwrap().iter().map(content_of).collect();
    assert!(texts[0] != texts[1] && texts[1] != texts[2], "choices differ: {texts:?}");
}

#[tokio::test]
async fn prompts_of_token_ids_are_counted_and_decoded() {
    let server = serve("--mode echo").await;
    for prompt in [json!([11, 12]), json!([[11, 12]])] {
        let answer = server.post(TEXT, &json!({ "prompt": prompt })).await;
        assert_eq!(content_of(&answer.json["choices"][0]), "t11 t12 ");
        assert_eq!(answer.json["usage"]["total_tokens"], 4);
    }
}

#[tokio::test]
async fn stop_strings_end_the_text_and_are_named() {
    let server = serve("--mode echo").await;
    for (stop, more, text) in [
        (json!("three"), json!({}), "one two "),
        (json!(["four", "o th"]), json!({}), "one tw"),
        (json!(["three"]), json!({ "include_stop_str_in_output": true }), "one two three"),
        (json!(["two"]), json!({ "min_tokens": 3 }), "one two three four"),
    ] {
        let mut body = Server::chat("one two three four", &more);
        body["stop"] = stop;
        let whole = server.post(CHAT, &body).await;
        let choice = &whole.json["choices"][0];
        assert_eq!((content_of(choice), choice["finish_reason"].as_str()), (text, Some("stop")), "{body}");
        assert_eq!(server.stream(CHAT, &body).await.text(0), text, "{body}");
        let stopped = text != "one two three four";
        assert_eq!(choice["stop_reason"].is_string(), stopped, "{choice}");
    }
}

#[tokio::test]
async fn an_echo_of_the_prompt_comes_before_the_answer() {
    let server = serve("--mode echo").await;
    let body = json!({ "prompt": "one two", "echo": true, "max_tokens": 1 });
    assert_eq!(content_of(&server.post(TEXT, &body).await.json["choices"][0]), "one twoone ");
    assert_eq!(server.stream(TEXT, &body).await.text(0), "one twoone ");
    let alone = server.post(TEXT, &json!({ "prompt": "one two", "echo": true, "max_tokens": 0 })).await;
    assert_eq!(content_of(&alone.json["choices"][0]), "one two");
    assert_eq!(alone.json["usage"]["completion_tokens"], 0);
}

#[tokio::test]
async fn the_first_served_name_answers_for_all() {
    let server = serve("--served-model-name first second").await;
    for name in [json!("first"), json!("second"), json!(""), Value::Null] {
        let answer = server.post(CHAT, &Server::chat("hi", &json!({ "model": name }))).await;
        assert_eq!((answer.status, answer.json["model"].as_str()), (200, Some("first")));
    }
    let unknown = server.post(CHAT, &Server::chat("hi", &json!({ "model": "m" }))).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn headers_name_the_pod_and_the_client_names_the_request() {
    let env = [("POD_NAME", "pod-3"), ("POD_NAMESPACE", "shop")];
    let server = Server::start_with_env(EXE, &["--model", "m", "--mode", "echo"], &env).await;
    let port = server.url.rsplit(':').next().unwrap();
    let body = Server::chat("hi", &json!({ "request_id": "from-the-body" })).to_string();
    let answer = server.post_text(CHAT, "application/json", &body, &[("x-request-id", "from-a-header")]).await;
    assert_eq!(answer.json["id"], "chatcmpl-from-a-header");
    assert_eq!(answer.header("x-inference-pod"), Some("pod-3"));
    assert_eq!(answer.header("x-inference-namespace"), Some("shop"));
    assert_eq!(answer.header("x-inference-port"), Some(port));
    let elsewhere = server.get("/v1/models").await;
    assert_eq!(elsewhere.header("x-inference-pod"), None);
    let anonymous = serve("").await.post(CHAT, &Server::chat("hi", &json!({}))).await;
    assert_eq!(anonymous.header("x-inference-port"), None);
}

#[tokio::test]
async fn a_served_name_or_a_header_picks_the_plugin_that_answers() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), "model: m\nserved-model-name: [m, parrot]\nmodels: {parrot: {mode: echo}}\n").unwrap();
    let config = file.path().to_str().unwrap();
    let server = Server::start(EXE, &["--config", config]).await;
    let ask = async |server: &Server, model: &str, headers: &[(&str, &str)]| {
        let body = Server::chat("polly", &json!({ "model": model })).to_string();
        let answer = server.post_text(CHAT, "application/json", &body, headers).await;
        (answer.status, content_of(&answer.json["choices"][0]).to_owned())
    };
    assert_eq!(ask(&server, "parrot", &[]).await, (200, "polly".into()));
    assert_ne!(ask(&server, "m", &[]).await.1, "polly");
    assert_eq!(ask(&server, "m", &[("x-rehearsal-mode", "echo")]).await, (200, "polly".into()));
    assert_ne!(ask(&server, "parrot", &[("x-rehearsal-mode", "random")]).await.1, "polly");
    assert_eq!(ask(&server, "m", &[("x-rehearsal-mode", "tool-call")]).await.0, 400);
    let strict = Server::start(EXE, &["--config", config, "--no-request-overrides"]).await;
    assert_ne!(ask(&strict, "m", &[("x-rehearsal-mode", "echo")]).await.1, "polly");
}
