//! A plugin's project: the folder that `plugin test` and `plugin dev` are called in, and what its `plugin.yaml` says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rehearsal_plugin_host::{Limits, regular_file};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::plugins;

/// What a project says of itself.
const FILE: &str = "plugin.yaml";

/// Where a project has its scenarios.
const SCENARIOS: &str = "scenarios";

/// The largest `plugin.yaml`.
const MOST_BYTES: u64 = 1 << 20;

/// What is said in `plugin.yaml`; all of it may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Said {
    name: Option<String>,
    build: Option<String>,
    component: Option<PathBuf>,
    config: Option<Map<String, Value>>,
    limits: Option<Value>,
    #[serde(default)]
    not_applicable: BTreeMap<String, String>,
}

/// A project.
#[derive(Debug)]
pub(super) struct Project {
    folder: PathBuf,
    said: Said,
    limits: Option<Limits>,
}

/// How to make the component, and what of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Build {
    /// The plugin's name.
    pub(super) name: String,
    /// For a shell, in the project's folder.
    pub(super) command: String,
    /// What the command leaves there.
    pub(super) component: PathBuf,
}

impl Project {
    /// The project in `folder`, which need not say anything of itself. Fails if what it says cannot be read.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let path = folder.join(FILE);
        let at = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
        let said = if path.exists() {
            let text = regular_file::read_text(&path, MOST_BYTES).map_err(|error| at(&error))?;
            serde_yaml_ng::from_str::<Option<Said>>(&text).map_err(|error| at(&error))?.unwrap_or_default()
        } else {
            Said::default()
        };
        let limits = said.limits.as_ref().map(plugins::limits).transpose().map_err(|problem| at(&problem))?;
        Ok(Self { folder: folder.to_owned(), said, limits })
    }

    /// Where its scenarios are, if it has any.
    pub(super) fn scenarios(&self) -> PathBuf {
        self.folder.join(SCENARIOS)
    }

    /// The configuration that it is tried with.
    pub(super) fn config(&self) -> Option<&Map<String, Value>> {
        self.said.config.as_ref()
    }

    /// The limits that it is tried with.
    pub(super) fn limits(&self) -> Option<&Limits> {
        self.limits.as_ref()
    }

    /// Why a check of the standard ones does not apply, by the check's name.
    pub(super) fn not_applicable(&self) -> &BTreeMap<String, String> {
        &self.said.not_applicable
    }

    /// Whether this is the component that it is built as.
    pub(super) fn makes(&self, component: &Path) -> bool {
        let own = self.build().ok().and_then(|build| build.component.canonicalize().ok());
        own.is_some_and(|own| component.canonicalize().is_ok_and(|given| given == own))
    }

    /// The plugin's name, if it says one.
    pub(super) fn name(&self) -> Option<&str> {
        self.said.name.as_deref()
    }

    /// How it is built: as it says, or with cargo. Fails with what is missing.
    pub(super) fn build(&self) -> Result<Build, String> {
        let Said { name, build, component, .. } = &self.said;
        let mut usual = match (build, component) {
            (Some(command), Some(component)) => {
                Build { name: folder_name(&self.folder), command: command.clone(), component: component.clone() }
            }
            (Some(_), None) => return Err(format!("{FILE} has `build`, and no `component` that it makes")),
            (None, _) => cargo(&self.folder).ok_or_else(|| {
                let folder = self.folder.display();
                format!("{folder} is no project: it has no {FILE} with `build` and `component`, and no Cargo.toml")
            })?,
        };
        if let Some(component) = component {
            usual.component.clone_from(component);
        }
        if let Some(name) = name {
            usual.name.clone_from(name);
        }
        usual.component = self.folder.join(&usual.component);
        Ok(usual)
    }
}

/// The configuration in the text of a `plugin.yaml`.
pub(super) fn config_in(yaml: &str) -> Option<Map<String, Value>> {
    serde_yaml_ng::from_str::<Option<Said>>(yaml).ok()??.config
}

fn cargo(folder: &Path) -> Option<Build> {
    let manifest: toml::Table = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse().ok()?;
    let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
    let snake = name.replace('-', "_");
    Some(Build {
        name,
        command: "cargo build --release --target wasm32-wasip2".into(),
        component: format!("target/wasm32-wasip2/release/{snake}.wasm").into(),
    })
}

/// Whether the path of a file that is there leads into `folder`, wherever links on the way lead.
pub(super) fn is_below(file: &Path, folder: &Path) -> bool {
    let [path, folder] = [file, folder].map(std::path::absolute);
    file.is_file() && path.is_ok_and(|path| folder.is_ok_and(|folder| path.starts_with(folder)))
}

fn folder_name(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    super::name_of(&folder.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(files: &[(&str, &str)]) -> Result<(String, String, String), String> {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("prj");
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let Build { name, command, component } = Project::open(&folder)?.build()?;
        Ok((name, command, component.strip_prefix(&folder).unwrap().display().to_string()))
    }

    #[test]
    fn a_project_is_built_with_cargo_or_as_it_says() {
        let of = |name: &str, command: &str, component: &str| Ok((name.into(), command.into(), component.into()));
        let cargo = ("Cargo.toml", "[package]\nname = \"two-words\"");
        let command = "cargo build --release --target wasm32-wasip2";
        assert_eq!(built(&[cargo]), of("two-words", command, "target/wasm32-wasip2/release/two_words.wasm"));
        assert_eq!(built(&[("plugin.yaml", "{build: make, component: it.wasm}")]), of("prj", "make", "it.wasm"));
        let said = "name: mine\nbuild: make\ncomponent: out/it.wasm\n";
        assert_eq!(built(&[cargo, ("plugin.yaml", said)]), of("mine", "make", "out/it.wasm"));
    }

    #[test]
    fn what_is_missing_or_unknown_is_told() {
        assert!(built(&[]).unwrap_err().contains("is no project: it has no plugin.yaml"));
        assert!(built(&[("plugin.yaml", "build: make")]).unwrap_err().contains("no `component`"));
        let unknown = built(&[("plugin.yaml", "\nbiuld: make")]).unwrap_err();
        assert!(unknown.contains("plugin.yaml: unknown field `biuld`") && unknown.contains("line 2"), "{unknown}");
    }
}
