//! Which components have changed on disk, by content. Modification times lie: Kubernetes swaps symbolic links, and a
//! file that is copied into place is there before it is whole.

use std::collections::BTreeMap;

use crate::host::PluginHost;
use crate::loader;

/// What was seen of each plugin's file that is not what serves.
#[derive(Debug, Default)]
pub struct Watch {
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Or why there is none.
    sha256: String,
    tried: bool,
}

impl Watch {
    /// Looks at every plugin's file and reloads those whose content is another than what serves, once it was the same
    /// for two looks: until then it may be half written. A content that was refused is not tried again, and so is a file
    /// that cannot be read until something else is wrong with it, or nothing.
    pub async fn look(&mut self, host: &PluginHost) {
        for (name, plugin) in &host.plugins {
            let Some(source) = plugin.file() else { continue };
            let sha256 = match loader::read(source.clone()).await {
                Ok(image) => image.sha256,
                // Tried like any other content: what is wrong is told, and once.
                Err(problem) => problem.to_string(),
            };
            if sha256 == plugin.sha256() {
                self.seen.remove(name);
                continue;
            }
            match self.seen.get_mut(name).filter(|seen| seen.sha256 == sha256) {
                None => drop(self.seen.insert(name.clone(), Seen { sha256, tried: false })),
                Some(seen) if seen.tried => {}
                Some(seen) => {
                    seen.tried = true;
                    // What is wrong was logged and counted.
                    let _ = host.reload_one(plugin).await;
                }
            }
        }
    }
}
