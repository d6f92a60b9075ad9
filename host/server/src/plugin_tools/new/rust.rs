//! What a project in Rust has beside its source: manifests that need no workspace of ours, and the SDK's source.

use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use super::File;

/// The SDK's source, which a project carries.
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../plugins/sdk/src");

/// Where: as deep as in our own tree, so that it finds `wit/` in the same place.
const SDK_PATH: &str = "vendor/rehearsal-sdk";

macro_rules! repository_file {
    ($path:literal) => {
        include_str!(concat!("../../../../../", $path))
    };
}

/// A project of this name, with the manifest of the example that it begins with.
pub(super) fn files(name: &str, example: &str, source: String) -> Vec<File> {
    let mut manifest = standalone(example, repository_file!("plugins/example/Cargo.toml"));
    set(&mut manifest, &["package", "name"], name);
    set(&mut manifest, &["dependencies", "rehearsal-sdk", "path"], SDK_PATH);
    let rest = include_str!("Cargo.toml");
    vec![
        ("Cargo.toml".to_owned(), format!("{manifest}\n{rest}")),
        // With the versions that the examples are tested with.
        ("Cargo.lock".to_owned(), repository_file!("plugins/example/Cargo.lock").to_owned()),
        ("src/lib.rs".to_owned(), source),
    ]
}

/// The SDK.
pub(super) fn sdk() -> Vec<File> {
    let manifest = standalone(repository_file!("plugins/sdk/Cargo.toml"), repository_file!("Cargo.toml"));
    let mut files = vec![(format!("{SDK_PATH}/Cargo.toml"), manifest.to_string())];
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
