//! What is known of an id besides its result: it stays with the result while there is one, else in an index.

use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::region::RegionSet;

/// When an id was first seen pending is forgotten this long after it was last seen so.
pub(super) const PENDING_LIFE: Duration = Duration::from_secs(3600);

/// A moment in half the bytes of an [`Instant`], because memory is full of them: microseconds since a day before the first one.
#[derive(Clone, Copy)]
pub(super) struct Tick(NonZeroU64);

/// So that moments before the start of the process are moments, too.
static FIRST: LazyLock<Instant> = LazyLock::new(|| {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(24 * 3600)).unwrap_or(now)
});

impl From<Instant> for Tick {
    fn from(at: Instant) -> Self {
        let micros = at.saturating_duration_since(*FIRST).as_micros() as u64;
        Self(NonZeroU64::MIN.saturating_add(micros))
    }
}

impl From<Tick> for Instant {
    fn from(tick: Tick) -> Self {
        *FIRST + Duration::from_micros(tick.0.get() - 1)
    }
}

/// What is known of one id besides its result.
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
    pub(super) confirm_after: Option<Tick>,
    /// When links may be renewed again.
    pub(super) renew_links_after: Option<Tick>,
    /// When a hint may cause another fetch.
    pub(super) hint_after: Option<Tick>,
}

/// When an id was seen pending: first and last.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    since: Tick,
    seen: Tick,
}

impl Pending {
    pub(super) fn new(since: Instant, seen: Instant) -> Self {
        Self { since: since.into(), seen: seen.into() }
    }

    /// How long ago that was, first and last.
    pub(super) fn ages(self, now: Instant) -> (Duration, Duration) {
        (now.saturating_duration_since(self.since.into()), now.saturating_duration_since(self.seen.into()))
    }
}

impl Known {
    /// When the id was seen pending, if that is remembered at `now`.
    pub(super) fn remembered_pending(&self, now: Instant) -> Option<Pending> {
        self.pending.filter(|pending| pending.ages(now).1 < PENDING_LIFE)
    }

    /// For how long the id has been seen pending by `now`; zero if it was not, or is not remembered.
    pub(super) fn pending_for(&self, now: Instant) -> Duration {
        self.remembered_pending(now).map_or(Duration::ZERO, |pending| pending.ages(now).0)
    }
}
