//! The URL table, one line per endpoint, and what every request passes through on its way.

pub mod access;
mod body;
mod framework;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{self, any};
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use tower_http::cors::CorsLayer;

use crate::api::pooling::{classify, embeddings, scoring};
use crate::api::{
    admin_config, cache, clock, count_tokens, fake_metrics, invocations, kept_responses, load, lora, metrics, models,
    openapi, page, plugin_state, plugins, probes, render, requests, server_info, sleep, tokenize,
};
use crate::config::{AccessConfig, Config};
use crate::generate;
use crate::replica::Replica;
use crate::surface::chat_completions::ChatCompletions;
use crate::surface::completions::Completions;
use crate::surface::messages::Messages;
use crate::surface::responses;
use crate::surface::tokens::Tokens;
use crate::telemetry::capture;
use crate::telemetry::logs::access as access_log;
use crate::telemetry::metrics::http;
use access::ApiKeys;
pub use framework::Origin;
use framework::{get, post};

/// Names a request, in the request and in its answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// All routes of one server, which clients reach at `origin`.
pub fn router(replica: Arc<Replica>, origin: Origin) -> Router {
    let generating = Router::new()
        .route("/v1/chat/completions", post(generate::create::<ChatCompletions>))
        .route("/v1/completions", post(generate::create::<Completions>))
        .route("/v1/messages", post(generate::create::<Messages>))
        .route("/v1/responses", post(responses::create))
        .route("/inference/v1/generate", post(generate::create::<Tokens>))
        .route("/invocations", post(invocations::invoke))
        .route_layer(middleware::from_fn_with_state(replica.clone(), name_the_pod));
    let mut for_developers = Router::new();
    if replica.answers.dev_mode {
        for_developers = for_developers
            .route("/reset_prefix_cache", post(cache::reset))
            .route("/reset_mm_cache", post(cache::reset_media))
            .route("/reset_encoder_cache", post(cache::reset_media))
            .route("/sleep", post(sleep::sleep))
            .route("/wake_up", post(sleep::wake_up))
            .route("/is_sleeping", get(sleep::is_sleeping))
            .route("/pause", post(sleep::pause))
            .route("/resume", post(sleep::resume))
            .route("/is_paused", get(sleep::is_paused))
            .route("/server_info", get(server_info::get));
    }
    let mut for_admins = Router::new();
    if replica.answers.has_admin {
        for_admins = for_admins
            .route("/admin/clock", get(clock::status).post(clock::advance))
            .route("/admin/config", get(admin_config::get).post(admin_config::change))
            .route("/fake_metrics", post(fake_metrics::set).delete(fake_metrics::clear));
    }
    let routes = Router::new()
        .merge(generating)
        .merge(for_developers)
        .merge(for_admins)
        .route("/v1/chat/completions/render", post(render::chat))
        .route("/v1/completions/render", post(render::completion))
        .route("/v1/models", get(models::list))
        .route("/v1/embeddings", post(embeddings::embed))
        .route("/pooling", post(embeddings::pool))
        .route("/classify", post(classify::classify))
        .route("/score", post(scoring::score))
        .route("/v1/score", post(scoring::score))
        .route("/rerank", post(scoring::rerank))
        .route("/v1/rerank", post(scoring::rerank))
        .route("/v2/rerank", post(scoring::rerank))
        .route("/v1/responses/{id}", get(kept_responses::get))
        .route("/v1/responses/{id}/cancel", post(kept_responses::cancel))
        .route("/v1/messages/count_tokens", post(count_tokens::count))
        .route("/v1/load_lora_adapter", post(lora::load))
        .route("/v1/unload_lora_adapter", post(lora::unload))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize))
        // vLLM mounts an application of its own there.
        .route("/metrics", any(metrics::page))
        .route("/metrics/", any(metrics::page))
        .route("/load", get(load::get))
        // HEAD too, as Starlette has it.
        .route("/openapi.json", routing::get(openapi::document))
        .route("/rehearsal", get(page::page))
        .route("/rehearsal/events", get(page::events))
        .route("/rehearsal/plugins", get(plugins::list))
        .route(
            "/rehearsal/plugins/{name}/state",
            get(plugin_state::list).put(plugin_state::keep).delete(plugin_state::forget),
        )
        .route("/rehearsal/requests", get(requests::list).delete(requests::forget))
        .route("/version", get(probes::version))
        .route("/health", get(probes::healthy))
        .route("/health/ready", get(probes::ready))
        .route("/ready", get(probes::ready))
        .route("/ping", get(probes::healthy).post(probes::healthy))
        // They were read before, by limits of our own.
        .layer(DefaultBodyLimit::disable())
        .with_state(replica.clone());
    let known = routes.clone();
    let mut routes = routes.fallback(move |request| framework::elsewhere(known, origin, request));
    if let Some(kept) = replica.capture.clone() {
        routes = routes.layer(middleware::from_fn_with_state(kept, capture::capture));
    }
    let measured = middleware::from_fn_with_state(replica.metrics.http.clone(), http::measure);
    routes.layer(middleware::from_fn_with_state(replica, body::read)).layer(measured)
}

