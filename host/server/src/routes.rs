//! The URL table, one line per endpoint.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};

use crate::api::{cache, chat_completions, completions, error, lora, metrics, models, plugins, probes, tokenize};
use crate::app::App;

/// All routes of one server.
pub fn router(app: Arc<App>) -> Router {
    let generating = Router::new()
        .route("/v1/chat/completions", post(chat_completions::create))
        .route("/v1/completions", post(completions::create))
        .route_layer(middleware::from_fn_with_state(app.clone(), name_the_pod));
    let mut for_developers = Router::new();
    if app.dev_mode {
        for_developers = for_developers.route("/reset_prefix_cache", post(cache::reset));
    }
    Router::new()
        .merge(generating)
        .merge(for_developers)
        .route("/v1/models", get(models::list))
        .route("/v1/load_lora_adapter", post(lora::load))
        .route("/v1/unload_lora_adapter", post(lora::unload))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize))
        .route("/metrics", get(metrics::page))
        .route("/rehearsal/plugins", get(plugins::list))
        .route("/version", get(probes::version))
        .route("/health", get(probes::healthy))
        .route("/health/ready", get(probes::healthy))
        .route("/ready", get(probes::healthy))
        .route("/ping", any(probes::ping))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        // vLLM has no limit either: long prompts are the context window's business.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

/// Tells a router's tests which of several servers answered.
async fn name_the_pod(State(app): State<Arc<App>>, request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut add = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if let Some(pod) = &app.pod.name {
        add("x-inference-pod", pod);
        add("x-inference-port", &app.port().to_string());
    }
    if let Some(namespace) = &app.pod.namespace {
        add("x-inference-namespace", namespace);
    }
    response
}
