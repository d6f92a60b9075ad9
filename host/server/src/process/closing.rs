//! That the server is about to stop: nothing that has no end of its own is to hold it up.

use tokio::sync::watch;

/// Told once, to every task that waits for it.
#[derive(Debug, Clone)]
pub struct Closing(watch::Sender<bool>);

impl Closing {
    /// Not yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Now.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Ready once it has begun.
    pub async fn begun(&self) {
        // The sender is there for as long as we are.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}

impl Default for Closing {
    fn default() -> Self {
        Self::new()
    }
}
