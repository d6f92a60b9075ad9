//! Certificates: read from files, and again when they change, or made at the start.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum_server::tls_rustls::RustlsConfig;
use rehearsal_plugin_host::regular_file;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tracing::{error, info};

use crate::config::{Certificate, ClientCertificates, TlsConfig};
use crate::process::real_time::sleep;

/// No certificate or key is larger.
const MOST_BYTES: u64 = 4 << 20;

/// From one look at the files to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// What connections are encrypted with. Fails if a file cannot be read, or has not what it should have.
pub fn load(config: &TlsConfig) -> Result<RustlsConfig, String> {
    let loaded = server_config(config).map_err(|error| format!("{error:#}"))?;
    Ok(RustlsConfig::from_config(Arc::new(loaded)))
}

fn server_config(config: &TlsConfig) -> Result<ServerConfig> {
    let (chain, key) = match &config.certificate {
        Certificate::SelfSigned => self_signed()?,
        Certificate::Files { chain, key } => (certificates("ssl-certfile", chain)?, private_key(key)?),
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match &config.clients {
        Some((authorities, wanted)) => builder.with_client_cert_verifier(verifier(authorities, *wanted)?),
        None => builder.with_no_client_auth(),
    };
    let mut config =
        builder.with_single_cert(chain, key).context("ssl-certfile and ssl-keyfile do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn self_signed() -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).context("self-signed-certs")?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let pem = read("ssl-keyfile", path)?;
    let is_encrypted = String::from_utf8_lossy(&pem).contains("ENCRYPTED");
    ensure!(!is_encrypted, "ssl-keyfile: the key in {} is encrypted: write it without a password", path.display());
    PrivateKeyDer::from_pem_slice(&pem)
        .with_context(|| format!("ssl-keyfile: no private key in PEM in {}", path.display()))
}

/// At least one, each of which can be read as a certificate.
fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let problem = || format!("{key}: no certificates in PEM in {}", path.display());
    let pem = read(key, path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().with_context(problem)?;
    ensure!(!certificates.is_empty(), problem());
    for certificate in &certificates {
        ParsedCertificate::try_from(certificate)
            .with_context(|| format!("{key}: a broken one is in {}", path.display()))?;
    }
    Ok(certificates)
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>> {
    regular_file::read(path, MOST_BYTES).with_context(|| format!("{key}: cannot read {}", path.display()))
}

fn verifier(authorities: &Path, wanted: ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ssl-ca-certs", authorities)? {
        roots.add(certificate).with_context(|| format!("ssl-ca-certs: {}", authorities.display()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = if wanted == ClientCertificates::Optional { builder.allow_unauthenticated() } else { builder };
    builder.build().context("ssl-ca-certs")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Looks at the files for as long as it is polled, and takes over what changed. What is no good is logged, and the old
/// certificate serves on.
pub async fn keep_fresh(config: TlsConfig, tls: RustlsConfig) {
    let mut known = contents(&config);
    loop {
        sleep(INTERVAL).await;
        let found = contents(&config);
        if found == known {
            continue;
        }
        known = found;
        match server_config(&config) {
            Ok(config) => {
                tls.reload_from_config(Arc::new(config));
                info!("certificates loaded again");
            }
            Err(error) => error!("certificates changed and are no good, the old ones serve on: {error:#}"),
        }
    }
}

/// A few KB: cheaper to compare than modification times are to trust.
fn contents(config: &TlsConfig) -> Vec<Option<Vec<u8>>> {
    let own = match &config.certificate {
        Certificate::SelfSigned => [None, None],
        Certificate::Files { chain, key } => [Some(chain), Some(key)],
    };
    let authorities = config.clients.as_ref().map(|(authorities, _)| authorities);
    own.into_iter().flatten().chain(authorities).map(|path| regular_file::read(path, MOST_BYTES).ok()).collect()
}
