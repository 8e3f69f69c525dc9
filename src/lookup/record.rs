//! One result: the record that every tier keeps of it, and what this process derives from a record on arrival.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::known::{Known, Tick};
use crate::answer::{Rendered, render};
use crate::domain::reason::Reason;
use crate::domain::region::{RegionId, RegionName};
use crate::domain::signature_id::{Pseudonyms, SignatureId};
use crate::domain::verification::{Verdict, Verification};
use crate::settings::Cache;

/// Lifetimes are spread by this share, so that what was filled together does not expire together.
const JITTER: f64 = 0.1;

/// How long a record is fresh whose id was first seen pending `pending_for` ago: final results spread by the jitter, others
/// until their next fetch is due.
fn fresh(cache: &Cache, record: &Record, pending_for: Duration) -> Duration {
    match record.verdict {
        Verdict::Passed | Verdict::Failed(_) | Verdict::Incomplete(Reason::UserTimeout) => {
            cache.final_ttl.mul_f64(rand::random_range(1.0 - JITTER..=1.0 + JITTER))
        }
        Verdict::Incomplete(_) => shortened(cache.incomplete_ttl),
        Verdict::Pending | Verdict::Unrecognized => next_fetch(cache, pending_for, record.submitted),
    }
}

/// The lifetime of an answer that may soon be another one: spread downwards alone, so that the new one is seen within `ttl`.
pub(super) fn shortened(ttl: Duration) -> Duration {
    ttl.mul_f64(rand::random_range(1.0 - JITTER..=1.0))
}

/// When a result that is not final is fetched again: the one schedule of polling callers, waiting callers and the cache.
/// The vendor sees polls grow rarer the longer a person takes, and rarer still while they are in the flow.
fn next_fetch(cache: &Cache, pending_for: Duration, submitted: Option<bool>) -> Duration {
    let gap = (pending_for / 2).min(cache.pending_ttl_max).max(cache.pending_ttl);
    if submitted == Some(false) { gap * 3 } else { gap }
}

/// One result as every tier keeps it: no setting of this process and no instant of its clock. It holds a person's data,
/// so it has no `Debug`.
pub(crate) struct Record {
    /// The region it came from.
    pub region: RegionId,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the person has finished, if the vendor says so.
    pub submitted: Option<bool>,
    /// When the upstream's answer was received, by the clock of the replica that received it.
    pub observed_at: Timestamp,
    /// The turn of its fill among those of all replicas, by the second tier. `None`: it did not say.
    pub turn: Option<NonZeroU64>,
    /// Our public JSON.
    pub body: Rendered,
}

impl Record {
    /// The record of a verification whose region has that name.
    pub(super) fn new(verification: &Verification, region: &RegionName) -> Self {
        Self {
            turn: None,
            region: verification.region,
            verdict: verification.verdict,
            submitted: verification.submitted,
            observed_at: verification.observed_at,
            body: render(verification, region),
        }
    }

    /// Whether it was fetched after `other`: by their turns, or by the clocks where there are none.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        match (self.turn, other.turn) {
            (Some(turn), Some(other)) => turn > other,
            _ => self.observed_at > other.observed_at,
        }
    }
}

/// A record that another replica shared, and its life there, by the clock of the second tier.
pub(crate) struct SharedRecord {
    /// The record.
    pub record: Record,
    /// How long it has been shared.
    pub age: Duration,
    /// How long it has left.
    pub left: Duration,
    /// The last purge that it comes after.
    pub epoch: u64,
}

/// A record in this process, with how long it is good for.
pub(crate) struct Entry {
    record: Record,
    fresh_until: Tick,
    /// What is known of its id besides it, while memory keeps it; nothing once a newer result knows it.
    known: Mutex<Option<Known>>,
    /// What stands for its id in lines, once an answer has needed it: hashing takes longer than all the rest of a hit.
    pub(crate) pseudonyms: OnceLock<Pseudonyms>,
}

impl Entry {
    /// The entry of a record that arrived at `now`; its id was first seen pending `pending_for` before.
    pub(super) fn new(record: Record, cache: &Cache, pending_for: Duration, now: Instant) -> Self {
        let fresh = fresh(cache, &record, pending_for);
        Self::good_until(now + fresh, record)
    }

    /// The entry of a record that another replica shared: fresh no longer than it is there, and no longer than here.
    pub(super) fn shared(shared: SharedRecord, cache: &Cache, pending_for: Duration, now: Instant) -> Self {
        let SharedRecord { record, age, left, .. } = shared;
        let own = fresh(cache, &record, pending_for).saturating_sub(age);
        Self::good_until(now + own.min(left), record)
    }

