//! What one connection is doing, so that it can be closed when it takes too long over it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// From the first byte of a request's head (on a new connection: from its acceptance) to the head's end.
const HEAD: Duration = Duration::from_secs(5);
/// Between two requests.
pub(super) const IDLE: Duration = Duration::from_secs(75);

/// What a connection is doing, shared by its stream, which reads, and its service, which answers.
///
/// One word: the phase in the lowest two bits, the milliseconds since acceptance at which it began above.
pub(super) struct ConnectionState {
    accepted: Instant,
    word: AtomicU64,
}

const AWAITING_FIRST: u64 = 0;
const READING_HEAD: u64 = 1;
const ANSWERING: u64 = 2;
const BETWEEN_REQUESTS: u64 = 3;

impl ConnectionState {
    pub(super) fn new() -> Self {
        Self { accepted: Instant::now(), word: AtomicU64::new(AWAITING_FIRST) }
    }

    /// The head is whole; the answer is being made.
    pub(super) fn answering(&self) {
        self.word.store(ANSWERING, Ordering::Relaxed);
    }

    /// The answer is made.
    pub(super) fn answered(&self) {
        self.begin(BETWEEN_REQUESTS);
    }

    /// Bytes came in.
    pub(super) fn received(&self) {
        if self.word.load(Ordering::Relaxed) & 3 == BETWEEN_REQUESTS {
            self.begin(READING_HEAD);
        }
    }

    /// When to give the client up for not sending; `None` while it is our turn.
    pub(super) fn read_deadline(&self) -> Option<Instant> {
        let word = self.word.load(Ordering::Relaxed);
        let began = self.accepted + Duration::from_millis(word >> 2);
        match word & 3 {
            AWAITING_FIRST | READING_HEAD => Some(began + HEAD),
            BETWEEN_REQUESTS => Some(began + IDLE),
            _ => None,
        }
    }

    fn begin(&self, phase: u64) {
        let millis = self.accepted.elapsed().as_millis() as u64;
        self.word.store(millis << 2 | phase, Ordering::Relaxed);
    }
}
