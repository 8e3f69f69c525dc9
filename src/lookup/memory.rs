//! What memory keeps of ids: results, with what is known besides them; negative entries per region, and an index of what is
//! known of ids without a result. Nothing here decides; [`super::store`] changes it under its lock.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bounded::Bounded;
use super::known::Known;
use super::record::{Entry, shortened};
use super::results::Results;
use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;
use crate::settings::Cache;
use crate::telemetry::metrics::Metrics;

/// The most ids whose purges are remembered.
const MAX_PURGES: usize = 100_000;
/// Purges are remembered for longer than any result can be shared: twice the longest `cache.final_ttl`.
const PURGES_LIFE: Duration = Duration::from_secs(60 * 24 * 3600);
/// The index holds one id for so many bytes of `cache.max_bytes`, in a fortieth of them.
const BYTES_PER_ID: u64 = 8192;
/// The fewest ids that the index may hold.
const MIN_IDS: usize = 10_000;
/// The most ids with negative entries: a scan of unknown ids must not take the memory of results.
const MAX_ABSENT: usize = 100_000;
/// For how long at least "does not exist" counts as an answer of its region for what another one is found to have: they
/// answer one request.
const HEARD: Duration = Duration::from_secs(2);
/// What the index knows of an id is forgotten after this long: results are read in bursts around their completion.
const INDEX_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything memory keeps.
pub(super) struct Memory {
    /// Dropping one keeps what is known besides it: that goes to the index.
    pub(super) results: Results,
    /// What is known of ids that have no result here.
    pub(super) index: Arc<Bounded<Known>>,
    pub(super) absent: Negative,
    pub(super) purges: Purges,
}

impl Memory {
    /// An empty memory within the limits of `cache`.
    pub(super) fn new(cache: &Cache, metrics: Arc<Metrics>) -> Self {
        let ids = usize::try_from(cache.max_bytes / BYTES_PER_ID).unwrap_or(usize::MAX).max(MIN_IDS);
        let index = Arc::new(Bounded::new(ids, INDEX_LIFE));
        Self {
            results: Results::new(cache.max_bytes, cache.stale_max, Arc::clone(&index), metrics),
            index,
            absent: Negative::new(ids.min(MAX_ABSENT), cache.not_found_ttl),
            purges: Purges::new(),
        }
    }

    /// The result of an id, and what is known besides it.
    pub(super) fn look(&self, id: &SignatureId) -> (Option<Arc<Entry>>, Option<Known>) {
        let entry = self.results.get(id);
        let known = entry.as_ref().map_or_else(|| self.index.get(id), |entry| entry.known());
        (entry, known)
    }

    /// What is known of an id besides its result.
    pub(super) fn known(&self, id: &SignatureId) -> Option<Known> {
        self.look(id).1
    }

    /// Keeps what is known of an id besides its result.
    pub(super) fn note(&self, id: &SignatureId, known: Known) {
        match self.results.get(id) {
            Some(entry) => entry.note(known),
            None => self.index.set(id, known),
        }
    }

    /// Keeps a result of an id, and what is known besides it.
    pub(super) fn put(&self, id: &SignatureId, entry: Arc<Entry>, known: Known) {
        entry.note(known);
        self.index.remove(id);
        self.results.put(id, entry);
    }
}

/// Until when each region's "does not exist" is believed, by id.
pub(super) struct Negative {
    ids: Bounded<Vec<(RegionId, Instant)>>,
    ttl: Duration,
}

impl Negative {
    fn new(ids: usize, ttl: Duration) -> Self {
        Self { ids: Bounded::new(ids, ttl.max(HEARD)), ttl }
    }

    /// The entries of an id, those past their time included.
    pub(super) fn get(&self, id: &SignatureId) -> Vec<(RegionId, Instant)> {
        self.ids.get(id).unwrap_or_default()
    }

    pub(super) fn add(&self, id: &SignatureId, region: RegionId) {
        let now = Instant::now();
        let mut regions = self.get(id);
        regions.retain(|(known, until)| *known != region && *until > now);
        regions.push((region, now + shortened(self.ttl)));
        self.ids.set(id, regions);
    }

    pub(super) fn remove(&self, id: &SignatureId, removed: RegionSet) {
        let Some(mut regions) = self.ids.get(id) else { return };
        regions.retain(|(region, _)| !removed.contains(*region));
        if regions.is_empty() { self.ids.remove(id) } else { self.ids.set(id, regions) }
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

    pub(super) fn add(&self, id: &SignatureId, regions: RegionSet, epoch: u64) {
        let mut purges = self.ids.get(id).unwrap_or_default();
        purges.retain(|(region, before)| !regions.contains(*region) || *before > epoch);
        let are_newer = |region: &RegionId| !purges.iter().any(|(purged, _)| purged == region);
        let added: Vec<_> = regions.iter().filter(are_newer).map(|region| (region, epoch)).collect();
        purges.extend(added);
        self.ids.set(id, purges);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::region::RegionName;
    use crate::domain::verification::{Verdict, Verification};
    use crate::lookup::record::Record;

    const HOUR: Duration = Duration::from_secs(3600);

    fn memory(cache: &Cache) -> Memory {
        Memory::new(cache, Arc::new(Metrics::new(&[region()], &[])))
    }

    fn region() -> RegionName {
        RegionName::parse("my").unwrap()
    }

    fn id(name: &str) -> SignatureId {
        SignatureId::parse(name).unwrap()
    }

    /// A passed result of `S1`.
    fn result(cache: &Cache) -> Arc<Entry> {
        let verification = Verification::bare(id("S1"), RegionId::new(0), Verdict::Passed);
        let record = Record::new(&verification, &region());
        Arc::new(Entry::new(record, cache, Duration::ZERO, Instant::now()))
    }

    #[tokio::test]
    async fn what_is_known_of_an_id_outlives_its_result() {
        for (life, dropped) in [(HOUR, RegionSet::ALL), (Duration::ZERO, RegionSet::EMPTY)] {
            let cache = Cache::all(life);
            let memory = memory(&cache);
            memory.put(&id("S1"), result(&cache), Known { final_seen: true, ..Known::default() });
            memory.results.forget(&id("S1"), dropped);
            let (entry, known) = memory.look(&id("S1"));
            assert!(entry.is_none());
            assert!(known.is_some_and(|known| known.final_seen), "after {life:?}");
        }
    }

    #[tokio::test]
    async fn a_result_in_the_place_of_another_id_is_not_given_for_it() {
        let cache = Cache::all(HOUR);
        let memory = memory(&cache);
        memory.put(&id("S2"), result(&cache), Known::default());
        assert!(memory.results.get(&id("S2")).is_none());
    }
}
