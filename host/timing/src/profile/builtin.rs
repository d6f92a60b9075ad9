//! The profiles that ship inside the binary.

use include_dir::{Dir, include_dir};

use super::Profile;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles");

/// All of them, by name: the YAML that [`Profile::parse`] understands.
pub fn builtins() -> impl Iterator<Item = (&'static str, &'static str)> {
    let file = |file: &'static include_dir::File<'_>| Some((file.path().file_stem()?.to_str()?, file.contents_utf8()?));
    let mut files: Vec<_> = FILES.files().filter_map(file).collect();
    files.sort_unstable();
    files.into_iter()
}

/// The one of this name.
pub fn builtin(name: &str) -> Option<Profile> {
    let (_, yaml) = builtins().find(|(known, _)| *known == name)?;
    let profile = Profile::parse(yaml).ok()?;
    Some(Profile { name: Some(name.to_owned()), ..profile })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_one_is_sound() {
        assert!(builtins().count() >= 10);
        for (name, yaml) in builtins() {
            let profile = Profile::parse(yaml).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(profile.engine.max_num_seqs.is_some(), "{name} has its limits");
        }
    }
}
