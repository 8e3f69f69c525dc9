//! What memory keeps of ids: results in moka, weighed in bytes; negative entries per region, and the index of what was
//! learned beside results, in small maps. Nothing here decides; [`super::store`] changes it under its lock.

use std::hash::RandomState;
use std::num::NonZeroUsize;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant as StdInstant};

use lru::LruCache;
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::record::Entry;
use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;
use crate::telemetry::metrics::{EvictionCause, Metrics};

/// What a result takes beside key and value, in bytes: in moka, in the index, and what the allocator rounds up. Measured by
/// filling a cache (`bench/run memory`), so that the process grows by `cache.max_bytes` and little more.
const OVERHEAD: usize = 800;
/// The most ids whose purges are remembered.
const MAX_PURGES: usize = 100_000;
/// Purges are remembered for longer than any result can be shared: twice the longest `cache.final_ttl`.
const PURGES_LIFE: Duration = Duration::from_secs(60 * 24 * 3600);
/// The index holds one id for so many bytes of `cache.max_bytes`: there are no more results than that, and a result that is
/// not in the index would have to be asked for again.
const BYTES_PER_ID: u64 = 2048;
/// The fewest ids that the index may hold.
const MIN_IDS: usize = 10_000;
/// The most ids with negative entries: a scan of unknown ids must not take the memory of results.
const MAX_ABSENT: usize = 100_000;
/// When an id was first seen pending is forgotten this long after it was last seen so.
pub(super) const PENDING_LIFE: Duration = Duration::from_secs(3600);
/// What the index knows of an id is forgotten after this long: results are read in bursts around their completion.
const INDEX_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything memory keeps.
pub(super) struct Memory {
    pub(super) results: Results,
    pub(super) absent: Negative,
    pub(super) index: Index,
    pub(super) purges: Purges,
}

impl Memory {
    pub(super) fn new(max_bytes: u64, not_found_ttl: Duration, metrics: Arc<Metrics>) -> Self {
        let ids = usize::try_from(max_bytes / BYTES_PER_ID).unwrap_or(usize::MAX).max(MIN_IDS);
        Self {
            results: Results::new(max_bytes, metrics),
            absent: Negative::new(ids.min(MAX_ABSENT), not_found_ttl),
            index: Index::new(ids),
            purges: Purges::new(),
        }
    }
}

/// Results by id, least recently used first to go, each with its own lifetime.
pub(super) struct Results {
    cache: Cache<SignatureId, Arc<Entry>>,
    metrics: Arc<Metrics>,
}

impl Results {
    fn new(max_bytes: u64, metrics: Arc<Metrics>) -> Self {
        let (counted, was_full) = (Arc::clone(&metrics), Once::new());
        let cache = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_: &SignatureId, entry: &Arc<Entry>| weight(entry))
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Keep)
            .eviction_listener(move |_, _, cause| {
                counted.cache.evicted(eviction(cause)).inc();
                if cause == RemovalCause::Size {
                    was_full.call_once(|| report_limit(max_bytes));
                }
            })
            .build();
        Self { cache, metrics }
    }

    pub(super) fn get(&self, id: &SignatureId) -> Option<Arc<Entry>> {
        self.cache.get(id)
    }

    pub(super) fn put(&self, id: SignatureId, entry: Arc<Entry>) {
        self.cache.insert(id, entry);
    }

    /// Drops the result if it came from one of `regions`.
    pub(super) fn forget(&self, id: &SignatureId, regions: RegionSet) {
        if self.get(id).is_some_and(|entry| regions.contains(entry.region())) {
            self.cache.invalidate(id);
        }
    }

    pub(super) fn forget_all(&self) {
        self.cache.invalidate_all();
    }

    /// Brings the gauges up to date.
    pub(super) fn refresh_gauges(&self) {
        self.cache.run_pending_tasks();
        self.metrics.cache.entries.set(self.cache.entry_count() as i64);
        self.metrics.cache.bytes.set(self.cache.weighted_size() as i64);
    }
}

