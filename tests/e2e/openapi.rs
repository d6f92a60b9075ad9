//! `/openapi.json`: exactly what is served.

use std::collections::BTreeSet;
use std::path::Path;

use rehearsal_tests::{ROOT, Server};
use serde_json::Value;

use crate::{EXE, serve};

/// The URL table's paths, as it has them.
fn routes() -> BTreeSet<String> {
    let table = std::fs::read_to_string(Path::new(ROOT).join("host/server/src/routes.rs")).unwrap();
    let paths = table.split(".route(").skip(1).map(|rest| rest.split('"').nth(1).unwrap().to_owned());
    // One application of vLLM's, with and without its slash.
    paths.filter(|path| path != "/metrics/").collect()
}

fn paths(document: &Value) -> BTreeSet<String> {
    document["paths"].as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn every_path_that_is_served_is_described_and_no_other() {
    let server = Server::start_with_env(EXE, &["--model", "m"], &[("VLLM_SERVER_DEV_MODE", "1")]).await;
    assert_eq!(paths(&server.get("/openapi.json").await.json), routes());
    let usual = serve("").await;
    let document = usual.get("/openapi.json").await.json;
    assert!(!paths(&document).contains("/sleep"));
    // Each answers to the methods that are described, and to no other.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put"] {
            let url = format!("{}{}", usual.url, path.replace("{id}", "none").replace("{name}", "echo"));
            let status = usual.http.request(method.to_uppercase().parse().unwrap(), url).send().await.unwrap().status();
            let is_described = methods.get(method).is_some() || path == "/metrics";
            assert_eq!(status != 405, is_described, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn the_description_has_the_fields_of_a_body_and_can_be_hidden() {
    let server = serve("").await;
    let document = server.get("/openapi.json").await.json;
    let body =
        &document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], serde_json::json!(["messages"]));
    assert_eq!(body["properties"]["stream"]["anyOf"][0]["type"], "boolean");
    assert_eq!(serve("--disable-fastapi-docs").await.get("/openapi.json").await.status, 404);
}
