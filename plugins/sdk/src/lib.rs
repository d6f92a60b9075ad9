//! Write a Rehearsal plugin in Rust.
//!
//! A plugin is a type that implements [`Plugin`] (who it is, how it is configured) and what it can do ([`Generator`],
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
pub trait ToolCaller: Plugin {
    /// The calls of one choice; arguments are the JSON text of an object. None: no call, the generator answers with
    /// text; where `request.tool_choice` demands a call, the host takes that for an invalid output.
    fn call_tools(&self, request: &Request) -> Result<Vec<ToolCall>, CallError>;
}

/// Decides which requests fail, how, and when.
pub trait FailureSelector: Plugin {
    /// What is to happen to one request, in order; empty: it goes well. Called once, when the request arrives.
    fn select(&self, arrival: &Arrival) -> Result<Vec<Outcome>, CallError>;
}

/// Is told how requests ended.
pub trait Observer: Plugin {
    /// A request ended: called once for each, in the background and one at a time. When this takes longer than requests take to
    /// end, some are not told.
    fn finished(&self, ending: &Ending);
}

/// Makes vectors of texts.
pub trait Embedder: Plugin {
    /// A vector for each input, in their order, of `request.dimensions` finite numbers. Models make vectors of length 1.
    fn embed(&self, request: &EmbeddingRequest) -> Result<Vec<Vec<f32>>, CallError>;
}

/// Makes the model's output.
pub trait Generator: Plugin {
    /// The whole output of one choice. Must depend on `request` alone: equal requests get equal answers.
    fn generate(&self, request: &Request) -> Result<Completion, CallError>;
}