fn report_limit(max_bytes: u64) {
    tracing::info!(
        setting = "cache.max_bytes",
        limit = max_bytes,
        "limit reached: for each new result the one that was not asked for longest is dropped"
    );
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

/// A map of a bounded number of ids, whose values are good for a time after they were set. It is small and always used under
/// the store's lock, so a map with a lock of its own, which nobody waits for, costs a fraction of what a cache does.
struct Bounded<V> {
    map: Mutex<LruCache<SignatureId, (Instant, V), RandomState>>,
    life: Duration,
}

impl<V: Clone> Bounded<V> {
    /// A map of at most `ids` ids, least recently used first to go.
    fn new(ids: usize, life: Duration) -> Self {
        // Its table grows with what it holds: an idle gateway is small.
        let mut map = LruCache::unbounded_with_hasher(RandomState::new());
        map.resize(NonZeroUsize::new(ids).unwrap_or(NonZeroUsize::MIN));
        Self { map: Mutex::new(map), life }
    }

    fn get(&self, id: &SignatureId) -> Option<V> {
        let mut map = self.map.lock();
        let (set, value) = map.get(id)?;
        (set.elapsed() < self.life).then(|| value.clone())
    }

    fn set(&self, id: SignatureId, value: V) {
        self.map.lock().put(id, (Instant::now(), value));
    }

    fn remove(&self, id: &SignatureId) {
        self.map.lock().pop(id);
    }
}

/// Until when each region's "does not exist" is believed, by id.
pub(super) struct Negative {
    ids: Bounded<Vec<(RegionId, Instant)>>,
    ttl: Duration,
}

impl Negative {
    fn new(ids: usize, ttl: Duration) -> Self {
        Self { ids: Bounded::new(ids, ttl.mul_f64(1.1)), ttl }
    }

    /// The entries of an id, those past their time included.
    pub(super) fn get(&self, id: &SignatureId) -> Vec<(RegionId, Instant)> {
        self.ids.get(id).unwrap_or_default()
    }

    pub(super) fn add(&self, id: SignatureId, region: RegionId) {
        let now = Instant::now();
        let mut regions = self.get(&id);
        regions.retain(|(known, until)| *known != region && *until > now);
        regions.push((region, now + self.ttl.mul_f64(rand::random_range(0.9..=1.1))));
        self.ids.set(id, regions);
    }

    pub(super) fn remove(&self, id: SignatureId, removed: RegionSet) {
        let Some(mut regions) = self.ids.get(&id) else { return };
        regions.retain(|(region, _)| !removed.contains(*region));
        if regions.is_empty() { self.ids.remove(&id) } else { self.ids.set(id, regions) }
    }
}

/// What is known of ids beside their results.
pub(super) struct Index {
    ids: Bounded<Known>,
}

/// What is known of one id beside its result.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    /// The regions that have the id. More than one is a conflict.
    pub(super) holders: RegionSet,
    /// The regions that have answered for it: they have it, or it does not exist there.
    pub(super) answered: RegionSet,
    /// When it was seen pending.
    pub(super) pending: Option<Pending>,
    /// Its first final result was counted.
    pub(super) final_seen: bool,
    /// When regions that have not answered may be asked again.
    pub(super) confirm_after: Option<Instant>,
    /// When links may be renewed again.
    pub(super) renew_links_after: Option<Instant>,
    /// When a hint may cause another fetch.
    pub(super) hint_after: Option<Instant>,
}

/// When an id was seen pending: first and last.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) since: Instant,
    pub(super) seen: Instant,
}

impl Known {
    /// When the id was seen pending, if that is remembered at `now`.
    pub(super) fn remembered_pending(&self, now: Instant) -> Option<Pending> {
        self.pending.filter(|pending| now < pending.seen + PENDING_LIFE)
    }

    /// For how long the id has been seen pending by `now`; zero if it was not, or is not remembered.
    pub(super) fn pending_for(&self, now: Instant) -> Duration {
        self.remembered_pending(now).map_or(Duration::ZERO, |pending| now - pending.since)
    }
}

impl Index {
    fn new(ids: usize) -> Self {
        Self { ids: Bounded::new(ids, INDEX_LIFE) }
    }

    pub(super) fn get(&self, id: &SignatureId) -> Option<Known> {
        self.ids.get(id)
    }

    pub(super) fn set(&self, id: SignatureId, known: Known) {
        self.ids.set(id, known);
    }

    pub(super) fn forget(&self, id: &SignatureId) {
        self.ids.remove(id);
    }
}

/// The last purge of ids, by region, for as long as what replicas share may be older than that.
pub(super) struct Purges {
    ids: Bounded<Vec<(RegionId, u64)>>,
}

impl Purges {
    fn new() -> Self {
        Self { ids: Bounded::new(MAX_PURGES, PURGES_LIFE) }
    }

    /// The epoch of the last purge; zero if there was none.
    pub(super) fn epoch(&self, id: &SignatureId, region: RegionId) -> u64 {
        let purges = self.ids.get(id).unwrap_or_default();
        purges.iter().find(|(purged, _)| *purged == region).map_or(0, |(_, epoch)| *epoch)
    }

    pub(super) fn add(&self, id: SignatureId, regions: RegionSet, epoch: u64) {
        let mut purges = self.ids.get(&id).unwrap_or_default();
        purges.retain(|(region, before)| !regions.contains(*region) || *before > epoch);
        let are_newer = |region: &RegionId| !purges.iter().any(|(purged, _)| purged == region);
        let added: Vec<_> = regions.iter().filter(are_newer).map(|region| (region, epoch)).collect();
        purges.extend(added);
        self.ids.set(id, purges);
    }
}
