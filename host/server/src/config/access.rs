//! Which requests are admitted: API keys, browsers' origins, certificates.

use std::path::PathBuf;
use std::str::FromStr;

use axum::http::{HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    API_KEY: Vec<String> = Spec::several("api-key", "KEY").env("VLLM_API_KEY").secret()
        .help("bearer tokens, one of which requests under /v1, /v2, /inference, /cohere, /rehearsal, /admin and /fake_metrics must have"),
        api_keys;
    ALLOWED_ORIGINS: Option<Vec<HeaderValue>> = Spec::one("allowed-origins", "ORIGINS")
        .help("origins whose pages may read answers (CORS): a JSON list, or words with spaces between them; * is any"), in_headers;
    ALLOWED_METHODS: Option<Vec<Method>> = Spec::one("allowed-methods", "METHODS").default("*")
        .help("methods that they may use"), in_headers;
    ALLOWED_HEADERS: Option<Vec<HeaderName>> = Spec::one("allowed-headers", "HEADERS").default("*")
        .help("headers that they may send"), in_headers;
    ALLOW_CREDENTIALS: bool = Spec::switch("allow-credentials").default("false")
        .help("they may send cookies"), values::switch;
    SSL_CERTFILE: Option<PathBuf> = Spec::one("ssl-certfile", "FILE")
        .help("certificate chain in PEM; turns TLS on"), values::path;
    SSL_KEYFILE: Option<PathBuf> = Spec::one("ssl-keyfile", "FILE")
        .help("its private key in PEM; not given: it stands in ssl-certfile"), values::path;
    SSL_CA_CERTS: Option<PathBuf> = Spec::one("ssl-ca-certs", "FILE")
        .help("authorities in PEM that must have signed clients' certificates, where ssl-cert-reqs asks for them"),
        values::path;
    SSL_CERT_REQS: ClientCertificates = Spec::one("ssl-cert-reqs", "N").default("0")
        .help("0: clients show no certificate, 1: they may, 2: they must"), client_certificates;
    ENABLE_SSL_REFRESH: bool = Spec::switch("enable-ssl-refresh").default("false")
        .help("look at these files every second and load them again when they change"), values::switch;
    SELF_SIGNED_CERTS: bool = Spec::switch("self-signed-certs").default("false")
        .help("TLS with a certificate that the server makes for itself at its start"), values::switch;
}

/// Which requests are admitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// One of these must be shown; empty: none is asked for.
    pub api_keys: Vec<String>,
    /// What pages of other origins may do; `None`: nothing.
    pub cors: Option<CorsConfig>,
    /// `None`: plain HTTP.
    pub tls: Option<TlsConfig>,
}

/// What pages of other origins may do; `None` is anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsConfig {
    /// Origins whose pages may read answers.
    pub origins: Option<Vec<HeaderValue>>,
    /// Methods that they may use.
    pub methods: Option<Vec<Method>>,
    /// Headers that they may send.
    pub headers: Option<Vec<HeaderName>>,
    /// Cookies and the like.
    pub credentials: bool,
}

/// How connections are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// What the server shows.
    pub certificate: Certificate,
    /// Whether clients show certificates, and the authorities that may have signed them.
    pub clients: Option<(PathBuf, ClientCertificates)>,
    /// Load files again when they change.
    pub refresh: bool,
}

/// What the server shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// A certificate that is made at the start.
    SelfSigned,
    /// PEM files; may be the same one.
    Files {
        /// The certificate chain.
        chain: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// `ssl-cert-reqs`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// 0
    NotAsked,
    /// 1
    Optional,
    /// 2
    Required,
}

pub(super) fn read(reader: &mut Reader<'_>) -> AccessConfig {
    AccessConfig { api_keys: reader.given(&API_KEY).unwrap_or_default(), cors: cors(reader), tls: tls(reader) }
}

fn cors(reader: &mut Reader<'_>) -> Option<CorsConfig> {
    let (methods, headers) = (reader.read(&ALLOWED_METHODS), reader.read(&ALLOWED_HEADERS));
    let credentials = reader.read(&ALLOW_CREDENTIALS);
    let origins = reader.given(&ALLOWED_ORIGINS).filter(|origins| origins.as_ref().is_none_or(|list| !list.is_empty()));
    origins.map(|origins| CorsConfig { origins, methods, headers, credentials })
}

fn tls(reader: &mut Reader<'_>) -> Option<TlsConfig> {
    let chain = reader.given(&SSL_CERTFILE).flatten();
    let key = reader.given(&SSL_KEYFILE).flatten();
    let authorities = reader.given(&SSL_CA_CERTS).flatten();
    let wanted = reader.read(&SSL_CERT_REQS);
    let refresh = reader.read(&ENABLE_SSL_REFRESH);
    let certificate = match (reader.read(&SELF_SIGNED_CERTS), chain, key) {
        (true, None, None) => Some(Certificate::SelfSigned),
        (true, _, _) => {
            let problem = "true, but ssl-certfile or ssl-keyfile names another certificate: leave one of them out";
            reader.refuse(&SELF_SIGNED_CERTS, problem);
            None
        }
        (false, Some(chain), key) => Some(Certificate::Files { key: key.unwrap_or_else(|| chain.clone()), chain }),
        (false, None, Some(key)) => {
            reader.refuse(&SSL_KEYFILE, format!("{} has no certificate: ssl-certfile names it", key.display()));
            None
        }
        (false, None, None) => {
            warn_of_no_certificate(reader);
            return None;
        }
    };
    if wanted != ClientCertificates::NotAsked && authorities.is_none() {
        let problem = "clients' certificates are asked for, but ssl-ca-certs names no authority that signs them";
        reader.refuse(&SSL_CERT_REQS, problem);
    }
    let clients = authorities.filter(|_| wanted != ClientCertificates::NotAsked).map(|file| (file, wanted));
    certificate.map(|certificate| TlsConfig { certificate, clients, refresh })
}

/// Nothing is encrypted, so some keys mean nothing.
fn warn_of_no_certificate(reader: &mut Reader<'_>) {
    const WARNING: &str = "it has no effect without ssl-certfile or self-signed-certs";
    if reader.is_given(&SSL_CA_CERTS) {
        reader.warn(&SSL_CA_CERTS, WARNING);
    }
    if reader.is_given(&SSL_CERT_REQS) {
        reader.warn(&SSL_CERT_REQS, WARNING);
    }
    if reader.is_given(&ENABLE_SSL_REFRESH) {
        reader.warn(&ENABLE_SSL_REFRESH, WARNING);
    }
}

/// Words that a header may have; `None` if one of them is `*`.
fn in_headers<T: FromStr>(value: &Value) -> Result<Option<Vec<T>>, String> {
    let words = values::words(value)?;
    if words.iter().any(|word| word == "*") {
        return Ok(None);
    }
    let parsed = |word: &String| word.parse().map_err(|_| format!("{word:?} cannot stand in a header"));
    words.iter().map(parsed).collect::<Result<_, _>>().map(Some)
}

/// One, or a list. Never split: a key may have any character.
fn api_keys(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(keys) => keys.iter().map(values::name).collect(),
        key => values::name(key).map(|key| vec![key]),
    }
}

fn client_certificates(value: &Value) -> Result<ClientCertificates, String> {
    Ok(match values::number_in(value, 0..=2)? {
        0 => ClientCertificates::NotAsked,
        1 => ClientCertificates::Optional,
        _ => ClientCertificates::Required,
    })
}
