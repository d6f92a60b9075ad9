//! What the end-to-end tests share. A server is a real process, found by its printed address, gone when dropped.

mod client;
pub mod histories;
mod patience;
mod server;

pub use client::{Answer, Event, StreamAnswer, content_of, http_client};
pub use patience::{PATIENCE, in_time, until};
pub use server::{Refusal, Server, Unread};

/// The component that does what its prompt tells it; see `tests/components`.
pub const MISBEHAVE: &str = env!("MISBEHAVE_COMPONENT");

/// The example plugins, each built in the workspace that authors copy.
pub mod examples {
    /// Says what the user said, louder.
    pub const SHOUT: &str = env!("SHOUT_COMPONENT");
    /// Answers from a script.
    pub const SCRIPTED: &str = env!("SCRIPTED_COMPONENT");
    /// Fails every third request of a tenant.
    pub const FLAKY: &str = env!("FLAKY_COMPONENT");
    /// Refuses requests while too many fail.
    pub const BREAKER: &str = env!("BREAKER_COMPONENT");
    /// Plays a recorded stream.
    pub const RECORDED: &str = env!("RECORDED_COMPONENT");
    /// Calls the tools that it is told to call.
    pub const DISPATCHER: &str = env!("DISPATCHER_COMPONENT");
    /// Calls tools one after the other, then answers.
    pub const AGENT: &str = env!("AGENT_COMPONENT");
    /// Makes vectors that count tokens.
    pub const HASHED: &str = env!("HASHED_COMPONENT");

    /// All of them, by the name of their folder.
    pub const ALL: [(&str, &str); 8] = [
        ("shout", SHOUT),
        ("scripted", SCRIPTED),
        ("flaky", FLAKY),
        ("breaker", BREAKER),
        ("recorded", RECORDED),
        ("dispatcher", DISPATCHER),
        ("agent", AGENT),
        ("hashed", HASHED),
    ];
}

/// A guest that remembers how requests ended.
pub const WITNESS: &str = env!("WITNESS_COMPONENT");

/// A guest of the contract's first version.
pub const CONTRACT_0_1_0: &str = env!("CONTRACT_0_1_0_COMPONENT");

/// The repository's root.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
