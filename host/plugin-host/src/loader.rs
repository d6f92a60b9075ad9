//! From a specification to a plugin that serves. Everything that can be wrong with a component is found here, before
//! anything relies on it.

mod configuration;
mod inspect;
mod trial;

use std::sync::Arc;
use std::time::Duration;

use rehearsal_engine::Tokenizer;
use sha2::{Digest, Sha256};
use tracing::{debug, info};
use wasmtime::component::Component;

use crate::error::{LoadError, LoadProblem};
use crate::info::PluginInfo;
use crate::instances::{Instances, Prepared};
use crate::needs::Needs;
use crate::plugin::{Plugin, Version};
use crate::real_time::{Instant, timeout};
use crate::regular_file;
use crate::runtime::Runtime;
use crate::sandbox::OutputTail;
use crate::shared::PluginShared;
use crate::spec::{PluginSource, PluginSpec};
use crate::v0_1::bindings::lifecycle;
use crate::v0_1::exports;

/// The largest component, in bytes: larger files are not read.
pub const MAX_COMPONENT_BYTES: u64 = 64 << 20;

/// A compilation that takes longer is worth a line in the log.
const SLOW_COMPILATION: Duration = Duration::from_secs(1);

/// Reads, compiles, links and tries one plugin.
pub(crate) async fn load(
    spec: &PluginSpec,
    runtime: &Arc<Runtime>,
    tokenizer: &Arc<dyn Tokenizer>,
) -> Result<Version, LoadError> {
    let Image { bytes, sha256 } =
        read_as_configured(spec).await.map_err(|problem| LoadError::new(&spec.name, problem))?;
    // What the trial leaves behind goes with it; what the plugin says in it is told if it fails.
    let aside = PluginShared::on_trial(spec.name.clone(), &spec.limits, tokenizer.clone());
    let aside = Arc::new(aside);
    let loaded = try_load(spec, Image { bytes, sha256: sha256.clone() }, runtime, &aside).await;
    let said = aside.said_on_trial().map(OutputTail::text).unwrap_or_default();
    if loaded.is_ok() {
        said.lines().for_each(|line| debug!(plugin = spec.name, "in its trial: {line}"));
    }
    loaded.map_err(|problem| LoadError::new(&spec.name, problem).of_component(sha256, said))
}

async fn try_load(
    spec: &PluginSpec,
    Image { bytes, sha256 }: Image,
    runtime: &Arc<Runtime>,
    aside: &Arc<PluginShared>,
) -> Result<Version, LoadProblem> {
    check_hash(&spec.source, &sha256)?;
    check_signature(&spec.source, &bytes)?;
    let size = bytes.len();
    let component = compile(&spec.name, bytes, runtime).await?;
    inspect::check_names(&component, &runtime.engine)?;
    let pre = runtime.linker.instantiate_pre(&component);
    let pre = pre.map_err(|error| inspect::mismatch(error, &component, &runtime.engine))?;
    let interfaces = exports::interfaces(&pre, &component, &runtime.engine)?;
    let exports = interfaces.exported();
    let config = serde_json::Value::Object(spec.config.clone());
    let (runtime, limits) = (runtime.clone(), spec.limits.clone());
    let prepared = Arc::new(Prepared { runtime, pre, interfaces, config: config.to_string(), limits });

    let on_trial = Arc::new(Instances::new(prepared.clone(), aside.clone()));
    let lifecycle::Description { version, summary, needs, config_schema, .. } = trial::describe(&on_trial).await?;
    configuration::check_config(config_schema.as_deref(), &config)?;
    let needs = Needs::parse(&needs).map_err(LoadProblem::UnknownNeed)?;
    let info = PluginInfo { name: spec.name.clone(), version, summary, exports, size, sha256 };
    trial::init(&on_trial).await?;
    let version = Arc::new(Version { prepared: prepared.clone(), needs: needs.clone(), info: info.clone() });
    trial::exports(&Arc::new(Plugin { version, instances: on_trial })).await?;
    Ok(Version { prepared, needs, info })
}

/// Nothing is read for a name that cannot be one.
async fn read_as_configured(spec: &PluginSpec) -> Result<Image, LoadProblem> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if spec.name.is_empty() || !spec.name.chars().all(is_allowed) {
        return Err(LoadProblem::BadName);
    }
    read(spec.source.clone()).await
}

async fn compile(name: &str, bytes: Vec<u8>, runtime: &Arc<Runtime>) -> Result<Component, LoadProblem> {
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => {}
        Some(b"\0asm\x01\0\0\0") => return Err(LoadProblem::CoreModule),
        _ => return Err(LoadProblem::NotWasm),
    }
    let engine = runtime.engine.clone();
    let start = Instant::now();
    let mut compiling = tokio::task::spawn_blocking(move || Component::new(&engine, bytes));
    let compiled = match timeout(SLOW_COMPILATION, &mut compiling).await {
        Ok(compiled) => compiled,
        Err(_) => {
            info!(plugin = name, "compiling its component, which takes a while");
            let compiled = compiling.await;
            info!(plugin = name, seconds = start.elapsed().as_secs_f32(), "compiled; the next start finds it cached");
            compiled
        }
    };
    compiled.map_err(wasmtime::Error::new).and_then(|result| result).map_err(LoadProblem::Compile)
}

/// A component as it lies on disk or in this binary.
pub(crate) struct Image {
    bytes: Vec<u8>,
    /// Lower-case hex.
    pub(crate) sha256: String,
}

/// Reads and hashes a component, on a thread where that delays no request.
pub(crate) async fn read(source: PluginSource) -> Result<Image, LoadProblem> {
    let read = tokio::task::spawn_blocking(move || {
        let bytes = bytes(&source)?;
        let sha256 = sha256(&bytes);
        Ok(Image { bytes, sha256 })
    });
    read.await.map_err(|lost| LoadProblem::Runtime(wasmtime::Error::new(lost)))?
}

/// SHA-256 in lower-case hex, as components are known by it.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(source: &PluginSource) -> Result<Vec<u8>, LoadProblem> {
    let path = match source {
        PluginSource::Embedded(bytes) => return Ok(bytes.to_vec()),
        PluginSource::File { path, .. } => path,
        PluginSource::Registry { reference, .. } => return Err(LoadProblem::NotFetched(reference.clone())),
    };
    let fail = |source| LoadProblem::Read { path: path.clone(), source };
    regular_file::read(path, MAX_COMPONENT_BYTES).map_err(fail)
}

fn check_hash(source: &PluginSource, found: &str) -> Result<(), LoadProblem> {
    match source {
        PluginSource::File { sha256: Some(wanted), .. } if wanted != found => {
            Err(LoadProblem::WrongHash { wanted: wanted.clone(), found: found.to_owned() })
        }
        _ => Ok(()),
    }
}

fn check_signature(source: &PluginSource, bytes: &[u8]) -> Result<(), LoadProblem> {
    match source {
        PluginSource::File { path, signed_by: Some(key), .. } => key.check(path, bytes),
        _ => Ok(()),
    }
}

/// The interfaces that a component imports and exports, by name.
pub fn interfaces(bytes: &[u8]) -> Result<[Vec<String>; 2], String> {
    let engine = wasmtime::Engine::default();
    let component = Component::new(&engine, bytes).map_err(|error| format!("{error:#}"))?;
    let ty = component.component_type();
    let names = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect();
    Ok([names(&mut ty.imports(&engine).map(|(name, _)| name)), names(&mut ty.exports(&engine).map(|(name, _)| name))])
}
