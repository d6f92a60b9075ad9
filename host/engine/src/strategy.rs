//! The pluggable decision: what a request is answered with. Implemented by `plugin-host`, called by `engine`.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::clock::EngineTime;
use crate::failure::{Arrival, FailurePolicy};
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

/// Makes vectors of texts.
pub trait EmbeddingStrategy: Send + Sync {
    /// A vector for each input of the request, as long as it asks for.
    fn embed<'a>(&'a self, request: &'a EmbeddingRequest) -> BoxFuture<'a, Result<Vec<Vec<f32>>, StrategyError>>;
}

/// What an embedder is asked.
#[derive(Debug, Clone)]
pub struct EmbeddingRequest {
    /// Names it in the log.
    pub request_id: Arc<str>,
    /// As the client named it.
    pub model: String,
    /// Texts with their token ids, one or more of each.
    pub inputs: Vec<Prompt>,
    /// Numbers in each vector; 1 or more.
    pub dimensions: u32,
    /// The server's.
    pub seed: u64,
    /// Those that plugins need, names in lower case.
    pub headers: Vec<(String, String)>,
}

/// The strategies that decide what one request is answered with.
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
    /// When the request took its place in the queue.
    pub arrived: EngineTime,
    /// Prompt tokens that were found in the KV cache; 0 until the choice left the queue.
    pub cached_tokens: u32,
}

impl Choice {
    /// The first choice of the first request of an engine: what tools and tests start from.
    pub fn new(request: Arc<GenerationRequest>, request_id: &str, max_tokens: u32) -> Self {
        let (number, index, seed, arrived, cached_tokens) = (0, 0, 0, EngineTime::START, 0);
        Self { request, request_id: request_id.into(), number, index, max_tokens, seed, arrived, cached_tokens }
    }

    /// The request as a failure policy sees it, if this is its first choice; with this choice's seed.
    pub fn arrival(&self) -> Arrival {
        let Self { request, request_id, number, seed, max_tokens, arrived, .. } = self.clone();
        Arrival { request, request_id, number, seed, max_tokens, arrived }
    }

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
