//! klog's ideas, as the seeds' flags have them: severities, verbosity by source file, and a line whose stack is wanted.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};

/// How bad it is; each has a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// 0; whatever its verbosity.
    Info,
    /// 1
    Warning,
    /// 2
    Error,
}

impl Severity {
    /// From the mildest on.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// Of an event.
    pub fn of(level: &Level) -> Self {
        match *level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            _ => Self::Info,
        }
    }

    /// In the names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

impl FromStr for Severity {
    type Err = String;

    /// A number or a name. Fatal errors, klog's 3, are none of ours: with that threshold, errors are shown.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_uppercase().as_str() {
            "0" | "INFO" => Ok(Self::Info),
            "1" | "WARNING" => Ok(Self::Warning),
            "2" | "ERROR" | "3" | "FATAL" => Ok(Self::Error),
            _ => Err(format!("{text:?} is none of 0 (info), 1 (warning), 2 (error) and 3 (fatal)")),
        }
    }
}

/// Verbosity by source file: patterns of names, each with a level. The first that matches counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VModule(Vec<(String, LevelFilter)>);

impl FromStr for VModule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = |pair: &str| match pair.split_once('=').map(|(pattern, level)| (pattern, level.parse::<u32>())) {
            Some((pattern, Ok(level))) if !pattern.is_empty() => Ok((pattern.to_owned(), level_of(level))),
            _ => Err(format!("{pair:?} is not PATTERN=N, for example serve=4")),
        };
        let pairs = text.split(',').filter(|pair| !pair.is_empty());
        pairs.map(pair).collect::<Result<_, _>>().map(Self)
    }
}

/// klog's verbosity in terms of `tracing`.
fn level_of(verbosity: u32) -> LevelFilter {
    match verbosity {
        0..=1 => LevelFilter::INFO,
        2..=3 => LevelFilter::DEBUG,
        4.. => LevelFilter::TRACE,
    }
}

impl VModule {
    /// What the source file at `path` may say; `None` if no pattern matches it.
    pub fn level(&self, path: &str) -> Option<LevelFilter> {
        let whole = path.strip_suffix(".rs").unwrap_or(path);
        let name = whole.rsplit('/').next().unwrap_or(whole);
        let matches = |pattern: &str| is_match(pattern, if pattern.contains('/') { whole } else { name });
        self.0.iter().find(|(pattern, _)| matches(pattern)).map(|(_, level)| *level)
    }

    /// The most that any file may say.
    pub fn most_verbose(&self) -> Option<LevelFilter> {
        self.0.iter().map(|(_, level)| *level).max()
    }
}

/// `*` is any text, `?` any character.
fn is_match(pattern: &str, text: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            is_match(rest, text) || text.char_indices().any(|(at, c)| is_match(rest, &text[at + c.len_utf8()..]))
        }
        Some(wanted) => {
            let mut chars = text.chars();
            chars.next().is_some_and(|c| wanted == '?' || wanted == c)
                && is_match(pattern_chars.as_str(), chars.as_str())
        }
    }
}

/// A line of the source whose logs have their stack with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backtrace {
    file: String,
    line: u32,
}

impl FromStr for Backtrace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
            Some((file, Ok(line))) if !file.is_empty() => Ok(Self { file: file.to_owned(), line }),
            _ => Err(format!("{text:?} is not FILE:LINE, for example serve.rs:57")),
        }
    }
}

impl Backtrace {
    /// Whether that is where an event comes from.
    pub fn is_at(&self, metadata: &Metadata<'_>) -> bool {
        metadata.line() == Some(self.line)
            && metadata.file().and_then(|path| path.rsplit('/').next()) == Some(self.file.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vmodule_matches_names_or_with_a_slash_paths() {
        let vmodule: VModule = "serve=4,kv_*=2,*/tokenizer/?ocate=2".parse().unwrap();
        assert_eq!(vmodule.level("host/server/src/serve.rs"), Some(LevelFilter::TRACE));
        assert_eq!(vmodule.level("host/server/src/kv_events.rs"), Some(LevelFilter::DEBUG));
        assert_eq!(vmodule.level("host/server/src/tokenizer/locate.rs"), Some(LevelFilter::DEBUG));
        assert_eq!(vmodule.level("host/server/src/server.rs"), None);
        for wrong in ["serve", "=4", "serve=x"] {
            assert!(wrong.parse::<VModule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn severities_have_numbers_and_names() {
        assert_eq!("1".parse(), Ok(Severity::Warning));
        assert_eq!("error".parse(), Ok(Severity::Error));
        assert!("4".parse::<Severity>().is_err());
    }
}
