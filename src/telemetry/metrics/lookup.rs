//! Lookups, the cache, and waiting for final results: waiters, pollers, polls and callbacks.

use enum_map::{Enum, EnumMap};
use prometheus::{IntCounter, IntGauge};
use strum::IntoStaticStr;

use super::families::Families;

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LookupOutcome {
    Hit,
    RemoteHit,
    Joined,
    Filled,
    Stale,
    Failed,
}

/// Lookups by outcome, and fills in flight.
pub struct LookupMetrics {
    /// Lookups.
    pub outcomes: EnumMap<LookupOutcome, IntCounter>,
    /// Fills in flight.
    pub fills_in_flight: IntGauge,
}

impl LookupMetrics {
    pub(super) fn new(families: &Families) -> Self {
        let (name, help) = ("idv_lookups_total", "Lookups by outcome.");
        Self {
            outcomes: families.counters(name, help, "outcome"),
            fills_in_flight: families.gauge("idv_fills_in_flight", "Fills in flight."),
        }
    }
}

/// Why an entry left the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum EvictionCause {
    Expired,
    Size,
    Replaced,
    Purged,
}

/// The cache.
pub struct CacheMetrics {
    /// Entries held.
    pub entries: IntGauge,
    /// Bytes held.
    pub bytes: IntGauge,
    /// Entries that left it.
    pub evictions: EnumMap<EvictionCause, IntCounter>,
}

impl CacheMetrics {
    pub(super) fn new(families: &Families) -> Self {
        let (name, help) = ("idv_cache_evictions_total", "Entries that left the cache.");
        Self {
            entries: families.gauge("idv_cache_entries", "Results in the cache."),
            bytes: families.gauge("idv_cache_bytes", "Bytes in the cache."),
            evictions: families.counters(name, help, "cause"),
        }
    }
}

/// How one poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum PollOutcome {
    /// The result is final.
    Final,
    /// It is not.
    Pending,
    /// The region gave no answer.
    Failed,
    /// The region was not asked: it is busy, or its breaker is open.
    Skipped,
}

/// How one callback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CallbackOutcome {
    /// The id is fetched again.
    Fetched,
    /// Nobody has asked about the id.
    Unknown,
    /// The result is final already.
    Final,
    /// Another callback for the id came a moment ago; the id is fetched again at the end of its pause.
    Deferred,
    /// Such a fetch is planned already.
    Repeated,
    /// Too many others wait for their fetch.
    OverBudget,
    /// No valid key.
    Unauthenticated,
    /// Not a callback: its method, size or syntax is wrong, or there is no such region.
    Malformed,
}

/// Waiters, pollers, polls and callbacks.
pub struct WaitMetrics {
    /// Requests that wait for a final result.
    pub waiters: IntGauge,
    /// Ids that are polled for them.
    pub pollers: IntGauge,
    /// Polls.
    pub polls: EnumMap<PollOutcome, IntCounter>,
    /// Callbacks.
    pub callbacks: EnumMap<CallbackOutcome, IntCounter>,
}

impl WaitMetrics {
    pub(super) fn new(families: &Families) -> Self {
        Self {
            waiters: families.gauge("idv_waiters", "Requests that wait for a final result."),
            pollers: families.gauge("idv_pollers", "Ids that are polled for those who wait."),
            polls: families.counters("idv_polls_total", "Polls by outcome.", "outcome"),
            callbacks: families.counters("idv_callbacks_total", "Callbacks by outcome.", "outcome"),
        }
    }
}
