//! What can be judged of a component before any of its code runs: names, versions, imports, exports.

use wasmtime::component::{Component, InstancePre};

use crate::bindings::{embedder, failure_selector, generator, lifecycle, observer, tool_caller};
use crate::contract::{Interface, PACKAGE, TRACK, VERSION};
use crate::error::LoadProblem;
use crate::guest::Guest;
use crate::instances::Interfaces;

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

/// Finds each interface. One that is exported but incomplete is an error, not an absence.
pub(super) fn interfaces(
    pre: &InstancePre<Guest>,
    component: &Component,
    engine: &wasmtime::Engine,
) -> Result<Interfaces, LoadProblem> {
    let ty = component.component_type();
    let exports = |interface: &str| {
        let prefix = format!("{PACKAGE}{interface}@");
        ty.exports(engine).any(|(name, _)| name.starts_with(&prefix))
    };
    if !exports("lifecycle") {
        return Err(LoadProblem::MissingExport("rehearsal:strategy/lifecycle"));
    }
    let found = |interface: Interface| exports(interface.name()).then_some(pre);
    if Interface::ALL.into_iter().all(|interface| found(interface).is_none()) {
        let all: Vec<_> = Interface::ALL.into_iter().map(Interface::name).collect();
        return Err(LoadProblem::NoStrategy(all.join(", ")));
    }
    let generator = found(Interface::Generator).map(generator::GuestIndices::new);
    let tool_caller = found(Interface::ToolCaller).map(tool_caller::GuestIndices::new);
    let failure_selector = found(Interface::FailureSelector).map(failure_selector::GuestIndices::new);
    let observer = found(Interface::Observer).map(observer::GuestIndices::new);
    let embedder = found(Interface::Embedder).map(embedder::GuestIndices::new);
    Ok(Interfaces {
        lifecycle: lifecycle::GuestIndices::new(pre).map_err(LoadProblem::Mismatch)?,
        generator: generator.transpose().map_err(LoadProblem::Mismatch)?,
        tool_caller: tool_caller.transpose().map_err(LoadProblem::Mismatch)?,
        failure_selector: failure_selector.transpose().map_err(LoadProblem::Mismatch)?,
        observer: observer.transpose().map_err(LoadProblem::Mismatch)?,
        embedder: embedder.transpose().map_err(LoadProblem::Mismatch)?,
    })
}
