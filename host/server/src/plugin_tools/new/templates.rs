//! What a project can begin with: the example plugins, in the languages that they are written in. An example that is there in
//! several does the same in each, and the same scenarios say so.

use include_dir::{Dir, include_dir};
use serde_json::Value;

use super::{File, rust};
use crate::plugin_tools::project;

/// Of a project in JavaScript.
const PACKAGE: &str = include_str!("../../../../../plugins/example/javascript/package.json");

/// A language that plugins are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Language {
    Rust,
    Python,
    Javascript,
}

use Language::{Javascript, Python, Rust};

impl Language {
    pub(super) const ALL: [Self; 3] = [Rust, Python, Javascript];

    pub(super) fn name(self) -> &'static str {
        match self {
            Rust => "rust",
            Python => "python",
            Javascript => "javascript",
        }
    }

    /// What is ours in a project of it, and comes with the contract.
    pub(super) fn sdk(self) -> Vec<File> {
        match self {
            Rust => rust::sdk(),
            Python => vec![file("sdk.py", include_str!("../../../../../plugins/example/python/sdk.py"))],
            Javascript => vec![
                file("sdk.js", include_str!("../../../../../plugins/example/javascript/sdk.js")),
                file("build.mjs", include_str!("../../../../../plugins/example/javascript/build.mjs")),
            ],
        }
    }
}

/// An example.
pub(super) struct Template {
    pub(super) example: &'static str,
    pub(super) languages: &'static [Language],
    kind: Kind,
    summary: &'static str,
    /// `src/lib.rs`, `agent.py`, `agent.js`; what is to be known of it in `plugin.yaml`; a request; scenarios.
    folder: Dir<'static>,
}

/// What a plugin is, and so how a server is told to use it.
#[derive(Clone, Copy)]
enum Kind {
    Generator,
    ToolCaller,
    FailureSelector,
    Agent,
    Embedder,
}

use Kind::{Agent, Embedder, FailureSelector, Generator, ToolCaller};

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Generator => "generator",
            ToolCaller => "tool caller",
            FailureSelector => "failure selector",
            Agent => "agent",
            Embedder => "embedder",
        }
    }

    fn world(self) -> &'static str {
        match self {
            Generator => "generator-plugin",
            ToolCaller => "tool-caller-plugin",
            FailureSelector => "failure-plugin",
            Agent => "agent-plugin",
            Embedder => "embedder-plugin",
        }
    }

    /// The flags by which a server uses a plugin of this name.
    fn flags(self, name: &str) -> String {
        match self {
            Generator => format!("--mode {name}"),
            ToolCaller => format!("--tool-plugin {name}"),
            FailureSelector => format!("--failure-plugin {name}"),
            Agent => format!("--mode {name} --tool-plugin {name}"),
            Embedder => format!("--embedding-plugin {name}"),
        }
    }
}

macro_rules! templates {
    ($($example:literal $kind:ident $languages:tt $summary:literal $folder:tt;)+) => {
        &[$(Template {
            example: $example,
            languages: &$languages,
            kind: $kind,
            summary: $summary,
            folder: include_dir!($folder),
        }),+]
    };
}

/// All of them.
pub(super) static TEMPLATES: &[Template] = templates! {
    "shout" Generator [Rust] "says it louder: the smallest" "$CARGO_MANIFEST_DIR/../../plugins/example/shout";
    "dice" Generator [Python] "throws a die for each word: the smallest" "$CARGO_MANIFEST_DIR/../../plugins/example/dice";
    "shuffle" Generator [Javascript] "shuffles words: the smallest" "$CARGO_MANIFEST_DIR/../../plugins/example/shuffle";
    "scripted" Generator [Rust] "answers from a script" "$CARGO_MANIFEST_DIR/../../plugins/example/scripted";
    "recorded" Generator [Rust] "plays a recorded stream, each token at its microsecond" "$CARGO_MANIFEST_DIR/../../plugins/example/recorded";
    "dispatcher" ToolCaller [Rust, Python, Javascript] "calls the tools that it is told to call" "$CARGO_MANIFEST_DIR/../../plugins/example/dispatcher";
    "agent" Agent [Rust, Python, Javascript] "calls tools one after the other, then answers" "$CARGO_MANIFEST_DIR/../../plugins/example/agent";
    "flaky" FailureSelector [Rust, Python, Javascript] "fails every third request of a tenant, and keeps count" "$CARGO_MANIFEST_DIR/../../plugins/example/flaky";
    "breaker" FailureSelector [Rust] "a circuit breaker, which is told how requests ended" "$CARGO_MANIFEST_DIR/../../plugins/example/breaker";
    "hashed" Embedder [Rust, Python, Javascript] "makes vectors that count tokens" "$CARGO_MANIFEST_DIR/../../plugins/example/hashed";
};

/// A line for each.
pub(super) fn list() -> String {
    let line = |template: &Template| {
        let Template { example, languages, kind, summary, .. } = template;
        let languages: Vec<_> = languages.iter().map(|language| language.name()).collect();
        format!("{example:<11} {:<17} {:<25} {summary}\n", kind.name(), languages.join(", "))
    };
    TEMPLATES.iter().map(line).collect()
}

