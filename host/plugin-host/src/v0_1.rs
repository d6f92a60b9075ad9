//! The contract's track 0.1: its bindings, and all that knows its records. A track that breaks with it would stand beside it, with
//! the same ways in: [`exports`] for what a component can be asked, [`ask`] for the engine's questions, [`host_functions`] for its own.

pub(crate) mod bindings;
pub(crate) mod exports;

mod extras;
mod logprobs;
mod timing;

pub(crate) mod convert;

mod host_functions;

pub(crate) mod ask;
