//! Writing lines so that it never fails, blocks or takes much memory: a thread writes them, and what there is no room for is
//! dropped and counted.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::IntCounter;
use rehearsal_sync::BoundedCount;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// What a line takes beside its text, at most.
const LINE_BYTES: usize = 256;

/// Takes lines, at once.
#[derive(Clone)]
pub(crate) struct BoundedWriter {
    lines: NonBlocking,
    queue: Arc<Queue>,
}

struct Queue {
    /// In bytes.
    waiting: BoundedCount,
    /// Its reader has gone for good.
    is_broken: AtomicBool,
    dropped: IntCounter,
}

impl BoundedWriter {
    /// Writes to `to`, from a thread of this name. What waits for that takes at most `most_bytes`, or is one line. Lines that
    /// are lost are counted. The guard, dropped, waits a second for what is still to be written.
    pub(crate) fn new(
        to: impl Write + Send + 'static,
        name: &str,
        most_bytes: usize,
        dropped: IntCounter,
    ) -> (Self, WorkerGuard) {
        let queue = Queue { waiting: BoundedCount::new(most_bytes), is_broken: AtomicBool::new(false), dropped };
        let queue = Arc::new(queue);
        let draining = Draining { to, queue: queue.clone() };
        // There is always room for the message that ends the thread.
        let most_lines = most_bytes / LINE_BYTES + 2;
        let lines = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(most_lines).thread_name(name);
        let (lines, guard) = lines.finish(draining);
        (Self { lines, queue }, guard)
    }

    /// Takes a line, which comes whole.
    pub(crate) fn write(&self, line: &[u8]) {
        let queue = &self.queue;
        let is_taken = !queue.is_broken.load(Ordering::Relaxed) && queue.waiting.take_or_alone(LINE_BYTES + line.len());
        if is_taken {
            // Never fails: what does not fit was kept out.
            let _ = self.lines.clone().write_all(line);
        } else {
            queue.dropped.inc();
        }
    }
}

/// The end where lines are written.
struct Draining<W> {
    to: W,
    queue: Arc<Queue>,
}

impl<W: Write> Write for Draining<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.waiting.give_back(LINE_BYTES + line.len());
        if self.queue.is_broken.load(Ordering::Relaxed) {
            self.queue.dropped.inc();
        } else if let Err(error) = self.to.write_all(line) {
            self.queue.dropped.inc();
            // A disk that is full may have room again; a pipe that was closed stays so.
            self.queue.is_broken.store(error.kind() == ErrorKind::BrokenPipe, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What fails has failed as it was written.
        let _ = self.to.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// What a line takes.
    const LINE: usize = 1 << 10;

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "dropped").unwrap()
    }

    /// Writes a line when it is told with what success, and tells that it has.
    struct Told(Receiver<Result<(), ErrorKind>>, Sender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().unwrap()?;
            self.1.send(line.to_vec()).unwrap();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told() -> (Sender<Result<(), ErrorKind>>, Receiver<Vec<u8>>, Told) {
        let ((tell, results), (written, lines)) = (channel(), channel());
        (tell, lines, Told(results, written))
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_and_room_is_found_again() {
        let (tell, lines, to) = told();
        let dropped = counter();
        let (writer, _guard) = BoundedWriter::new(to, "test", 4 * LINE, dropped.clone());
        let line = vec![b'x'; LINE - LINE_BYTES];
        for _ in 0..6 {
            writer.write(&line);
        }
        // The thread may have one in its hands, for which there is room again.
        let n_dropped = dropped.get();
        assert!((1..=2).contains(&n_dropped), "{n_dropped}");
        for _ in 0..6 - n_dropped {
            tell.send(Ok(())).unwrap();
            assert_eq!(lines.recv().unwrap().len(), line.len());
        }
        // A line that is too long by itself is taken while there is no other.
        let long = vec![b'x'; 5 * LINE];
        writer.write(&long);
        tell.send(Ok(())).unwrap();
        assert_eq!((lines.recv().unwrap(), dropped.get()), (long, n_dropped));
    }

    #[test]
    fn a_full_disk_is_tried_again_and_a_broken_pipe_is_given_up() {
        let (tell, lines, to) = told();
        let dropped = counter();
        let (writer, guard) = BoundedWriter::new(to, "test", 4 * LINE, dropped.clone());
        tell.send(Err(ErrorKind::StorageFull)).unwrap();
        tell.send(Ok(())).unwrap();
        writer.write(b"lost");
        writer.write(b"kept");
        assert_eq!(lines.recv().unwrap(), b"kept");
        tell.send(Err(ErrorKind::BrokenPipe)).unwrap();
        writer.write(b"last");
        writer.write(b"never tried");
        drop(guard);
        writer.write(b"nor this");
        assert_eq!(dropped.get(), 4);
    }
}
