//! The forms in which replicas share what they know of ids. Another form is another version of `remote::seal`.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::answer::{Layout, Rendered};
use crate::domain::region::RegionId;
use crate::domain::verification::Verdict;
use crate::lookup::record::{Record, SharedRecord};

/// How far the clocks of two replicas may be apart. Lifetimes end by the clock of the second tier; beyond this, what it
/// says of them is not believed.
const MAX_SKEW: Duration = Duration::from_secs(600);

/// What one region said of an id.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Marker {
    /// It has the id; else the id does not exist there.
    pub holds: bool,
    /// The last purge that this comes after.
    pub epoch: u64,
    pub pending: Option<SeenPending>,
}

/// When an id was seen pending, first and last, in milliseconds since 1970.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(in crate::lookup) struct SeenPending {
    since: i64,
    seen: i64,
}

impl SeenPending {
    /// First and last so long ago.
    pub(in crate::lookup) fn ago(since: Duration, seen: Duration) -> Self {
        let at = |ago: Duration| {
            let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
            Timestamp::now().as_millisecond().saturating_sub(ago)
        };
        Self { since: at(since), seen: at(seen) }
    }

    /// How long ago that was, first and last; no time by a clock that is behind.
    pub(in crate::lookup) fn ages(&self) -> (Duration, Duration) {
        let age = |at: i64| {
            let age = Timestamp::now().as_millisecond().saturating_sub(at);
            Duration::from_millis(u64::try_from(age).unwrap_or_default())
        };
        (age(self.since), age(self.seen))
    }

    /// First and last by both.
    pub(super) fn and(self, other: Self) -> Self {
        Self { since: self.since.min(other.since), seen: self.seen.max(other.seen) }
    }
}

/// A record, and how long it is shared.
pub(super) struct Stored {
    head: Head,
    body: Bytes,
}

/// A record without its body.
#[derive(Serialize, Deserialize)]
struct Head {
    /// The tag of its region.
    region: String,
    verdict: Verdict,
    submitted: Option<bool>,
    observed_at: i64,
    /// How long it is shared, in milliseconds.
    life: u64,
    epoch: u64,
    turn: NonZeroU64,
    layout: Layout,
}

/// The bytes of a record that is shared for `life`.
pub(super) fn write(record: &Record, tag: &str, life: Duration, epoch: u64, turn: NonZeroU64) -> Vec<u8> {
    let (body, layout) = record.body.parts();
    let head = Head {
        region: tag.to_owned(),
        verdict: record.verdict,
        submitted: record.submitted,
        observed_at: record.observed_at.as_millisecond(),
        life: life.as_millis() as u64,
        epoch,
        turn,
        layout: layout.clone(),
    };
    let head = serde_json::to_vec(&head).unwrap_or_default();
    let length = u32::try_from(head.len()).unwrap_or_default();
    [&length.to_be_bytes(), head.as_slice(), body].concat()
}

impl Stored {
    /// Takes the bytes of a record apart.
    pub(super) fn read(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Bytes::from(bytes);
        let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        let head = serde_json::from_slice(bytes.get(4..4 + length)?).ok()?;
        Some(Self { head, body: bytes.slice(4 + length..) })
    }

    /// The tag of its region.
    pub(super) fn tag(&self) -> &str {
        &self.head.region
    }

    /// The record of `region`, `left` before its end there. `None`: its life is over, or is not what it was given.
    pub(super) fn record(self, region: RegionId, left: i64) -> Option<SharedRecord> {
        let Head { verdict, submitted, observed_at, life, epoch, turn, layout, .. } = self.head;
        let left = u64::try_from(left).ok().filter(|left| (1..=life).contains(left))?;
        let since = Timestamp::now().as_millisecond().checked_sub(observed_at)?;
        let skew = MAX_SKEW.as_millis() as i64;
        if since < -skew || since > i64::try_from(life).ok()?.saturating_add(skew) {
            return None;
        }
        let record = Record {
            region,
            verdict,
            submitted,
            observed_at: Timestamp::from_millisecond(observed_at).ok()?,
            turn: Some(turn),
            // Without the room that the head took: what is kept is what is weighed.
            body: Rendered::from_parts(self.body.as_ref().into(), layout)?,
        };
        let (age, left) = (Duration::from_millis(life - left), Duration::from_millis(left));
        Some(SharedRecord { record, age, left, epoch })
    }
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(Stored: std::fmt::Debug, std::fmt::Display);
