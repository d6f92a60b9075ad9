//! Why a strategy gave no output.

use std::time::Duration;

/// Why a strategy gave no output.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StrategyError {
    /// An error answer, on purpose or because the request is wrong: the client gets it as it is.
    #[error("{}", .0.message)]
    Rejected(Box<Rejection>),
    /// A plugin broke.
    #[error(transparent)]
    Plugin(#[from] PluginFault),
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

/// A plugin broke, in this way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin:?}{fault}")]
pub struct PluginFault {
    /// Its configured name.
    pub plugin: String,
    /// How.
    pub fault: Fault,
    /// What it printed last in that call: for logs, not for clients.
    pub said: String,
}

/// How a plugin broke. Follows its name in messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It says that it failed, in its own words.
    #[error(": {0}")]
    Internal(String),
    /// It trapped: the panic's text, or the trap's.
    #[error(" crashed: {0}")]
    Trap(String),
    /// It was stopped because its code ran for longer than this limit, in slices that began while it ran.
    #[error(" ran longer than {}, its limits.cpu", millis(*.0))]
    CpuTime(Duration),
    /// It was given up because it did not end within this limit, whatever kept it.
    #[error(" did not end within {}, its limits.wall", millis(*.0))]
    WallTime(Duration),
    /// It was stopped because it wanted more than this, in bytes.
    #[error(" wanted more than {}, its limits.memory", mebibytes(*.0))]
    Memory(usize),
    /// It returned more than the host takes, in bytes.
    #[error(" returned more than {}", mebibytes(*.0))]
    OutputLimit(usize),
    /// It returned something that breaks the contract: what is wrong, with the value.
    #[error(": {0}")]
    InvalidOutput(String),
    /// Too many of its calls are running and waiting.
    #[error(" is saturated: {running} calls run and {waiting} wait")]
    Saturated {
        /// Calls that may run at once.
        running: usize,
        /// Calls that may wait.
        waiting: usize,
    },
}

impl Fault {
    /// In one word, for `error.code` and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Internal(_) => "internal",
            Self::Trap(_) => "trap",
            Self::CpuTime(_) | Self::WallTime(_) => "timeout",
            Self::Memory(_) => "memory",
            Self::OutputLimit(_) => "output_limit",
            Self::InvalidOutput(_) => "invalid_output",
            Self::Saturated { .. } => "saturated",
        }
    }

    /// Of this plugin.
    pub fn of(self, plugin: &str) -> StrategyError {
        StrategyError::Plugin(PluginFault { plugin: plugin.to_owned(), fault: self, said: String::new() })
    }
}

impl StrategyError {
    /// The HTTP status that stands for it. A connection that is cut and a body that cannot be read have the status of the
    /// answer they replace.
    pub fn status(&self) -> u16 {
        match self {
            Self::Rejected(rejection) => rejection.status,
            Self::Plugin(PluginFault { fault: Fault::Saturated { .. }, .. }) => 503,
            Self::Plugin(_) | Self::Lost => 500,
            Self::Disconnected | Self::Malformed => 200,
        }
    }

    /// Whether a plugin broke; false where it answered with an error, and where none is to blame.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Plugin(_))
    }

    /// The plugin at fault; `None` for an answer that is an error on purpose.
    pub fn plugin(&self) -> Option<&str> {
        match self {
            Self::Rejected(rejection) => rejection.plugin.as_deref(),
            Self::Plugin(PluginFault { plugin, .. }) => Some(plugin),
            Self::Disconnected | Self::Malformed | Self::Lost => None,
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

impl Rejection {
    /// A 400 with this message.
    pub fn bad_request(plugin: &str, message: String) -> Self {
        let (kind, code, param) = (None, None, None);
        Self { plugin: Some(plugin.to_owned()), status: 400, message, kind, code, param, headers: Vec::new() }
    }
}

fn mebibytes(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

fn millis(limit: Duration) -> String {
    format!("{} ms", limit.as_millis())
}
