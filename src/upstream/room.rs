//! How many fills one region works on at once, and how many may queue for it.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::failure::Kind;

/// How many fills may queue for one region. Measured by `bench/concurrency`: each takes 9 KiB while it waits, so a full
/// queue takes 37 MiB. It is as much as the default concurrency works off in the 8 s that a caller waits, for an upstream
/// that takes an eighth of a second: who would queue behind more is better told so at once.
const MAX_QUEUE: usize = 4096;

/// The room of one region.
pub(super) struct Room {
    places: Semaphore,
    queued: AtomicUsize,
}

impl Room {
    pub(super) fn new(concurrency: usize) -> Self {
        Self { places: Semaphore::new(concurrency), queued: AtomicUsize::new(0) }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// The queue is full.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, Kind> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let _queued = Queued::join(&self.queued)?;
        self.places.acquire().await.map_err(|_| Kind::ShuttingDown)
    }
}

/// One place in the queue; left when dropped.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn join(queued: &'a AtomicUsize) -> Result<Self, Kind> {
        let queue = Self(queued);
        let before = queued.fetch_add(1, Ordering::Relaxed);
        if before >= MAX_QUEUE { Err(Kind::Overloaded) } else { Ok(queue) }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
