//! Which requests are admitted: bearer tokens, and pages of other origins.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use crate::config::CorsConfig;

/// Paths that begin so ask for a token: vLLM's, and our own.
const GUARDED: [&str; 7] = ["/v1", "/v2", "/inference", "/cohere", "/rehearsal", "/admin", "/fake_metrics"];

/// Paths that people look at with browsers.
const FOR_BROWSERS: &str = "/rehearsal";

const BASIC: HeaderValue = HeaderValue::from_static(r#"Basic realm="Rehearsal", charset="UTF-8""#);

/// The tokens, one of which must be shown. Only their digests are kept.
#[derive(Clone)]
pub struct ApiKeys(Arc<[[u8; 32]]>);

impl ApiKeys {
    /// `keys` must not be empty.
    pub fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| digest(key.as_bytes())).collect())
    }

    /// Whether a token is shown: as a bearer's, or, where people look with browsers, as anyone's password.
    fn admit(&self, headers: &HeaderMap, is_for_browsers: bool) -> bool {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return false };
        let mut parts = value.as_bytes().splitn(2, |byte| *byte == b' ');
        let (scheme, shown) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if is_for_browsers && scheme.eq_ignore_ascii_case(b"basic") {
            return password(shown).is_some_and(|password| self.is_one(&password));
        }
        scheme.eq_ignore_ascii_case(b"bearer") & self.is_one(shown)
    }

    /// Compares with every token, however early one fits, so that the time taken says nothing.
    fn is_one(&self, shown: &[u8]) -> bool {
        let shown = digest(shown);
        self.0.iter().fold(false, |found, key| bool::from(key.ct_eq(&shown)) | found)
    }
}

/// What follows the name in HTTP's basic credentials.
fn password(credentials: &[u8]) -> Option<Vec<u8>> {
    let mut credentials = BASE64_STANDARD.decode(credentials).ok()?;
    let name_end = credentials.iter().position(|byte| *byte == b':')?;
    Some(credentials.split_off(name_end + 1))
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
    let is_for_browsers = path.starts_with(FOR_BROWSERS);
    if is_guarded && request.method() != Method::OPTIONS && !keys.admit(request.headers(), is_for_browsers) {
        let body = r#"{"error":"Unauthorized"}"#;
        let mut refused =
            (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if is_for_browsers {
            // So asked, a browser asks its user.
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, BASIC);
        }
        return refused;
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
