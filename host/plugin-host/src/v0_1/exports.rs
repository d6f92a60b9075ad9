//! What a component of this track exports, by interface: found once, and loaded for each instance.

use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre};

use super::bindings::{embedder, failure_selector, generator, lifecycle, observer, tool_caller};
use crate::contract::{Interface, PACKAGE};
use crate::error::LoadProblem;
use crate::guest::Guest;

/// Where to find each interface that a component exports.
pub(crate) struct Interfaces {
    pub(crate) lifecycle: lifecycle::GuestIndices,
    pub(crate) generator: Option<generator::GuestIndices>,
    pub(crate) tool_caller: Option<tool_caller::GuestIndices>,
    pub(crate) failure_selector: Option<failure_selector::GuestIndices>,
    pub(crate) observer: Option<observer::GuestIndices>,
    pub(crate) embedder: Option<embedder::GuestIndices>,
}

impl Interfaces {
    /// What the component can be.
    pub(crate) fn exported(&self) -> Vec<Interface> {
        let is_exported = |interface: &Interface| match interface {
            Interface::Generator => self.generator.is_some(),
            Interface::ToolCaller => self.tool_caller.is_some(),
            Interface::FailureSelector => self.failure_selector.is_some(),
            Interface::Observer => self.observer.is_some(),
            Interface::Embedder => self.embedder.is_some(),
        };
        Interface::ALL.into_iter().filter(is_exported).collect()
    }

    /// Of one instance. Its types are looked at here.
    pub(crate) fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Exports> {
        let lifecycle = self.lifecycle.load(&mut *store, instance)?;
        let generator = self.generator.as_ref().map(|indices| indices.load(&mut *store, instance));
        let tool_caller = self.tool_caller.as_ref().map(|indices| indices.load(&mut *store, instance));
        let failure_selector = self.failure_selector.as_ref().map(|indices| indices.load(&mut *store, instance));
        let observer = self.observer.as_ref().map(|indices| indices.load(&mut *store, instance));
        let embedder = self.embedder.as_ref().map(|indices| indices.load(&mut *store, instance));
        Ok(Exports {
            lifecycle,
            generator: generator.transpose()?,
            tool_caller: tool_caller.transpose()?,
            failure_selector: failure_selector.transpose()?,
            observer: observer.transpose()?,
            embedder: embedder.transpose()?,
        })
    }
}

/// What one instance can be asked.
pub(crate) struct Exports {
    pub(crate) lifecycle: lifecycle::Guest,
    pub(crate) generator: Option<generator::Guest>,
    pub(crate) tool_caller: Option<tool_caller::Guest>,
    pub(crate) failure_selector: Option<failure_selector::Guest>,
    pub(crate) observer: Option<observer::Guest>,
    pub(crate) embedder: Option<embedder::Guest>,
}

/// Finds each interface. One that is exported but incomplete is an error, not an absence.
pub(crate) fn interfaces(
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
