//! Why a plugin could not be loaded, and why a call failed. Each names the plugin.

use std::path::PathBuf;

use rehearsal_engine::{Fault, PluginFault, StrategyError};

/// A plugin that could not be loaded, which stops the server at its start.
#[derive(Debug, thiserror::Error)]
#[error("plugin {plugin:?}: {problem}{}", quoted("in its trial", said))]
pub struct LoadError {
    plugin: String,
    problem: LoadProblem,
    /// What the plugin printed and logged in its trial.
    said: String,
    sha256: Option<String>,
}

/// Of what a plugin said, so many bytes are shown, the last ones.
const SAID_BYTES: usize = 4 << 10;

/// What a plugin said at some time, on lines of its own below what it explains; empty if it said nothing.
pub fn quoted(when: &str, said: &str) -> String {
    let said = said.trim_matches('\n').trim_end();
    let start = said.ceil_char_boundary(said.len().saturating_sub(SAID_BYTES));
    let lines: String = said[start..].lines().map(|line| format!("\n  | {line}")).collect();
    if lines.is_empty() { lines } else { format!("; {when} it said{lines}") }
}

impl LoadError {
    pub(crate) fn new(plugin: impl Into<String>, problem: impl Into<LoadProblem>) -> Self {
        Self { plugin: plugin.into(), problem: problem.into(), said: String::new(), sha256: None }
    }

    /// The same, of this component, which said this in its trial.
    pub(crate) fn of_component(self, sha256: String, said: String) -> Self {
        Self { said, sha256: Some(sha256), ..self }
    }

    /// Of the component, in lower-case hex; `None` if it could not be read.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// Whether nothing is wrong but the configuration, which was refused in words.
    pub fn is_refusal(&self) -> bool {
        use LoadProblem::{BadConfig, Init, UnknownConfigKey};
        matches!(self.problem, BadConfig { .. } | Init(_) | UnknownConfigKey(_))
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadProblem {
    #[error("the name may have only a-z, 0-9 and \"-\"")]
    BadName,
    #[error("the name is taken by another plugin")]
    NameTaken,
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the file's SHA-256 is {found}, the configuration wants {wanted}")]
    WrongHash { wanted: String, found: String },
    #[error("it has to be signed, and cannot read {}: {source}", path.display())]
    NoSignature { path: PathBuf, source: std::io::Error },
    #[error("{} is no signature as cosign sign-blob writes it", .0.display())]
    OddSignature(PathBuf),
    #[error("the signature in {} is not of this component by the key that is asked for", .0.display())]
    WrongSignature(PathBuf),
    #[error("{0} has not been fetched from its registry")]
    NotFetched(String),
    #[error("this is a core module, not a component: build it for wasm32-wasip2")]
    CoreModule,
    #[error("this is not a WebAssembly file")]
    NotWasm,
    #[error("it does not compile: {0:#}")]
    Compile(wasmtime::Error),
    #[error("it imports {0}, which no plugin is given: build it without what needs that")]
    UnknownImport(String),
    #[error("it was built for {found}, this server speaks {wanted}: build it against this server's wit/")]
    WrongVersion { found: String, wanted: &'static str },
    #[error(
        "it was built for {found} and uses what is new in it: it needs a server that speaks that version or a later one, \
         and this one speaks {spoken}"
    )]
    NewerVersion { found: String, spoken: &'static str },
    #[error("it does not export {0}")]
    MissingExport(&'static str),
    #[error("it no longer exports {0}, which the version that serves does")]
    ExportGone(&'static str),
    #[error("it exports no strategy: none of {0}")]
    NoStrategy(String),
    #[error("its exports do not fit the contract: {0:#}")]
    Mismatch(wasmtime::Error),
    #[error("it needs {0:?}, which this server does not offer")]
    UnknownNeed(String),
    #[error("its configuration schema is not one: {0}")]
    BadSchema(String),
    #[error("its configuration has no key {0:?}")]
    UnknownConfigKey(String),
    #[error("its configuration is wrong at {at:?}: {message}")]
    BadConfig { at: String, message: String },
    #[error("it refused its configuration: {0}")]
    Init(String),
    #[error("the trial of {export} failed: {error}")]
    Trial { export: &'static str, error: String },
    #[error("cannot set up the WebAssembly runtime: {0:#}")]
    Runtime(wasmtime::Error),
    #[error("cannot start the threads that run plugins: {0}")]
    Threads(std::io::Error),
}

/// Why one call gave no result.
#[derive(Debug)]
pub(crate) enum CallError {
    Fault {
        fault: Fault,
        /// What the guest printed last.
        said: String,
    },
    /// `init` refused the configuration it had accepted at the start.
    Init(String),
}

impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        Self::Fault { fault, said: String::new() }
    }
}

impl CallError {
    pub(crate) fn into_strategy_error(self, plugin: &str) -> StrategyError {
        let (fault, said) = match self {
            Self::Fault { fault, said } => (fault, said),
            Self::Init(message) => (Fault::Internal(message), String::new()),
        };
        StrategyError::Plugin(PluginFault { plugin: plugin.to_owned(), fault, said })
    }
}
