//! Why a strategy gave no output.

use std::time::Duration;

/// Why a strategy gave no output. Each names the plugin at fault where there is one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StrategyError {
    /// An error answer, on purpose or because the request is wrong: the client gets it as it is.
    #[error("{}", .0.message)]
    Rejected(Box<Rejection>),
    /// The plugin says that it failed.
    #[error("plugin {plugin:?}: {message}")]
    Internal {
        /// Its configured name.
        plugin: String,
        /// In its own words.
        message: String,
    },
    /// The plugin trapped.
    #[error("plugin {plugin:?} crashed: {message}")]
    Trap {
        /// Its configured name.
        plugin: String,
        /// The panic's text, or the trap's.
        message: String,
    },
    /// The plugin was stopped because it took too long.
    #[error("plugin {plugin:?} ran longer than {}", millis(*limit))]
    Timeout {
        /// Its configured name.
        plugin: String,
        /// The limit that it hit.
        limit: Duration,
    },
    /// The plugin was stopped because it grew too large.
    #[error("plugin {plugin:?} wanted more than {}", mebibytes(*limit))]
    Memory {
        /// Its configured name.
        plugin: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The plugin returned more than the host takes.
    #[error("plugin {plugin:?} returned more than {}", mebibytes(*limit))]
    OutputLimit {
        /// Its configured name.
        plugin: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The plugin returned something that breaks the contract.
    #[error("plugin {plugin:?}: {message}")]
    InvalidOutput {
        /// Its configured name.
        plugin: String,
        /// What is wrong, with the value.
        message: String,
    },
    /// Too many calls of the plugin are running and waiting.
    #[error("plugin {plugin:?} is saturated: {running} calls run and {waiting} wait")]
    Saturated {
        /// Its configured name.
        plugin: String,
        /// Calls that may run at once.
        running: usize,
        /// Calls that may wait.
        waiting: usize,
    },
    /// A failure that was asked for: the connection is to be cut.
    #[error("the connection was cut on purpose")]
    Disconnected,
    /// A failure that was asked for: the whole answer is to be unreadable.
    #[error("the answer was made unreadable on purpose")]
    Malformed,
    /// The strategy's task died: a defect of this program.
    #[error("the request was lost to an internal error")]
    Lost,
}

impl StrategyError {
    /// Whether a plugin broke; false where it answered with an error, and where none is to blame.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Rejected(_)) && self.plugin().is_some()
    }

    /// The plugin at fault; none for an answer that is an error on purpose.
    pub fn plugin(&self) -> Option<&str> {
        match self {
            Self::Rejected(rejection) => rejection.plugin.as_deref(),
            Self::Disconnected | Self::Malformed | Self::Lost => None,
            Self::Internal { plugin, .. }
            | Self::Trap { plugin, .. }
            | Self::Timeout { plugin, .. }
            | Self::Memory { plugin, .. }
            | Self::OutputLimit { plugin, .. }
            | Self::InvalidOutput { plugin, .. }
            | Self::Saturated { plugin, .. } => Some(plugin),
        }
    }
}

/// An error answer that a plugin composed. The status is the plugin's own choice, so it is data here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The plugin that answered so.
    pub plugin: Option<String>,
    /// 400 to 599.
    pub status: u16,
    /// For people.
    pub message: String,
    /// `error.type`; none: the usual one for the status.
    pub kind: Option<String>,
    /// `error.code`; none: the status.
    pub code: Option<String>,
    /// `error.param`.
    pub param: Option<String>,
    /// Headers to add to the answer.
    pub headers: Vec<(String, String)>,
}

fn mebibytes(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

fn millis(limit: Duration) -> String {
    format!("{} ms", limit.as_millis())
}
