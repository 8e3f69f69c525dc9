//! How many fills one region works on at once, and how many may queue for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::failure::{Fault, Kind};
use crate::domain::scope::CallerId;

/// How many fills may queue for one region. Measured by `bench/concurrency`: each takes 9 KiB while it waits, so a full
/// queue takes 37 MiB. It is as much as the default concurrency works off in the 8 s that a caller waits, for an upstream
/// that takes an eighth of a second. Beyond that a caller is better refused at once.
const MAX_QUEUE: usize = 4096;

/// The places of one region.
pub(super) struct Bulkhead {
    places: Semaphore,
    queued: AtomicUsize,
}

impl Bulkhead {
    pub(super) fn new(concurrency: usize) -> Self {
        Self { places: Semaphore::new(concurrency), queued: AtomicUsize::new(0) }
    }

    /// Waits for a place. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// The queue is full.
    pub(super) async fn enter(&self, _caller: Option<CallerId>) -> Result<SemaphorePermit<'_>, Fault> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let full = || Fault::new(Kind::Overloaded).retry_after(Duration::from_secs(1));
        let _queued = Queued::join(&self.queued).ok_or_else(full)?;
        self.places.acquire().await.map_err(|_| Fault::new(Kind::Internal))
    }
}

/// One place in the queue; left when dropped.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn join(queued: &'a AtomicUsize) -> Option<Self> {
        let queue = Self(queued);
        let before = queued.fetch_add(1, Ordering::Relaxed);
        (before < MAX_QUEUE).then_some(queue)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