/// What stands between a connection and the routes, ready to be put there.
#[derive(Clone)]
pub struct Doors {
    keys: Option<ApiKeys>,
    cors: Option<CorsLayer>,
    root_path: Arc<str>,
    is_tls: bool,
    quiet_paths: Option<access_log::QuietPaths>,
    request_ids: bool,
}

impl Doors {
    /// As the configuration says.
    pub fn new(config: &Config) -> Self {
        let AccessConfig { api_keys, cors, .. } = &config.access;
        Self {
            keys: (!api_keys.is_empty()).then(|| ApiKeys::new(api_keys)),
            cors: cors.as_ref().map(access::cors),
            root_path: config.serving.root_path.as_str().into(),
            is_tls: config.access.tls.is_some(),
            quiet_paths: config.log.requests.access.clone().map(Into::into),
            request_ids: config.answers.request_id_headers,
        }
    }

    /// The routes of `replica` behind the doors. Every answer is logged and has its id; a wrong key learns nothing more, and a
    /// browser may always ask what it may do.
    pub fn before(self, replica: Arc<Replica>) -> Router {
        let origin = Origin { is_tls: self.is_tls, root_path: self.root_path.clone() };
        let mut routes = router(replica.clone(), origin);
        if !self.root_path.is_empty() {
            let prefix = self.root_path.clone();
            let strip = MapRequestLayer::new(move |request| strip_prefix(&prefix, request));
            // A layer of the router itself would come after its choice of a route.
            routes = Router::new().fallback_service(ServiceBuilder::new().layer(strip).service(routes));
        }
        routes = match self.cors {
            Some(cors) => routes.layer(cors),
            None => routes.layer(framework::varies()),
        };
        if let Some(keys) = self.keys {
            routes = routes.layer(middleware::from_fn_with_state((keys, self.root_path), access::authenticate));
        }
        if self.request_ids {
            routes = routes.layer(middleware::from_fn_with_state(replica, name_the_request));
        }
        if let Some(quiet) = self.quiet_paths {
            routes = routes.layer(middleware::from_fn_with_state(quiet, access_log::log));
        }
        routes.layer(framework::server())
    }
}

/// `/prefix/v1/models` is `/v1/models`, which is left as it is, as Starlette routes it.
fn strip_prefix(prefix: &str, mut request: Request) -> Request {
    let uri = request.uri();
    let Some(rest) = access::below(prefix, uri.path()) else { return request };
    let stripped = uri.query().map_or_else(|| rest.to_owned(), |query| format!("{rest}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = stripped.parse().ok();
    if let Ok(stripped) = Uri::from_parts(parts) {
        *request.uri_mut() = stripped;
    }
    request
}

/// Repeats the request's id in its answer, or gives it one, as `enable-request-id-headers` wants.
async fn name_the_request(State(replica): State<Arc<Replica>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).cloned();
    let id = given.or_else(|| HeaderValue::try_from(replica.next_id() + &replica.next_id()).ok());
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Tells a router's tests which of several servers answered.
async fn name_the_pod(State(replica): State<Arc<Replica>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut add = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if let Some(pod) = &replica.pod.name {
        add("x-inference-pod", pod);
        add("x-inference-port", &replica.port().to_string());
    }
    if let Some(namespace) = &replica.pod.namespace {
        add("x-inference-namespace", namespace);
    }
    response
}
