use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::yield_now;

use super::super::zmtp::encode;
use super::super::zmtp::tests::hello;
use super::*;

/// Bytes that are on their way, at most.
const PIPE: usize = 200;

fn subscribers(high_water_mark: usize) -> Arc<Subscribers> {
    Subscribers::new(high_water_mark, KvEventMetrics::register(&Registry::new()).unwrap())
}

/// One more subscriber, which has said hello and these frames.
async fn connect(subscribers: &Arc<Subscribers>, frames: &[&[u8]]) -> DuplexStream {
    let (ours, mut theirs) = duplex(PIPE);
    let of_task = subscribers.clone();
    tokio::spawn(async move { of_task.serve(ours).await });
    theirs.write_all(&hello("SUB")).await.unwrap();
    let mut greeting = hello("PUB");
    theirs.read_exact(&mut greeting).await.unwrap();
    for frame in frames {
        theirs.write_all(frame).await.unwrap();
    }
    settle().await;
    theirs
}

async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

fn message(fill: u8) -> Bytes {
    encode(&[Bytes::from_static(b"kv@m"), Bytes::from(vec![fill; 90])])
}

async fn read(theirs: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = vec![0; message(0).len()];
    theirs.read_exact(&mut bytes).await.unwrap();
    bytes
}

const SUBSCRIBE: &[u8] = b"\0\x04\x01kv@";

#[tokio::test]
async fn only_what_is_subscribed_to_is_sent_and_may_be_cancelled() {
    let subscribers = subscribers(10);
    let mut old = connect(&subscribers, &[SUBSCRIBE, SUBSCRIBE]).await;
    let mut new = connect(&subscribers, &[b"\x04\x0d\x09SUBSCRIBEkv@"]).await;
    let mut other = connect(&subscribers, &[b"\0\x03\x01ab"]).await;
    let send = |fill| subscribers.send(b"kv@m", &message(fill));
    send(1);
    assert_eq!((read(&mut old).await, read(&mut new).await), (message(1).to_vec(), message(1).to_vec()));
    old.write_all(b"\0\x04\0kv@").await.unwrap();
    new.write_all(b"\x04\x0a\x06CANCELkv@").await.unwrap();
    settle().await;
    send(2);
    subscribers.close();
    // It had asked twice.
    assert_eq!(read(&mut old).await, message(2));
    for nothing in [&mut old, &mut new, &mut other] {
        assert_eq!(nothing.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn one_that_does_not_read_loses_what_is_above_its_mark_and_the_other_nothing() {
    let subscribers = subscribers(5);
    let (mut slow, mut quick) = (connect(&subscribers, &[SUBSCRIBE]).await, connect(&subscribers, &[SUBSCRIBE]).await);
    let metrics = &subscribers.metrics;
    assert_eq!(metrics.subscribers.get(), 2);
    for fill in 0..200 {
        subscribers.send(b"kv@m", &message(fill));
        assert_eq!(read(&mut quick).await, message(fill));
    }
    let dropped = metrics.messages_dropped.get();
    // Beside its queue there is what the pipe and the buffer before it hold.
    assert!((90..195).contains(&dropped), "{dropped}");
    assert_eq!(metrics.waiting_bytes.get() as usize, 5 * message(0).len());
    for fill in 0..200 - dropped as u8 {
        assert_eq!(read(&mut slow).await, message(fill), "the oldest are kept");
    }
    drop((slow, quick));
    settle().await;
    assert_eq!((metrics.subscribers.get(), metrics.waiting_bytes.get()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_left_and_one_that_has_said_hello_may_be_silent() {
    let subscribers = subscribers(5);
    let (ours, _silent) = duplex(PIPE);
    let begun = tokio::time::Instant::now();
    assert_eq!(subscribers.serve(ours).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(begun.elapsed(), PATIENCE);
    let mut theirs = connect(&subscribers, &[SUBSCRIBE]).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    subscribers.send(b"kv@m", &message(7));
    assert_eq!(read(&mut theirs).await, message(7));
}
