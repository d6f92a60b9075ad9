//! What `plugin new` makes, in every language, builds without a checkout of ours, conforms and answers over HTTP.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rehearsal_tests::{Server, content_of};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::EXE;
use crate::clients::environment;
use crate::docs::blocks;

/// A project that is built, unless that was done for the same files before.
struct Project {
    folder: PathBuf,
    component: PathBuf,
    /// Of its source.
    hash: String,
}

impl Project {
    /// A fresh one, like the example `like` in `language`. What builds leave behind in the folder is kept.
    fn new(name: &str, like: &str, language: &str) -> Self {
        let projects = Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects");
        let folder = projects.join(name);
        let fresh = tempfile::tempdir().unwrap();
        let fresh = fresh.path().join(name);
        run(Command::new(EXE).args(["plugin", "new", fresh.to_str().unwrap(), "--like", like, "--language", language]));
        std::fs::create_dir_all(&folder).unwrap();
        run(Command::new("cp").arg("-rT").arg(&fresh).arg(&folder));
        let component = match language {
            "rust" => {
                // What all of them need is compiled once.
                let _ = std::os::unix::fs::symlink(projects.join("target"), folder.join("target"));
                std::fs::create_dir_all(projects.join("target")).unwrap();
                format!("target/wasm32-wasip2/release/{}.wasm", name.replace('-', "_"))
            }
            _ => format!("{name}.wasm"),
        };
        Self { component: folder.join(component), folder, hash: hash(&fresh) }
    }

    /// The same with a mistake in it.
    fn with_mistake(self, file: &str, right: &str, wrong: &str) -> Self {
        let path = self.folder.join(file);
        let source = std::fs::read_to_string(&path).unwrap();
        assert!(source.contains(right), "{source}");
        std::fs::write(path, source.replacen(right, wrong, 1)).unwrap();
        Self { hash: format!("{} {wrong}", self.hash), ..self }
    }

    /// What is said of it when it is checked.
    fn refusal(&self) -> String {
        let output = Command::new(EXE).args(["plugin", "check"]).arg(&self.component).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join("built.txt")
    }

    fn is_built(&self) -> bool {
        std::fs::read_to_string(self.stamp()).is_ok_and(|built| built == self.hash) && self.component.exists()
    }

    /// The commands of its README: those that build it, those that try it, the one that serves it.
    fn commands(&self) -> [String; 3] {
        let readme = std::fs::read_to_string(self.folder.join("README.md")).unwrap();
        blocks(&readme, "sh").try_into().unwrap()
    }

    /// Bash in its folder, with the server's program and those in `path` first.
    fn bash(&self, commands: &str, path: Option<&Path>) -> Command {
        let first = [Path::new(EXE).parent(), path].into_iter().flatten().map(|path| path.display().to_string());
        let path = first.chain([std::env::var("PATH").unwrap_or_default()]).collect::<Vec<_>>().join(":");
        let mut bash = Command::new("bash");
        bash.current_dir(&self.folder).args(["-euc", commands]).env("PATH", path).env_remove("CARGO_TARGET_DIR");
        bash
    }

    /// Does what its README says builds it, if that is not built yet.
    fn build(&self) {
        if self.is_built() {
            return;
        }
        let [build, ..] = self.commands();
        let requirements = self.folder.join("requirements.txt");
        let python = requirements.exists().then(|| environment("componentize", &requirements));
        let mut build = self.bash(&build, python.as_deref().and_then(Path::parent));
        if self.folder.join("package.json").exists() {
            self.with_packages(|| run(&mut build));
        } else {
            run(&mut build);
        }
        assert!(self.component.exists(), "{}", self.component.display());
        std::fs::write(self.stamp(), &self.hash).unwrap();
    }

    /// Builds with packages for JavaScript that another project has installed, if one has: they are 400 MB.
    fn with_packages(&self, build: impl FnOnce()) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let (ours, kept) = (self.folder.join("node_modules"), self.folder.with_file_name("node_modules"));
        let _ = std::fs::rename(&kept, &ours);
        build();
        // Still there if one was cut off with packages of its own.
        let _ = std::fs::remove_dir_all(&kept);
        std::fs::rename(ours, kept).unwrap();
    }

    /// Does all else that its README says.
    fn try_and_serve(&self) {
        let [_, tries, serves] = self.commands();
        run(&mut self.bash(&tries, None));
        let mut serves = self.bash(&format!("exec {} --port 0", serves.trim_end()), None);
        let mut server = serves.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(line.starts_with("listening on http://"), "{line}");
    }

    /// Asks it the same twice, in two servers.
    async fn check(&self, says: impl Fn(&str) -> bool) {
        let plugin = format!("mine={}", self.component.display());
        let mut answers = Vec::new();
        for _ in 0..2 {
            let args = ["--model", "m", "--plugin", &plugin, "--mode", "mine", "--seed", "7"];
            let server = Server::start(EXE, &args).await;
            for more in [json!({}), json!({ "seed": 3 }), json!({ "seed": 3, "n": 2 })] {
                let body = Server::chat("one two three four five six seven eight", &more);
                let answer = server.post("/v1/chat/completions", &body).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                assert!(says(content_of(&answer.json["choices"][0])), "{}", answer.text);
                // The one thing that is not the seed's.
                let created = format!("\"created\":{}", answer.json["created"]);
                answers.push(answer.text.replace(&created, ""));
            }
        }
        let (first, second) = answers.split_at(3);
        assert_eq!(first, second);
    }
}

