//! Writes our public JSON of a verification into one buffer. `openapi.yaml` says what its members mean.

use super::json::{Json, MILLIS, Members, Object, SECONDS, Time};
use super::layout::{Layout, Link};
use crate::domain::reason::Reason;
use crate::domain::region::RegionName;
use crate::domain::verification::{
    CheckResult, DocumentCheck, Event, FaceCheck, Identity, Medium, OpenMap, OpenValue, Sides, UpstreamWords,
    Verification,
};

/// What an answer says about the moment it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The result is past its time, and no region could answer.
    pub stale: bool,
    /// When to ask again, in seconds; only for a result that is not final.
    pub retry_after: Option<u64>,
}

/// Writes a verification with every section; `region` is the name of its region.
pub(super) fn write_answer(verification: &Verification, region: &RegionName) -> (Vec<u8>, Layout) {
    let Verification { face, document, identity, media, upstream, .. } = verification;
    let mut buffer = Vec::with_capacity(4096);
    write_head(&mut buffer, verification, region);
    buffer.push(b',');
    let start = end(&buffer);
    write_moment(&mut buffer, Moment::default());
    let moment = (start, end(&buffer));
    write_section(&mut buffer, "upstream", upstream);
    let decision = end(&buffer);
    write_section(&mut buffer, "checks", &Object(&[("face", face), ("document", document)]));
    let checks = end(&buffer);
    write_section(&mut buffer, "identity", identity);
    let identity = end(&buffer);
    let links = write_media(&mut buffer, media);
    let media = end(&buffer);
    buffer.push(b'}');
    (buffer, Layout { moment, decision, checks, identity, media, links })
}

/// An upstream's body is at most 1 MiB, so an answer is far below 4 GiB.
const fn end(buffer: &[u8]) -> u32 {
    buffer.len() as u32
}

/// Writes the first members of the decision. It stays open for those that follow.
fn write_head(buffer: &mut Vec<u8>, verification: &Verification, region: &RegionName) {
    let verdict = verification.verdict;
    buffer.push(b'{');
    let head: [(_, &dyn Json); 7] = [
        ("signatureId", &verification.id.as_str()),
        ("status", &<&str>::from(verdict.status())),
        ("final", &verdict.is_final()),
        ("reason", &verdict.reason()),
        ("region", &region.as_str()),
        ("submitted", &verification.submitted),
        ("observedAt", &Time(&SECONDS, verification.observed_at)),
    ];
    Members(&head).write(buffer);
}

/// Writes the members of the decision that change with time.
pub(super) fn write_moment(buffer: &mut Vec<u8>, moment: Moment) {
    Members(&[("stale", &moment.stale), ("retryAfterSeconds", &moment.retry_after)]).write(buffer);
}

fn write_section(buffer: &mut Vec<u8>, name: &str, section: &dyn Json) {
    buffer.push(b',');
    Members(&[(name, section)]).write(buffer);
}

fn write_media(buffer: &mut Vec<u8>, media: &[Medium]) -> Box<[Link]> {
    buffer.extend_from_slice(b",\"media\":[");
    let mut links = Vec::with_capacity(media.len());
    for medium in media {
        if !links.is_empty() {
            buffer.push(b',');
        }
        let start = end(buffer);
        medium.write(buffer);
        links.push(Link { object: (start, end(buffer)), expires_at: medium.expires_at.as_millisecond() });
    }
    buffer.push(b']');
    links.into()
}

impl Json for UpstreamWords {
    fn write(&self, buffer: &mut Vec<u8>) {
        Object(&[
            ("transactionId", &self.transaction_id),
            ("result", &self.result),
            ("errorCode", &self.error_code),
        ])
        .write(buffer);
    }
}

impl Json for Reason {
    fn write(&self, buffer: &mut Vec<u8>) {
        Object(&[
            ("code", &self.code()),
            ("category", &<&str>::from(self.category())),
            ("userCanRetry", &self.user_can_retry()),
            ("message", &self.message()),
        ])
        .write(buffer);
    }
}

impl Json for FaceCheck {
    fn write(&self, buffer: &mut Vec<u8>) {
        Object(&[
            ("result", &self.result),
            ("livenessScore", &self.liveness_score),
            ("similarityScore", &self.similarity_score),
            ("events", &self.events),
        ])
        .write(buffer);
    }
}

impl Json for DocumentCheck {
    fn write(&self, buffer: &mut Vec<u8>) {
        Object(&[
            ("result", &self.result),
            ("country", &self.country),
            ("type", &self.kind),
            ("subType", &self.sub_kind),
            ("qualityLabels", &self.quality_labels),
            ("forgeryLabels", &self.forgery_labels),
            ("events", &self.events),
        ])
        .write(buffer);
    }
}

impl Json for Event {
    fn write(&self, buffer: &mut Vec<u8>) {
        Object(&[
            ("event", &self.name),
            ("result", &self.result),
            ("at", &self.at.map(|at| Time(&MILLIS, at))),
        ])
        .write(buffer);
    }
}

impl Json for Identity {
    fn write(&self, buffer: &mut Vec<u8>) {
        Object(&[
            ("reference", &self.reference),
            ("name", &self.name),
            ("idNumber", &self.id_number),
            ("birthDate", &self.birth_date),
            ("gender", &self.gender),
            ("nationality", &self.nationality),
            ("address", &self.address),
            ("fields", &self.fields),
        ])
        .write(buffer);
    }
}

impl Json for Medium {
    fn write(&self, buffer: &mut Vec<u8>) {
        Object(&[
            ("kind", &<&str>::from(self.kind)),
            ("url", &self.url),
            ("expiresAt", &Time(&SECONDS, self.expires_at)),
        ])
        .write(buffer);
    }
}

impl<T: Json> Json for Sides<T> {
    fn write(&self, buffer: &mut Vec<u8>) {
        Object(&[("front", &self.front), ("back", &self.back)]).write(buffer);
    }
}

impl Json for CheckResult {
    fn write(&self, buffer: &mut Vec<u8>) {
        <&str>::from(self).write(buffer);
    }
}

impl Json for OpenValue {
    fn write(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Null => buffer.extend_from_slice(b"null"),
            Self::Bool(flag) => flag.write(buffer),
            Self::Number(digits) => buffer.extend_from_slice(digits.as_bytes()),
            Self::Text(text) => text.write(buffer),
            Self::Array(items) => items.write(buffer),
            Self::Object(members) => members.write(buffer),
        }
    }
}

impl Json for OpenMap {
    fn write(&self, buffer: &mut Vec<u8>) {
        for (index, (name, value)) in self.0.iter().enumerate() {
            buffer.push(if index > 0 { b',' } else { b'{' });
            name.write(buffer);
            buffer.push(b':');
            value.write(buffer);
        }
        buffer.extend_from_slice(if self.0.is_empty() { b"{}" } else { b"}" });
    }
}
