//! Signatures of components, in the detached form that `cosign sign-blob --key` writes: ECDSA over P-256 and SHA-256, in base64, in
//! a file beside the component.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;

use crate::error::LoadProblem;
use crate::regular_file;

/// The largest file of a signature.
const MOST_BYTES: u64 = 16 << 10;

/// Whose components are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(Arc<VerifyingKey>);

impl PublicKey {
    /// Reads it as `cosign generate-key-pair` writes it: PEM. Fails if it is no key on P-256.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let key = VerifyingKey::from_public_key_pem(pem.trim())
            .map_err(|error| format!("it is no public key on P-256: {error}"))?;
        Ok(Self(Arc::new(key)))
    }

    /// Fails if the file beside `component` is no signature of `bytes` by this key.
    pub(crate) fn check(&self, component: &Path, bytes: &[u8]) -> Result<(), LoadProblem> {
        let path = path_beside(component);
        let text = read(&path).map_err(|source| LoadProblem::NoSignature { path: path.clone(), source })?;
        let signature = STANDARD.decode(text.trim()).ok().and_then(|der| Signature::from_der(&der).ok());
        let signature = signature.ok_or_else(|| LoadProblem::OddSignature(path.clone()))?;
        self.0.verify(bytes, &signature).map_err(|_| LoadProblem::WrongSignature(path))
    }
}

/// The text of a signature's file.
pub fn read(path: &Path) -> std::io::Result<String> {
    regular_file::read_text(path, MOST_BYTES)
}

/// Where the signature of a component lies.
pub fn path_beside(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}
