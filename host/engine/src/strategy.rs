//! The pluggable decision: what a request is answered with. Implemented by `plugin-host`, called by `engine`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::failure::FailurePolicy;
use crate::output::Completion;
use crate::request::{GenerationRequest, Prompt, ToolCall};

/// Makes the model's output.
pub trait ResponseStrategy: Send + Sync {
    /// The name that errors give it.
    fn name(&self) -> &str;

    /// The whole output of one choice. Called when the choice is admitted; dropped when its client goes away.
    fn generate<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Completion, StrategyError>>;
}

/// Makes up calls for requests that offer tools.
pub trait ToolCallStrategy: Send + Sync {
    /// The name that errors give it.
    fn name(&self) -> &str;

    /// The calls of one choice. None: the generator answers with text.
    fn call_tools<'a>(&'a self, choice: &'a Choice) -> BoxFuture<'a, Result<Vec<ToolCall>, StrategyError>>;
}

/// Who decides what one request is answered with.
#[derive(Clone)]
pub struct Strategies {
    /// Makes the output.
    pub generator: Arc<dyn ResponseStrategy>,
    /// Is asked first where tools are offered; none: the generator sees to tools itself.
    pub tool_caller: Option<Arc<dyn ToolCallStrategy>>,
    /// Is asked on arrival; none: nothing fails on purpose.
    pub failure_policy: Option<Arc<dyn FailurePolicy>>,
}

impl Strategies {
    /// Text and nothing else, and nothing fails on purpose.
    pub fn text_only(generator: Arc<dyn ResponseStrategy>) -> Self {
        Self { generator, tool_caller: None, failure_policy: None }
    }
}

/// One choice of one request: what a strategy is asked about.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The request that all of its choices share.
    pub request: Arc<GenerationRequest>,
    /// Suffix of the request's ids on the wire.
    pub request_id: Arc<str>,
    /// Counts accepted requests from 0, since the start.
    pub number: u64,
    /// 0 to `n_choices - 1`; choices of one prompt are neighbours.
    pub index: u32,
    /// Most output tokens: what the client asked for, or what the window leaves if that is less.
    pub max_tokens: u32,
    /// The only randomness a strategy needs.
    pub seed: u64,
}

impl Choice {
    /// The prompt that this choice answers.
    pub fn prompt(&self) -> &Prompt {
        &self.request.prompts[(self.index / self.request.sampling.n) as usize]
    }
}

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
#[derive(Debug, Clone)]
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
