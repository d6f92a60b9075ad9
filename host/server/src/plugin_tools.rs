//! `rehearsal plugin …`: what authors need before they start a server.

use std::sync::Arc;

use rehearsal_engine::{BuiltinTokenizer, Tokenizer};
use rehearsal_plugin_host::{Limits, PluginHost, PluginInfo, PluginSource, PluginSpec};

/// The contract, as this server speaks it.
const CONTRACT: [(&str, &str); 3] = [
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("strategies.wit", include_str!("../../../wit/strategies.wit")),
    ("host.wit", include_str!("../../../wit/host.wit")),
];

const USAGE: &str = "\
Usage: rehearsal plugin list [NAME=FILE]...   what is built in, and what is given
       rehearsal plugin check FILE...         load and try each, as a start of the server would
       rehearsal plugin wit [FOLDER]          print the contract, or write its files into a folder
";

/// Runs the tool that `args` name; the text to print, or what is wrong.
pub async fn run(args: &[String]) -> Result<String, Vec<String>> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list", given @ ..] => list(given).await,
        ["check", files @ ..] if !files.is_empty() => check(files).await,
        ["wit"] => Ok(CONTRACT.map(|(_, text)| text).join("\n")),
        ["wit", folder] => write_contract(folder),
        [] | ["help" | "--help" | "-h"] => Ok(USAGE.into()),
        _ => Err(vec![format!("cannot understand \"plugin {}\"\n{USAGE}", words.join(" "))]),
    }
}

async fn list(given: &[&str]) -> Result<String, Vec<String>> {
    let mut specs: Vec<PluginSpec> = rehearsal_builtin::BUILTINS
        .iter()
        .map(|builtin| spec(builtin.name, PluginSource::Embedded(builtin.component)))
        .collect();
    for pair in given {
        let (name, path) = pair.split_once('=').ok_or_else(|| vec![format!("{pair:?} is not NAME=FILE")])?;
        specs.push(spec(name, file(path)));
    }
    Ok(table(&load(specs).await?))
}

async fn check(files: &[&str]) -> Result<String, Vec<String>> {
    // A file's own name, as far as it can be one of a plugin.
    let name = |path: &str| {
        let stem = std::path::Path::new(path).file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>()
    };
    let specs = files.iter().map(|path| spec(&name(path), file(path))).collect();
    Ok(format!("{}\nEvery trial passed.\n", table(&load(specs).await?)))
}

fn spec(name: &str, source: PluginSource) -> PluginSpec {
    PluginSpec { name: name.to_owned(), source, config: serde_json::Map::new(), limits: Limits::default() }
}

fn file(path: &str) -> PluginSource {
    PluginSource::File { path: path.into(), sha256: None }
}

async fn load(specs: Vec<PluginSpec>) -> Result<Vec<PluginInfo>, Vec<String>> {
    let tokenizer: Arc<dyn Tokenizer> = Arc::new(BuiltinTokenizer::default());
    match PluginHost::load(specs, tokenizer, Vec::new()).await {
        Ok(host) => Ok(host.statuses().map(|status| status.info).collect()),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

fn table(plugins: &[PluginInfo]) -> String {
    let row = |plugin: &PluginInfo| {
        let PluginInfo { name, version, summary, exports, size, sha256 } = plugin;
        let (exports, size) = (exports.join(", "), format!("{} KiB", size.div_ceil(1024)));
        format!("{name} {version} ({exports})\n  {summary}\n  {size}, sha256:{sha256}\n")
    };
    plugins.iter().map(row).collect()
}

fn write_contract(folder: &str) -> Result<String, Vec<String>> {
    let fail = |error: std::io::Error| vec![format!("cannot write the contract to {folder}: {error}")];
    std::fs::create_dir_all(folder).map_err(fail)?;
    for (name, text) in CONTRACT {
        std::fs::write(std::path::Path::new(folder).join(name), text).map_err(fail)?;
    }
    Ok(format!("wrote {} to {folder}\n", CONTRACT.map(|(name, _)| name).join(", ")))
}