    fn good_until(fresh_until: Instant, record: Record) -> Self {
        Self { record, fresh_until: fresh_until.into(), known: Mutex::default(), pseudonyms: OnceLock::new() }
    }

    /// Whether it is the result of that id.
    pub(super) fn is_of(&self, id: &SignatureId) -> bool {
        self.record.body.signature_id() == id.as_bytes()
    }

    /// The id whose result it is.
    pub(super) fn id(&self) -> Option<SignatureId> {
        SignatureId::parse(str::from_utf8(self.record.body.signature_id()).ok()?)
    }

    /// What is known of its id besides it.
    pub(super) fn known(&self) -> Option<Known> {
        *self.known.lock()
    }

    /// Keeps what is known of its id besides it.
    pub(super) fn note(&self, known: Known) {
        *self.known.lock() = Some(known);
    }

    /// A newer result takes its place, and knows what it knew.
    pub(super) fn give_up_known(&self) {
        *self.known.lock() = None;
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

    /// Whether the verdict will not change any more: an incomplete result may still be revised.
    pub(super) const fn is_settled(&self) -> bool {
        matches!(self.record.verdict, Verdict::Passed | Verdict::Failed(_))
    }

    /// How long from now to ask again, in whole seconds, if the result is not final.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        if self.is_final() {
            return None;
        }
        let left = self.fresh_until().saturating_duration_since(Instant::now());
        Some(left.as_secs_f64().ceil().max(1.0) as u64)
    }

    /// The whole seconds it is still fresh; `None` if it no longer is.
    pub(super) fn ttl(&self, now: Instant) -> Option<u64> {
        let left = self.fresh_until().checked_duration_since(now)?;
        (!left.is_zero()).then_some(left.as_secs())
    }

    /// When it ends; if the result is not final, when the next fetch is due.
    pub(super) fn fresh_until(&self) -> Instant {
        self.fresh_until.into()
    }

    /// The seconds since it was fresh.
    pub(super) fn age_past_ttl(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.fresh_until()).as_secs_f64().ceil() as u64
    }

    /// Whether one of its links has expired.
    pub(super) fn has_expired_links(&self) -> bool {
        self.record.body.has_expired_links(Timestamp::now())
    }

    /// How much longer memory keeps it: final results past their time, for `stale_max`.
    pub(super) fn keep(&self, stale_max: Duration, now: Instant) -> Duration {
        let stale = if self.is_final() { stale_max } else { Duration::ZERO };
        (self.fresh_until() + stale).saturating_duration_since(now)
    }

    /// The bytes it takes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.record.body.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(Record: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Entry: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(SharedRecord: std::fmt::Debug, std::fmt::Display);

    const CACHE: Cache = Cache {
        pending_ttl: Duration::from_secs(2),
        pending_ttl_max: Duration::from_secs(30),
        ..Cache::all(Duration::from_secs(3600))
    };

    /// How many upstream calls a caller causes that polls for this many seconds, each time after `Retry-After`.
    fn calls(seconds: u64, submitted: Option<bool>) -> usize {
        let mut at = Duration::ZERO;
        let mut calls = 0;
        while at < Duration::from_secs(seconds) {
            calls += 1;
            at += next_fetch(&CACHE, at, submitted);
        }
        calls
    }

    #[test]
    fn a_caller_who_polls_as_told_causes_few_calls() {
        assert!(calls(70, Some(true)) <= 12, "{}", calls(70, Some(true)));
        assert!((110..=130).contains(&calls(3600, None)), "{}", calls(3600, None));
        let while_in_the_flow = calls(3600, Some(false));
        assert!(while_in_the_flow <= calls(3600, None).div_ceil(3) + 2, "{while_in_the_flow}");
    }

    #[test]
    fn the_schedule_grows_from_the_shortest_time_to_the_longest() {
        let seconds = |pending_for, submitted| {
            next_fetch(&CACHE, Duration::from_secs(pending_for), submitted).as_secs_f64()
        };
        assert_eq!([0, 4, 20, 60, 3600].map(|age| seconds(age, None)), [2.0, 2.0, 10.0, 30.0, 30.0]);
        assert_eq!([0, 20, 60].map(|age| seconds(age, Some(false))), [6.0, 30.0, 90.0]);
    }
}
