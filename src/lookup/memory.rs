//! moka: results by id, weighed in bytes, each with its own lifetime; and marks of ids that a region does not have.

use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use moka::Expiry;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use super::entry::Entry;
use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;
use crate::telemetry::metrics::{EvictionCause, Metrics};

/// What moka and its tables take per entry beside key and value, in bytes; measured with a million small entries.
const OVERHEAD: usize = 256;
/// The most "does not exist" marks kept. They are small, and a scan of unknown ids must not push out results.
const MAX_ABSENT: u64 = 100_000;

/// Results and absences in memory.
pub(super) struct Memory {
    results: Cache<SignatureId, Arc<Entry>>,
    /// When each (id, region) mark ends. The mark says: that region answered "does not exist".
    absent: Cache<(SignatureId, RegionId), Instant>,
    not_found_ttl: Duration,
    metrics: Arc<Metrics>,
}

impl Memory {
    pub(super) fn new(max_bytes: u64, not_found_ttl: Duration, metrics: Arc<Metrics>) -> Self {
        let counted = Arc::clone(&metrics);
        let results = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_: &SignatureId, entry: &Arc<Entry>| weight(entry))
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Keep)
            .eviction_listener(move |_, _, cause| counted.cache.evicted(eviction(cause)).inc())
            .build();
        let absent = Cache::builder()
            .max_capacity(MAX_ABSENT)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(not_found_ttl.mul_f64(1.1))
            .build();
        Self { results, absent, not_found_ttl, metrics }
    }

    pub(super) fn get(&self, id: &SignatureId) -> Option<Arc<Entry>> {
        self.results.get(id)
    }

    pub(super) fn put(&self, id: SignatureId, entry: Arc<Entry>) {
        self.results.insert(id, entry);
    }

    pub(super) fn forget(&self, id: &SignatureId) {
        self.results.invalidate(id);
    }

    /// Drops the entry if it came from `region`, which now says that it has no such id.
    pub(super) fn forget_from(&self, id: &SignatureId, region: RegionId) {
        if self.get(id).is_some_and(|entry| entry.region() == region) {
            self.forget(id);
        }
    }

    pub(super) fn mark_absent(&self, id: SignatureId, region: RegionId) {
        let ttl = self.not_found_ttl.mul_f64(rand::random_range(0.9..=1.1));
        self.absent.insert((id, region), Instant::now() + ttl);
    }

    pub(super) fn unmark_absent(&self, id: SignatureId, region: RegionId) {
        self.absent.invalidate(&(id, region));
    }

    /// Drops the marks of an id.
    pub(super) fn forget_absences(&self, id: &SignatureId, regions: RegionSet) {
        regions.iter().for_each(|region| self.unmark_absent(*id, region));
    }

    /// Those of `regions` that said, not long ago, that they do not have the id.
    pub(super) fn absent(&self, id: &SignatureId, regions: RegionSet) -> RegionSet {
        regions.iter().filter(|region| self.absent_ttl(id, *region).is_some()).collect()
    }

    /// For how many seconds it is known that none of `regions` has the id.
    pub(super) fn absent_everywhere(&self, id: &SignatureId, regions: RegionSet) -> Option<u64> {
        let mut shortest = None;
        for region in regions.iter() {
            let left = self.absent_ttl(id, region)?;
            shortest = Some(shortest.map_or(left, |shortest: Duration| shortest.min(left)));
        }
        shortest.map(|left| left.as_secs())
    }

    /// Brings the gauges up to date.
    pub(super) fn refresh_gauges(&self) {
        self.results.run_pending_tasks();
        self.absent.run_pending_tasks();
        self.metrics.cache.entries.set(self.results.entry_count() as i64);
        self.metrics.cache.bytes.set(self.results.weighted_size() as i64);
    }

    fn absent_ttl(&self, id: &SignatureId, region: RegionId) -> Option<Duration> {
        let until = self.absent.get(&(*id, region))?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

fn weight(entry: &Entry) -> u32 {
    let bytes = entry.size() + size_of::<SignatureId>() + OVERHEAD;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

const fn eviction(cause: RemovalCause) -> EvictionCause {
    match cause {
        RemovalCause::Expired => EvictionCause::Expired,
        RemovalCause::Size => EvictionCause::Size,
        RemovalCause::Replaced => EvictionCause::Replaced,
        RemovalCause::Explicit => EvictionCause::Purged,
    }
}

/// Every entry says itself how long it is kept.
struct Keep;

impl Expiry<SignatureId, Arc<Entry>> for Keep {
    fn expire_after_create(&self, _: &SignatureId, entry: &Arc<Entry>, _: StdInstant) -> Option<Duration> {
        Some(entry.keep())
    }

    fn expire_after_update(
        &self,
        _: &SignatureId,
        entry: &Arc<Entry>,
        _: StdInstant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.keep())
    }
}
