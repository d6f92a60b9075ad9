//! Write a Rehearsal plugin in Rust.
//!
//! A plugin is a type that implements [`Plugin`] (its name, how it is configured) and what it can do ([`Generator`],
//! [`ToolCaller`], [`FailureSelector`], [`Observer`], [`Embedder`]); [`export!`] makes it a component. It is built as
//! `cargo rustc --lib --crate-type cdylib --target wasm32-wasip2`, and because it is a plain library it is tested
//! natively, without a server:
//!
//! ```
//! use rehearsal_sdk::{CallError, Completion, Description, Generator, NoConfig, Plugin, Request, export};
//!
//! struct Shout;
//!
//! impl Plugin for Shout {
//!     type Config = NoConfig;
//!
//!     fn describe() -> Description {
//!         Description::new("shout", env!("CARGO_PKG_VERSION"), "says it louder")
//!     }
//!
//!     fn new(_: NoConfig) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//! }
//!
//! impl Generator for Shout {
//!     fn generate(&self, request: &Request) -> Result<Completion, CallError> {
//!         Ok(Completion::text(request.last_user_text().to_uppercase()))
//!     }
//! }
//!
//! export!(Shout: generator);
//!
//! let request = Request::chat("be quick");
//! assert_eq!(Shout.generate(&request), Ok(Completion::text("BE QUICK")));
//! ```
//!
//! The host paces, cuts at `max-tokens` and at stop strings, counts tokens and decides the finish reason: a plugin
//! that returns plain text is complete. `min-tokens` and `ignore-eos` are the plugin's to honour.

#[doc(hidden)]
pub mod bindings;

mod completion;
pub mod config;
mod export;
mod extras;
mod failure;
mod host;
mod request;
mod rng;

pub use bindings::embedder::exports::rehearsal::strategy::embedder::{EmbeddingInput, EmbeddingRequest};
pub use bindings::failure_selector::exports::rehearsal::strategy::failure_selector::{Failure, Moment, Outcome};
pub use bindings::generator::exports::rehearsal::strategy::generator::{Completion, Content, FinishReason, SplitText};
pub use bindings::host::rehearsal::strategy::types::{
    ApiError, Arrival, CallError, ContentPart, Endpoint, Media, Message, OutputFormat, Prompt, Request, Role, Tool,
    ToolCall, ToolChoice,
};
pub use bindings::lifecycle::exports::rehearsal::strategy::lifecycle::Description;
pub use bindings::observer::exports::rehearsal::strategy::observer::{Ending, Outcome as EndingOutcome};
pub use config::{Config, NoConfig};
pub use extras::Load;
pub use host::{log, state, tokenizer};
pub use rng::{Rng, RngExt, rng};

/// What every plugin says of itself, and how one comes to be.
///
/// ```
/// use rehearsal_sdk::{Description, NoConfig, Plugin};
///
/// struct Mine;
///
/// impl Plugin for Mine {
///     type Config = NoConfig;
///
///     fn describe() -> Description {
///         Description::new("mine", env!("CARGO_PKG_VERSION"), "says it better").needing(["header:x-tenant-id"])
///     }
///
///     fn new(_: NoConfig) -> Result<Self, String> {
///         Ok(Self)
///     }
/// }
/// ```
pub trait Plugin: Sized + 'static {
    /// What it is configured with; [`NoConfig`] if with nothing. The host checks what a user writes against the schema of this type.
    type Config: Config;

    /// Name, version, one line of summary, and what the host is to send. Does not depend on the configuration; its schema is added
    /// by [`export!`].
    fn describe() -> Description;

    /// A plugin with its configuration. Called once per instance, and the host may make a new one for each call. An error stops the
    /// server at its start.
    fn new(config: Self::Config) -> Result<Self, String>;
}

/// Makes up tool calls for requests that offer tools.
///
/// ```
/// # use rehearsal_sdk::{Description, NoConfig, Plugin};
/// # struct Mine;
/// # impl Plugin for Mine {
/// #     type Config = NoConfig;
/// #     fn describe() -> Description { Description::new("mine", "1.0.0", "") }
/// #     fn new(_: NoConfig) -> Result<Self, String> { Ok(Self) }
/// # }
/// use rehearsal_sdk::{CallError, Request, ToolCall, ToolCaller};
///
/// impl ToolCaller for Mine {
///     fn call_tools(&self, request: &Request) -> Result<Vec<ToolCall>, CallError> {
///         let call = |name: &str| ToolCall { id: None, name: name.into(), arguments: "{}".into() };
///         Ok(request.tools.first().map(|tool| call(&tool.name)).into_iter().collect())
///     }
/// }
///
/// assert_eq!(Mine.call_tools(&Request::chat("nothing is offered")), Ok(Vec::new()));
/// ```
pub trait ToolCaller: Plugin {
    /// The calls of one choice; arguments are the JSON text of an object. None: no call, the generator answers with
    /// text; where `request.tool_choice` demands a call, the host takes that for an invalid output.
    fn call_tools(&self, request: &Request) -> Result<Vec<ToolCall>, CallError>;
}

