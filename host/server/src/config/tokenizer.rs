//! Whose tokenizer is served, and where it may lie.

use std::path::PathBuf;

use serde_json::Value;

use super::key::{Spec, keys};
use super::reader::Reader;
use super::values;

keys! { Serving:
    TOKENIZER: String = Spec::one("tokenizer", "NAME")
        .help("a tokenizer.json or its folder, a model's id, or builtin; not given: the model's, if it is found"),
        values::any_text;
    FORCE_DUMMY_TOKENIZER: bool = Spec::switch("force-dummy-tokenizer").default("false")
        .help("the same as tokenizer builtin"), values::switch;
    TOKENIZERS_CACHE_DIR: Option<PathBuf> = Spec::one("tokenizers-cache-dir", "FOLDER").aliases(&["download-dir"])
        .help("where tokenizers are looked for and kept; not given: Hugging Face's cache"), values::path;
    HF_TOKEN: String = Spec::maybe("hf-token", "TOKEN").env("HF_TOKEN").secret()
        .help("bearer token for the model hub"), values::any_text;
    HOME: Option<PathBuf> = Spec::environment("HOME").help("caches lie there"), values::path;
    HF_HOME: Option<PathBuf> = Spec::environment("HF_HOME").help("where Hugging Face's tools keep things"),
        values::path;
    HF_HUB_CACHE: Option<PathBuf> = Spec::environment("HF_HUB_CACHE").help("where they keep what they fetched"),
        values::path;
    HF_ENDPOINT: String = Spec::environment("HF_ENDPOINT").help("another model hub"), values::any_text;
    HF_HUB_OFFLINE: bool = Spec::environment("HF_HUB_OFFLINE").help("do not ask the hub"), is_on;
    TRANSFORMERS_OFFLINE: bool = Spec::environment("TRANSFORMERS_OFFLINE").help("do not ask the hub"), is_on;
}

/// Which tokenizer, and where to look for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizerConfig {
    /// A path, a model's id or `builtin`; `None`: whatever the model's name leads to.
    pub tokenizer: Option<String>,
    /// `tokenizers-cache-dir`
    cache_dir: Option<PathBuf>,
    /// Where the hub's own tools keep what they fetched.
    hub_cache: Option<PathBuf>,
    /// Do not ask the hub.
    pub offline: bool,
    /// Another hub than the usual one.
    pub hub: Option<String>,
    /// Bearer token for it.
    pub token: Option<String>,
}

impl TokenizerConfig {
    /// The folders to look in; what is fetched goes into the first.
    pub fn caches(&self) -> Vec<&PathBuf> {
        self.cache_dir.iter().chain(&self.hub_cache).collect()
    }
}

/// The user's own folder, if the environment tells it.
pub(super) fn home(reader: &mut Reader<'_>) -> Option<PathBuf> {
    reader.given(&HOME).flatten()
}

/// What may be called a tokenizer, and where it may lie.
pub(super) fn read(reader: &mut Reader<'_>) -> TokenizerConfig {
    let named = reader.given(&TOKENIZER).filter(|tokenizer| !tokenizer.is_empty());
    let is_dummy = reader.read(&FORCE_DUMMY_TOKENIZER);
    if let Some(named) = named.as_ref().filter(|named| is_dummy && *named != "builtin") {
        reader.refuse(&FORCE_DUMMY_TOKENIZER, format!("it means tokenizer builtin, but tokenizer is {named:?}"));
    }
    let in_home = home(reader).map(|home| home.join(".cache/huggingface"));
    let home = reader.given(&HF_HOME).flatten().or(in_home);
    let hub_cache = reader.given(&HF_HUB_CACHE).flatten();
    TokenizerConfig {
        tokenizer: if is_dummy { Some("builtin".into()) } else { named },
        cache_dir: reader.given(&TOKENIZERS_CACHE_DIR).flatten(),
        hub_cache: hub_cache.or_else(|| Some(home?.join("hub"))),
        offline: [&HF_HUB_OFFLINE, &TRANSFORMERS_OFFLINE].into_iter().any(|key| reader.given(key) == Some(true)),
        hub: reader.given(&HF_ENDPOINT),
        token: reader.given(&HF_TOKEN),
    }
}

/// As the hub's own tools read a switch.
fn is_on(value: &Value) -> Result<bool, String> {
    Ok(!matches!(values::any_text(value)?.to_lowercase().as_str(), "" | "0" | "false" | "no" | "off"))
}
