//! Whose tokenizer is served, and where it may lie.

use std::path::{Path, PathBuf};

use super::{Reader, values};

/// Which tokenizer, and where to look for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizerConfig {
    /// A path, a model's id or `builtin`; none: whatever the model's name leads to.
    pub tokenizer: Option<String>,
    /// `tokenizers-cache-dir`
    cache_dir: Option<PathBuf>,
    /// Where the hub's own tools keep what they fetched.
    hub_cache: Option<PathBuf>,
    /// Do not ask the hub.
    pub offline: bool,
    /// Another hub than the usual one.
    pub hub: Option<String>,
    /// Who we are to it.
    pub token: Option<String>,
}

impl TokenizerConfig {
    /// The folders to look in; what is fetched goes into the first.
    pub fn caches(&self) -> Vec<&PathBuf> {
        self.cache_dir.iter().chain(&self.hub_cache).collect()
    }
}

/// `tokenizer`, `tokenizers-cache-dir`, and the variables of the hub's own tools.
pub(super) fn read(reader: &mut Reader<'_>) -> TokenizerConfig {
    let tokenizer = reader.optional("tokenizer", values::any_text).filter(|tokenizer| !tokenizer.is_empty());
    let cache_dir = reader.optional("tokenizers-cache-dir", values::any_text).filter(|dir| !dir.is_empty());
    let variable = |name| reader.settings.variable(name);
    let is_on =
        |name| variable(name).is_some_and(|value| !matches!(value.to_lowercase().as_str(), "0" | "false" | "no"));
    let home = variable("HF_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(variable("HOME")?).join(".cache/huggingface")));
    TokenizerConfig {
        tokenizer,
        cache_dir: cache_dir.map(PathBuf::from),
        hub_cache: variable("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(home?.join("hub"))),
        offline: is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
        hub: variable("HF_ENDPOINT").map(str::to_owned),
        token: variable("HF_TOKEN").map(str::to_owned),
    }
}
