//! `rehearsal check`: everything that is wrong with a configuration, without a start.

use crate::args::{self, Parsed};
use crate::config::{Address, Config, LogConfig, LogPlace};
use crate::process::serve::Front;
use crate::prompts::tokenizer::ServedTokenizer;
use crate::replica::{self, Replica};
use crate::said::Said;
use crate::telemetry::logs;

/// Understands `words`, a configuration file or flags, as the server would; loads and tries what it would load. Nothing is
/// listened on or connected to, but for a tokenizer that must be fetched.
pub(super) async fn run(
    words: &[String],
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Said, Vec<String>> {
    let mut arguments = vec!["rehearsal".to_owned()];
    match words.split_first() {
        // A file may stand alone; no model's name ends so.
        Some((file, flags)) if file.ends_with(".yaml") || file.ends_with(".yml") => {
            arguments.extend(["--config".to_owned(), file.clone()]);
            arguments.extend_from_slice(flags);
        }
        _ => arguments.extend_from_slice(words),
    }
    let settings = match args::parse(arguments, env)? {
        Parsed::Run(settings) | Parsed::PrintConfig(settings) => settings,
        Parsed::Print(text) => return Ok(Said::Text(text)),
    };
    let config = Config { kv_events: None, ..Config::new(&settings)? };
    // What is logged on the way is a note too.
    let _logs = logs::init(&LogConfig { filter: "warn".into(), files: None, ..config.log.clone() });
    let mut problems = missing_folders(&config);
    problems.extend(Front::new(&config).err());
    let clock = config.clock.start();
    let served = ServedTokenizer::load(&config.tokenizer, &config.chat_template, &config.model.name, &clock).await;
    let served = served.unwrap_or_else(|problem| {
        problems.push(problem);
        ServedTokenizer::builtin()
    });
    match replica::load_plugins(&config, &served).await {
        Ok(plugins) => {
            problems.extend(Replica::new(&config, &clock, served, &plugins).await.err().into_iter().flatten())
        }
        Err(mut found) => problems.append(&mut found),
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let notes: String = settings.notes().chain(config.warnings).map(|note| format!("note: {note}\n")).collect();
    Ok(Said::Text(format!("{notes}the configuration is good\n")))
}

/// Folders in which a start would make files and which are not there.
fn missing_folders(config: &Config) -> Vec<String> {
    let socket = match &config.serving.address {
        Address::Unix(path) => Some(("uds", path.parent())),
        Address::Tcp(..) => None,
    };
    let logs = config.log.files.as_ref().map(|files| match &files.place {
        LogPlace::One(path, _) => ("log-file", path.parent()),
        LogPlace::Folder { folder, .. } => ("log-dir", Some(folder.as_path())),
    });
    let named = [socket, logs].into_iter().flatten().filter_map(|(key, folder)| Some((key, folder?)));
    let missing = named.filter(|(_, folder)| !folder.as_os_str().is_empty() && !folder.is_dir());
    missing.map(|(key, folder)| format!("{key}: there is no folder {}", folder.display())).collect()
}
