//! Which plugins to load: `--plugin`, `--plugin-config`, `plugins:` in the file, and the built-ins that are picked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rehearsal_plugin_host::signature::PublicKey;
use rehearsal_plugin_host::{Limits, PluginSource, PluginSpec};
use serde_json::{Map, Value};

use super::key::{Spec, keys};
use super::reader::Reader;
use super::{failures, reasoning, tokenizer, tools, values};

/// The largest file of a key.
const MOST_KEY_BYTES: u64 = 64 << 10;

/// `name=rest` entries, by name.
type ByName = BTreeMap<String, String>;

keys! { Plugins:
    PLUGIN: ByName = Spec::several("plugin", "NAME=FILE")
        .help("load a component; once for each, NAME=FILE#sha256:HEX pins it; \
               NAME=oci://REGISTRY/REPOSITORY:TAG@sha256:HEX fetches it, of which a part may be left out"),
        |value| pairs(value, "a file");
    PLUGIN_CONFIG: ByName = Spec::several("plugin-config", "NAME=JSON")
        .help("the plugin's configuration, a JSON object"), |value| pairs(value, "a JSON object");
    PLUGINS: Vec<Listed> = Spec::file_only("plugins")
        .help("plugins with their configuration and limits"), listed;
    PLUGIN_KEY: Option<PathBuf> = Spec::one("plugin-key", "FILE")
        .help("a public key (PEM, on P-256): only components that are signed with its secret one are loaded"), values::path;
    PLUGIN_CACHE_DIR: Option<PathBuf> = Spec::one("plugin-cache-dir", "FOLDER")
        .help("where components from registries are kept; not given: rehearsal/plugins in the user's cache"), values::path;
    XDG_CACHE_HOME: Option<PathBuf> = Spec::environment("XDG_CACHE_HOME").help("the user's cache; not given: .cache in HOME"),
        values::path;
    WATCH_PLUGINS: bool = Spec::switch("watch-plugins").default("false")
        .help("look at plugin files every second and reload those whose content changed; SIGHUP does it once"),
        values::switch;
}

/// Whether plugin files are watched.
pub(super) fn are_watched(reader: &mut Reader<'_>) -> bool {
    reader.read(&WATCH_PLUGINS)
}

/// Where components from registries are kept; `None` if nothing says where the user's cache is.
pub(super) fn cache(reader: &mut Reader<'_>) -> Option<PathBuf> {
    let given = reader.given(&PLUGIN_CACHE_DIR).flatten();
    let in_home = tokenizer::home(reader).map(|home| home.join(".cache"));
    let usual = reader.given(&XDG_CACHE_HOME).flatten().or(in_home).map(|cache| cache.join("rehearsal/plugins"));
    given.or(usual)
}

/// The specifications of what the user listed and of the built-ins among `picked`. Problems go to the reader.
pub(super) fn read(reader: &mut Reader<'_>, picked: &[&str]) -> Vec<PluginSpec> {
    let key = reader.given(&PLUGIN_KEY).flatten().and_then(|path| match public_key(&path, reader) {
        Ok(key) => Some(key),
        Err(problem) => {
            reader.refuse(&PLUGIN_KEY, format!("{}: {problem}", path.display()));
            None
        }
    });
    let mut specs = reader.given(&PLUGINS).unwrap_or_default();
    for (name, source) in reader.given(&PLUGIN).unwrap_or_default() {
        match specs.iter_mut().find(|spec| spec.name == name) {
            Some(spec) => spec.source = file(&source),
            None => specs.push(Listed { name, source: file(&source), ..Listed::default() }),
        }
    }
    for (name, config) in reader.given(&PLUGIN_CONFIG).unwrap_or_default() {
        match serde_json::from_str(&config) {
            Ok(config) => match specs.iter_mut().find(|spec| spec.name == name) {
                Some(spec) => spec.config = config,
                None => specs.push(Listed { limits: builtin_limits(&name), name, config, ..Listed::default() }),
            },
            Err(error) => {
                reader.refuse(&PLUGIN_CONFIG, format!("{config:?} of {name} is not a JSON object: {error}"));
            }
        }
    }
    for name in picked {
        let is_listed = specs.iter().any(|spec| spec.name == *name);
        if !is_listed && rehearsal_builtin::find(name).is_some() {
            specs.push(Listed { name: (*name).to_owned(), limits: builtin_limits(name), ..Listed::default() });
        }
    }
    if let Some(tool_call) = specs.iter_mut().find(|spec| spec.name == "tool-call") {
        tools::configure(reader, &mut tool_call.config);
    }
    if let Some(random) = specs.iter_mut().find(|spec| spec.name == "random") {
        reasoning::configure(reader, &mut random.config);
    }
    if let Some(failure) = specs.iter_mut().find(|spec| spec.name == "failure") {
        failures::configure(reader, &mut failure.config);
    }
    let resolved = specs.into_iter().filter_map(|spec| resolve(spec, reader));
    resolved.map(|spec| PluginSpec { source: signed(spec.source, key.as_ref()), ..spec }).collect()
}

/// A plugin as it is written down; without a source it means a built-in.
#[derive(Default)]
struct Listed {
    name: String,
    source: Option<PluginSource>,
    config: Map<String, Value>,
    limits: Limits,
}

/// Vectors of texts as long as the window take longer than an answer does.
fn builtin_limits(name: &str) -> Limits {
    let usual = Limits::default();
    match name {
        "embed" => Limits { cpu: Duration::from_secs(10), wall: Duration::from_secs(30), ..usual },
        _ => usual,
    }
}

