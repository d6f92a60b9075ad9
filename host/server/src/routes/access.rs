//! Which requests are admitted: bearer tokens, and pages of other origins.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use crate::config::CorsConfig;

/// Paths that begin so ask for a token: vLLM's, and our own.
const GUARDED: [&str; 7] = ["/v1", "/v2", "/inference", "/cohere", "/rehearsal", "/admin", "/fake_metrics"];

/// The tokens, one of which must be shown. Only their digests are kept.
#[derive(Clone)]
pub struct ApiKeys(Arc<[[u8; 32]]>);

impl ApiKeys {
    /// `keys` must not be empty.
    pub fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| digest(key.as_bytes())).collect())
    }

    /// Compares with every token, however early one fits, so that the time taken says nothing.
    fn admit(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return false };
        let mut parts = value.as_bytes().splitn(2, |byte| *byte == b' ');
        let (scheme, shown) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let shown = digest(shown);
        let is_known = self.0.iter().fold(false, |found, key| bool::from(key.ct_eq(&shown)) | found);
        scheme.eq_ignore_ascii_case(b"bearer") && is_known
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Answers with 401, as vLLM does, where a token is missing or wrong. A browser's question of what it may ask is free.
pub async fn authenticate(
    State((keys, root_path)): State<(ApiKeys, Arc<str>)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let path = below(&root_path, path).unwrap_or(path);
    let is_guarded = GUARDED.iter().any(|prefix| path.starts_with(prefix));
    if is_guarded && request.method() != Method::OPTIONS && !keys.admit(request.headers()) {
        let body = r#"{"error":"Unauthorized"}"#;
        return (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    }
    next.run(request).await
}

/// What follows `root_path` in `path`, as it is routed; `None` if it is not below it.
pub(crate) fn below<'a>(root_path: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(root_path).filter(|rest| rest.starts_with('/'))
}

/// The layer that tells browsers which origins' pages may read answers.
pub fn cors(config: &CorsConfig) -> CorsLayer {
    let cookies = config.credentials;
    // With credentials, `*` has no meaning to a browser: what it asked for is repeated, as vLLM does.
    let origins = match &config.origins {
        None if cookies => AllowOrigin::mirror_request(),
        None => AllowOrigin::any(),
        Some(origins) => AllowOrigin::list(origins.clone()),
    };
    let methods = config.methods.clone().map_or_else(AllowMethods::mirror_request, AllowMethods::list);
    let headers = config.headers.clone().map_or_else(AllowHeaders::mirror_request, AllowHeaders::list);
    let layer = CorsLayer::new().allow_origin(origins).allow_methods(methods).allow_headers(headers);
    layer.allow_credentials(cookies).max_age(std::time::Duration::from_secs(600))
}
