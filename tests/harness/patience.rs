//! Waiting for what must come: a loaded machine is slow, and only a broken server is slower than this.

use std::time::Duration;

/// After it a test fails. Nothing takes nearly as long where the processor is free.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a look finds, as soon as it finds anything; `what` is named if it never does.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    in_time(what, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

/// What comes of `waited_for`; `what` is named if it does not end.
pub async fn in_time<T>(what: &str, waited_for: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waited_for).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}