fn resolve(listed: Listed, reader: &mut Reader<'_>) -> Option<PluginSpec> {
    let Listed { name, source, config, limits } = listed;
    let source = match (source, rehearsal_builtin::find(&name)) {
        (Some(_), Some(_)) => {
            reader.problem(format!("plugins: {name:?} is the name of a built-in plugin, choose another"));
            return None;
        }
        (Some(source), None) => source,
        (None, Some(builtin)) => PluginSource::Embedded(builtin.component),
        (None, None) => {
            let builtins: Vec<_> = rehearsal_builtin::BUILTINS.iter().map(|builtin| builtin.name).collect();
            let builtins = builtins.join(", ");
            reader.problem(format!("plugins: {name:?} has no path and is none of the built-in plugins {builtins}"));
            return None;
        }
    };
    Some(PluginSpec { name, source, config, limits })
}

fn public_key(path: &Path, reader: &Reader<'_>) -> Result<PublicKey, String> {
    let pem = reader.text_of(path, MOST_KEY_BYTES).map_err(|error| error.to_string())?;
    PublicKey::from_pem(&pem)
}

/// What is inside this binary needs no signature.
fn signed(source: PluginSource, key: Option<&PublicKey>) -> PluginSource {
    let signed_by = key.cloned();
    match source {
        PluginSource::Embedded(component) => PluginSource::Embedded(component),
        PluginSource::File { path, sha256, .. } => PluginSource::File { path, sha256, signed_by },
        PluginSource::Registry { reference, .. } => PluginSource::Registry { reference, signed_by },
    }
}

/// `path`, `path#sha256:hex` or `oci://reference`.
fn file(text: &str) -> Option<PluginSource> {
    if let Some(reference) = text.strip_prefix("oci://") {
        return Some(PluginSource::Registry { reference: reference.to_owned(), signed_by: None });
    }
    let (path, sha256) = match text.split_once("#sha256:") {
        Some((path, hash)) => (path, Some(hash.to_ascii_lowercase())),
        None => (text, None),
    };
    Some(PluginSource::File { path: path.into(), sha256, signed_by: None })
}

fn pairs(value: &Value, wanted: &str) -> Result<ByName, String> {
    let pair = |value: &Value| {
        let text = values::name(value)?;
        match text.split_once('=') {
            Some((name, rest)) if !name.is_empty() && !rest.is_empty() => Ok((name.to_owned(), rest.to_owned())),
            _ => Err(format!("{text:?} is not a name, \"=\" and {wanted}")),
        }
    };
    match value {
        Value::Array(values) => values.iter().map(pair).collect(),
        // A file may write them as a mapping.
        Value::Object(entries) => Ok(entries
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect()),
        other => pair(other).map(|pair| ByName::from([pair])),
    }
}

/// The `plugins:` list of a file.
fn listed(value: &Value) -> Result<Vec<Listed>, String> {
    let entries = value.as_array().ok_or("it must be a list of plugins")?;
    entries
        .iter()
        .enumerate()
        .map(|(index, entry)| plugin(entry).map_err(|problem| format!("[{index}]: {problem}")))
        .collect()
}

fn plugin(entry: &Value) -> Result<Listed, String> {
    let entry = entry.as_object().ok_or_else(|| format!("{entry} is not a mapping"))?;
    let mut listed = Listed::default();
    // A limit that is not said is the plugin's usual one.
    let usual = entry.get("name").and_then(Value::as_str).map(builtin_limits).unwrap_or_default();
    listed.limits.clone_from(&usual);
    for (key, value) in entry {
        match key.as_str() {
            "name" => listed.name = values::name(value)?,
            "path" => listed.source = file(&values::name(value)?),
            "config" => listed.config = value.as_object().ok_or("config must be a mapping")?.clone(),
            "limits" => listed.limits = limits_from(value, usual.clone())?,
            _ => return Err(format!("unknown key {key:?}; known are name, path, config, limits")),
        }
    }
    if listed.name.is_empty() { Err("it has no name".into()) } else { Ok(listed) }
}

/// `limits:` of a plugin; what is left out is as usual.
pub(crate) fn limits(value: &Value) -> Result<Limits, String> {
    limits_from(value, Limits::default())
}

fn limits_from(value: &Value, usual: Limits) -> Result<Limits, String> {
    let mut limits = usual;
    for (key, value) in value.as_object().ok_or("limits must be a mapping")? {
        let at = |problem: String| format!("limits.{key}: {problem}");
        match key.as_str() {
            "cpu" => limits.cpu = time(value).map_err(at)?,
            "wall" => limits.wall = time(value).map_err(at)?,
            "memory" => limits.memory = memory(value).map_err(at)?,
            "reuse" => limits.reuse = at_least_one(value).map_err(at)? as u32,
            "concurrency" => limits.concurrency = at_least_one(value).map_err(at)?,
            "waiting" => limits.waiting = values::whole_number(value).map_err(at)?,
            _ => {
                return Err(format!(
                    "unknown key limits.{key}; known are cpu, wall, memory, reuse, concurrency, waiting"
                ));
            }
        }
    }
    Ok(limits)
}

fn time(value: &Value) -> Result<Duration, String> {
    let time = values::duration(value)?;
    if time < Duration::from_millis(1) { Err(format!("{time:?} is less than 1 ms")) } else { Ok(time) }
}

/// Up to what a 32-bit guest can address.
fn memory(value: &Value) -> Result<usize, String> {
    let memory = values::bytes(value)?;
    let range = 64 << 10..=4 << 30;
    if range.contains(&memory) { Ok(memory) } else { Err(format!("{memory} bytes are not between 64 KiB and 4 GiB")) }
}

fn at_least_one(value: &Value) -> Result<usize, String> {
    let number: usize = values::whole_number(value)?;
    if (1..=10_000).contains(&number) { Ok(number) } else { Err(format!("{number} is not between 1 and 10000")) }
}
