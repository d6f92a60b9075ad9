//! What vLLM's framework answers by itself, held against an application of that framework.

use std::path::Path;
use std::process::Stdio;

use rehearsal_tests::{ROOT, http_client, until};
use tokio::process::Command;

use crate::clients::environment;
use crate::serve;

const REQUESTS: &str = "
    GET /v1/chat/completions
    HEAD /v1/chat/completions
    OPTIONS /v1/chat/completions
    PUT /v1/chat/completions
    DELETE /v1/chat/completions
    PATCH /v1/chat/completions
    TRACE /v1/chat/completions
    HEAD /v1/models
    POST /v1/models
    OPTIONS /v1/models
    PUT /v1/models
    HEAD /ping
    PUT /ping
    OPTIONS /ping
    PUT /v1/responses/a
    GET /v1/responses/a/cancel
    GET /v1/models/
    GET /v1/models/?a=1&b=%20x
    GET /v1/models//
    POST /v1/models/
    PUT /v1/models/
    HEAD /v1/models/
    OPTIONS /v1/models/
    POST /v1/chat/completions/
    POST /v1/chat/completions/?x=1
    GET /v1/responses/a/
    GET /nothing
    POST /nothing
    HEAD /nothing
    OPTIONS /nothing
    GET /nothing/
    GET /
    GET /v1
    GET /v1/
    GET /v1//models
    GET //v1/models
    GET /V1/models
";

/// What of an answer is compared: what a client may act on.
const HEADERS: [&str; 6] = ["allow", "location", "content-type", "content-length", "vary", "server"];

/// Status, headers and body of one request.
async fn ask(http: &reqwest::Client, url: &str, request: &str) -> (u16, Vec<Option<String>>, String) {
    let (method, path) = request.split_once(' ').unwrap();
    let host = url.strip_prefix("http://").unwrap();
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let response = http.request(method, format!("{url}{path}")).header("host", host).send().await.unwrap();
    let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().replace(url, ""));
    let (status, headers) = (response.status().as_u16(), HEADERS.map(header).to_vec());
    (status, headers, response.text().await.unwrap())
}

#[tokio::test]
async fn what_the_framework_answers_by_itself() {
    let folder = Path::new(ROOT).join("tests/clients/framework");
    let requirements = folder.join("requirements.txt");
    let python = tokio::task::spawn_blocking(move || environment("framework", &requirements)).await.unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _app = Command::new(python)
        .arg(folder.join("app.py"))
        .arg(port.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let theirs = format!("http://127.0.0.1:{port}");
    let http = http_client().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    until("the framework serves", async || http.get(format!("{theirs}/ping")).send().await.ok()).await;
    let server = serve("--mode echo").await;
    let mut wrong = Vec::new();
    for request in REQUESTS.trim().lines().map(str::trim) {
        let (expected, got) = (ask(&http, &theirs, request).await, ask(&http, &server.url, request).await);
        if expected != got {
            wrong.push(format!("{request}\n  theirs: {expected:?}\n  ours:   {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_slash_too_many_leads_back_below_the_root_path() {
    let server = serve("--root-path /api").await;
    let http = http_client().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = http.get(format!("{}/api/v1/models/?a=1", server.url)).send().await.unwrap();
    assert_eq!(answer.headers()["location"], format!("{}/api/v1/models?a=1", server.url));
}
