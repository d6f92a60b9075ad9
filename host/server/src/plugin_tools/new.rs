//! `plugin new`: a project that builds without a checkout of ours, begun with one of the example plugins.

use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use super::contract;

/// The SDK's source, which a Rust project carries.
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../plugins/sdk/src");

/// Where a project carries it: as deep as in our own tree, so that it finds `wit/` in the same place.
const SDK_PATH: &str = "vendor/rehearsal-sdk";

const REQUEST: &str = r#"{
  "model": "my-model",
  "messages": [{"role": "user", "content": "Hello there, be quick!"}]
}
"#;

macro_rules! repository_file {
    ($path:literal) => {
        include_str!(concat!("../../../../", $path))
    };
}

/// Arguments of `plugin new`.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Folder to make; its name is the plugin's
    folder: PathBuf,
    /// The example to begin with. In Rust: shout (the smallest), scripted, flaky (fails requests, keeps state),
    /// breaker (the same, and is told how requests end), recorded (says when its tokens are due); in Python: dice; in JavaScript: shuffle
    #[arg(long, default_value = "shout")]
    like: Like,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Like {
    Shout,
    Scripted,
    Flaky,
    Breaker,
    Recorded,
    Dice,
    Shuffle,
}

/// A file of the project: path and text.
type File = (String, String);

impl New {
    pub(super) fn run(&self) -> Result<String, Vec<String>> {
        let folder = self.folder.display();
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_allowed) {
            return Err(vec![format!("{name:?} cannot be a plugin's name: a-z first, then a-z, 0-9 and \"-\"")]);
        }
        if fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(vec![format!("{folder} is not empty")]);
        }
        for (path, text) in self.files(&name) {
            let path = self.folder.join(path);
            write(&path, &text).map_err(|error| vec![format!("cannot write {}: {error}", path.display())])?;
        }
        contract::write(&self.folder.join("wit"))?;
        Ok(format!("made {folder}; its README.md says how to build it\n"))
    }

    fn files(&self, name: &str) -> Vec<File> {
        let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let readme = |build: &str, component: &str| {
            let text = include_str!("new/README.md");
            let text = text.replace("{name}", name).replace("{build}", build).replace("{component}", component);
            ("README.md".to_owned(), text)
        };
        let mut files = match self.like {
            Like::Shout => rust(name, "shout", repository_file!("plugins/example/shout/src/lib.rs")),
            Like::Scripted => rust(name, "scripted", repository_file!("plugins/example/scripted/src/lib.rs")),
            Like::Flaky => rust(name, "flaky", repository_file!("plugins/example/flaky/src/lib.rs")),
            Like::Breaker => rust(name, "breaker", repository_file!("plugins/example/breaker/src/lib.rs")),
            Like::Recorded => rust(name, "recorded", repository_file!("plugins/example/recorded/src/lib.rs")),
            Like::Dice => {
                let module = name.replace('-', "_");
                let source = renamed(repository_file!("plugins/example/python/dice.py"), "dice", name);
                vec![
                    (format!("{module}.py"), source),
                    text("requirements.txt", repository_file!("plugins/example/python/requirements.txt")),
                ]
            }
            Like::Shuffle => {
                let source = renamed(repository_file!("plugins/example/javascript/shuffle.js"), "shuffle", name);
                let build = repository_file!("plugins/example/javascript/build.mjs").replace("shuffle.js", "plugin.js");
                vec![
                    ("plugin.js".to_owned(), source),
                    ("build.mjs".to_owned(), build),
                    text("package.json", repository_file!("plugins/example/javascript/package.json")),
                ]
            }
        };
        let snake = name.replace('-', "_");
        files.push(match self.like {
            Like::Shout | Like::Scripted | Like::Flaky | Like::Breaker | Like::Recorded => readme(
                "rustup target add wasm32-wasip2\ncargo build --release --target wasm32-wasip2",
                &format!("target/wasm32-wasip2/release/{snake}.wasm"),
            ),
            Like::Dice => readme(
                &format!(
                    "pip install -r requirements.txt\n\
                     componentize-py -d wit -w generator-plugin componentize {snake} -o {name}.wasm"
                ),
                &format!("{name}.wasm"),
            ),
            Like::Shuffle => readme(&format!("npm install\nnode build.mjs wit {name}.wasm"), &format!("{name}.wasm")),
        });
        files.push(text("request.json", REQUEST));
        files.push(text(".gitignore", "/target\n/node_modules\n__pycache__\n*.wasm\n"));
        files
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    fs::write(path, text)
}

/// The example's source under the new plugin's name.
fn renamed(source: &str, from: &str, to: &str) -> String {
    source.replace(&format!("\"{from}\""), &format!("\"{to}\""))
}

fn rust(name: &str, example: &str, source: &str) -> Vec<File> {
    let manifests = match example {
        "scripted" => repository_file!("plugins/example/scripted/Cargo.toml"),
        "flaky" => repository_file!("plugins/example/flaky/Cargo.toml"),
        "breaker" => repository_file!("plugins/example/breaker/Cargo.toml"),
        "recorded" => repository_file!("plugins/example/recorded/Cargo.toml"),
        _ => repository_file!("plugins/example/shout/Cargo.toml"),
    };
    let mut manifest = standalone(manifests, repository_file!("plugins/example/Cargo.toml"));
    set(&mut manifest, &["package", "name"], name);
    set(&mut manifest, &["dependencies", "rehearsal-sdk", "path"], SDK_PATH);
    let rest = include_str!("new/Cargo.toml");
    let sdk = standalone(repository_file!("plugins/sdk/Cargo.toml"), repository_file!("Cargo.toml"));
    let mut files = vec![
        ("Cargo.toml".to_owned(), format!("{manifest}\n{rest}")),
        // With the versions that the examples are tested with.
        ("Cargo.lock".to_owned(), repository_file!("plugins/example/Cargo.lock").to_owned()),
        ("src/lib.rs".to_owned(), renamed(source, example, name)),
        (format!("{SDK_PATH}/Cargo.toml"), sdk.to_string()),
    ];
    add_sources(&SDK, &mut files);
    files
}

fn add_sources(folder: &Dir<'_>, files: &mut Vec<File>) {
    for file in folder.files() {
        let path = format!("{SDK_PATH}/src/{}", file.path().display());
        files.push((path, file.contents_utf8().unwrap_or_default().to_owned()));
    }
    for folder in folder.dirs() {
        add_sources(folder, files);
    }
}

/// A member's manifest with what it inherits from its workspace written out, and without what only tests it there.
fn standalone(member: &str, workspace: &str) -> Table {
    let parse = |text: &str| text.parse::<Table>().expect("cargo has read this manifest");
    let (mut manifest, workspace) = (parse(member), parse(workspace));
    for section in ["package", "dependencies"] {
        let entries = manifest.get_mut(section).and_then(Value::as_table_mut).into_iter().flatten();
        for (key, value) in entries {
            if value.get("workspace").is_some() {
                *value = workspace["workspace"][section][key].clone();
            }
        }
    }
    manifest.remove("dev-dependencies");
    manifest.remove("lints");
    manifest
}

fn set(manifest: &mut Table, path: &[&str], to: &str) {
    let (last, path) = path.split_last().expect("a path has parts");
    let parent = path.iter().try_fold(manifest, |table, key| table.get_mut(*key)?.as_table_mut());
    if let Some(parent) = parent {
        parent.insert((*last).to_owned(), to.into());
    }
}
