//! `plugin push`: a component, where a server fetches it from.

use std::path::PathBuf;

use rehearsal_plugin_host::{MAX_COMPONENT_BYTES, regular_file, signature};

use crate::registry;

/// Arguments of `plugin push`.
#[derive(Debug, clap::Args)]
pub(super) struct Push {
    /// The component; a signature that lies beside it, FILE.sig, goes with it
    file: PathBuf,
    /// Where to: registry/repository:tag
    reference: String,
}

impl Push {
    pub(super) async fn run(&self) -> Result<String, Vec<String>> {
        let at =
            |path: &PathBuf, error: &dyn std::fmt::Display| vec![format!("cannot read {}: {error}", path.display())];
        let component = regular_file::read(&self.file, MAX_COMPONENT_BYTES).map_err(|error| at(&self.file, &error))?;
        let path = signature::path_beside(&self.file);
        let signature = path.exists().then(|| signature::read(&path)).transpose();
        let signature = signature.map_err(|error| at(&path, &error))?;
        let is_signed = if signature.is_some() { ", with its signature" } else { "" };
        let pushed = registry::push(component, signature, &self.reference).await;
        let reference = pushed.map_err(|error| vec![format!("{}: {error:#}", self.reference)])?;
        Ok(format!("pushed {reference}{is_signed}\n"))
    }
}
