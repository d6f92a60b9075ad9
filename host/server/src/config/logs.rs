//! What is written down, and where: klog's keys as the seeds have them, and vLLM's.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::key::{Spec, keys};
use super::klog::{Backtrace, Severity, VModule};
use super::reader::Reader;
use super::values;

keys! { Logs:
    V: u32 = Spec::one("v", "LEVEL").shorts(&["v"]).default("0")
        .help("verbosity as klog counts it: 0 info, 2 debug, 4 trace"), values::whole_number;
    VMODULE: VModule = Spec::one("vmodule", "PATTERN=N,…")
        .help("verbosity of some source files, by their names without .rs; * and ? are wildcards, and a pattern with \
               a slash is matched with the whole path"), vmodule;
    LOG_LEVEL: String = Spec::one("log-level", "LEVEL").env("VLLM_LOGGING_LEVEL")
        .help("error, warn, info, debug, trace or a tracing filter; wins over v"), values::log_filter;
    LOG_FORMAT: bool = Spec::one("log-format", "FORMAT").default("text")
        .help("text, with klog's headers, or json"), values::is_json_format;
    LOGTOSTDERR: bool = Spec::switch("logtostderr").default("true")
        .help("to standard error; false: to files, in log_dir or log_file"), values::switch;
    ALSOLOGTOSTDERR: bool = Spec::switch("alsologtostderr").default("false")
        .help("to standard error as well as to files"), values::switch;
    STDERRTHRESHOLD: Severity = Spec::one("stderrthreshold", "SEVERITY").default("2")
        .help("with files, what is at least so severe goes to standard error too: 0 info, 1 warning, 2 error"), severity;
    LOG_DIR: Option<PathBuf> = Spec::one("log-dir", "FOLDER")
        .help("folder for files, one for each severity and start; not given: the system's temporary folder"),
        values::path;
    LOG_FILE: Option<PathBuf> = Spec::one("log-file", "FILE")
        .help("one file for everything, in the place of those in log_dir"), values::path;
    LOG_FILE_MAX_SIZE: u64 = Spec::one("log-file-max-size", "MB").default("1800")
        .help("log_file begins anew when it would grow past this; 0: never"), values::whole_number;
    LOG_BACKTRACE_AT: Option<Backtrace> = Spec::one("log-backtrace-at", "FILE:LINE").default(":0")
        .help("add the stack to what this line of the source logs, in text"), backtrace;
    ADD_DIR_HEADER: bool = Spec::switch("add-dir-header").default("false")
        .help("headers have the source file's folder, in text"), values::switch;
    ONE_OUTPUT: bool = Spec::switch("one-output").default("false")
        .help("each line in the file of its own severity only, not in those of lower ones too"), values::switch;
    SKIP_HEADERS: bool = Spec::switch("skip-headers").default("false")
        .help("lines of text have no header: no severity, time, process, file and line"), values::switch;
    SKIP_LOG_HEADERS: bool = Spec::switch("skip-log-headers").default("false")
        .help("files do not begin with when and where they were made"), values::switch;
    UVICORN_LOG_LEVEL: UvicornLevel = Spec::one("uvicorn-log-level", "LEVEL").default("info")
        .help("critical, error and warning turn the access log off, as in vLLM"), uvicorn_level;
    DISABLE_UVICORN_ACCESS_LOG: bool = Spec::switch("disable-uvicorn-access-log").default("false")
        .help("no line for each request that was answered"), values::switch;
    DISABLE_ACCESS_LOG_FOR_ENDPOINTS: Vec<String> = Spec::one("disable-access-log-for-endpoints", "PATHS").default("")
        .help("paths without such a line, commas between them: /health,/metrics"), paths;
    ENABLE_LOG_REQUESTS: bool = Spec::switch("enable-log-requests").default("false")
        .help("a line for each request that is accepted, with its parameters"), values::switch;
    MAX_LOG_LEN: Option<usize> = Spec::one("max-log-len", "N")
        .help("characters of the prompt in that line, where debug logs show it"), max_log_len;
    DISABLE_LOG_STATS: bool = Spec::switch("disable-log-stats").default("false")
        .help("no line about throughput and queues, and none of vLLM's metrics of the engine"), values::switch;
    VLLM_LOG_STATS_INTERVAL: Duration = Spec::environment("VLLM_LOG_STATS_INTERVAL").default("10")
        .help("seconds between the lines about throughput and queues, at least 0.1"), |value| values::interval(value, Duration::from_secs(10));
}

/// What to log, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A filter that `tracing` understands.
    pub filter: String,
    /// More or less for some source files.
    pub vmodule: VModule,
    /// JSON lines instead of text.
    pub json: bool,
    /// Which lines have their stack with them.
    pub backtrace: Option<Backtrace>,
    /// Headers of lines.
    pub headers: HeaderConfig,
    /// Files, in the place of standard error.
    pub files: Option<LogFilesConfig>,
    /// Lines about requests and the engine.
    pub requests: RequestLogConfig,
}

/// What stands before a line's text.
#[derive(Debug, Clone, Copy)]
pub struct HeaderConfig {
    /// Nothing.
    pub skip: bool,
    /// The source file's folder too.
    pub add_dir: bool,
}

