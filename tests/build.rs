//! Compiles the guest that misbehaves, one of the contract's first version, one that is told how requests end, and the example
//! plugins.

use std::path::Path;

use rehearsal_guest_build as guest_build;

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    guest_build::rerun_if_changed(
        &workspace,
        &["wit", "plugins/sdk", "plugins/synthesis", "tests/components", "Cargo.lock", "Cargo.toml"],
    );
    guest_build::rerun_if_changed(&workspace, &["plugins/guest-build", "tests/build.rs"]);
    guest_build::rerun_if_changed(&workspace, &["tests/contract-0.1.0"]);
    announce("CONTRACT_0_1_0", &guest_build::build_guest(&workspace, "rehearsal-contract-0-1-0", "plugin"));
    guest_build::rerun_if_changed(&workspace, &["tests/witness"]);
    announce("WITNESS", &guest_build::build_guest(&workspace, "rehearsal-witness", "plugin"));
    announce("MISBEHAVE", &guest_build::build_guest(&workspace, "rehearsal-misbehave", "plugin"));
    let examples = workspace.join("plugins/example");
    for example in ["shout", "scripted", "flaky", "recorded", "breaker", "dispatcher", "agent", "hashed"] {
        guest_build::rerun_if_changed(&examples, &[example]);
        announce(&example.to_uppercase(), &guest_build::build_guest(&examples, example, "release"));
    }
    guest_build::rerun_if_changed(&examples, &["Cargo.toml", "Cargo.lock"]);
}

fn announce(name: &str, component: &Path) {
    println!("cargo::rerun-if-changed={}", component.display());
    println!("cargo::rustc-env={name}_COMPONENT={}", component.display());
}
