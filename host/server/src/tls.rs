//! Certificates: read from files, and again when they change, or made at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum_server::tls_rustls::RustlsConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tracing::{error, info};

use crate::config::{ClientCertificates, TlsConfig, TlsFiles};

/// From one look at the files to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// What connections are encrypted with. Fails if a file cannot be read, or has not what it should have.
pub fn load(config: &TlsConfig) -> Result<RustlsConfig, String> {
    let loaded = match config {
        TlsConfig::SelfSigned => self_signed(),
        TlsConfig::Files(files) => from_files(files),
    };
    loaded.map(|config| RustlsConfig::from_config(Arc::new(config))).map_err(|error| format!("{error:#}"))
}

fn self_signed() -> Result<ServerConfig> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).context("self-signed-certs")?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    server_config(vec![made.cert.der().clone()], key.into(), None)
}

fn from_files(files: &TlsFiles) -> Result<ServerConfig> {
    let certificates = certificates("ssl-certfile", &files.certificates)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("ssl-keyfile: no private key in PEM in {}", files.key.display()))?;
    let clients = files.clients.as_ref().map(|(authorities, wanted)| verifier(authorities, *wanted)).transpose()?;
    server_config(certificates, key, clients)
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let problem = || format!("{key}: no certificates in PEM in {}", path.display());
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).with_context(problem)?.collect::<Result<_, _>>().with_context(problem)?;
    ensure!(!certificates.is_empty(), problem());
    Ok(certificates)
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

fn server_config(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(certificates, key)
        .context("ssl-keyfile: the key does not belong to the certificate in ssl-certfile")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Looks at the files for as long as the runtime runs, and takes over what changed. What is no good is logged, and the
/// old certificate serves on.
pub fn keep_fresh(files: TlsFiles, tls: RustlsConfig) {
    tokio::spawn(async move {
        let mut known = contents(&files);
        loop {
            tokio::time::sleep(INTERVAL).await;
            let found = contents(&files);
            if found == known {
                continue;
            }
            known = found;
            match from_files(&files) {
                Ok(config) => {
                    tls.reload_from_config(Arc::new(config));
                    info!("certificates loaded again");
                }
                Err(error) => error!("certificates changed and are no good, the old ones serve on: {error:#}"),
            }
        }
    });
}

/// A few KB: cheaper to compare than modification times are to trust.
fn contents(files: &TlsFiles) -> Vec<Option<Vec<u8>>> {
    let authorities = files.clients.as_ref().map(|(authorities, _)| authorities);
    let paths: [Option<&PathBuf>; 3] = [Some(&files.certificates), Some(&files.key), authorities];
    paths.into_iter().flatten().map(|path| std::fs::read(path).ok()).collect()
}
