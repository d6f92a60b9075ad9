//! The contract's names: its package and version, and what a plugin can be.

/// Before the name of each interface.
pub(crate) const PACKAGE: &str = "rehearsal:strategy/";

/// What this server speaks.
pub(crate) const VERSION: &str = "0.1.1";

/// Within a track, names match whatever their patch version.
pub(crate) const TRACK: &str = "0.1.";

/// What a plugin can be; it exports one of these or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    /// Makes the output.
    Generator,
    /// Calls offered tools.
    ToolCaller,
    /// Decides what fails on purpose.
    FailureSelector,
    /// Is told how requests ended.
    Observer,
    /// Makes vectors.
    Embedder,
}

impl Interface {
    /// In the order in which they are told.
    pub const ALL: [Self; 5] =
        [Self::Generator, Self::ToolCaller, Self::FailureSelector, Self::Observer, Self::Embedder];

    /// As the contract names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::ToolCaller => "tool-caller",
            Self::FailureSelector => "failure-selector",
            Self::Observer => "observer",
            Self::Embedder => "embedder",
        }
    }

    /// The world of a plugin that exports it, with the contract's version.
    pub(crate) fn world(self) -> String {
        let world = match self {
            Self::FailureSelector => "failure-plugin".to_owned(),
            other => format!("{}-plugin", other.name()),
        };
        format!("{PACKAGE}{world}@{VERSION}")
    }
}
