//! The pluggable decision: what a request is answered with. Implemented by `plugin-host`, called by `engine`.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::failure::FailurePolicy;
use crate::output::Completion;
use crate::request::{GenerationRequest, Prompt, ToolCall};

pub use crate::strategy_error::{Fault, PluginFault, Rejection, StrategyError};

/// Makes the model's output.
pub trait ResponseStrategy: Send + Sync {
    /// The name that errors give it.
    fn name(&self) -> &str;

    /// Whether it wants to answer requests that offer tools itself, calls included.
    fn sees_to_tools(&self) -> bool {
        false
    }

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
    /// Is asked first where tools are offered, unless the generator sees to them itself.
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
        &self.request.prompts[self.prompt_idx() as usize]
    }

    /// Which of the request's prompts that is.
    pub fn prompt_idx(&self) -> u32 {
        self.index / self.request.sampling.n
    }

    /// The request's id on the wire.
    pub fn full_id(&self) -> String {
        format!("{}{}", self.request.id_prefix, self.request_id)
    }
}
