//! Lines on their way to standard output. One thread writes them in batches, so that no other thread waits for it.
//!
//! Ordinary lines are dropped and counted while their buffer is full. Audit lines are never dropped: a place in their
//! queue is taken before the data is shown, and freed when the line is written.

use std::io::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Bytes of ordinary lines that may wait; about 13,000 access lines.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Audit lines that may wait.
const MAX_AUDIT_LINES: usize = 8192;

/// How long the writer gathers lines before it writes them: a batch costs little more than a line.
const BATCH: Duration = Duration::from_millis(5);

/// How long the writer waits before it tries again to write audit lines that could not be written.
const RETRY: Duration = Duration::from_millis(100);

/// A buffer larger than this is given back after it was written.
const KEPT_BYTES: usize = 256 * 1024;

/// The lines of this process, and what writes them.
pub(in crate::telemetry) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Places of audit lines in use: reserved, waiting or being written.
    audit_places: AtomicUsize,
    dropped: AtomicU64,
}

struct State {
    lines: Vec<u8>,
    audit: Vec<u8>,
    /// The writer waits to be woken.
    is_idle: bool,
    is_closed: bool,
}

/// A place for one audit line. Dropping it frees the place; the line itself keeps its own.
pub struct AuditPlace(&'static Queue);

impl Drop for AuditPlace {
    fn drop(&mut self) {
        self.0.free_audit_places(1);
    }
}

impl Queue {
    /// An empty queue, not written yet.
    pub(super) const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                lines: Vec::new(),
                audit: Vec::new(),
                is_idle: false,
                is_closed: false,
            }),
            changed: Condvar::new(),
            audit_places: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds an ordinary line, or drops and counts it.
    pub(in crate::telemetry) fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.lines.len() + line.len() > MAX_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.lines.extend_from_slice(line);
        self.wake(state);
    }

    /// Adds an audit line, for which a place was reserved.
    pub(in crate::telemetry) fn push_audit(&self, line: &[u8]) {
        self.audit_places.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.audit.extend_from_slice(line);
        self.wake(state);
    }

    /// Takes a place for an audit line; `None` if the queue is full.
    pub(super) fn reserve_audit(&'static self) -> Option<AuditPlace> {
        let take = |taken| (taken < MAX_AUDIT_LINES).then_some(taken + 1);
        let taken = self.audit_places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.is_ok().then(|| AuditPlace(self))
    }

    /// How many places of audit lines are in use.
    pub(in crate::telemetry) fn audit_lines(&self) -> usize {
        self.audit_places.load(Ordering::Relaxed)
    }

    /// How many ordinary lines were dropped.
    pub(in crate::telemetry) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Lets the writer end when it has written what waits.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Writes lines until the queue is closed and empty.
    pub(super) fn write_to(&self, mut out: impl Write) {
        let (mut lines, mut audit) = (Vec::new(), Vec::new());
        while self.take(&mut lines, &mut audit) {
            self.write_audit(&mut out, &audit);
            if out.write_all(&lines).is_err() {
                self.dropped.fetch_add(count_lines(&lines) as u64, Ordering::Relaxed);
            }
            let _ = out.flush();
            clear(&mut lines);
            clear(&mut audit);
        }
    }

    /// Waits for lines and takes all of them. `false` if there will be no more.
    fn take(&self, lines: &mut Vec<u8>, audit: &mut Vec<u8>) -> bool {
        let mut state = self.state.lock();
        while state.lines.is_empty() && state.audit.is_empty() {
            if state.is_closed {
                return false;
            }
            state.is_idle = true;
            self.changed.wait(&mut state);
        }
        self.pause(&mut state, BATCH);
        std::mem::swap(&mut state.lines, lines);
        std::mem::swap(&mut state.audit, audit);
        true
    }

    /// Writes audit lines, however long it takes, unless the process ends.
    fn write_audit(&self, out: &mut impl Write, mut audit: &[u8]) {
        while !audit.is_empty() {
            match out.write(audit) {
                Ok(written) if written > 0 => {
                    self.free_audit_places(count_lines(&audit[..written]));
                    audit = &audit[written..];
                }
                Ok(_) | Err(_) => {
                    let mut state = self.state.lock();
                    self.pause(&mut state, RETRY);
                    if state.is_closed {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for that long, or until the queue is closed.
    fn pause(&self, state: &mut MutexGuard<'_, State>, time: Duration) {
        self.changed.wait_while_for(state, |state| !state.is_closed, time);
    }

    fn free_audit_places(&self, count: usize) {
        self.audit_places.fetch_sub(count, Ordering::Relaxed);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let was_idle = std::mem::take(&mut state.is_idle);
        drop(state);
        if was_idle {
            self.changed.notify_one();
        }
    }
}

fn count_lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

fn clear(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEPT_BYTES {
        *buffer = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn queue() -> &'static Queue {
        Box::leak(Box::new(Queue::new()))
    }

    /// What was written; each write takes at most ten bytes.
    #[derive(Default)]
    struct Slowly(Vec<u8>);

    impl Write for &mut Slowly {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = &bytes[..bytes.len().min(10)];
            self.0.extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_that_waits_is_written_and_frees_its_places() {
        let (queue, mut out) = (queue(), Slowly::default());
        queue.push(b"an ordinary line\n");
        let places = [(); 3].map(|()| queue.reserve_audit().unwrap());
        for _ in &places {
            queue.push_audit(b"an audit line\n");
        }
        drop(places);
        assert_eq!(queue.audit_lines(), 3);
        queue.close();
        queue.write_to(&mut out);
        let text = String::from_utf8(out.0).unwrap();
        assert_eq!(text, "an audit line\n".repeat(3) + "an ordinary line\n");
        assert_eq!((queue.audit_lines(), queue.dropped()), (0, 0));
    }

    #[test]
    fn ordinary_lines_are_dropped_and_counted_when_there_is_no_room() {
        let (queue, line) = (queue(), vec![b'x'; MAX_BYTES / 4]);
        (0..7).for_each(|_| queue.push(&line));
        assert_eq!(queue.dropped(), 3);
    }

    #[test]
    fn audit_places_are_bounded_and_come_back_unused() {
        let queue = queue();
        let mut places: Vec<_> = std::iter::from_fn(|| queue.reserve_audit()).collect();
        assert_eq!((places.len(), queue.audit_lines()), (MAX_AUDIT_LINES, MAX_AUDIT_LINES));
        places.pop();
        assert!(queue.reserve_audit().is_some());
    }

    /// Fails until it may work, and says so each time.
    struct Failing {
        has_failed: mpsc::Sender<()>,
        may_work: mpsc::Receiver<()>,
        works: bool,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.works |= self.may_work.try_recv().is_ok();
            if self.works {
                return Ok(bytes.len());
            }
            let _ = self.has_failed.send(());
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn audit_lines_that_cannot_be_written_are_written_later() {
        let queue = queue();
        let ((has_failed, failed), (work, may_work)) = (mpsc::channel(), mpsc::channel());
        let writer = thread::spawn(move || queue.write_to(Failing { has_failed, may_work, works: false }));
        queue.push_audit(b"an audit line\n");
        failed.recv().unwrap();
        assert_eq!(queue.audit_lines(), 1);
        work.send(()).unwrap();
        while queue.audit_lines() > 0 {
            thread::yield_now();
        }
        queue.close();
        writer.join().unwrap();
    }
}
