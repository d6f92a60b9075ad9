//! The documents stay true: their configuration parses, their commands run, their tables are complete.

use std::path::{Path, PathBuf};
use std::process::Command;

use rehearsal_server::args::{self, Parsed, specs};
use rehearsal_server::config::{Config, Spec, Takes};
use rehearsal_tests::{ROOT, Server};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::EXE;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of a document in one language.
pub(crate) fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut parts = document.split("```");
    parts.next();
    // Text of a block, text between blocks, and so on.
    let inside = parts.step_by(2).filter_map(|block| block.strip_prefix(&format!("{language}\n")));
    inside.map(str::to_owned).collect()
}

pub(crate) fn configured(args: &[&str]) -> Result<Config, Vec<String>> {
    let args = std::iter::once("rehearsal").chain(args.iter().copied()).map(str::to_owned);
    match args::parse(args, [])? {
        Parsed::Run(settings) | Parsed::PrintConfig(settings) => Config::new(&settings),
        Parsed::Print(text) => panic!("{text}"),
    }
}

fn configured_by(text: &str) -> Result<Config, Vec<String>> {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    configured(&["--config", file.path().to_str().unwrap()])
}

fn manifests() -> Vec<PathBuf> {
    let folder = Path::new(ROOT).join("manifests");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    assert!(!files.is_empty());
    files
}

#[test]
fn every_configuration_block_and_manifest_is_understood() {
    for block in ["README.md", "manifests/running.md"].into_iter().flat_map(|document| {
        let blocks = blocks(&read(document), "yaml");
        assert!(!blocks.is_empty(), "{document}");
        blocks
    }) {
        configured_by(&block).unwrap_or_else(|problems| panic!("{problems:?} in\n{block}"));
    }
    for path in manifests() {
        let text = std::fs::read_to_string(&path).unwrap();
        let documents: Vec<Value> =
            text.split("\n---\n").map(|document| serde_yaml_ng::from_str(document).expect("valid YAML")).collect();
        if documents[0].get("kind").is_none() {
            configured_by(&text).unwrap_or_else(|problems| panic!("{problems:?} in {}", path.display()));
            continue;
        }
        for document in documents {
            let containers = document["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
            for container in containers {
                let args: Vec<_> =
                    container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
                configured(&args).unwrap_or_else(|problems| panic!("{problems:?} in {}", path.display()));
            }
        }
    }
}

#[test]
fn every_manifest_and_folder_is_in_its_table() {
    let index = read("manifests/README.md");
    for path in manifests() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(index.contains(&format!("| `{name}` |")), "{name} is not in manifests/README.md");
    }
}

/// The page of all keys is the program's own table. With `UPDATE_DOCS=1` in the environment the test writes it.
#[test]
fn the_page_of_keys_is_the_programs() {
    let path = Path::new(ROOT).join("manifests/keys.md");
    let wanted = page_of_keys();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == wanted, "{} is not up to date: run this test with UPDATE_DOCS=1", path.display());
}

fn page_of_keys() -> String {
    let mut page = String::from(
        "# All keys\n\nMade from the program's own table by a test. Keys with a * can be changed while the server runs, \
         at [`/admin/config`](running.md#changes-while-it-runs). How keys are written, and which layer wins, stands in the \
         [README](../README.md#configuration).\n",
    );
    let mut topic = None;
    for spec in specs().filter(|spec| spec.takes != Takes::Environment) {
        if topic != Some(spec.topic) {
            topic = Some(spec.topic);
            page += &format!("\n## {}\n\n| key | default | meaning |\n|---|---|---|\n", spec.topic.title());
        }
        let others = spec.aliases.iter().map(|alias| format!("`{alias}`"));
        let shorts = spec.shorts.iter().map(|short| format!("`-{short}`"));
        let env = spec.env.iter().map(|name| format!("environment: `{name}`"));
        let more: Vec<_> = others.chain(shorts).chain(env).collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
        page += &row(spec, &more);
    }
    page += "\n## Environment\n\n| variable | default | meaning |\n|---|---|---|\n";
    for spec in specs().filter(|spec| spec.takes == Takes::Environment) {
        page += &row(spec, "");
    }
    page + "\nVariables that begin with `VLLM_` and are not listed mean nothing here; the log names those that are set.\n"
}

fn row(spec: &Spec, more: &str) -> String {
    let mark = if spec.is_live { " *" } else { "" };
    format!("| `{}`{mark} | {} | {}{more} |\n", spec.name, spec.default, spec.help.replace('|', "\\|"))
}

