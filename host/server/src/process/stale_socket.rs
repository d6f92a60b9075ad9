//! Unix domain sockets that a dead process left behind, in the place where this one is to listen.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Removes the socket at `path` if no process listens on it; nothing else, and no other file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let is_socket = path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket());
    let is_refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(is_refused) { std::fs::remove_file(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_without_a_listener_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("notes"), "mine").unwrap();
        let living = UnixListener::bind(path("living")).unwrap();
        drop(UnixListener::bind(path("dead")).unwrap());
        for (name, stays) in [("notes", true), ("living", true), ("dead", false), ("none", false)] {
            remove(&path(name)).unwrap();
            assert_eq!(path(name).exists(), stays, "{name}");
        }
        drop(living);
    }
}
