//! The places that lines go to: standard error, one file, or a file for each severity, as klog keeps them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tracing::Metadata;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::klog::Severity;
use crate::config::{LogFilesConfig, LogPlace};
use crate::telemetry::bounded_writer::BoundedWriter;
use crate::wire::wall_clock;

use super::DROPPED;

/// Bytes after which a file of a folder is followed by the next, as in klog.
const MAX_SIZE: u64 = 1800 << 20;

/// Bytes of lines that may wait for each place.
const MOST_WAITING: usize = 4 << 20;

/// Every place that lines may go to.
pub(super) struct Sinks {
    /// From which severity on lines go somewhere; up to which.
    all: Vec<(Severity, Severity, BoundedWriter)>,
}

impl Sinks {
    /// Opens what `config` names; standard error alone if it names nothing. Fails if a file cannot be made.
    pub(super) fn open(config: Option<&LogFilesConfig>) -> Result<(Self, Vec<WorkerGuard>), String> {
        let (mut all, mut guards) = (Vec::new(), Vec::new());
        let mut add = |from, to, (writer, guard)| {
            all.push((from, to, writer));
            guards.push(guard);
        };
        let from = config.map_or(Severity::Info, |config| config.stderr_threshold);
        add(from, Severity::Error, bounded(io::stderr()));
        let Some(config) = config else { return Ok((Self { all }, guards)) };
        let header = !config.skip_headers;
        match &config.place {
            LogPlace::One(path, max_size) => {
                let mut all = LogFile::new(Name::Fixed(path.clone()), *max_size, header);
                let opened = all.open(true);
                opened.map_err(|error| format!("log-file: cannot write {}: {error}", path.display()))?;
                add(Severity::Info, Severity::Error, bounded(all));
            }
            LogPlace::Folder { folder, one_output } => {
                for severity in Severity::ALL {
                    let name = Name::InFolder { folder: folder.clone(), severity };
                    let mut own = LogFile::new(name, MAX_SIZE, header);
                    // The others are made with their first line.
                    if severity == Severity::Info {
                        let opened = own.open(true);
                        opened.map_err(|error| format!("log-dir: cannot write into {}: {error}", folder.display()))?;
                    }
                    add(severity, if *one_output { severity } else { Severity::Error }, bounded(own));
                }
            }
        }
        Ok((Self { all }, guards))
    }
}

fn bounded(to: impl Write + Send + 'static) -> (BoundedWriter, WorkerGuard) {
    BoundedWriter::new(to, "log", MOST_WAITING, DROPPED.clone())
}

impl<'a> MakeWriter<'a> for Sinks {
    type Writer = Line<'a>;

    /// Of an unknown severity; the formatter always names one.
    fn make_writer(&'a self) -> Line<'a> {
        Line { sinks: self, severity: Severity::Info }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { sinks: self, severity: Severity::of(metadata.level()) }
    }
}

/// Writes one line, which comes whole, to all places of its severity.
pub(super) struct Line<'a> {
    sinks: &'a Sinks,
    severity: Severity,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for (from, to, writer) in &self.sinks.all {
            if (from..=to).contains(&&self.severity) {
                writer.write(line);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a log file is called.
enum Name {
    Fixed(PathBuf),
    /// klog's names: program, machine, severity, time and process; and a link that leads to the newest.
    InFolder {
        folder: PathBuf,
        severity: Severity,
    },
}

/// A file that begins anew before it grows past its size.
struct LogFile {
    name: Name,
    /// 0: no limit.
    max_size: u64,
    has_header: bool,
    file: Option<File>,
    size: u64,
}

impl LogFile {
    fn new(name: Name, max_size: u64, has_header: bool) -> Self {
        Self { name, max_size, has_header, file: None, size: 0 }
    }

    /// At the start what is there is kept, later it is written over.
    fn open(&mut self, keeps: bool) -> io::Result<()> {
        let now = wall_clock::local();
        let path = match &self.name {
            Name::Fixed(path) => path.clone(),
            Name::InFolder { folder, severity } => {
                let (severity, time) = (severity.name(), now.strftime("%Y%m%d-%H%M%S"));
                let name = format!("rehearsal.{}.log.{severity}.{time}.{}", machine(), std::process::id());
                point_at(&folder.join(format!("rehearsal.{severity}")), &name);
                folder.join(name)
            }
        };
        let mut file = OpenOptions::new().create(true).write(true).append(keeps).truncate(!keeps).open(path)?;
        self.size = file.metadata()?.len();
        if self.has_header {
            let header = format!(
                "Log file created at: {}\nRunning on machine: {}\nBinary: rehearsal {}\n\
                 Log line format: [IWE]mmdd hh:mm:ss.uuuuuu process file:line] msg\n",
                now.strftime("%Y/%m/%d %H:%M:%S"),
                machine(),
                env!("CARGO_PKG_VERSION")
            );
            file.write_all(header.as_bytes())?;
            self.size += header.len() as u64;
        }
        self.file = Some(file);
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_full = self.max_size > 0 && self.size + line.len() as u64 > self.max_size;
        if self.file.is_none() || is_full {
            self.open(!is_full)?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(line)?;
        }
        self.size += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

/// Makes `link` lead to `name` beside it. A convenience: a folder that has no links is no error.
fn point_at(link: &Path, name: &str) {
    let _ = std::fs::remove_file(link);
    let _ = std::os::unix::fs::symlink(name, link);
}

/// The machine's name, up to its first dot.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().split('.').next().unwrap_or_default();
    if name.is_empty() { "unknown".into() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, max_size: u64, has_header: bool) -> LogFile {
        LogFile::new(Name::Fixed(folder.join("x.log")), max_size, has_header)
    }

    #[test]
    fn a_full_file_begins_anew_and_one_without_limit_grows() {
        let folder = tempfile::tempdir().unwrap();
        let read = || std::fs::read_to_string(folder.path().join("x.log")).unwrap();
        let mut limited = file(folder.path(), 10, false);
        for line in ["first\n", "2nd\n", "third\n"] {
            limited.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(read(), "third\n");
        let mut unlimited = file(folder.path(), 0, false);
        unlimited.write_all(b"kept what was there\n").unwrap();
        assert_eq!(read(), "third\nkept what was there\n");
    }

    #[test]
    fn a_file_begins_with_when_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), 0, true).write_all(b"line\n").unwrap();
        let text = std::fs::read_to_string(folder.path().join("x.log")).unwrap();
        assert!(text.starts_with("Log file created at: ") && text.ends_with("msg\nline\n"), "{text}");
    }

    #[test]
    fn a_folder_has_a_file_and_a_link_for_each_severity() {
        let folder = tempfile::tempdir().unwrap();
        let name = Name::InFolder { folder: folder.path().to_owned(), severity: Severity::Warning };
        LogFile::new(name, MAX_SIZE, false).write_all(b"careful\n").unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("rehearsal.WARNING")).unwrap(), "careful\n");
    }
}
