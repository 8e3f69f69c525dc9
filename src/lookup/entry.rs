//! One result in memory: the rendered document, how long it is good for, and what it takes to cut it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::document::Document;
use crate::domain::reason::Reason;
use crate::domain::region::{RegionId, RegionSet, Route};
use crate::domain::verification::{Medium, Status, Verdict, Verification};

/// Lifetimes are spread by this share either way, so that what was filled together does not expire together.
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
    pub(crate) const fn fresh(&self, verdict: Verdict) -> Duration {
        match verdict {
            Verdict::Passed | Verdict::Failed(_) | Verdict::Incomplete(Reason::UserTimeout) => self.final_ttl,
            Verdict::Incomplete(_) => self.incomplete_ttl,
            Verdict::Pending | Verdict::Unrecognized => self.pending_ttl,
        }
    }

    /// When callers may ask again for a result that is not final, in whole seconds; `None` for a final one.
    pub(crate) fn retry_after(&self, verdict: Verdict) -> Option<u64> {
        (!verdict.is_final()).then(|| self.pending_ttl.as_secs_f64().ceil().max(1.0) as u64)
    }
}

/// One result in memory. It holds a person's data, so it has no `Debug`.
pub(crate) struct Entry {
    document: Document,
    media: Box<[Medium]>,
    region: RegionId,
    /// Every region known to hold the id when this was stored.
    holders: RegionSet,
    verdict: Verdict,
    retry_after: Option<u64>,
    stored_at: Instant,
    fresh_until: Instant,
    keep: Duration,
    links_die_at: Option<Timestamp>,
    next_link_renewal: Mutex<Instant>,
    pending_ttl: Duration,
}

impl Entry {
    /// An entry of a verification just received.
    pub(super) fn new(
        verification: Verification,
        document: Document,
        holders: RegionSet,
        lifetimes: &Lifetimes,
    ) -> Self {
        let now = Instant::now();
        let verdict = verification.verdict;
        // Callers are told to ask again after `pending_ttl`: an answer that is not final must be gone by then.
        let longest = if verdict.is_final() { 1.0 + JITTER } else { 1.0 };
        let fresh = lifetimes.fresh(verdict).mul_f64(rand::random_range(1.0 - JITTER..=longest));
        let stale = if verdict.is_final() { lifetimes.stale_max } else { Duration::ZERO };
        Self {
            document,
            region: verification.region,
            holders,
            verdict,
            retry_after: lifetimes.retry_after(verdict),
            stored_at: now,
            fresh_until: now + fresh,
            keep: fresh + stale,
            links_die_at: verification.media.iter().map(|medium| medium.expires_at).min(),
            next_link_renewal: Mutex::new(now + lifetimes.pending_ttl),
            pending_ttl: lifetimes.pending_ttl,
            media: verification.media.into(),
        }
    }

    /// The rendered document.
    pub(crate) const fn document(&self) -> &Document {
        &self.document
    }

    /// The region it came from.
    pub(crate) const fn region(&self) -> RegionId {
        self.region
    }

    /// The `status` word that callers read.
    pub(crate) const fn status(&self) -> Status {
        self.verdict.status()
    }

    /// Whether the upstream has given its verdict.
    pub(crate) const fn is_final(&self) -> bool {
        self.verdict.is_final()
    }

    /// When callers may ask again, in seconds, if it is not final.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Whether a link is past its end.
    pub(crate) fn has_dead_links(&self, now: Timestamp) -> bool {
        self.links_die_at.is_some_and(|end| end <= now)
    }

    /// The links that are not past their end.
    pub(crate) fn live_links(&self, now: Timestamp) -> impl Iterator<Item = &Medium> {
        self.media.iter().filter(move |medium| medium.expires_at > now)
    }

    /// Whether this entry exists for that route: an entry from a region the caller may not use does not, nor does
    /// one of an id that two of the caller's regions hold, unless the caller named this one.
    pub(super) const fn serves(&self, route: &Route) -> bool {
        route.regions().contains(self.region)
            && (route.is_pinned() || self.holders.and(route.regions()).len() <= 1)
    }

    /// When it was received.
    pub(super) const fn stored_at(&self) -> Instant {
        self.stored_at
    }

    /// The whole seconds it is still fresh; `None` if it no longer is.
    pub(super) fn ttl(&self, now: Instant) -> Option<u64> {
        let left = self.fresh_until.checked_duration_since(now)?;
        (!left.is_zero()).then_some(left.as_secs())
    }

    /// The seconds since it was fresh.
    pub(super) fn seconds_past(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.fresh_until).as_secs_f64().ceil() as u64
    }

    /// How long memory keeps it.
    pub(super) const fn keep(&self) -> Duration {
        self.keep
    }

    /// The bytes it takes.
    pub(super) fn size(&self) -> usize {
        let media = self.media.iter().map(|medium| medium.url.len() + size_of::<Medium>());
        size_of::<Self>() + self.document.size() + media.sum::<usize>()
    }

    /// Claims the one renewal of dead links that each id has per `pending_ttl`.
    pub(super) fn claim_link_renewal(&self, now: Instant) -> bool {
        let mut next = self.next_link_renewal.lock().unwrap_or_else(PoisonError::into_inner);
        if now < *next {
            return false;
        }
        *next = now + self.pending_ttl;
        true
    }
}
