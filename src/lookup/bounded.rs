//! A small map of ids.

use std::num::NonZeroUsize;
use std::time::Duration;

use foldhash::fast::RandomState;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::known::Tick;
use crate::domain::signature_id::SignatureId;

/// A map of a bounded number of ids, whose values are good for a time after they were set. It is small and always used under
/// the store's lock, so a map with a lock of its own, which nobody waits for, costs a fraction of what a cache does.
pub(super) struct Bounded<V> {
    map: Mutex<Map<V>>,
    life: Duration,
}

/// Values by the bytes of their ids, with when they were set.
type Map<V> = LruCache<Box<[u8]>, (Tick, V), RandomState>;

impl<V: Clone> Bounded<V> {
    /// A map of at most `ids` ids, least recently used first to go.
    pub(super) fn new(ids: usize, life: Duration) -> Self {
        // Its table grows with what it holds: an idle gateway is small.
        let mut map = Map::unbounded_with_hasher(RandomState::default());
        map.resize(NonZeroUsize::new(ids).unwrap_or(NonZeroUsize::MIN));
        Self { map: Mutex::new(map), life }
    }

    pub(super) fn get(&self, id: &SignatureId) -> Option<V> {
        let mut map = self.map.lock();
        let (set, value) = map.get(id.as_bytes())?;
        (Instant::from(*set).elapsed() < self.life).then(|| value.clone())
    }

    pub(super) fn set(&self, id: &SignatureId, value: V) {
        self.map.lock().put(id.as_bytes().into(), (Instant::now().into(), value));
    }

    pub(super) fn remove(&self, id: &SignatureId) {
        self.map.lock().pop(id.as_bytes());
    }
}
