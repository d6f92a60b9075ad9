//! How long a call may run where others wait for the processor.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use cpu_time::ThreadTime;

/// Runs `call` until it ends, or until it has taken so much of the processor: then it is handed back, to go on
/// elsewhere.
///
/// What counts is the thread's time and not the clock's. On a busy machine a good call is late, too, and elsewhere it
/// would not get the processor at all.
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Takes so many ms of the processor, one at a time.
    fn spinning(millis: u32) -> Pin<Box<impl Future<Output = u32>>> {
        Box::pin(async move {
            for _ in 0..millis {
                let start = ThreadTime::now();
                while start.elapsed() < MS {}
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
    async fn one_that_spins_is_handed_back_and_goes_on() {
        assert!(matches!(within(20 * MS, spinning(2)).await, Ok(2)));
        let Err(unfinished) = within(5 * MS, spinning(20)).await else { panic!("it took more than 5 ms") };
        assert_eq!(unfinished.await, 20);
    }
}
