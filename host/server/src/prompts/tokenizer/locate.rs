//! Where a model's tokenizer lies: in a folder that is named, in a cache on this machine, or on the model hub.

use std::io::IsTerminal;
use std::path::{Component, Path};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo};
use tokio::sync::oneshot;
use tracing::info;

use super::{FILE, Found};
use crate::config::TokenizerConfig;
use crate::process::real_time::timeout;

/// Files beside the tokenizer that a model may or may not have.
const OPTIONAL_FILES: [&str; 2] = ["tokenizer_config.json", "chat_template.jinja"];

/// Finds the folder of `name`, a path or a model's id. The hub is asked last, for at most `fetch_limit`; none: it is not
/// asked.
pub(super) async fn folder(config: &TokenizerConfig, name: &str, fetch_limit: Option<Duration>) -> Result<Found> {
    let path = Path::new(name);
    if path.exists() {
        return Found::at(path);
    }
    if !is_model_id(name) {
        bail!("there is no {name}, and it is no model's id either");
    }
    if let Some(found) = config.caches().iter().find_map(|cache| cached(cache, name)) {
        return Ok(found);
    }
    let places: Vec<_> = config.caches().iter().map(|cache| cache.display().to_string()).collect();
    let not_found = format!("{name} is not in {}", places.join(" or "));
    let Some(limit) = fetch_limit else { bail!("{not_found}") };
    if config.offline {
        bail!("{not_found}, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids to fetch it");
    }
    info!(model = name, "fetching the tokenizer from the model hub");
    fetch(config, name, limit).await.with_context(|| format!("{not_found}, and it cannot be fetched"))
}

/// In a cache as the hub's own tools lay it out, or in a folder of the model's name.
fn cached(cache: &Path, id: &str) -> Option<Found> {
    let in_hub_layout = Cache::new(cache.to_owned()).repo(Repo::model(id.to_owned())).get(FILE);
    let path = in_hub_layout.unwrap_or_else(|| cache.join(id).join(FILE));
    // The folder, not what the file may be a link to: the template lies beside the link.
    Found::at(path.parent()?).ok()
}

/// At most an organisation and a name, without anything that leads elsewhere.
fn is_model_id(name: &str) -> bool {
    let parts: Vec<_> = Path::new(name).components().collect();
    let is_plain = |part: &Component<'_>| matches!(part, Component::Normal(_));
    (1..=2).contains(&parts.len()) && parts.iter().all(is_plain) && !name.contains(char::is_whitespace)
}

/// On a thread of its own, which is left behind if it takes too long: the library has no time-out.
async fn fetch(config: &TokenizerConfig, id: &str, limit: Duration) -> Result<Found> {
    let Some(cache) = config.caches().first().copied() else { bail!("there is no folder to keep it in") };
    let builder = ApiBuilder::new()
        .with_cache_dir(cache.clone())
        .with_token(config.token.clone())
        .with_progress(std::io::stderr().is_terminal());
    let builder = match &config.hub {
        Some(hub) => builder.with_endpoint(hub.clone()),
        None => builder,
    };
    let (send, done) = oneshot::channel();
    let model = id.to_owned();
    std::thread::spawn(move || {
        let fetch = || {
            let files = builder.build()?.model(model);
            for file in OPTIONAL_FILES {
                match files.get(file) {
                    // Not every model has one.
                    Err(ApiError::RequestError(error)) if error.to_string().contains("404") => {}
                    fetched => drop(fetched.with_context(|| file)?),
                }
            }
            // The last one: a reader that finds it in the cache takes the others for fetched, or not there.
            files.get(FILE).context(FILE)
        };
        // The receiver is gone if it took too long.
        let _ = send.send(fetch());
    });
    let Ok(fetched) = timeout(limit, done).await else {
        bail!("it took longer than {limit:?}");
    };
    fetched.context("the download ended without a word")??;
    cached(cache, id).with_context(|| format!("it is not where it was put, in {}", cache.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_models_are_looked_for() {
        assert!(["gpt2", "Qwen/Qwen3-8B", "my-model"].iter().all(|name| is_model_id(name)));
        assert!(!["", "../x", "/abs/path", "a/b/c", "a b", "./here"].iter().any(|name| is_model_id(name)));
    }

    #[test]
    fn caches_in_either_layout_are_searched() {
        let cache = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = cache.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        assert_eq!(cached(cache.path(), "org/plain"), None);
        put("org/plain/tokenizer.json");
        assert_eq!(cached(cache.path(), "org/plain").unwrap().folder, cache.path().join("org/plain"));
        put("models--org--hub/refs/main");
        put("models--org--hub/snapshots/x/tokenizer.json");
        let found = cached(cache.path(), "org/hub").unwrap();
        assert_eq!(found.folder, cache.path().join("models--org--hub/snapshots/x"));
    }
}
