//! One result: the record that every tier keeps of it, and what this process derives from a record on arrival.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::answer::{Rendered, render};
use crate::domain::reason::Reason;
use crate::domain::region::{RegionId, RegionName};
use crate::domain::verification::{Verdict, Verification};

/// Lifetimes are spread by this share either way, so that results filled together do not expire together.
const JITTER: f64 = 0.1;

/// How long results are kept.
#[derive(Clone, Copy)]
pub(crate) struct Lifetimes {
    /// Passed and failed results.
    pub final_ttl: Duration,
    /// Incomplete results, which may still be revised.
    pub incomplete_ttl: Duration,
    /// Pending and unrecognized results.
    pub pending_ttl: Duration,
    /// "Does not exist", per region.
    pub not_found_ttl: Duration,
    /// How far past their time final results may still be served when no region answers.
    pub stale_max: Duration,
}

impl Lifetimes {
    /// Everything is kept for the same time.
    #[cfg(any(test, fuzzing))]
    pub(crate) const fn all(time: Duration) -> Self {
        Self {
            final_ttl: time,
            incomplete_ttl: time,
            pending_ttl: time,
            not_found_ttl: time,
            stale_max: time,
        }
    }

    /// How long a result with this verdict is fresh, before jitter.
    const fn fresh(&self, verdict: Verdict) -> Duration {
        match verdict {
            Verdict::Passed | Verdict::Failed(_) | Verdict::Incomplete(Reason::UserTimeout) => self.final_ttl,
            Verdict::Incomplete(_) => self.incomplete_ttl,
            Verdict::Pending | Verdict::Unrecognized => self.pending_ttl,
        }
    }
}

/// One result as every tier keeps it: no setting of this process and no instant of its clock. It holds a person's data,
/// so it has no `Debug`.
pub(crate) struct Record {
    /// The region it came from.
    pub region: RegionId,
    /// The verdict.
    pub verdict: Verdict,
    /// Our public JSON.
    pub body: Rendered,
}

impl Record {
    /// The record of a verification whose region has that name.
    pub(super) fn new(verification: &Verification, region: &RegionName) -> Self {
        Self {
            region: verification.region,
            verdict: verification.verdict,
            body: render(verification, region),
        }
    }
}

/// A record in this process, with how long it is good for.
pub(crate) struct Entry {
    record: Record,
    fresh_until: Instant,
    keep: Duration,
}

impl Entry {
    /// The entry of a record that arrived at `now`.
    pub(super) fn new(record: Record, lifetimes: &Lifetimes, now: Instant) -> Self {
        let is_final = record.verdict.is_final();
        // Callers are told when to ask again: an answer that is not final must be gone by then.
        let longest = if is_final { 1.0 + JITTER } else { 1.0 };
        let fresh = lifetimes.fresh(record.verdict).mul_f64(rand::random_range(1.0 - JITTER..=longest));
        let stale = if is_final { lifetimes.stale_max } else { Duration::ZERO };
        Self { record, fresh_until: now + fresh, keep: fresh + stale }
    }

    /// The record.
    pub(crate) const fn record(&self) -> &Record {
        &self.record
    }

    /// The region it came from.
    pub(crate) const fn region(&self) -> RegionId {
        self.record.region
    }

    /// Whether the upstream has given its verdict.
    pub(crate) const fn is_final(&self) -> bool {
        self.record.verdict.is_final()
    }

    /// When to ask again, in whole seconds, if the result is not final.
    pub(crate) fn retry_after(&self, now: Instant) -> Option<u64> {
        let left = self.fresh_until.saturating_duration_since(now);
        (!self.is_final()).then(|| left.as_secs_f64().ceil().max(1.0) as u64)
    }

    /// The whole seconds it is still fresh; `None` if it no longer is.
    pub(super) fn ttl(&self, now: Instant) -> Option<u64> {
        let left = self.fresh_until.checked_duration_since(now)?;
        (!left.is_zero()).then_some(left.as_secs())
    }

    /// The seconds since it was fresh.
    pub(super) fn age_past_ttl(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.fresh_until).as_secs_f64().ceil() as u64
    }

    /// Whether one of its links has expired.
    pub(super) fn has_expired_links(&self) -> bool {
        self.record.body.first_link_expiry().is_some_and(|expiry| expiry <= Timestamp::now())
    }

    /// How long memory keeps it.
    pub(super) const fn keep(&self) -> Duration {
        self.keep
    }

    /// The bytes it takes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.record.body.size()
    }
}
