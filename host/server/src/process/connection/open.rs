//! How many connections there are.

use std::io;
use std::sync::Arc;

use rehearsal_sync::{BoundedCount, Place};

use crate::telemetry::metrics::ConnectionMetrics;

/// A connection that is open, until this is dropped.
pub(super) struct Open {
    pub(super) metrics: ConnectionMetrics,
    _place: Place,
}

impl Open {
    pub(super) fn new(places: &Arc<BoundedCount>, metrics: &ConnectionMetrics) -> io::Result<Self> {
        let Some(place) = Place::take(places) else {
            metrics.refused.inc();
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "there are too many connections"));
        };
        metrics.open.inc();
        Ok(Self { metrics: metrics.clone(), _place: place })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}
