//! Results in moka, weighed in bytes.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use foldhash::fast::RandomState;
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use super::bounded::Bounded;
use super::known::Known;
use super::record::Entry;
use crate::domain::region::RegionSet;
use crate::domain::signature_id::SignatureId;
use crate::telemetry::Limit;
use crate::telemetry::metrics::{EvictionCause, Metrics};

/// The largest result that is kept, in bytes; a larger one is answered and not kept.
const MAX_KEPT: usize = 128 << 10;
/// What a result takes besides its struct and its bytes, in bytes: 300 in moka, and what the allocator rounds up. Measured by
/// filling a cache (`bench/run memory`), so that the process grows by `cache.max_bytes` and little more.
const OVERHEAD: usize = 560;

/// Results by the hashes of their ids, least recently used first to go, each with its own lifetime.
pub(super) struct Results {
    cache: Cache<u64, Arc<Entry>, RandomState>,
    hasher: RandomState,
    max_bytes: u64,
    metrics: Arc<Metrics>,
}

impl Results {
    pub(super) fn new(
        max_bytes: u64,
        stale_max: Duration,
        index: Arc<Bounded<Known>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let counted = Arc::clone(&metrics);
        let limit = Limit::new(Some("cache.max_bytes".to_owned()), usize::try_from(max_bytes).ok());
        let cache = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_: &u64, entry: &Arc<Entry>| weight(entry))
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Keep { stale_max })
            .eviction_listener(move |_, entry: Arc<Entry>, cause| {
                let is_over = entry.keep(stale_max, Instant::now()).is_zero();
                let known = entry.known();
                counted.cache.evictions[eviction(cause, is_over, known.is_none())].inc();
                if let Some((id, known)) = entry.id().zip(known) {
                    index.set(&id, known);
                }
                if cause == RemovalCause::Size {
                    limit.inform("for each new result the one that was not asked for longest is dropped");
                }
            })
            .build_with_hasher(RandomState::default());
        Self { cache, hasher: RandomState::default(), max_bytes, metrics }
    }

    /// A hash takes a quarter of an id's bytes, and moka keeps its keys apart from the results.
    fn hash(&self, id: &SignatureId) -> u64 {
        self.hasher.hash_one(id)
    }

    pub(super) fn get(&self, id: &SignatureId) -> Option<Arc<Entry>> {
        let hash = self.hash(id);
        let entry = self.cache.get(&hash);
        if entry.is_none() {
            // One that is over leaves now, so that what is known besides it is found in the index.
            self.cache.invalidate(&hash);
        }
        // Two ids may have one hash: they share a place, but never a result.
        entry.filter(|entry| entry.is_of(id))
    }

    /// Whether a result is small enough to be kept.
    pub(super) fn has_room(&self, entry: &Entry) -> bool {
        entry.record().body.len() <= MAX_KEPT && u64::from(weight(entry)) <= self.max_bytes
    }

    /// Keeps a result, in the place of an older one.
    pub(super) fn put(&self, id: &SignatureId, entry: Arc<Entry>) {
        let hash = self.hash(id);
        // Not as an update: if it is removed before moka has counted that, moka subtracts the new weight where it has added
        // the old one alone. Such errors would add up, and lift the limit.
        if let Some(older) = self.get(id) {
            older.give_up_known();
            self.cache.invalidate(&hash);
        }
        self.cache.insert(hash, entry);
    }

    pub(super) fn forget(&self, id: &SignatureId, regions: RegionSet) {
        if self.get(id).is_some_and(|entry| regions.contains(entry.region())) {
            self.cache.invalidate(&self.hash(id));
        }
    }

    pub(super) fn forget_all(&self) {
        self.cache.invalidate_all();
    }

    pub(super) fn refresh_gauges(&self) {
        self.cache.run_pending_tasks();
        self.metrics.cache.entries.set(self.cache.entry_count() as i64);
        self.metrics.cache.bytes.set(self.cache.weighted_size() as i64);
    }
}

fn weight(entry: &Entry) -> u32 {
    u32::try_from(entry.size() + OVERHEAD).unwrap_or(u32::MAX)
}

const fn eviction(cause: RemovalCause, is_over: bool, is_replaced: bool) -> EvictionCause {
    match cause {
        RemovalCause::Size => EvictionCause::Size,
        RemovalCause::Expired => EvictionCause::Expired,
        RemovalCause::Replaced | RemovalCause::Explicit if is_over => EvictionCause::Expired,
        RemovalCause::Replaced => EvictionCause::Replaced,
        RemovalCause::Explicit if is_replaced => EvictionCause::Replaced,
        RemovalCause::Explicit => EvictionCause::Purged,
    }
}

/// Every entry says itself how long it is kept.
struct Keep {
    stale_max: Duration,
}

impl Expiry<u64, Arc<Entry>> for Keep {
    fn expire_after_create(&self, _: &u64, entry: &Arc<Entry>, _: StdInstant) -> Option<Duration> {
        Some(entry.keep(self.stale_max, Instant::now()))
    }
}
