//! What FastAPI, Starlette and uvicorn do by themselves, and clients of vLLM see: paths and methods that are none of an
//! endpoint's, and headers of every answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use tower::ServiceExt;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::wire::errors::detail;

/// An endpoint that answers to GET alone: not to HEAD either.
pub(super) fn get<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let refused = || async { method_not_allowed("GET") };
    routing::get(handler).head(refused).fallback(refused)
}

/// An endpoint that answers to POST alone.
pub(super) fn post<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    routing::post(handler).fallback(|| async { method_not_allowed("POST") })
}

/// Names the first method that the path answers to, even if there are more.
fn method_not_allowed(allowed: &'static str) -> Response {
    let response = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    ([(header::ALLOW, allowed)], response).into_response()
}

/// Where clients reach a server.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Through TLS.
    pub is_tls: bool,
    /// Below this path; may be empty.
    pub root_path: Arc<str>,
}

/// A path that is none of `routes`: with slashes after one that is, the client is sent there.
pub(super) async fn elsewhere(routes: Router, origin: Origin, request: Request) -> Response {
    let uri = request.uri();
    if let Some(path) = uri.path().strip_suffix('/').map(|path| path.trim_end_matches('/'))
        && exists(routes, path).await
    {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| uri.authority().map(|authority| authority.as_str())).unwrap_or("localhost");
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let (scheme, root_path) = (if origin.is_tls { "https" } else { "http" }, origin.root_path);
        let location = format!("{scheme}://{host}{root_path}{path}{query}");
        return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response();
    }
    detail(StatusCode::NOT_FOUND, "Not Found")
}

/// Whether an endpoint is at this path. It is asked with a method that none answers to.
async fn exists(routes: Router, path: &str) -> bool {
    let (Ok(uri), Ok(method)) = (path.parse::<Uri>(), Method::from_bytes(b"EXISTS")) else { return false };
    let mut request = Request::new(Body::empty());
    (*request.uri_mut(), *request.method_mut()) = (uri, method);
    let Ok(response) = routes.oneshot(request).await;
    response.status() == StatusCode::METHOD_NOT_ALLOWED
}

/// Names uvicorn in every answer: there are clients that tell servers apart by it.
pub(super) fn server() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(header::SERVER, HeaderValue::from_static("uvicorn"))
}

/// Says that answers depend on the origin, which they do not while no other one may read them.
pub(super) fn varies() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(header::VARY, HeaderValue::from_static("Origin"))
}
