//! What is logged at all: by level or filter, and by source file.

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};

use crate::config::klog::VModule;

/// What is logged at all.
pub(super) struct Verbosity {
    usual: EnvFilter,
    vmodule: VModule,
}

impl Verbosity {
    pub(super) fn new(filter: &str, vmodule: VModule) -> Self {
        Self { usual: EnvFilter::new(filter), vmodule }
    }

    fn by_file(&self, metadata: &Metadata<'_>) -> Option<bool> {
        let level = self.vmodule.level(metadata.file()?)?;
        Some(*metadata.level() <= level)
    }
}

impl<S> Filter<S> for Verbosity {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        self.by_file(metadata).unwrap_or_else(|| Filter::enabled(&self.usual, metadata, context))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.by_file(metadata) {
            Some(true) => Interest::always(),
            Some(false) => Interest::never(),
            None => Filter::<S>::callsite_enabled(&self.usual, metadata),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let usual = Filter::<S>::max_level_hint(&self.usual)?;
        Some(self.vmodule.most_verbose().map_or(usual, |level| level.max(usual)))
    }
}
