//! The house stays what its plan says: no file imports another in a circle, and one file of each crate knows what time
//! it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rehearsal_tests::ROOT;

/// By file: the files of the same crate that its `use` and `mod` lines name.
type Imports = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// Only paths that lead to a file count; what a file takes from the module that it is part of does not.
fn imports(crate_folder: &Path) -> Imports {
    let sources = sources(crate_folder);
    let of = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
        let statements = code.split("\nuse ").skip(1).chain(code.split("\npub use ").skip(1));
        let statements = statements.filter_map(|rest| rest.split_once(';')).map(|(statement, _)| statement.to_owned());
        let used = statements.flat_map(|statement| targets(&statement, file, crate_folder));
        let has_part = |target: &PathBuf| file.starts_with(target.with_extension(""));
        let named: BTreeSet<_> =
            used.filter(|used| used != file && !has_part(used)).chain(parts(&code, file)).collect();
        (file.clone(), named)
    };
    sources.iter().map(of).collect()
}

/// The files that a module declares as its parts.
fn parts(code: &str, file: &Path) -> Vec<PathBuf> {
    let declared = code.lines().filter_map(|line| line.strip_suffix(';')?.split_once("mod ").map(|(_, name)| name));
    let folder = if file.ends_with("src/lib.rs") { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    declared.map(|name| folder.join(name).with_extension("rs")).filter(|part| part.is_file()).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().unwrap() == "tests" {
            continue;
        } else if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The files that one `use` leads to: from `crate::`, or from a `super::` of its own module.
fn targets(statement: &str, file: &Path, crate_folder: &Path) -> Vec<PathBuf> {
    let statement: String = statement.split_whitespace().collect();
    let module = file.strip_prefix(crate_folder).unwrap().with_extension("");
    let (mut base, rest) = match statement.split_once("::") {
        Some(("crate", rest)) => (PathBuf::new(), rest),
        Some(("super", rest)) => (module.parent().unwrap().to_owned(), rest),
        _ => return Vec::new(),
    };
    let mut rest = rest;
    while let Some(further) = rest.strip_prefix("super::") {
        base.pop();
        rest = further;
    }
    let first = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    let paths = match rest.strip_prefix('{').and_then(|list| list.strip_suffix('}')) {
        Some(list) => top_level(list).into_iter().map(|path| first(&path)).collect(),
        None => vec![first(rest)],
    };
    paths.into_iter().filter_map(|parts| deepest(crate_folder, &base, &parts)).collect()
}

/// The parts of a list, which may have lists in them.
fn top_level(list: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(c),
        }
    }
    parts
}

/// The file that the longest beginning of a path names.
fn deepest(crate_folder: &Path, base: &Path, parts: &[String]) -> Option<PathBuf> {
    let mut path = base.to_owned();
    let mut found = None;
    for part in parts {
        path.push(part.trim_start_matches("self").trim_matches(['{', '}']));
        let file = crate_folder.join(&path).with_extension("rs");
        if file.is_file() {
            found = Some(file);
        }
    }
    found
}

/// A circle of files, if there is one.
fn circle(imports: &Imports) -> Option<Vec<PathBuf>> {
    fn visit(at: &PathBuf, imports: &Imports, path: &mut Vec<PathBuf>, done: &mut BTreeSet<PathBuf>) -> bool {
        if path.contains(at) {
            path.push(at.clone());
            return true;
        }
        if done.contains(at) {
            return false;
        }
        path.push(at.clone());
        for next in imports.get(at).into_iter().flatten() {
            if visit(next, imports, path, done) {
                return true;
            }
        }
        path.pop();
        done.insert(at.clone());
        false
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|file| {
        let mut path = Vec::new();
        visit(file, imports, &mut path, &mut done).then_some(path)
    })
}

#[test]
fn no_file_imports_another_in_a_circle() {
    for crate_folder in [
        "host/engine",
        "host/open-loop",
        "host/plugin-host",
        "host/server",
        "host/timing",
        "plugins/sdk",
        "plugins/tool-call",
    ] {
        let folder = Path::new(ROOT).join(crate_folder).join("src");
        let imports = imports(&folder);
        let n_imports: usize = imports.values().map(BTreeSet::len).sum();
        assert!(n_imports >= imports.len() / 4, "{crate_folder}: {n_imports} imports were found");
        if let Some(circle) = circle(&imports) {
            let names: Vec<_> =
                circle.iter().map(|file| file.strip_prefix(&folder).unwrap().display().to_string()).collect();
            panic!("{crate_folder}: {}", names.join(" -> "));
        }
    }
}

#[test]
fn a_circle_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    write("a.rs", "\nuse crate::b::{self, B};\n");
    write("b.rs", "\nuse std::io;\nuse crate::{a::inner::{X, Y}, c};\n");
    write("a/inner.rs", "\nuse super::super::c::C;\n");
    write("c.rs", "\n");
    assert_eq!(circle(&imports(folder.path())), None);
    write("c.rs", "\nuse crate::b;\n");
    assert!(circle(&imports(folder.path())).is_some());
    // By way of a part, which the module names without a `use`.
    write("a.rs", "\n");
    write("c.rs", "\nuse crate::a::A;\n");
    assert_eq!(circle(&imports(folder.path())), None);
    write("a.rs", "\nmod inner;\n");
    assert!(circle(&imports(folder.path())).is_some());
}

/// What tells the time or waits for it.
const CLOCKS: [&str; 7] = [
    "tokio::time",
    "std::time::Instant",
    "SystemTime::now",
    "Zoned::now",
    "Timestamp::now",
    "thread::sleep",
    "recv_timeout(",
];

/// The engine's clock; real time, for guests and for peers; the time of day. And a probe of a container's health, which is
/// a program of its own.
const KNOW_THE_TIME: [&str; 5] = [
    "host/engine/src/clock.rs",
    "host/plugin-host/src/real_time.rs",
    "host/server/src/process/real_time.rs",
    "host/server/src/wire/wall_clock.rs",
    "host/server/src/commands/health.rs",
];

#[test]
fn one_file_of_each_crate_reads_the_clock_and_sleeps() {
    let mut knowing = BTreeSet::new();
    for crate_folder in ["host/engine", "host/plugin-host", "host/server"] {
        for file in sources(&Path::new(ROOT).join(crate_folder).join("src")) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            let is_listed = |line: &str| line.starts_with("use std::time::{") && line.contains("Instant");
            if lines.any(|line| is_listed(line) || CLOCKS.iter().any(|clock| line.contains(clock))) {
                knowing.insert(file.strip_prefix(ROOT).unwrap().display().to_string());
            }
        }
    }
    assert_eq!(knowing, KNOW_THE_TIME.map(str::to_owned).into());
}
