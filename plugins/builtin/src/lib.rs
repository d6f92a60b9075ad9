//! The plugins that ship inside the binary, as components.

/// One of them.
#[derive(Clone, Copy)]
pub struct Builtin {
    /// Its name on the command line.
    pub name: &'static str,
    /// The component's bytes.
    pub component: &'static [u8],
}

/// All of them.
pub const BUILTINS: &[Builtin] = include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The one called `name`.
pub fn find(name: &str) -> Option<Builtin> {
    BUILTINS.iter().copied().find(|builtin| builtin.name == name)
}
