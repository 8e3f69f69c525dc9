//! Where things are in the buffer of a rendered result, as it is kept outside of this process.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Link, Sections};

/// The sections and links of a rendered result.
#[derive(Serialize, Deserialize)]
pub(crate) struct Layout {
    sections: Sections,
    links: Vec<PlacedLink>,
}

#[derive(Serialize, Deserialize)]
struct PlacedLink {
    object: (usize, usize),
    /// In milliseconds since 1970.
    expires_at: i64,
}

impl Layout {
    pub(super) fn of(sections: Sections, links: &[Link]) -> Self {
        let links = links
            .iter()
            .map(|link| PlacedLink { object: link.object, expires_at: link.expires_at.as_millisecond() });
        Self { sections, links: links.collect() }
    }

    /// The sections and links, if all of them lie in `buffer`, in their order.
    pub(super) fn within(&self, buffer: &[u8]) -> Option<(Sections, Box<[Link]>)> {
        let Sections { moment, decision, checks, identity, media } = self.sections;
        let ends = [0, moment.0, moment.1, decision, checks, identity, media, buffer.len()];
        let links = self.links.iter().map(|link| {
            let expires_at = Timestamp::from_millisecond(link.expires_at).ok()?;
            let is_in_media = link.object.0 <= link.object.1 && link.object.1 <= media;
            is_in_media.then_some(Link { object: link.object, expires_at })
        });
        let links = links.collect::<Option<_>>()?;
        (ends.is_sorted() && media + 1 == buffer.len()).then_some((self.sections, links))
    }
}
