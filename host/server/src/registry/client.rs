//! How a registry is spoken to: over HTTPS unless it is on this machine, with the credentials that Docker's configuration has for it.

use std::time::Duration;

use anyhow::{Context, Result};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

/// Until a connection stands, and between two parts of an answer.
const PATIENCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];

/// A client for the registry of `image`.
pub(super) fn to(image: &Reference) -> Client {
    let [connect, read] = PATIENCE;
    // Once per process; fails where that was done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(ClientConfig {
        protocol: if is_here(image.resolve_registry()) { ClientProtocol::Http } else { ClientProtocol::Https },
        connect_timeout: Some(connect),
        read_timeout: Some(read),
        ..ClientConfig::default()
    })
}

/// As Docker does, a registry on this machine is spoken to without encryption.
fn is_here(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Those of Docker's configuration; none if it has none for this registry. Fails if it cannot be read, or if its helper fails.
pub(super) fn credentials(image: &Reference) -> Result<RegistryAuth> {
    let registry = match image.resolve_registry() {
        "index.docker.io" => "https://index.docker.io/v1/",
        registry => registry,
    };
    match docker_credential::get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(token)) => Ok(RegistryAuth::Bearer(token)),
        Err(CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::NoCredentialConfigured) => {
            Ok(RegistryAuth::Anonymous)
        }
        Err(error) => Err(error).with_context(|| format!("Docker's configuration has no credentials for {registry}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_on_this_machine_is_spoken_to_without_encryption() {
        for here in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["ghcr.io", "127.registry.example", "registry:5000", "localhost.example:5000"] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
