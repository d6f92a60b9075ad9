//! Lets cargo know of the folders that `plugin new` carries whole: it sees to single files alone.

use std::fs;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../plugins/sdk/src");
    let examples = fs::read_dir("../../plugins/example").expect("the examples are part of the repository");
    for example in examples.filter_map(Result::ok).filter(|example| example.file_name() != "target") {
        println!("cargo::rerun-if-changed={}", example.path().display());
    }
}