impl Template {
    /// The files of a project of this name.
    pub(super) fn files(&self, language: Language, name: &str) -> Vec<File> {
        let snake = name.replace('-', "_");
        let (source, component) = match language {
            Rust => ("src/lib.rs".to_owned(), format!("target/wasm32-wasip2/release/{snake}.wasm")),
            Python => (format!("{}.py", self.example), format!("{name}.wasm")),
            Javascript => (format!("{}.js", self.example), format!("{name}.wasm")),
        };
        let source = self.text(&source).replace(&format!("\"{}\"", self.example), &format!("\"{name}\""));
        let world = self.kind.world();
        let (setup, build) = match language {
            Rust => ("rustup target add wasm32-wasip2", "cargo build --release --target wasm32-wasip2".to_owned()),
            Python => (
                "pip install -r requirements.txt",
                format!("componentize-py -d wit -w {world} componentize {snake} -o {component}"),
            ),
            Javascript => ("npm install", format!("node build.mjs plugin.js {world} wit {component}")),
        };
        let mut files = match language {
            Rust => rust::files(name, self.text("Cargo.toml"), source),
            Python => vec![
                (format!("{snake}.py"), source),
                file("requirements.txt", include_str!("../../../../../plugins/example/python/requirements.txt")),
            ],
            Javascript => vec![
                ("plugin.js".to_owned(), source),
                file("package.json", &PACKAGE.replace("\"example\"", &format!("\"{name}\""))),
            ],
        };
        files.extend(language.sdk());
        files.push(("plugin.yaml".to_owned(), self.yaml(language, &build, &component)));
        files.push(("README.md".to_owned(), self.readme(name, &format!("{setup}\n{build}"), &component)));
        files.push(file("request.json", self.text("request.json")));
        files.push(file(".gitignore", "/target\n/node_modules\n__pycache__\n*.wasm\n"));
        let scenarios = self.folder.get_dir("scenarios").into_iter().flat_map(Dir::files);
        files.extend(scenarios.map(|scenario| {
            let path = scenario.path().file_name().unwrap_or_default().to_string_lossy();
            (format!("scenarios/{path}"), scenario.contents_utf8().unwrap_or_default().to_owned())
        }));
        files
    }

    /// How the project is built, and what is to be known of the example.
    fn yaml(&self, language: Language, build: &str, component: &str) -> String {
        let mut yaml =
            format!("# What `rehearsal plugin` is to know of the plugin.\nbuild: {build}\ncomponent: {component}\n");
        if language != Rust {
            yaml += "# The runtime that it carries needs half a second for the longest of prompts.\nlimits: {cpu: 5s, wall: 20s}\n";
        }
        yaml + self.said().trim_start_matches(|c| c != '\n').trim_start_matches('\n')
    }

    /// Its `plugin.yaml`, which begins with a comment; empty if it needs none.
    fn said(&self) -> &'static str {
        self.folder.get_file("plugin.yaml").and_then(include_dir::File::contents_utf8).unwrap_or_default()
    }

    fn readme(&self, name: &str, build: &str, component: &str) -> String {
        let config = project::config_in(self.said()).map(|config| Value::Object(config).to_string());
        // Nothing of it is quoted.
        let config = config.map(|config| format!(" \\\n    --plugin-config '{name}={config}'")).unwrap_or_default();
        include_str!("README.md")
            .replace("{name}", name)
            .replace("{summary}", self.summary)
            .replace("{build}", build)
            .replace("{component}", component)
            .replace("{flags}", &self.kind.flags(name))
            .replace("{config}", &config)
    }

    fn text(&self, path: &str) -> &'static str {
        let file = self.folder.get_file(path).and_then(include_dir::File::contents_utf8);
        file.unwrap_or_else(|| panic!("the example {} has {path}", self.example))
    }
}

fn file(path: &str, text: &str) -> File {
    (path.to_owned(), text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_has_what_a_project_needs_in_each_of_its_languages() {
        for template in TEMPLATES {
            for language in template.languages {
                let files = template.files(*language, "my-own");
                let text = |path: &str| &files.iter().find(|(known, _)| known == path).expect(path).1;
                for path in ["README.md", "plugin.yaml", "request.json", ".gitignore"] {
                    assert!(!text(path).contains(&format!("\"{}\"", template.example)), "{path}");
                }
                assert!(files.iter().any(|(path, _)| path.starts_with("scenarios/")), "{}", template.example);
                assert!(files.iter().any(|(_, text)| text.contains("\"my-own\"")), "{}", template.example);
                let has_name =
                    |path: &str| files.iter().any(|(known, text)| known == path && text.contains("\"my-own\""));
                assert!(*language != Javascript || has_name("package.json"));
                assert!(!text("README.md").contains('{') || text("README.md").contains("--plugin-config"));
            }
        }
    }
}
