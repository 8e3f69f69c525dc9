//! Where things are in the buffer of a rendered result: kept with it, in memory and by other replicas.

use std::ops::{Range, RangeFrom};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::scope::Scope;

/// What the media begin with; then comes an array of links.
pub(super) const MEDIA: &[u8] = br#","media":"#;

/// Where each section ends in the buffer, and when its first link does. A cache is full of these, so offsets are small.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// The members of the decision that change with time: `"stale":false,"retryAfterSeconds":null`.
    pub(super) moment: (u32, u32),
    /// The decision, from the opening brace.
    pub(super) decision: u32,
    /// `,"checks":…`
    pub(super) checks: u32,
    /// `,"identity":…`
    pub(super) identity: u32,
    /// How long the value of `,"media":…` is, unpacked.
    pub(super) links: u32,
    /// The first end of a link, in milliseconds since 1970; without links, the end of time.
    pub(super) links_end: i64,
}

impl Layout {
    /// Whether everything lies in `buffer`, in its order.
    pub(super) fn fits(&self, buffer: &[u8]) -> bool {
        let &Self { moment, decision, checks, identity, .. } = self;
        let is_in_order = [moment.0, moment.1, decision, checks, identity].is_sorted();
        is_in_order && self.identity as usize <= buffer.len()
    }

    /// How long the whole answer is, with the brace that closes it.
    pub(super) const fn len(&self) -> usize {
        self.identity as usize + MEDIA.len() + self.links as usize + 1
    }

    /// Whether one of the links has expired by `now`.
    pub(super) fn has_expired_links(&self, now: Timestamp) -> bool {
        self.links_end <= now.as_millisecond()
    }

    /// The sections that take a scope, but for the media.
    pub(super) fn sections(&self) -> [(Scope, Range<usize>); 2] {
        [
            (Scope::Checks, range((self.decision, self.checks))),
            (Scope::Identity, range((self.checks, self.identity))),
        ]
    }

    /// The packed links.
    pub(super) const fn packed_links(&self) -> RangeFrom<usize> {
        self.identity as usize..
    }
}

/// A place in the buffer, as its slices want it.
pub(super) const fn range((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}
