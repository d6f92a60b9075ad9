//! `plugin new`: a project that builds without a checkout of ours, begun with one of the example plugins. `plugin upgrade` brings a
//! project's contract and SDK to this server's.

mod rust;
mod templates;

use std::fs;
use std::path::{Path, PathBuf};

use super::contract;
use templates::{Language, TEMPLATES, Template};

/// A file of the project: path and text.
type File = (String, String);

/// Arguments of `plugin new`.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Folder to make; its name is the plugin's
    #[arg(required_unless_present = "list")]
    folder: Option<PathBuf>,
    /// The example to begin with, as --list tells them
    #[arg(long, default_value = "shout")]
    like: String,
    /// Its language, if it is there in several; else the first of them
    #[arg(long)]
    language: Option<Language>,
    /// Tell what there is to begin with
    #[arg(long)]
    list: bool,
}

impl New {
    pub(super) fn run(&self) -> Result<String, Vec<String>> {
        let Some(folder) = self.folder.as_ref().filter(|_| !self.list) else { return Ok(templates::list()) };
        let name = name(folder)?;
        let (template, language) = self.template()?;
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(vec![format!("{} is not empty", folder.display())]);
        }
        write_all(folder, template.files(language, &name))?;
        contract::write(&folder.join("wit"))?;
        Ok(format!("made {}; its README.md says how to build it\n", folder.display()))
    }

    fn template(&self) -> Result<(&'static Template, Language), Vec<String>> {
        let Some(template) = TEMPLATES.iter().find(|template| template.example == self.like) else {
            let known: Vec<_> = TEMPLATES.iter().map(|template| template.example).collect();
            return Err(vec![format!("there is no example {:?}; known are {}", self.like, known.join(", "))]);
        };
        let wanted = self.language.unwrap_or(template.languages[0]);
        if template.languages.contains(&wanted) {
            return Ok((template, wanted));
        }
        let languages: Vec<_> = template.languages.iter().map(|language| language.name()).collect();
        Err(vec![format!(
            "the example {:?} is there in {}, and not in {}",
            self.like,
            languages.join(", "),
            wanted.name()
        )])
    }
}

/// Arguments of `plugin upgrade`.
#[derive(Debug, clap::Args)]
pub(super) struct Upgrade {
    /// The project
    #[arg(default_value = ".")]
    folder: PathBuf,
}

impl Upgrade {
    /// Renews what is ours in a project and leaves its own files alone.
    pub(super) fn run(&self) -> Result<String, Vec<String>> {
        let folder = &self.folder;
        if !folder.join("wit").is_dir() {
            return Err(vec![format!("{} is no project: it has no folder wit", folder.display())]);
        }
        let mut report = contract::write(&folder.join("wit"))?;
        for language in Language::ALL {
            let sdk = language.sdk();
            let (first, _) = &sdk[0];
            if folder.join(first).exists() {
                report += &format!("renewed {first} and what comes with it\n");
                write_all(folder, sdk)?;
            }
        }
        Ok(report)
    }
}

/// The plugin's name, which is the folder's.
fn name(folder: &Path) -> Result<String, Vec<String>> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_allowed) {
        Ok(name)
    } else {
        Err(vec![format!("{name:?} cannot be a plugin's name: a-z first, then a-z, 0-9 and \"-\"")])
    }
}

fn write_all(folder: &Path, files: Vec<File>) -> Result<(), Vec<String>> {
    for (path, text) in files {
        let path = folder.join(path);
        write(&path, &text).map_err(|error| vec![format!("cannot write {}: {error}", path.display())])?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    fs::write(path, text)
}
