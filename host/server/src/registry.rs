//! Components from registries of container images, laid out as the CNCF's working group has it for WebAssembly: one layer of
//! `application/wasm`. What was fetched is kept by its hash, so that a start needs no network for it.

mod cache;
mod client;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures::TryStreamExt;
use oci_client::client::{Config, ImageLayer};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use oci_client::{Client, Reference};
use rehearsal_plugin_host::{MAX_COMPONENT_BYTES, PluginSource, PluginSpec};
use serde_json::json;
use tracing::{info, warn};

use crate::process::real_time::timeout;
use crate::wire::wall_clock;
use cache::{Cache, Kept};

/// Media types of a component and of what is told of it.
const COMPONENT: &str = "application/wasm";
const COMPONENT_CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The annotation in which cosign keeps a signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// For all of it.
const PATIENCE: Duration = Duration::from_secs(300);

/// The same plugins, those from registries as files in `cache`. Fails with every one that cannot be had.
pub async fn fetched(mut specs: Vec<PluginSpec>, cache: Option<&Path>) -> Result<Vec<PluginSpec>, Vec<String>> {
    let mut problems = Vec::new();
    for spec in &mut specs {
        let PluginSource::Registry { reference, signed_by } = &spec.source else { continue };
        match fetch(reference, cache).await {
            Ok(Kept { path, sha256 }) => {
                let signed_by = signed_by.clone();
                spec.source = PluginSource::File { path, sha256: Some(sha256), signed_by };
            }
            Err(error) => problems.push(format!("plugin {:?}: oci://{reference}: {error:#}", spec.name)),
        }
    }
    if problems.is_empty() { Ok(specs) } else { Err(problems) }
}

async fn fetch(reference: &str, cache: Option<&Path>) -> Result<Kept> {
    let image: Reference = reference.parse().context("it is no reference")?;
    let cache = Cache::new(cache.context("nothing says where it is to be kept: give plugin-cache-dir")?);
    // A digest means the same for good.
    if image.digest().is_some()
        && let Some(kept) = cache.of(&image)
    {
        return Ok(kept);
    }
    let asked = timeout(PATIENCE, ask(&image, &cache)).await;
    match asked.unwrap_or_else(|_| Err(anyhow!("it was not there within {PATIENCE:?}"))) {
        Ok(kept) => {
            cache.name(&image, &kept)?;
            Ok(kept)
        }
        Err(error) if is_out_of_reach(&error) => {
            let kept = cache.of(&image).ok_or(error)?;
            warn!(reference, sha256 = kept.sha256, "the registry cannot be reached: what was fetched before serves");
            Ok(kept)
        }
        Err(error) => Err(error),
    }
}

/// Whether no answer came at all.
fn is_out_of_reach(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(OciDistributionError::RequestError(error)) if error.is_connect() || error.is_timeout()
    )
}

async fn ask(image: &Reference, cache: &Cache) -> Result<Kept> {
    let client = client::to(image);
    let (manifest, digest) = client.pull_image_manifest(image, &client::credentials(image)?).await?;
    let layer = component(&manifest)?;
    let sha256 =
        layer.digest.strip_prefix("sha256:").context("its component has a digest of another kind than sha256")?;
    let image = image.clone_with_digest(digest);
    if let Some(kept) = cache.of(&image).filter(|kept| kept.sha256 == sha256) {
        return Ok(kept);
    }
    let bytes = pull(&client, &image, layer).await?;
    info!(reference = image.whole(), bytes = bytes.len(), "fetched");
    let annotations = [&layer.annotations, &manifest.annotations].into_iter().flatten();
    let signature = annotations.filter_map(|notes| notes.get(SIGNATURE)).next();
    cache.keep(&image, sha256, &bytes, signature.map(String::as_str))
}

/// Whatever the manifest says of its size. The client looks at the hash.
async fn pull(client: &Client, image: &Reference, layer: &OciDescriptor) -> Result<Vec<u8>> {
    let mut stream = client.pull_blob_stream(image, layer).await?.stream;
    let mut bytes = Vec::new();
    while let Some(part) = stream.try_next().await? {
        let n_bytes = (bytes.len() + part.len()) as u64;
        ensure!(n_bytes <= MAX_COMPONENT_BYTES, "its component has more than {MAX_COMPONENT_BYTES} bytes");
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// The only layer.
fn component(manifest: &OciImageManifest) -> Result<&OciDescriptor> {
    match &manifest.layers[..] {
        [layer] if layer.media_type != COMPONENT => bail!("it has no component, but {:?}", layer.media_type),
        [layer] => Ok(layer),
        layers => bail!("it has {} layers, where a component is one", layers.len()),
    }
}

/// Puts a component, and its signature if it has one, where `reference` says. The reference by which it can be had for good.
pub async fn push(component: Vec<u8>, signature: Option<String>, reference: &str) -> Result<String> {
    let image: Reference =
        reference.strip_prefix("oci://").unwrap_or(reference).parse().context("it is no reference")?;
    let [imports, exports] = rehearsal_plugin_host::interfaces(&component).map_err(anyhow::Error::msg)?;
    let digest = format!("sha256:{}", rehearsal_plugin_host::sha256(&component));
    let config = json!({
        "created": wall_clock::utc(wall_clock::since_1970()).timestamp().to_string(),
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [digest],
        "component": { "imports": imports, "exports": exports },
    });
    let annotations = signature.map(|signature| [(SIGNATURE.to_owned(), signature.trim().to_owned())].into());
    let layer = ImageLayer::new(component, COMPONENT.to_owned(), annotations);
    let config = Config::new(config.to_string(), COMPONENT_CONFIG.to_owned(), None);
    let client = client::to(&image);
    let manifest = OciImageManifest::build(std::slice::from_ref(&layer), &config, None);
    let pushed = client.push(&image, &[layer], config, &client::credentials(&image)?, Some(manifest)).await?;
    // A registry tells where what was pushed is for good.
    let digest = match pushed.manifest_url.rsplit_once("sha256:") {
        Some((_, hex)) => format!("sha256:{hex}"),
        None => client.fetch_manifest_digest(&image, &client::credentials(&image)?).await?,
    };
    Ok(format!("oci://{}", image.clone_with_digest(digest).whole()))
}
