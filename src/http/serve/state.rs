//! What a connection is doing: until when its client may take, and whether it may be closed for a new connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::code::ClientClass;
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
    /// The milliseconds since the epoch at which the phase began, the client's class in two bits, the phase in two.
    word: AtomicU64,
    /// A part of an answer waits for the client to read what is before it.
    is_writing: AtomicBool,
    /// When it is old, in milliseconds since the epoch.
    old_at: u64,
    metrics: Arc<ConnectionMetrics>,
}

/// Nothing was received yet.
const NEW: u64 = 0;
const READING_HEAD: u64 = 1;
const ANSWERING: u64 = 2;
const IDLING: u64 = 3;

const PHASE: u64 = 0b11;
const CLASS: u64 = 0b1100;

/// A connection that may be closed for a new one. Those that sort first are closed first: unknown clients before callers, and
/// of each those that have waited longest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closable {
    pub(super) is_caller: bool,
    word: u64,
}

impl ConnectionState {
    /// The state of a connection that was just accepted; at `max_age`, spread by ±20 %, it is old.
    pub(super) fn new(epoch: Instant, max_age: Duration, metrics: Arc<ConnectionMetrics>) -> Self {
        let now = millis_since(epoch);
        let age = max_age.mul_f64(rand::random_range(0.8..1.2)).as_millis() as u64;
        let (word, is_writing) = (AtomicU64::new(0), AtomicBool::new(false));
        let state = Self { epoch, word, is_writing, old_at: now + age, metrics };
        state.begin(NEW, ClientClass::Anonymous as u64, now);
        state
    }

    /// Bytes were received. Line ends between two requests are not the beginning of a head.
    pub(super) fn received(&self, bytes: &[u8]) {
        let word = self.word.load(Ordering::Relaxed);
        match word & PHASE {
            NEW => self.word.store(word | READING_HEAD, Ordering::Relaxed),
            IDLING if bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) => {
                self.begin(READING_HEAD, word >> 2 & 0b11, millis_since(self.epoch));
            }
            _ => {}
        }
    }

    /// The head is complete; its answer is being made.
    pub(super) fn answering(&self) {
        let word = self.word.load(Ordering::Relaxed);
        self.word.store(word & !PHASE | ANSWERING, Ordering::Relaxed);
    }

    /// The answer is made. Returns whether the connection is old.
    pub(super) fn answered(&self, class: ClientClass) -> bool {
        let now = millis_since(self.epoch);
        self.begin(IDLING, class as u64, now);
        now >= self.old_at
    }

    fn begin(&self, phase: u64, class: u64, now: u64) {
        self.word.store(now << 4 | class << 2 | phase, Ordering::Relaxed);
    }

    /// Whether a part of an answer waits for the client.
    pub(super) fn set_writing(&self, is_writing: bool) {
        self.is_writing.store(is_writing, Ordering::Relaxed);
    }

    /// When the client began what it does; while an answer is being made, when its request began.
    pub(super) fn began(&self) -> Instant {
        self.epoch + Duration::from_millis(self.word.load(Ordering::Relaxed) >> 4)
    }

    /// When to close the connection because its client sends nothing; `None` while an answer is being made.
    pub(super) fn read_deadline(&self) -> Option<Instant> {
        let word = self.word.load(Ordering::Relaxed);
        let limit = match word & PHASE {
            ANSWERING => return None,
            IDLING if word & CLASS == (ClientClass::Faulty as u64) << 2 => IDLE_AFTER_ERROR,
            IDLING => IDLE,
            _ => HEAD,
        };
        Some(self.began() + limit)
    }

    /// The client let its deadline pass.
    pub(super) fn count_read_timeout(&self) {
        let is_idle = self.word.load(Ordering::Relaxed) & PHASE == IDLING;
        let reason = if is_idle { CloseReason::Idle } else { CloseReason::HeadTimeout };
        self.metrics.closed[reason].inc();
    }

    /// The client left an answer unread.
    pub(super) fn count_write_timeout(&self) {
        self.metrics.closed[CloseReason::WriteTimeout].inc();
    }

    /// Whether the connection may be closed for a new one: it waits for a first request, or idles. A caller that still reads
    /// an answer does not; an unknown client that takes its time over one does.
    pub(super) fn closable(&self) -> Option<Closable> {
        let word = self.word.load(Ordering::Relaxed);
        let is_caller = word & CLASS == (ClientClass::Caller as u64) << 2;
        let is_closable = match word & PHASE {
            ANSWERING => false,
            READING_HEAD => !is_caller,
            _ => !(is_caller && self.is_writing.load(Ordering::Relaxed)),
        };
        is_closable.then_some(Closable { is_caller, word })
    }

    /// Takes the connection to be closed, if no request has begun on it and every answer is written.
    pub(super) fn take_if_idle(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        let is_idle = matches!(word & PHASE, NEW | IDLING);
        is_idle && !self.is_writing.load(Ordering::Relaxed) && self.take(Closable { is_caller: false, word })
    }

    /// Takes the connection to be closed, if it has not moved on since it was found closable.
    pub(super) fn take(&self, found: Closable) -> bool {
        self.word.compare_exchange(found.word, ANSWERING, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn millis_since(epoch: Instant) -> u64 {
    epoch.elapsed().as_millis() as u64
}
