//! Builds a guest crate into a component, from within a build script.
//!
//! The target that it needs is seen to by this crate's own build script.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";

/// Compiles `package` of a workspace (its library) with a profile of that workspace, and returns the component's path. One
/// target directory serves all profiles of the outer build: a cold guest build costs half a minute, and dev, clippy and
/// release would each pay it.
///
/// # Panics
/// With cargo's own output if the build fails.
pub fn build_guest(workspace: &Path, package: &str, profile: &str) -> PathBuf {
    let target_dir = guest_target_dir();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace).args(["rustc", "--lib", "--crate-type", "cdylib", "--locked", "--profile", profile]);
    cargo.args(["-p", package, "--target", TARGET, "--target-dir"]).arg(&target_dir);
    clean_environment(&mut cargo);
    let output = cargo.output().unwrap_or_else(|error| panic!("cannot run cargo for {package}: {error}"));
    if !output.status.success() {
        panic!("building {package} for {TARGET} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    target_dir.join(TARGET).join(profile).join(package.replace('-', "_")).with_extension("wasm")
}

/// Tells cargo to run the build script again when any of these changes.
pub fn rerun_if_changed(workspace: &Path, paths: &[&str]) {
    for path in paths {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
}

/// `guests` beside the outer build's profiles.
fn guest_target_dir() -> PathBuf {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let target = out_dir.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).unwrap_or(&out_dir);
    let guests = target.join("guests");
    fs::create_dir_all(&guests).unwrap_or_else(|error| panic!("cannot create {}: {error}", guests.display()));
    guests
}

/// The outer build's flags, wrappers and profiles are for the machine it runs on, not for guests.
fn clean_environment(cargo: &mut Command) {
    for (name, _) in env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let is_outer = ["CARGO_BUILD_", "CARGO_TARGET_", "CARGO_PROFILE_", "CARGO_FEATURE_", "CARGO_CFG_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if is_outer || matches!(name, "RUSTC_WRAPPER" | "RUSTC_WORKSPACE_WRAPPER" | "RUSTDOC" | "RUSTFLAGS" | "OUT_DIR")
        {
            cargo.env_remove(name);
        }
    }
    // Set, not removed: else the `rustflags` of any cargo configuration reach the WebAssembly linker.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "");
}
