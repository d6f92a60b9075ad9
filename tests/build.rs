//! Compiles the guest that misbehaves.

use std::path::Path;

#[path = "../plugins/builtin/guest_build.rs"]
mod guest_build;

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    guest_build::rerun_if_changed(&workspace, &["wit", "plugins/sdk", "tests/components", "Cargo.lock", "Cargo.toml"]);
    guest_build::rerun_if_changed(&workspace, &["plugins/builtin/guest_build.rs", "tests/build.rs"]);
    let component = guest_build::build_guest(&workspace, "rehearsal-misbehave");
    println!("cargo::rerun-if-changed={}", component.display());
    println!("cargo::rustc-env=MISBEHAVE_COMPONENT={}", component.display());
}