/// The README's own, short table: the keys exist, and have these defaults.
#[test]
fn the_readmes_keys_are_the_programs() {
    let readme = read("README.md");
    let rows = readme.lines().skip_while(|line| *line != "| key | default | meaning |").skip(2);
    let rows: Vec<_> = rows.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 21);
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`');
        let spec = specs().find(|spec| spec.name == name).unwrap_or_else(|| panic!("{name} is no key"));
        assert_eq!(cells[2], spec.default, "{name}");
    }
}

/// Every flag has its line in the help, no wider than a terminal.
#[test]
fn the_help_has_every_flag_and_fits_into_80_columns() {
    let Ok(Parsed::Print(help)) = args::parse(["rehearsal".to_owned(), "--help".to_owned()], []) else { panic!() };
    for spec in specs().filter(|spec| !matches!(spec.takes, Takes::Environment | Takes::FileOnly)) {
        assert!(help.contains(&format!("--{}", spec.name)), "{}", spec.name);
    }
    let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    let headings =
        ["Serving:", "Engine:", "Latency:", "Plugins:", "KV cache and events:", "Failures:", "Logs:", "Accepted for"];
    let places: Vec<_> = headings.iter().map(|heading| help.find(&format!("\n{heading}")).expect(heading)).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[tokio::test]
async fn the_readmes_commands_work() {
    let readme = read("README.md");
    let commands = blocks(&readme, "sh");
    let servers: Vec<_> = commands.iter().filter_map(|command| command.trim().strip_prefix("cargo run -- ")).collect();
    let requests: Vec<_> = commands.iter().filter(|command| command.starts_with("curl ")).collect();
    assert_eq!((servers.len(), requests.len()), (3, 3), "each server is followed by a request");
    for (arguments, request) in servers.iter().zip(requests) {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        let server = Server::start(EXE, &arguments).await;
        let (path, body) = curl(request);
        let answer = server.post_text(path, "application/json", body, &[]).await;
        assert_eq!(answer.status, 200, "{request}\n{}", answer.text);
    }
}

/// Command lines of the program itself, typed as they stand; those that would serve are checked instead.
#[test]
fn the_readmes_command_lines_are_good() {
    let readme = read("README.md");
    let lines: Vec<_> = blocks(&readme, "sh").into_iter().filter(|block| block.starts_with("rehearsal ")).collect();
    assert_eq!(lines.len(), 3);
    for block in lines {
        let serving_is_checked =
            r#"rehearsal() { case "$1" in serve) shift; "$EXE" check "$@";; *) "$EXE" "$@";; esac; }"#;
        let script = format!("set -e\n{serving_is_checked}\n{block}");
        let output =
            Command::new("sh").args(["-c", &script]).env("EXE", EXE).env("HF_HUB_OFFLINE", "1").output().unwrap();
        assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Path and body of a curl command.
fn curl(command: &str) -> (&str, &str) {
    let path = command.split("http://localhost:8000").nth(1).unwrap().split(' ').next().unwrap();
    let body = command.split("-d '").nth(1).unwrap().split('\'').next().unwrap();
    (path, body)
}

/// What `plugins/README.md` tells authors to type is what a new project tells them, and that is typed in `languages.rs`.
#[test]
fn the_plugins_readme_builds_as_new_projects_do() {
    let told = blocks(&read("plugins/README.md"), "sh");
    for like in ["shout", "dice", "shuffle"] {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("mine");
        let made = Command::new(EXE).args(["plugin", "new", "--like", like]).arg(&project).output();
        assert!(made.unwrap().status.success());
        let readme = std::fs::read_to_string(project.join("README.md")).unwrap();
        let build = &blocks(&readme, "sh")[0];
        assert!(told.iter().any(|block| block.contains(build)), "{build} is not in plugins/README.md");
    }
}

/// Links between documents lead somewhere.
#[test]
fn links_lead_to_files() {
    for document in [
        "README.md",
        "wit/README.md",
        "plugins/README.md",
        "tests/README.md",
        "manifests/README.md",
        "manifests/running.md",
        "manifests/timing.md",
        "manifests/keys.md",
    ] {
        let text = read(document);
        let folder = Path::new(ROOT).join(document).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let (target, _) = target.split_once('#').unwrap_or((target, ""));
            if !target.is_empty() && !target.starts_with("http") {
                assert!(folder.join(target).exists(), "{document} links to {target}");
            }
        }
    }
}

/// The contract is frozen per version: a change gives it a new one, stands in `wit/README.md`, and only then has its hash here.
#[test]
fn the_contract_has_not_changed_without_a_new_version() {
    let in_folder = std::fs::read_dir(Path::new(ROOT).join("wit")).unwrap().count();
    assert_eq!(in_folder, 4, "three files and a README");
    for (version, folder, wanted) in [
        ("0.1.0", "tests/contract-0.1.0/wit", "2cd8631f09b045f49eba7f1c67cf3a7fa8bc8b127542f86da49c852f0f30b841"),
        ("0.1.1", "wit", "355dfd615fe14c1c0daeb44e93096e8ce3cd16c80ec4f6373db3afcf09e495bb"),
    ] {
        let mut hash = Sha256::new();
        for name in ["host.wit", "strategies.wit", "types.wit"] {
            hash.update(read(&format!("{folder}/{name}")));
        }
        let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, wanted, "{version}");
        assert!(read("wit/README.md").contains(&format!("| {version} | ")));
    }
}
