//! A rendered answer: one buffer, and where its parts begin. Made once per fill, shared by every reader.

use std::ops::Range;

use bytes::Bytes;

use super::scope::{Scope, Scopes};

/// The JSON of one verification, cut so that each set of scopes is a few slices of one shared buffer.
///
/// Layout: `decision checks identity media } stale-decision`. Each part but the decision begins with a comma.
#[derive(Clone)]
pub struct Document {
    buffer: Bytes,
    ends: Ends,
}

/// Where each part ends in the buffer.
#[derive(Clone, Copy)]
pub struct Ends {
    /// The decision, from the opening brace.
    pub decision: usize,
    /// `,"checks":…`
    pub checks: usize,
    /// `,"identity":…`
    pub identity: usize,
    /// `,"media":…`
    pub media: usize,
}

/// The most slices an answer has: no set of scopes leaves more than two gaps.
pub const MAX_SLICES: usize = 3;

/// The slices of an answer, in order; unused ones are empty.
pub type Slices = [Bytes; MAX_SLICES];

impl Document {
    /// A document over `buffer`, which holds the parts, one closing brace after `ends.media`, and the stale decision.
    pub fn new(mut buffer: Vec<u8>, ends: Ends) -> Self {
        buffer.shrink_to_fit();
        debug_assert_eq!(
            buffer.get(ends.media),
            Some(&b'}'),
            "the parts are followed by their closing brace"
        );
        // Without the room it grew into: what is kept is what is weighed.
        Self { buffer: buffer.into_boxed_slice().into(), ends }
    }

    /// How many bytes the document holds.
    pub fn size(&self) -> usize {
        self.buffer.len()
    }

    /// The answer for `scopes`, without copying. Neighbouring parts are one slice.
    pub fn cut(&self, scopes: Scopes, stale: bool) -> Slices {
        let mut cut = self.cut_parts(scopes, stale);
        cut.add(self.ends.media..self.ends.media + 1);
        cut.ranges.map(|range| self.buffer.slice(range))
    }

    /// The answer for `scopes`, with `media` (`,"media":[…]`) in place of the media it was rendered with.
    pub fn cut_with_media(&self, scopes: Scopes, stale: bool, mut media: Vec<u8>) -> Slices {
        media.push(b'}');
        let rest = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Media && scopes.contains(*scope));
        let cut = self.cut_parts(rest.collect(), stale);
        let used = cut.used;
        let mut slices = cut.ranges.map(|range| self.buffer.slice(range));
        slices[used] = media.into();
        slices
    }

    /// The decision and the parts of `scopes`, without the closing brace.
    fn cut_parts(&self, scopes: Scopes, stale: bool) -> Cut {
        let Ends { decision, checks, identity, media } = self.ends;
        let mut cut = Cut::default();
        cut.add(if stale { media + 1..self.buffer.len() } else { 0..decision });
        let parts = [
            (Scope::Checks, decision..checks),
            (Scope::Identity, checks..identity),
            (Scope::Media, identity..media),
        ];
        for (scope, range) in parts {
            if scopes.contains(scope) {
                cut.add(range);
            }
        }
        cut
    }
}

/// Ranges of the buffer, in the order they are sent; neighbours are merged.
#[derive(Default)]
struct Cut {
    ranges: [Range<usize>; MAX_SLICES],
    used: usize,
}

impl Cut {
    fn add(&mut self, range: Range<usize>) {
        if self.used > 0 && self.ranges[self.used - 1].end == range.start {
            self.ranges[self.used - 1].end = range.end;
            return;
        }
        self.ranges[self.used] = range;
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let parts = [r#"{"d":1"#, r#","checks":2"#, r#","identity":3"#, r#","media":4"#];
        let mut buffer = String::new();
        let ends = parts.map(|part| {
            buffer.push_str(part);
            buffer.len()
        });
        buffer.push_str(r#"}{"d":9"#);
        let [decision, checks, identity, media] = ends;
        Document::new(buffer.into_bytes(), Ends { decision, checks, identity, media })
    }

    #[test]
    fn every_set_of_scopes_is_whole_json_with_its_own_parts_only() {
        for bits in 0..8_u8 {
            let seen: Scopes = Scope::ALL
                .into_iter()
                .enumerate()
                .filter(|(n, _)| bits >> n & 1 == 1)
                .map(|(_, s)| s)
                .collect();
            for (stale, decision) in [(false, 1), (true, 9)] {
                let body = document().cut(seen, stale).concat();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["d"], decision);
                for part in [Scope::Checks, Scope::Identity, Scope::Media] {
                    assert_eq!(body.get(part.name()).is_some(), seen.contains(part));
                }
            }
        }
    }

    #[test]
    fn media_can_be_replaced() {
        let body = document().cut_with_media(Scopes::ALL, false, br#","media":[]"#.to_vec()).concat();
        assert_eq!(body, br#"{"d":1,"checks":2,"identity":3,"media":[]}"#);
    }
}
