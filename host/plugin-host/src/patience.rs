//! How long a call may run where others wait for the processor.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use cpu_time::ThreadTime;

use crate::epoch::TICK;

/// Slices that the code of a call has run: it yields at the end of each. Clones count for the same call.
#[derive(Clone, Default)]
pub(crate) struct Slices(Arc<AtomicU64>);

impl Slices {
    /// One more has been run; how many that makes.
    pub(crate) fn add(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// How long they took; less where the machine took the processor away meanwhile.
    pub(crate) fn time(&self) -> Duration {
        TICK * u32::try_from(self.count()).unwrap_or(u32::MAX)
    }
}

/// Runs `call` until it ends, or has taken so much of the processor: then it is handed back, to go on elsewhere.
///
/// What counts is the thread's time and not the clock's: on a busy machine, a good call is late too.
pub(crate) async fn within<C: Future + Unpin>(patience: Duration, mut call: C) -> Result<C::Output, C> {
    let mut taken = Duration::ZERO;
    let done = poll_fn(|context| {
        let start = ThreadTime::now();
        match Pin::new(&mut call).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                taken += start.elapsed();
                if taken > patience { Poll::Ready(None) } else { Poll::Pending }
            }
        }
    });
    match done.await {
        Some(output) => Ok(output),
        None => Err(call),
    }
}

/// Runs `call` until it ends, or waits for something else than the processor: then it is handed back.
pub(crate) async fn until_idle<C: Future + Unpin>(slices: Slices, mut call: C) -> Result<C::Output, C> {
    let done = poll_fn(|context| {
        let before = slices.count();
        match Pin::new(&mut call).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if slices.count() == before => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    match done.await {
        Some(output) => Ok(output),
        None => Err(call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Takes so many ms of the processor, in slices of one.
    fn spinning(millis: u32, slices: &Slices) -> Pin<Box<impl Future<Output = u32> + use<>>> {
        let slices = slices.clone();
        Box::pin(async move {
            for _ in 0..millis {
                let start = ThreadTime::now();
                while start.elapsed() < MS {}
                slices.add();
                tokio::task::yield_now().await;
            }
            millis
        })
    }

    #[tokio::test]
    async fn a_call_that_only_waits_is_not_handed_back() {
        let late = Box::pin(tokio::time::timeout(30 * MS, std::future::pending::<()>()));
        assert!(within(5 * MS, late).await.is_ok());
    }

    #[tokio::test]
    async fn one_that_computes_for_too_long_is_handed_back_and_goes_on() {
        let slices = Slices::default();
        assert!(matches!(within(20 * MS, spinning(2, &slices)).await, Ok(2)));
        let Err(unfinished) = within(5 * MS, spinning(20, &slices)).await else { panic!("it took more than 5 ms") };
        assert_eq!(unfinished.await, 20);
    }

    #[tokio::test]
    async fn one_that_computes_keeps_its_turn_until_it_waits() {
        let slices = Slices::default();
        assert!(matches!(until_idle(slices.clone(), spinning(3, &slices)).await, Ok(3)));
        let (first, then) = (spinning(3, &slices), spinning(2, &slices));
        let call = Box::pin(async move { (first.await, tokio::time::sleep(MS).await, then.await) });
        let Err(idle) = until_idle(slices.clone(), call).await else { panic!("it waits in between") };
        assert_eq!(slices.count(), 6);
        assert_eq!(idle.await, (3, (), 2));
    }
}
