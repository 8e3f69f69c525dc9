//! What a connection is doing: until when its client may take, and whether it may be closed for a new connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::code::Standing;
use crate::telemetry::metrics::{CloseReason, ConnectionMetrics};

/// From the first byte of a request's head to its end; on a new connection, from its acceptance.
const HEAD: Duration = Duration::from_secs(5);
/// Between two requests.
const IDLE: Duration = Duration::from_secs(75);
/// Between two requests after an error that a client without rights can cause.
pub(super) const IDLE_AFTER_ERROR: Duration = Duration::from_secs(5);

/// The state of one connection, shared by its stream, which reads, its service, which answers, and the pool, which
/// closes it for another one.
pub(super) struct ConnectionState {
    /// When the listener started. All its connections count time from there, so that their words can be compared.
    epoch: Instant,
    /// The milliseconds since the epoch at which the phase began, the client's standing in two bits, the phase in two.
    word: AtomicU64,
    /// From when on the connection is closed if no request is under way, in milliseconds since the epoch.
    end: AtomicU64,
    is_retired: AtomicBool,
    metrics: Arc<ConnectionMetrics>,
}

/// Nothing was received yet.
const NEW: u64 = 0;
const READING_HEAD: u64 = 1;
const ANSWERING: u64 = 2;
const IDLING: u64 = 3;

const PHASE: u64 = 0b11;
const STANDING: u64 = 0b1100;

/// A connection that may be closed for a new one. Those that sort first are closed first: unknown clients before callers, and
/// of each those that have waited longest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closable {
    pub(super) is_caller: bool,
    word: u64,
}

impl ConnectionState {
    /// The state of a connection that was just accepted.
    pub(super) fn new(epoch: Instant, metrics: Arc<ConnectionMetrics>) -> Self {
        let (end, is_retired) = (AtomicU64::new(u64::MAX), AtomicBool::new(false));
        let state = Self { epoch, word: AtomicU64::new(0), end, is_retired, metrics };
        state.begin(NEW, Standing::Stranger as u64);
        state
    }

    /// Bytes were received. Line ends between two requests are not the beginning of a head.
    pub(super) fn received(&self, bytes: &[u8]) {
        let word = self.word.load(Ordering::Relaxed);
        match word & PHASE {
            NEW => self.word.store(word | READING_HEAD, Ordering::Relaxed),
            IDLING if bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) => {
                self.begin(READING_HEAD, word >> 2 & 0b11);
            }
            _ => {}
        }
    }

    /// The head is complete; its answer is being made.
    pub(super) fn answering(&self) {
        self.word.store(ANSWERING, Ordering::Relaxed);
    }

    /// The answer is made.
    pub(super) fn answered(&self, standing: Standing) {
        self.begin(IDLING, standing as u64);
    }

    fn begin(&self, phase: u64, standing: u64) {
        self.word.store(self.millis() << 4 | standing << 2 | phase, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    fn at(&self, millis: u64) -> Instant {
        self.epoch + Duration::from_millis(millis)
    }

    /// When to close the connection because its client sends nothing; `None` while an answer is being made.
    pub(super) fn read_deadline(&self) -> Option<Instant> {
        let word = self.word.load(Ordering::Relaxed);
        let began = self.at(word >> 4);
        let (limit, may_end) = match word & PHASE {
            ANSWERING => return None,
            IDLING if word & STANDING == (Standing::Erring as u64) << 2 => (IDLE_AFTER_ERROR, true),
            IDLING => (IDLE, true),
            phase => (HEAD, phase == NEW),
        };
        let end = self.end.load(Ordering::Relaxed);
        let is_ending = may_end && end != u64::MAX;
        Some(if is_ending { self.at(end).min(began + limit) } else { began + limit })
    }

    /// The client let its deadline pass.
    pub(super) fn count_read_timeout(&self) {
        let is_idle = self.word.load(Ordering::Relaxed) & PHASE == IDLING;
        let has_ended = self.millis() >= self.end.load(Ordering::Relaxed);
        match (is_idle, has_ended) {
            (_, true) => {}
            (true, _) => self.metrics.count_closed(CloseReason::Idle),
            (false, _) => self.metrics.count_closed(CloseReason::HeadTimeout),
        }
    }

    /// The client left an answer unread.
    pub(super) fn count_write_timeout(&self) {
        self.metrics.count_closed(CloseReason::WriteTimeout);
    }

    /// The next answer is the last one.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// Whether the answer that is being made is the last one.
    pub(super) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    /// From `grace` on the connection is closed unless a request is under way.
    pub(super) fn end_when_idle(&self, grace: Duration) {
        self.end.store(self.millis() + grace.as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether the connection may be closed for a new one: it waits for a first request, or idles.
    pub(super) fn closable(&self) -> Option<Closable> {
        let word = self.word.load(Ordering::Relaxed);
        let is_caller = word & STANDING == (Standing::Caller as u64) << 2;
        let is_closable = match word & PHASE {
            ANSWERING => false,
            READING_HEAD => !is_caller,
            _ => true,
        };
        is_closable.then_some(Closable { is_caller, word })
    }

    /// Takes the connection to be closed, if it has not moved on since it was found closable.
    pub(super) fn take(&self, found: Closable) -> bool {
        self.word.compare_exchange(found.word, ANSWERING, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
