//! The rendered form of a result: our public JSON, written once per fill and cut for each caller without JSON work.
//!
//! One buffer holds `decision checks identity media }`. Every section but the decision begins with a comma, so a set of
//! scopes is a few ranges of the buffer.

mod json;
mod layout;
mod visible;

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::scope::{Scope, Scopes};

pub(crate) use json::render;
pub(crate) use layout::Layout;

/// The most slices an answer has: no set of scopes leaves more than two gaps.
pub(crate) const MAX_SLICES: usize = 3;

/// The slices of an answer, in order; unused ones are empty.
pub(crate) type Slices = [Bytes; MAX_SLICES];

/// The JSON of one result. It holds a person's data, so it has no `Debug`.
pub(crate) struct Rendered {
    buffer: Bytes,
    sections: Sections,
    links: Box<[Link]>,
}

/// Where each section ends in the buffer.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Sections {
    /// The members of the decision that change with time: `"stale":false,"retryAfterSeconds":null`.
    moment: (usize, usize),
    /// The decision, from the opening brace.
    decision: usize,
    /// `,"checks":…`
    checks: usize,
    /// `,"identity":…`
    identity: usize,
    /// `,"media":…`
    media: usize,
}

/// One media link: where its object is in the buffer, and when to stop using it.
struct Link {
    object: (usize, usize),
    expires_at: Timestamp,
}

/// What an answer says about the moment it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The result is past its time, and no region could answer.
    pub stale: bool,
    /// When to ask again, in seconds; only for a result that is not final.
    pub retry_after: Option<u64>,
}

impl Rendered {
    /// The buffer, and where things are in it.
    pub(crate) fn parts(&self) -> (&[u8], Layout) {
        (&self.buffer, Layout::of(self.sections, &self.links))
    }

    /// What [`Self::parts`] took apart. `None`: they do not fit together.
    pub(crate) fn from_parts(buffer: Bytes, layout: &Layout) -> Option<Self> {
        let (sections, links) = layout.within(&buffer)?;
        Some(Self { buffer, sections, links })
    }

    /// How many bytes it takes beside its own struct.
    pub(crate) fn size(&self) -> usize {
        self.buffer.len() + self.links.len() * size_of::<Link>()
    }

    /// When the first of its links expires.
    pub(crate) fn first_link_expiry(&self) -> Option<Timestamp> {
        self.links.iter().map(|link| link.expires_at).min()
    }

    /// The answer for `scopes` at `now`. Links that have expired are left out.
    pub(crate) fn cut(&self, scopes: Scopes, moment: Moment, now: Timestamp) -> Slices {
        let has_expired_links = self.first_link_expiry().is_some_and(|expiry| expiry <= now);
        let keeps_links = !(has_expired_links && scopes.contains(Scope::Media));
        if moment == Moment::default() && keeps_links {
            return self.cut_as_rendered(scopes);
        }
        let mut answer = Vec::with_capacity(self.buffer.len() + 32);
        self.write_decision(&mut answer, moment);
        for (scope, section) in self.sections() {
            if !scopes.contains(scope) {
                continue;
            }
            if scope == Scope::Media && has_expired_links {
                self.write_live_media(&mut answer, now);
            } else {
                answer.extend_from_slice(&self.buffer[section]);
            }
        }
        answer.push(b'}');
        [answer.into(), Bytes::new(), Bytes::new()]
    }

    /// The answer as it was rendered: shared slices, neighbouring sections in one.
    fn cut_as_rendered(&self, scopes: Scopes) -> Slices {
        let mut ranges: [Range<usize>; MAX_SLICES] = Default::default();
        ranges[0] = 0..self.sections.decision;
        let mut last = 0;
        let chosen = self.sections().into_iter().filter(|(scope, _)| scopes.contains(*scope));
        let brace = self.sections.media..self.sections.media + 1;
        for range in chosen.map(|(_, range)| range).chain([brace]) {
            if ranges[last].end == range.start {
                ranges[last].end = range.end;
            } else {
                last += 1;
                ranges[last] = range;
            }
        }
        ranges.map(|range| self.buffer.slice(range))
    }

    fn sections(&self) -> [(Scope, Range<usize>); 3] {
        let Sections { decision, checks, identity, media, .. } = self.sections;
        [
            (Scope::Checks, decision..checks),
            (Scope::Identity, checks..identity),
            (Scope::Media, identity..media),
        ]
    }

    fn write_decision(&self, answer: &mut Vec<u8>, moment: Moment) {
        let (start, end) = self.sections.moment;
        answer.extend_from_slice(&self.buffer[..start]);
        json::write_moment(answer, moment);
        answer.extend_from_slice(&self.buffer[end..self.sections.decision]);
    }

    fn write_live_media(&self, answer: &mut Vec<u8>, now: Timestamp) {
        answer.extend_from_slice(b",\"media\":[");
        let live = self.links.iter().filter(|link| link.expires_at > now);
        for (index, link) in live.enumerate() {
            if index > 0 {
                answer.push(b',');
            }
            answer.extend_from_slice(&self.buffer[link.object.0..link.object.1]);
        }
        answer.push(b']');
    }
}

#[cfg(test)]
mod tests;
