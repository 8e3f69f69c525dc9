//! The rendered form of a result: our public JSON, written once per fill and cut for each caller without JSON work.
//!
//! One buffer holds `decision checks identity media`. Every section but the decision begins with a comma, so that a set of
//! scopes is a few ranges of the buffer. The links are packed: they repeat each other, few callers may see them, and they
//! would be half of what a cache holds.

mod json;
mod layout;
mod links;

use jiff::Timestamp;

use self::layout::{MEDIA, range};
use self::links::FIRST;
use crate::domain::region::RegionName;
use crate::domain::scope::{Scope, Scopes};
use crate::domain::verification::Verification;

pub(crate) use json::Moment;
pub(crate) use layout::Layout;

/// What every answer starts with, before the signature id.
const START: &[u8] = br#"{"signatureId":""#;

/// The JSON of one result. It holds a person's data, so it has no `Debug`.
pub(crate) struct Rendered {
    buffer: Box<[u8]>,
    layout: Layout,
}

/// Renders a verification with every section; `region` is the name of its region.
pub(crate) fn render(verification: &Verification, region: &RegionName) -> Rendered {
    let (buffer, layout) = json::write_answer(verification, region);
    // Copied, for what is kept to be what is weighed: an allocator leaves a shrunk buffer where it is.
    Rendered { buffer: buffer.as_slice().into(), layout }
}

impl Rendered {
    /// The buffer, and where things are in it.
    pub(crate) fn parts(&self) -> (&[u8], &Layout) {
        (&self.buffer, &self.layout)
    }

    /// What [`Self::parts`] took apart. `None`: they do not fit together.
    pub(crate) fn from_parts(buffer: Box<[u8]>, layout: Layout) -> Option<Self> {
        let rendered = layout.fits(&buffer).then_some(Self { buffer, layout })?;
        rendered.unpack_links(&mut Vec::new())?;
        Some(rendered)
    }

    /// The text of the id whose result it is: the first member.
    pub(crate) fn signature_id(&self) -> &[u8] {
        let id = self.buffer.strip_prefix(START).unwrap_or_default();
        let end = id.iter().position(|byte| *byte == b'"').unwrap_or_default();
        &id[..end]
    }

    /// How long the answer with every section is.
    pub(crate) const fn len(&self) -> usize {
        self.layout.len()
    }

    /// How many bytes it takes besides its own struct.
    pub(crate) fn size(&self) -> usize {
        self.buffer.len()
    }

    /// Whether one of its links has expired by `now`.
    pub(crate) fn has_expired_links(&self, now: Timestamp) -> bool {
        self.layout.has_expired_links(now)
    }

    /// The answer for `scopes` at `now`. Links that have expired are left out.
    pub(crate) fn cut(&self, scopes: Scopes, moment: Moment, now: Timestamp) -> Vec<u8> {
        let mut answer = Vec::with_capacity(self.len() + FIRST.len());
        self.write_decision(&mut answer, moment);
        for (_, section) in self.layout.sections().into_iter().filter(|(scope, _)| scopes.contains(*scope)) {
            answer.extend_from_slice(&self.buffer[section]);
        }
        if scopes.contains(Scope::Media) {
            self.write_media(&mut answer, now);
        }
        answer.push(b'}');
        answer
    }

    fn write_decision(&self, answer: &mut Vec<u8>, moment: Moment) {
        if moment == Moment::default() {
            return answer.extend_from_slice(&self.buffer[range((0, self.layout.decision))]);
        }
        let (start, end) = self.layout.moment;
        answer.extend_from_slice(&self.buffer[range((0, start))]);
        json::write_moment(answer, moment);
        answer.extend_from_slice(&self.buffer[range((end, self.layout.decision))]);
    }

    fn write_media(&self, answer: &mut Vec<u8>, now: Timestamp) {
        if self.has_expired_links(now) {
            let mut links = Vec::new();
            self.unpack_links(&mut links);
            return json::write_live_media(answer, &links, now);
        }
        answer.extend_from_slice(MEDIA);
        self.unpack_links(answer);
    }

    /// Adds the links as they were rendered. `None`: they are not what was packed.
    fn unpack_links(&self, answer: &mut Vec<u8>) -> Option<()> {
        links::unpack(&self.buffer[self.layout.packed_links()], self.layout.links as usize, answer)
    }
}

#[cfg(test)]
mod tests;