/// Projects like all examples that are there in `language`: built, tried and served as their README says.
fn like_every_example(language: &str) -> Vec<Project> {
    let list = Command::new(EXE).args(["plugin", "new", "--list"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let examples = list.lines().filter(|line| line.contains(language)).filter_map(|line| line.split(' ').next());
    let projects: Vec<_> = examples
        .map(|example| {
            let project = Project::new(&format!("my-{example}-{language}"), example, language);
            project.build();
            project.try_and_serve();
            project
        })
        .collect();
    assert!(projects.len() >= 4, "{list}");
    projects
}

/// Of every file's path and text.
fn hash(folder: &Path) -> String {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.strip_prefix(folder).unwrap().to_str().unwrap());
        hash.update(std::fs::read(file).unwrap());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&said));
}

/// Whether `program` can be run here. A developer without node need not install it to test a change; CI does.
pub(crate) fn is_here(program: &str) -> bool {
    let version = if program == "go" { "version" } else { "--version" };
    let is_here = Command::new(program).arg(version).output().is_ok_and(|output| output.status.success());
    assert!(is_here || std::env::var_os("CI").is_none(), "{program} is needed");
    if !is_here {
        eprintln!("NOTICE: there is no {program}; what needs it was not tested");
    }
    is_here
}

#[tokio::test]
async fn rust() {
    let projects = like_every_example("rust");
    run(Command::new(env!("CARGO")).arg("test").current_dir(&projects[0].folder).env_remove("CARGO_TARGET_DIR"));
    projects[0].check(|text| text.starts_with("ONE TWO THREE")).await;
}

#[tokio::test]
async fn python() {
    let projects = like_every_example("python");
    let is_dice = |text: &str| text.split(' ').count() == 8 && text.bytes().all(|byte| b" 123456".contains(&byte));
    projects[0].check(is_dice).await;
}

#[tokio::test]
async fn javascript() {
    if !is_here("node") || !is_here("npm") {
        return;
    }
    let projects = like_every_example("javascript");
    let mut sorted = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    sorted.sort_unstable();
    projects[0]
        .check(|text| {
            let mut words: Vec<_> = text.split(' ').collect();
            words.sort_unstable();
            words == sorted
        })
        .await;
}

#[tokio::test]
async fn a_wrong_type_in_python_is_told_by_its_field() {
    let project = Project::new("wrong-dice", "dice", "python").with_mistake(
        "wrong_dice.py",
        "content=Content_Text(\" \".join(throws) or \"no dice\")",
        "content=Content_Text(17)",
    );
    project.build();
    let said = project.refusal();
    for part in [
        "the trial of generate failed: plugin \"wrong-dice\" crashed: TypeError: completion.content.value is 17, and not of type str",
        "; in its trial it said\n  | Traceback (most recent call last):\n  |   File \"/0/wrong_dice.py\", line ",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[tokio::test]
async fn a_wrong_type_in_javascript_is_told_by_its_field() {
    if !is_here("node") || !is_here("npm") {
        return;
    }
    let project = Project::new("wrong-type", "shuffle", "javascript").with_mistake(
        "plugin.js",
        "val: words.join(\" \")",
        "val: words.join(\" \") }, reasoning: { tag: 7",
    );
    project.build();
    let said = project.refusal();
    let wrong = "crashed: TypeError: completion.reasoning.tag is 7, and not a string at ";
    assert!(said.contains(wrong), "{said}");
}

#[tokio::test]
async fn a_mistake_in_javascript_is_told_by_its_line() {
    if !is_here("node") || !is_here("npm") {
        return;
    }
    let project = Project::new("wrong-shuffle", "shuffle", "javascript").with_mistake(
        "plugin.js",
        "seeded(req.seed)",
        "seeded(req.sead.value)",
    );
    project.build();
    let said = project.refusal();
    for part in [
        "crashed: TypeError: can't access property \"value\", req.sead is undefined at generator.generate<@plugin.js:",
        "; in its trial it said\n  | TypeError: can't access property",
        "\n  | generator.generate<@plugin.js:",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}
