//! One key of the configuration: its name, default, parser and help in one constant, in the file of its topic.
//!
//! A key is read through its constant, so a misspelt one does not compile; and one that is never read does not compile
//! either (see [`keys!`]).

use serde_json::Value;

/// A key whose value is a `T`.
pub(crate) struct Key<T> {
    /// What the command line, the help and the documents know of it.
    pub(crate) spec: Spec,
    /// From what the user wrote, whichever way, to what it means.
    pub(crate) parse: Parse<T>,
}

/// The error has the value, and says what would be right.
pub(crate) type Parse<T> = fn(&Value) -> Result<T, String>;

/// A key without its type.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// In kebab case, as the seeds and vLLM spell it; a variable's name for [`Takes::Environment`].
    pub name: &'static str,
    /// Other spellings after two dashes.
    pub aliases: &'static [&'static str],
    /// Spellings after one dash, of one letter or more, as vLLM has them.
    pub shorts: &'static [&'static str],
    /// What follows the flag.
    pub takes: Takes,
    /// As the user would write it; empty if there is none.
    pub default: &'static str,
    /// An environment variable that is another spelling.
    pub env: Option<&'static str>,
    /// Where it stands in the help.
    pub topic: Topic,
    /// One or two lines.
    pub help: &'static str,
    /// Its value is printed nowhere, in no message and no configuration.
    pub is_secret: bool,
    /// It can be changed while the server runs.
    pub is_live: bool,
}

/// What follows a flag. The text stands for the value in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// One value.
    One(&'static str),
    /// One value, or nothing, which says nothing.
    Maybe(&'static str),
    /// One or more, up to the next flag; a list in a file.
    Several(&'static str),
    /// A JSON object, or parts of it: `--name.part value`.
    Json,
    /// Nothing, or `true` or `false`; `--no-<name>` is false.
    Switch,
    /// It stands in a file only.
    FileOnly,
    /// It is an environment variable only.
    Environment,
}

/// The groups of the help, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Addresses, access, names, what answers carry.
    Serving,
    /// Limits and the batch.
    Engine,
    /// How long things take.
    Latency,
    /// What answers.
    Plugins,
    /// The simulated KV cache and its events.
    KvCache,
    /// What fails on purpose.
    Failures,
    /// What is written down.
    Logs,
}

impl Topic {
    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Serving => "Serving",
            Self::Engine => "Engine",
            Self::Latency => "Latency",
            Self::Plugins => "Plugins",
            Self::KvCache => "KV cache and events",
            Self::Failures => "Failures",
            Self::Logs => "Logs",
        }
    }
}

impl Spec {
    const fn new(name: &'static str, takes: Takes) -> Self {
        Self {
            name,
            aliases: &[],
            shorts: &[],
            takes,
            default: "",
            env: None,
            topic: Topic::Serving,
            help: "",
            is_secret: false,
            is_live: false,
        }
    }

    /// A flag with one value.
    pub(crate) const fn one(name: &'static str, value: &'static str) -> Self {
        Self::new(name, Takes::One(value))
    }

    /// A flag whose value may be missing.
    pub(crate) const fn maybe(name: &'static str, value: &'static str) -> Self {
        Self::new(name, Takes::Maybe(value))
    }

    /// A flag with one value or more.
    pub(crate) const fn several(name: &'static str, value: &'static str) -> Self {
        Self::new(name, Takes::Several(value))
    }

    /// A flag that takes a JSON object.
    pub(crate) const fn json(name: &'static str) -> Self {
        Self::new(name, Takes::Json)
    }

    /// A flag that is on, off, or not given.
    pub(crate) const fn switch(name: &'static str) -> Self {
        Self::new(name, Takes::Switch)
    }

    /// A key of files.
    pub(crate) const fn file_only(name: &'static str) -> Self {
        Self::new(name, Takes::FileOnly)
    }

    /// A variable.
    pub(crate) const fn environment(name: &'static str) -> Self {
        Self { env: Some(name), ..Self::new(name, Takes::Environment) }
    }

    pub(crate) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    pub(crate) const fn env(self, name: &'static str) -> Self {
        Self { env: Some(name), ..self }
    }

    pub(crate) const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    pub(crate) const fn shorts(self, shorts: &'static [&'static str]) -> Self {
        Self { shorts, ..self }
    }

    pub(crate) const fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    pub(crate) const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// It can be changed while the server runs.
    pub(crate) const fn live(self) -> Self {
        Self { is_live: true, ..self }
    }

    pub(crate) const fn topic(self, topic: Topic) -> Self {
        Self { topic, ..self }
    }

    /// Whether this is its name, or one of its other spellings.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Whether a configuration file may have it.
    pub fn is_in_files(&self) -> bool {
        self.takes != Takes::Environment
    }
}

/// Declares the keys of a topic: one constant each, and `SPECS` with all of them, so that there is no second table to
/// keep. A constant that is never read does not compile.
macro_rules! keys {
    ($topic:ident: $( $(#[$note:meta])* $name:ident: $type:ty = $spec:expr, $parse:expr; )+) => {
        $(
            $(#[$note])*
            #[deny(dead_code)]
            const $name: $crate::config::key::Key<$type> = $crate::config::key::Key {
                spec: $spec.topic($crate::config::key::Topic::$topic),
                parse: $parse,
            };
        )+
        /// The keys of this file.
        pub(crate) const SPECS: &[$crate::config::key::Spec] =
            &[$( $spec.topic($crate::config::key::Topic::$topic) ),+];
    };
}
pub(crate) use keys;
