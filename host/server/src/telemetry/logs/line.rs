//! One line of text: klog's header, the message, its fields.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::config::HeaderConfig;
use crate::config::klog::{Backtrace, Severity};
use crate::wire::wall_clock;

/// `I1125 13:28:19.123456       1 serve.rs:57] message field=value`, as klog writes it; the number is the process's.
pub(super) struct KlogFormat {
    header: HeaderConfig,
    backtrace: Option<Backtrace>,
    process: u32,
}

impl KlogFormat {
    pub(super) fn new(header: HeaderConfig, backtrace: Option<Backtrace>) -> Self {
        Self { header, backtrace, process: std::process::id() }
    }
}

impl<S, N> FormatEvent<S, N> for KlogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        if !self.header.skip {
            let severity = &Severity::of(metadata.level()).name()[..1];
            let path = metadata.file().unwrap_or("???");
            // The file's name, or its folder's too.
            let shown = path.rsplitn(if self.header.add_dir { 3 } else { 2 }, '/');
            let n_parts = if self.header.add_dir { 2 } else { 1 };
            let mut parts: Vec<_> = shown.take(n_parts).collect();
            parts.reverse();
            let (file, line) = (parts.join("/"), metadata.line().unwrap_or(1));
            let now = wall_clock::local().strftime("%m%d %H:%M:%S.%6f");
            write!(out, "{severity}{now} {:7} {file}:{line}] ", self.process)?;
        }
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)?;
        if self.backtrace.as_ref().is_some_and(|backtrace| backtrace.is_at(metadata)) {
            writeln!(out, "{}", std::backtrace::Backtrace::force_capture())?;
        }
        Ok(())
    }
}