/// Decides which requests fail, how, and when.
///
/// ```
/// # use rehearsal_sdk::{Description, NoConfig, Plugin};
/// # struct Mine;
/// # impl Plugin for Mine {
/// #     type Config = NoConfig;
/// #     fn describe() -> Description { Description::new("mine", "1.0.0", "") }
/// #     fn new(_: NoConfig) -> Result<Self, String> { Ok(Self) }
/// # }
/// use rehearsal_sdk::{ApiError, Arrival, CallError, FailureSelector, Outcome};
///
/// impl FailureSelector for Mine {
///     fn select(&self, arrival: &Arrival) -> Result<Vec<Outcome>, CallError> {
///         let fails = arrival.number % 3 == 2;
///         Ok(if fails { vec![Outcome::now(ApiError::new(503, "every third"))] } else { Vec::new() })
///     }
/// }
///
/// assert_eq!(Mine.select(&Arrival::default()), Ok(Vec::new()));
/// ```
pub trait FailureSelector: Plugin {
    /// What is to happen to one request, in order; empty: it goes well. Called once, when the request arrives.
    fn select(&self, arrival: &Arrival) -> Result<Vec<Outcome>, CallError>;
}

/// Is told how requests ended.
///
/// ```
/// # use rehearsal_sdk::{Description, NoConfig, Plugin};
/// # struct Mine;
/// # impl Plugin for Mine {
/// #     type Config = NoConfig;
/// #     fn describe() -> Description { Description::new("mine", "1.0.0", "") }
/// #     fn new(_: NoConfig) -> Result<Self, String> { Ok(Self) }
/// # }
/// use rehearsal_sdk::{Ending, Observer, state};
///
/// impl Observer for Mine {
///     fn finished(&self, ending: &Ending) {
///         state::increment(if ending.status < 500 { "good" } else { "bad" }, 1);
///     }
/// }
///
/// Mine.finished(&Ending { status: 503, ..Ending::default() });
/// assert_eq!((state::number("good"), state::number("bad")), (0, 1));
/// ```
pub trait Observer: Plugin {
    /// A request ended: called once for each, in the background and one at a time. When this takes longer than requests take to
    /// end, some are not told.
    fn finished(&self, ending: &Ending);
}

/// Makes vectors of texts.
///
/// ```
/// # use rehearsal_sdk::{Description, NoConfig, Plugin};
/// # struct Mine;
/// # impl Plugin for Mine {
/// #     type Config = NoConfig;
/// #     fn describe() -> Description { Description::new("mine", "1.0.0", "") }
/// #     fn new(_: NoConfig) -> Result<Self, String> { Ok(Self) }
/// # }
/// use rehearsal_sdk::{CallError, Embedder, EmbeddingRequest};
///
/// impl Embedder for Mine {
///     fn embed(&self, request: &EmbeddingRequest) -> Result<Vec<Vec<f32>>, CallError> {
///         let even = 1.0 / (request.dimensions as f32).sqrt();
///         Ok(request.inputs.iter().map(|_| vec![even; request.dimensions as usize]).collect())
///     }
/// }
///
/// assert_eq!(Mine.embed(&EmbeddingRequest::text("tea", 4)), Ok(vec![vec![0.5; 4]]));
/// ```
pub trait Embedder: Plugin {
    /// A vector for each input, in their order, of `request.dimensions` finite numbers. Models make vectors of length 1.
    fn embed(&self, request: &EmbeddingRequest) -> Result<Vec<Vec<f32>>, CallError>;
}

/// Makes the model's output.
///
/// ```
/// # use rehearsal_sdk::{Description, NoConfig, Plugin};
/// # struct Mine;
/// # impl Plugin for Mine {
/// #     type Config = NoConfig;
/// #     fn describe() -> Description { Description::new("mine", "1.0.0", "") }
/// #     fn new(_: NoConfig) -> Result<Self, String> { Ok(Self) }
/// # }
/// use rehearsal_sdk::{CallError, Completion, Generator, Request};
///
/// impl Generator for Mine {
///     fn generate(&self, request: &Request) -> Result<Completion, CallError> {
///         Ok(Completion::text(format!("You said: {}", request.last_user_text())))
///     }
/// }
///
/// assert_eq!(Mine.generate(&Request::chat("hi")), Ok(Completion::text("You said: hi")));
/// ```
pub trait Generator: Plugin {
    /// The whole output of one choice. Must depend on `request` alone: equal requests get equal answers.
    fn generate(&self, request: &Request) -> Result<Completion, CallError>;
}
