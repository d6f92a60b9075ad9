//! Files that the user names for a command.

use std::path::Path;

use rehearsal_plugin_host::regular_file;

/// What a file of a benchmark may have in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// The text of a file that the user named.
pub(super) fn text_of(path: &Path) -> Result<String, String> {
    regular_file::read_text(path, MOST_BYTES).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// What keeps a file from being written here, as far as that is known before.
pub(super) fn no_folder(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.is_dir()).then(|| format!("cannot write {}: there is no folder {}", path.display(), folder.display()))
}

/// Writes a file that the user named.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
