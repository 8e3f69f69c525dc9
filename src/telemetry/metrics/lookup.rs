//! Lookups and the cache.

use prometheus::{IntCounter, IntGauge, Registry};

use super::families::{counters, gauge};

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LookupOutcome {
    Hit,
    RemoteHit,
    Joined,
    Filled,
    Stale,
    Failed,
}

impl LookupOutcome {
    /// The labels, in the order of the outcomes.
    pub const NAMES: [&'static str; 6] = ["hit", "remote_hit", "joined", "filled", "stale", "failed"];

    /// The label.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Lookups by outcome, and fills in flight.
pub struct LookupMetrics {
    pub(super) outcomes: [IntCounter; LookupOutcome::NAMES.len()],
    /// Fills in flight.
    pub fills_in_flight: IntGauge,
}

impl LookupMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let outcomes = counters(registry, "idv_lookups_total", "Lookups by outcome.", &["outcome"])?;
        Ok(Self {
            outcomes: LookupOutcome::NAMES.map(|name| outcomes.with_label_values(&[name])),
            fills_in_flight: gauge(registry, "idv_fills_in_flight", "Fills in flight.")?,
        })
    }

    /// Counts one lookup.
    pub fn observe(&self, outcome: LookupOutcome) {
        self.outcomes[outcome as usize].inc();
    }
}

/// The cache.
pub struct CacheMetrics {
    /// Entries held.
    pub entries: IntGauge,
    /// Bytes held.
    pub bytes: IntGauge,
    pub(super) evictions: [IntCounter; 4],
}

/// Why an entry left the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EvictionCause {
    Expired,
    Size,
    Replaced,
    Purged,
}

impl CacheMetrics {
    /// The metric labels, in the order of the causes.
    pub const CAUSES: [&str; 4] = ["expired", "size", "replaced", "purged"];

    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let evictions =
            counters(registry, "idv_cache_evictions_total", "Entries that left the cache.", &["cause"])?;
        Ok(Self {
            entries: gauge(registry, "idv_cache_entries", "Results in the cache.")?,
            bytes: gauge(registry, "idv_cache_bytes", "Bytes in the cache.")?,
            evictions: Self::CAUSES.map(|cause| evictions.with_label_values(&[cause])),
        })
    }

    /// The counter of one cause.
    pub fn evicted(&self, cause: EvictionCause) -> &IntCounter {
        &self.evictions[cause as usize]
    }
}