/// Where log files are, and what goes into them.
#[derive(Debug, Clone)]
pub struct LogFilesConfig {
    /// One, or one for each severity.
    pub place: LogPlace,
    /// Files do not begin with when and where they were made.
    pub skip_headers: bool,
    /// This and what is more severe goes to standard error too.
    pub stderr_threshold: Severity,
}

/// The log files.
#[derive(Debug, Clone)]
pub enum LogPlace {
    /// One file for everything, and bytes after which it begins anew; 0: never.
    One(PathBuf, u64),
    /// A file for each severity in this folder; with `one_output`, a line goes only into its own.
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Not into those of lower severities too.
        one_output: bool,
    },
}

/// Lines about requests and the engine.
#[derive(Debug, Clone)]
pub struct RequestLogConfig {
    /// One for each answer, but for these paths; `None`: none.
    pub access: Option<Vec<String>>,
    /// One for each accepted request.
    pub requests: bool,
    /// Characters of a prompt in it.
    pub max_len: Option<usize>,
    /// Throughput and queues, so often; `None`: never, and no metrics of the engine either.
    pub stats: Option<Duration>,
}

/// `uvicorn-log-level`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UvicornLevel {
    Info,
    Warning,
}

/// Whether nothing is counted for the log, nor told of a request's moments.
pub(super) fn disables_stats(reader: &mut Reader<'_>) -> bool {
    reader.read(&DISABLE_LOG_STATS)
}

pub(super) fn read(reader: &mut Reader<'_>) -> LogConfig {
    let from_verbosity = match reader.read(&V) {
        0..=1 => "info",
        2..=3 => "debug",
        4.. => "trace",
    };
    let logs_access =
        reader.read(&UVICORN_LOG_LEVEL) == UvicornLevel::Info && !reader.read(&DISABLE_UVICORN_ACCESS_LOG);
    let quiet_paths = reader.read(&DISABLE_ACCESS_LOG_FOR_ENDPOINTS);
    let interval = reader.read(&VLLM_LOG_STATS_INTERVAL);
    LogConfig {
        filter: reader.given(&LOG_LEVEL).unwrap_or_else(|| from_verbosity.to_owned()),
        vmodule: reader.given(&VMODULE).unwrap_or_default(),
        json: reader.read(&LOG_FORMAT),
        backtrace: reader.read(&LOG_BACKTRACE_AT),
        headers: HeaderConfig { skip: reader.read(&SKIP_HEADERS), add_dir: reader.read(&ADD_DIR_HEADER) },
        files: files(reader),
        requests: RequestLogConfig {
            access: logs_access.then_some(quiet_paths),
            requests: reader.read(&ENABLE_LOG_REQUESTS),
            max_len: reader.given(&MAX_LOG_LEN).flatten(),
            stats: (!disables_stats(reader)).then_some(interval),
        },
    }
}

fn files(reader: &mut Reader<'_>) -> Option<LogFilesConfig> {
    let (file, folder) = (reader.given(&LOG_FILE).flatten(), reader.given(&LOG_DIR).flatten());
    let (one_output, max_megabytes) = (reader.read(&ONE_OUTPUT), reader.read(&LOG_FILE_MAX_SIZE));
    let threshold = reader.read(&STDERRTHRESHOLD);
    let config = LogFilesConfig {
        place: match file {
            Some(file) => LogPlace::One(file, max_megabytes.saturating_mul(1 << 20)),
            None => LogPlace::Folder { folder: folder.unwrap_or_else(std::env::temp_dir), one_output },
        },
        skip_headers: reader.read(&SKIP_LOG_HEADERS),
        stderr_threshold: if reader.read(&ALSOLOGTOSTDERR) { Severity::Info } else { threshold },
    };
    (!reader.read(&LOGTOSTDERR)).then_some(config)
}

fn vmodule(value: &Value) -> Result<VModule, String> {
    values::any_text(value)?.parse()
}

fn severity(value: &Value) -> Result<Severity, String> {
    values::any_text(value)?.parse()
}

/// `:0`, klog's default, is no line.
fn backtrace(value: &Value) -> Result<Option<Backtrace>, String> {
    match values::any_text(value)?.as_str() {
        "" | ":0" => Ok(None),
        text => text.parse().map(Some),
    }
}

fn uvicorn_level(value: &Value) -> Result<UvicornLevel, String> {
    match values::any_text(value)?.as_str() {
        "critical" | "error" | "warning" => Ok(UvicornLevel::Warning),
        "info" | "debug" | "trace" => Ok(UvicornLevel::Info),
        other => Err(format!("{other:?} is none of critical, error, warning, info, debug and trace")),
    }
}

fn paths(value: &Value) -> Result<Vec<String>, String> {
    let paths = values::any_text(value)?;
    Ok(paths.split(',').map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// vLLM's -1 is no limit.
fn max_log_len(value: &Value) -> Result<Option<usize>, String> {
    if values::any_text(value)? == "-1" { Ok(None) } else { values::whole_number(value).map(Some) }
}
