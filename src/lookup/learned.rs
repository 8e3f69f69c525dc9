//! What was learned of ids beside their results: which regions hold them, and whether their end was counted.

use std::ops::RangeInclusive;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;

/// How many ids are remembered, at the least and at the most.
const IDS: RangeInclusive<u64> = 10_000..=100_000;
/// What one takes with all that moka keeps beside it, in bytes; measured by filling it.
const BYTES_PER_ID: u64 = 720;
/// Forgotten after this long: results are read in bursts around their completion.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is known of ids.
pub(super) struct Learned {
    ids: Cache<SignatureId, Known>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    holders: RegionSet,
    pending_since: Option<Instant>,
    final_seen: bool,
}

/// The first sight of a final result.
pub(super) struct FirstFinal {
    /// How long it was seen pending before, if it was.
    pub(super) pending_for: Option<Duration>,
}

impl Learned {
    /// Beside a cache of `cache_bytes` a quarter of that, so that what fits a small container goes on fitting it.
    pub(super) fn new(cache_bytes: u64) -> Self {
        let most = (cache_bytes / 4 / BYTES_PER_ID).clamp(*IDS.start(), *IDS.end());
        let ids =
            Cache::builder().max_capacity(most).eviction_policy(EvictionPolicy::lru()).time_to_live(LIFE);
        Self { ids: ids.build() }
    }

    /// The regions known to hold the id. More than one is a conflict.
    pub(super) fn holders(&self, id: &SignatureId) -> RegionSet {
        self.ids.get(id).map_or(RegionSet::EMPTY, |known| known.holders)
    }

    /// Learns that `region` holds the id. Returns the holders before and after.
    pub(super) fn add(&self, id: SignatureId, region: RegionId) -> (RegionSet, RegionSet) {
        let known = self.ids.get(&id).unwrap_or_default();
        let after = known.holders.with(region);
        self.ids.insert(id, Known { holders: after, ..known });
        (known.holders, after)
    }

    /// Forgets that `region` holds the id.
    pub(super) fn remove(&self, id: SignatureId, region: RegionId) {
        if let Some(known) = self.ids.get(&id).filter(|known| known.holders.contains(region)) {
            let holders = known.holders.minus(RegionSet::only(region));
            self.ids.insert(id, Known { holders, ..known });
        }
    }

    /// Notes a result. Returns something if it is the id's first final one.
    pub(super) fn note(&self, id: SignatureId, is_final: bool) -> Option<FirstFinal> {
        let known = self.ids.get(&id).unwrap_or_default();
        if known.final_seen {
            return None;
        }
        let now = Instant::now();
        let pending_since = known.pending_since.or((!is_final).then_some(now));
        self.ids.insert(id, Known { pending_since, final_seen: is_final, ..known });
        is_final.then(|| FirstFinal { pending_for: known.pending_since.map(|since| now - since) })
    }

    pub(super) fn forget(&self, id: &SignatureId) {
        self.ids.invalidate(id);
    }
}
