//! Files that a user names: regular ones, no larger than they may be. A pipe or a device is refused before it is opened,
//! because it may have no end, or nothing to read for ever.

use std::fs::{File, FileType, Metadata};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// All of the file at `path`. Fails, with what is wrong in the error, if it cannot be read, is no file, or has more than
/// `most_bytes`.
pub fn read(path: &Path, most_bytes: u64) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    check(&metadata, most_bytes)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // It may grow while it is read.
    File::open(path)?.take(most_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most_bytes { Err(too_large(bytes.len() as u64, most_bytes)) } else { Ok(bytes) }
}

/// The same as text, which must be UTF-8.
pub fn read_text(path: &Path, most_bytes: u64) -> Result<String> {
    String::from_utf8(read(path, most_bytes)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is no text in UTF-8"))
}

fn check(metadata: &Metadata, most_bytes: u64) -> Result<()> {
    if !metadata.is_file() {
        let kind = name(metadata.file_type());
        return Err(Error::new(ErrorKind::InvalidInput, format!("it is {kind}, not a regular file")));
    }
    if metadata.len() > most_bytes { Err(too_large(metadata.len(), most_bytes)) } else { Ok(()) }
}

fn name(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

fn too_large(size: u64, most: u64) -> Error {
    Error::new(ErrorKind::FileTooLarge, format!("it has {size} bytes or more, and at most {most} are read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_or_too_large_is_refused() {
        let refused = |path: &str, most| read(Path::new(path), most).unwrap_err().to_string();
        assert_eq!(refused("/", 1), "it is a directory, not a regular file");
        assert_eq!(refused("/dev/zero", 1), "it is a device, not a regular file");
        let this = concat!(env!("CARGO_MANIFEST_DIR"), "/src/regular_file.rs");
        assert!(refused(this, 100).ends_with("bytes or more, and at most 100 are read"));
        assert!(read_text(Path::new(this), 1 << 20).unwrap().starts_with("//! Files"));
        // Whose length is told as 0.
        assert!(refused("/proc/self/maps", 10).starts_with("it has 11 bytes or more"));
    }
}
