//! The served model's tokenizer and chat template: found on this machine, fetched once, or replaced by the built-in one.

mod locate;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rehearsal_engine::{BuiltinTokenizer, Clock, HuggingFaceTokenizer, Tokenizer};
use rehearsal_plugin_host::regular_file;
use tracing::{info, warn};

use crate::config::{ChatTemplateConfig, TokenizerConfig};

use crate::prompts::chat_template::ChatTemplate;

/// How long a start may take to fetch a tokenizer of some 10 MB: one that the user named, and one that the server can do
/// without.
const NAMED: Duration = Duration::from_secs(60);
const IMPLIED: Duration = Duration::from_secs(15);

/// What makes tokens of prompts.
#[derive(Clone)]
pub struct ServedTokenizer {
    /// The model's own, or the built-in one.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// `None`: none is known, and a conversation is its messages' text.
    pub template: Option<ChatTemplate>,
}

impl ServedTokenizer {
    /// The one that needs no files.
    pub fn builtin() -> Self {
        Self { tokenizer: Arc::new(BuiltinTokenizer::default()), template: None }
    }

    /// The tokenizer that `config` names for `model`, and a chat template. What the user named must be there; what only
    /// follows from the model's name need not.
    pub async fn load(
        config: &TokenizerConfig,
        template: &ChatTemplateConfig,
        model: &str,
        clock: &Clock,
    ) -> Result<Self, String> {
        let found = match config.tokenizer.as_deref() {
            Some("builtin") => None,
            Some(named) => {
                let found = Self::find(config, named, Some(NAMED)).await;
                Some(found.map_err(|error| format!("tokenizer: {error:#}"))?)
            }
            None => match Self::find(config, model, Some(IMPLIED).filter(|_| model.contains('/'))).await {
                Ok(found) => Some(found),
                Err(error) => {
                    let why = format!("{error:#}");
                    warn!(model, why, "the model's tokenizer was not found; the built-in one counts tokens");
                    None
                }
            },
        };
        let (tokenizer, folder) = found.unzip();
        let template = ChatTemplate::load(folder.as_deref(), template, clock).map_err(|error| format!("{error:#}"))?;
        info!(has_template = template.is_some(), "conversations become prompts");
        Ok(Self { tokenizer: tokenizer.unwrap_or_else(|| Arc::new(BuiltinTokenizer::default())), template })
    }

    /// The tokenizer of this name, and its folder.
    async fn find(
        config: &TokenizerConfig,
        name: &str,
        fetch_limit: Option<Duration>,
    ) -> Result<(Arc<dyn Tokenizer>, PathBuf)> {
        let Found { tokenizer: file, folder } = locate::folder(config, name, fetch_limit).await?;
        let json = regular_file::read(&file, MOST_BYTES).with_context(|| format!("cannot read {}", file.display()))?;
        let tokenizer = HuggingFaceTokenizer::from_json(&json).with_context(|| file.display().to_string())?;
        info!(tokenizer = name, file = %file.display(), "tokenizer loaded");
        Ok((Arc::new(tokenizer), folder))
    }
}

/// Where a tokenizer lies.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    tokenizer: PathBuf,
    folder: PathBuf,
}

impl Found {
    /// A `tokenizer.json`, or a folder that has one.
    fn at(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let tokenizer = path.join(FILE);
            if !tokenizer.is_file() {
                bail!("{} has no {FILE}", path.display());
            }
            return Ok(Self { tokenizer, folder: path.to_owned() });
        }
        if !path.exists() {
            bail!("there is no {}", path.display());
        }
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { tokenizer: path.to_owned(), folder })
    }
}

/// The largest vocabularies that are known have a tenth of that.
const MOST_BYTES: u64 = 256 << 20;

/// What a tokenizer is called in a model's folder.
const FILE: &str = "tokenizer.json";
