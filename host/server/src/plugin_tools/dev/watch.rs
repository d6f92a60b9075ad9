//! The files of a project, and which of them changed in what they say. What git would not keep is none of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ignore::WalkBuilder;
use rehearsal_plugin_host::regular_file;
use sha2::{Digest, Sha256};

use super::serving::Serving;
use crate::process::real_time::sleep;

/// From one look to the next. A change counts once two looks in a row agree: an editor may write a file in parts.
const INTERVAL: Duration = Duration::from_millis(250);

/// Larger files are known by their length alone.
const MOST_BYTES: u64 = 16 << 20;

/// As they were at one look.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
    /// What is made, and not written by an author.
    made: Vec<PathBuf>,
    files: BTreeMap<PathBuf, File>,
}

/// Read again only if its time or its length is another. What it says decides: a build may write the same anew.
#[derive(Debug, Clone)]
struct File {
    modified: Option<SystemTime>,
    length: u64,
    sha256: Option<[u8; 32]>,
}

impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        (self.length, self.sha256) == (other.length, other.sha256)
    }
}

impl Files {
    /// Those of `folder`, but for those that are `made`.
    pub(super) async fn look(folder: &Path, made: Vec<PathBuf>) -> Self {
        Self { folder: folder.to_owned(), made, files: BTreeMap::new() }.again().await
    }

    async fn again(&self) -> Self {
        let before = self.clone();
        let files = tokio::task::spawn_blocking(move || before.now());
        Self { files: files.await.unwrap_or_default(), ..self.clone() }
    }

    /// Waits until any of them is another, and says which. Fails if what serves has ended meanwhile.
    pub(super) async fn changed(self, serving: &mut Serving) -> Result<String, String> {
        let mut last = self.clone();
        loop {
            sleep(INTERVAL).await;
            serving.check()?;
            let now = last.again().await;
            if now.files == last.files && now.files != self.files {
                return Ok(now.differences(&self));
            }
            last = now;
        }
    }

    fn differences(&self, before: &Self) -> String {
        let mut paths: Vec<_> = self.files.keys().chain(before.files.keys()).collect();
        paths.retain(|path| self.files.get(*path) != before.files.get(*path));
        paths.sort();
        paths.dedup();
        let short = |path: &&PathBuf| path.strip_prefix(&self.folder).unwrap_or(path).display().to_string();
        paths.iter().map(short).collect::<Vec<_>>().join(", ")
    }

    fn now(&self) -> BTreeMap<PathBuf, File> {
        const MADE: [&str; 4] = ["target", "node_modules", "__pycache__", ".git"];
        let walk = WalkBuilder::new(&self.folder)
            .hidden(false)
            .require_git(false)
            .filter_entry(|entry| !MADE.iter().any(|made| entry.file_name() == *made))
            .build();
        let made: Vec<_> = self.made.iter().filter_map(|made| made.canonicalize().ok()).collect();
        let file = |entry: ignore::DirEntry| {
            let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            let path = entry.into_path();
            let is_made = path.canonicalize().is_ok_and(|path| made.contains(&path));
            (!is_made).then(|| (path.clone(), self.file(&path, &metadata)))
        };
        walk.filter_map(Result::ok).filter_map(file).collect()
    }

    fn file(&self, path: &Path, metadata: &std::fs::Metadata) -> File {
        let (modified, length) = (metadata.modified().ok(), metadata.len());
        match self.files.get(path) {
            Some(known) if (known.modified, known.length) == (modified, length) => known.clone(),
            _ => {
                let sha256 = regular_file::read(path, MOST_BYTES).ok().map(|bytes| Sha256::digest(bytes).into());
                File { modified, length, sha256 }
            }
        }
    }
}
