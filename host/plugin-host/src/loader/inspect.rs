//! What can be judged of a component before any of its code runs: names, versions, imports, exports.

use wasmtime::component::Component;

use crate::contract::{PACKAGE, TRACK, VERSION};
use crate::error::LoadProblem;

/// Says in words what linking would say in types: a wrong version, an import that no plugin is given.
pub(super) fn check_names(component: &Component, engine: &wasmtime::Engine) -> Result<(), LoadProblem> {
    let ty = component.component_type();
    let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let imports: Vec<String> = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
    for name in exports.iter().chain(&imports) {
        let version = name.strip_prefix(PACKAGE).and_then(|name| name.split_once('@')).map(|(_, version)| version);
        if let Some(version) = version
            && !version.starts_with(TRACK)
        {
            return Err(LoadProblem::WrongVersion { found: name.clone(), wanted: VERSION });
        }
    }
    const OFFERED: [&str; 7] =
        [PACKAGE, "wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
    match imports.into_iter().find(|name| !OFFERED.iter().any(|offered| name.starts_with(offered))) {
        Some(unknown) => Err(LoadProblem::UnknownImport(unknown)),
        None => Ok(()),
    }
}

/// Why linking failed: because the component was built for a later version of the contract, if it was.
pub(super) fn mismatch(error: wasmtime::Error, component: &Component, engine: &wasmtime::Engine) -> LoadProblem {
    let patch = |version: &str| version.strip_prefix(TRACK).and_then(|patch| patch.parse::<u32>().ok());
    let ty = component.component_type();
    let newest = ty
        .imports(engine)
        .filter_map(|(name, _)| {
            let (_, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
            Some((patch(version)?, name))
        })
        .max();
    match newest {
        Some((found, name)) if Some(found) > patch(VERSION) => {
            LoadProblem::NewerVersion { found: name.to_owned(), spoken: VERSION }
        }
        _ => LoadProblem::Mismatch(error),
    }
}
