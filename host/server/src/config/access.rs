//! Who may ask: keys, browsers' origins, certificates.

use std::path::PathBuf;

use serde_json::Value;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    API_KEY: Vec<String> = Spec::several("api-key", "KEY").env("VLLM_API_KEY").secret()
        .help("bearer tokens, one of which requests under /v1, /v2, /inference, /rehearsal and /admin must have"),
        api_keys;
    ALLOWED_ORIGINS: Vec<String> = Spec::one("allowed-origins", "ORIGINS")
        .help("origins whose pages may read answers (CORS): a JSON list, or words with spaces between them; * is any"), values::words;
    ALLOWED_METHODS: Vec<String> = Spec::one("allowed-methods", "METHODS").default("*")
        .help("methods that they may use"), values::words;
    ALLOWED_HEADERS: Vec<String> = Spec::one("allowed-headers", "HEADERS").default("*")
        .help("headers that they may send"), values::words;
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

/// Who may ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// One of these must be shown; empty: none is asked for.
    pub api_keys: Vec<String>,
    /// What pages of other origins may do; `None`: nothing.
    pub cors: Option<CorsConfig>,
    /// `None`: plain HTTP.
    pub tls: Option<TlsConfig>,
}

/// What pages of other origins may do; `*` in a list is anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsConfig {
    /// At least one.
    pub origins: Vec<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Headers of requests.
    pub headers: Vec<String>,
    /// Cookies and the like.
    pub credentials: bool,
}

/// How connections are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfig {
    /// With a certificate that is made at the start.
    SelfSigned,
    /// With files.
    Files(TlsFiles),
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub certificates: PathBuf,
    /// Private key; may be the same file.
    pub key: PathBuf,
    /// Whether clients show certificates, and who signed them.
    pub clients: Option<(PathBuf, ClientCertificates)>,
    /// Load them again when they change.
    pub refresh: bool,
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
    let cors = CorsConfig {
        origins: reader.given(&ALLOWED_ORIGINS).unwrap_or_default(),
        methods: reader.read(&ALLOWED_METHODS),
        headers: reader.read(&ALLOWED_HEADERS),
        credentials: reader.read(&ALLOW_CREDENTIALS),
    };
    Some(cors).filter(|cors| !cors.origins.is_empty())
}

fn tls(reader: &mut Reader<'_>) -> Option<TlsConfig> {
    let certificates = reader.given(&SSL_CERTFILE).flatten();
    let key = reader.given(&SSL_KEYFILE).flatten();
    let authorities = reader.given(&SSL_CA_CERTS).flatten();
    let client_certificates = reader.read(&SSL_CERT_REQS);
    let refresh = reader.read(&ENABLE_SSL_REFRESH);
    let is_self_signed = reader.read(&SELF_SIGNED_CERTS);
    if let Some(key) = key.as_ref().filter(|_| certificates.is_none()) {
        reader.refuse(&SSL_KEYFILE, format!("{} has no certificate: ssl-certfile names it", key.display()));
    }
    if client_certificates != ClientCertificates::NotAsked && authorities.is_none() {
        reader.refuse(
            &SSL_CERT_REQS,
            "clients' certificates are asked for, but ssl-ca-certs does not say who signs them",
        );
    }
    if is_self_signed {
        if certificates.is_some() {
            reader.refuse(&SELF_SIGNED_CERTS, "true, but ssl-certfile names a certificate: leave one of them out");
        }
        return Some(TlsConfig::SelfSigned);
    }
    let certificates = certificates?;
    Some(TlsConfig::Files(TlsFiles {
        key: key.unwrap_or_else(|| certificates.clone()),
        certificates,
        clients: authorities
            .filter(|_| client_certificates != ClientCertificates::NotAsked)
            .map(|authorities| (authorities, client_certificates)),
        refresh,
    }))
}

/// One, or a list. Never split: a key may have any character.
fn api_keys(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(keys) => keys.iter().map(values::name).collect(),
        key => Ok(vec![values::name(key)?]),
    }
    // An error would repeat the value.
    .map_err(|_| "a key is empty, or is no text".to_owned())
}

fn client_certificates(value: &Value) -> Result<ClientCertificates, String> {
    Ok(match values::number_in(value, 0..=2)? {
        0 => ClientCertificates::NotAsked,
        1 => ClientCertificates::Optional,
        _ => ClientCertificates::Required,
    })
}
