//! The files of a project, and which of them changed. What git would not keep is none of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ignore::WalkBuilder;

use super::serving::Serving;
use crate::process::real_time::sleep;

/// From one look to the next. A change counts once two looks in a row agree: an editor may write a file in parts.
const INTERVAL: Duration = Duration::from_millis(250);

/// As they were at one look: when each was changed, and its length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Files {
    folder: PathBuf,
    files: BTreeMap<PathBuf, (Option<SystemTime>, u64)>,
}

impl Files {
    /// Those of `folder`.
    pub(super) async fn look(folder: &Path) -> Self {
        let folder = folder.to_owned();
        let walk = tokio::task::spawn_blocking({
            let folder = folder.clone();
            move || files(&folder)
        });
        Self { folder, files: walk.await.unwrap_or_default() }
    }

    /// Waits until any of them is another, and says which. Fails if what serves has ended meanwhile.
    pub(super) async fn changed(mut self, serving: &mut Serving) -> Result<String, String> {
        let before = self.clone();
        loop {
            sleep(INTERVAL).await;
            serving.check()?;
            let now = Self::look(&self.folder).await;
            if now == self && now != before {
                return Ok(now.differences(&before));
            }
            self = now;
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
}

fn files(folder: &Path) -> BTreeMap<PathBuf, (Option<SystemTime>, u64)> {
    const MADE: [&str; 4] = ["target", "node_modules", "__pycache__", ".git"];
    let walk = WalkBuilder::new(folder)
        .hidden(false)
        .require_git(false)
        .filter_entry(|entry| !MADE.iter().any(|made| entry.file_name() == *made))
        .build();
    let file = |entry: ignore::DirEntry| {
        let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let is_component = entry.path().extension().is_some_and(|extension| extension == "wasm");
        (!is_component).then(|| (entry.into_path(), (metadata.modified().ok(), metadata.len())))
    };
    walk.filter_map(Result::ok).filter_map(file).collect()
}
