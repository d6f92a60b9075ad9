//! What was fetched: components by their hash, and the hash by reference.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use oci_client::Reference;
use rehearsal_plugin_host::{regular_file, signature};
use sha2::{Digest, Sha256};

/// The largest file that says what a reference means: a hash.
const MOST_BYTES: u64 = 128;

pub(super) struct Cache {
    folder: PathBuf,
}

/// A component that is there.
pub(super) struct Kept {
    pub(super) path: PathBuf,
    /// 64 hex digits. Whoever reads the file looks at it again.
    pub(super) sha256: String,
}

impl Cache {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What `image` was when it was fetched last.
    pub(super) fn of(&self, image: &Reference) -> Option<Kept> {
        let sha256 = regular_file::read_text(&self.reference(image), MOST_BYTES).ok()?;
        self.has(&sha256).then(|| Kept { path: self.path(&sha256), sha256 })
    }

    pub(super) fn has(&self, sha256: &str) -> bool {
        sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) && self.path(sha256).is_file()
    }

    pub(super) fn keep(&self, sha256: &str, component: &[u8]) -> Result<()> {
        self.write(&self.path(sha256), component)
    }

    pub(super) fn keep_signature(&self, sha256: &str, text: &str) -> Result<()> {
        self.write(&signature::path_beside(&self.path(sha256)), text.as_bytes())
    }

    /// From now on, `image` means this component.
    pub(super) fn name(&self, image: &Reference, sha256: &str) -> Result<Kept> {
        self.write(&self.reference(image), sha256.as_bytes())?;
        Ok(Kept { path: self.path(sha256), sha256: sha256.to_owned() })
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.wasm"))
    }

    fn reference(&self, image: &Reference) -> PathBuf {
        let name: String = Sha256::digest(image.whole()).iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join("references").join(name)
    }

    /// A file is there whole or not at all, whichever of several servers writes it.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let problem = || format!("cannot keep it in {}", self.folder.display());
        fs::create_dir_all(self.folder.join("references")).with_context(problem)?;
        let mut fresh = tempfile::NamedTempFile::new_in(&self.folder).with_context(problem)?;
        std::io::Write::write_all(&mut fresh, bytes).with_context(problem)?;
        fresh.persist(path).with_context(problem)?;
        Ok(())
    }
}
