//! The profiles are compiled in: one that is added or taken away makes the crate anew.

fn main() {
    println!("cargo:rerun-if-changed=profiles");
}
