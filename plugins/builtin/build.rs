//! Compiles the built-in plugins to components and writes the table that embeds them.

use std::path::{Path, PathBuf};
use std::{env, fs};

use rehearsal_guest_build as guest_build;

/// Name on the command line, and the crate that implements it.
const PLUGINS: [(&str, &str); 5] = [
    ("echo", "rehearsal-echo"),
    ("random", "rehearsal-random"),
    ("tool-call", "rehearsal-tool-call"),
    ("failure", "rehearsal-failure"),
    ("embed", "rehearsal-embed"),
];

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    guest_build::rerun_if_changed(
        &workspace,
        &["wit", "plugins/sdk", "plugins/synthesis", "plugins/builtin", "Cargo.lock", "Cargo.toml"],
    );
    println!("cargo::rerun-if-env-changed=BUILTIN_PLUGINS_DIR");
    // For image builds in layers: components that were compiled elsewhere, `<name>.wasm` each.
    let prebuilt = env::var_os("BUILTIN_PLUGINS_DIR").map(PathBuf::from);

    let mut table = String::from("&[\n");
    for (name, package) in PLUGINS {
        guest_build::rerun_if_changed(&workspace, &[&format!("plugins/{name}")]);
        let component = match &prebuilt {
            Some(dir) => dir.join(name).with_extension("wasm"),
            None => guest_build::build_guest(&workspace, package, "plugin"),
        };
        let component = component.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", component.display()));
        println!("cargo::rerun-if-changed={}", component.display());
        table += &format!("    Builtin {{ name: {name:?}, component: include_bytes!({component:?}) }},\n");
    }
    table.push(']');

    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    fs::write(out_dir.join("builtins.rs"), table).expect("OUT_DIR is writable");
}
