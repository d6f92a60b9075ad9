//! Requests that are kept to be looked at.

use std::path::PathBuf;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    CAPTURE: usize = Spec::one("capture", "N").default("0")
        .help("requests that are kept to be looked at, at GET /rehearsal/requests: the last N, and at most 64 MiB of them"),
        values::whole_number;
    CAPTURE_FILE: Option<PathBuf> = Spec::one("capture-file", "PATH")
        .help("write down each request as it was received and answered, a line of JSON; further ranks add _dp1 and so on"),
        values::path;
}

/// Which requests are kept, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaptureConfig {
    /// So many.
    pub n_requests: usize,
    /// All of them are written here.
    pub file: Option<PathBuf>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> CaptureConfig {
    CaptureConfig { n_requests: reader.read(&CAPTURE), file: reader.given(&CAPTURE_FILE).flatten() }
}

impl CaptureConfig {
    /// The same for a further rank.
    pub(super) fn of_rank(&self, ranks_on: u32) -> Self {
        let file = self.file.clone().map(|file| {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match file.extension() {
                _ if ranks_on == 0 => file,
                Some(extension) => file.with_file_name(format!("{stem}_dp{ranks_on}.{}", extension.to_string_lossy())),
                None => file.with_file_name(format!("{stem}_dp{ranks_on}")),
            }
        });
        Self { n_requests: self.n_requests, file }
    }
}
