//! What was fetched: a file for each manifest, and the manifest by reference. Of one component there may be several, each with a
//! signature of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use oci_client::Reference;
use rehearsal_plugin_host::{MAX_COMPONENT_BYTES, regular_file, sha256 as hash, signature};

/// The largest file that says what a reference means.
const MOST_BYTES: u64 = 256;

pub(super) struct Cache {
    folder: PathBuf,
}

/// A component that is there.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) path: PathBuf,
    /// 64 hex digits.
    pub(super) sha256: String,
}

impl Cache {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What `image` was when it was fetched last; nothing if that is not whole any more.
    pub(super) fn of(&self, image: &Reference) -> Option<Kept> {
        let text = regular_file::read_text(&self.reference(image), MOST_BYTES).ok()?;
        let (sha256, name) = text.split_once(' ')?;
        // The file is nowhere else, whatever is written there.
        let path = self.folder.join(Path::new(name).file_name()?);
        let bytes = regular_file::read(&path, MAX_COMPONENT_BYTES).ok()?;
        (hash(&bytes) == sha256).then(|| Kept { path, sha256: sha256.to_owned() })
    }

    /// Keeps what `image`, which has a digest, is. A signature is there before its component.
    pub(super) fn keep(&self, image: &Reference, sha256: &str, component: &[u8], signed: Option<&str>) -> Result<Kept> {
        let path = self.folder.join(format!("{}.wasm", hash(name(image).as_bytes())));
        if let Some(signed) = signed {
            self.write(&signature::path_beside(&path), signed.as_bytes())?;
        }
        self.write(&path, component)?;
        let kept = Kept { path, sha256: sha256.to_owned() };
        self.name(image, &kept)?;
        Ok(kept)
    }

    /// From now on, `image` means this.
    pub(super) fn name(&self, image: &Reference, kept: &Kept) -> Result<()> {
        let file = kept.path.file_name().unwrap_or_default().to_string_lossy();
        self.write(&self.reference(image), format!("{} {file}", kept.sha256).as_bytes())
    }

    fn reference(&self, image: &Reference) -> PathBuf {
        self.folder.join("references").join(hash(name(image).as_bytes()))
    }

    /// A file is there whole or not at all, whichever of several servers writes it.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let problem = || format!("cannot keep it in {}", self.folder.display());
        fs::create_dir_all(self.folder.join("references")).with_context(problem)?;
        let mut fresh = tempfile::NamedTempFile::new_in(&self.folder).with_context(problem)?;
        std::io::Write::write_all(&mut fresh, bytes).with_context(problem)?;
        fresh.as_file().sync_all().with_context(problem)?;
        fresh.persist(path).with_context(problem)?;
        Ok(())
    }
}

/// What a digest means does not depend on a tag.
fn name(image: &Reference) -> String {
    match image.digest() {
        Some(digest) => format!("{}/{}@{digest}", image.registry(), image.repository()),
        None => image.whole(),
    }
}
