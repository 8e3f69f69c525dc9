//! Writes our public JSON of a verification into one buffer. `openapi.yaml` says what its members mean.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Serialize, Serializer};
use serde_json::ser::Serializer as Writer;

use super::layout::{Layout, Link};
use super::visible::Visible;
use crate::domain::reason::Reason;
use crate::domain::region::RegionName;
use crate::domain::verification::{
    CheckResult, DocumentCheck, Event, FaceCheck, Identity, Medium, OpenMap, Sides, Verification,
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
    let mut buffer = Vec::with_capacity(4096);
    write(&mut buffer, &Head::of(verification, region));
    // The decision stays open for the members that follow.
    buffer.pop();
    buffer.push(b',');
    let start = end(&buffer);
    write_moment(&mut buffer, Moment::default());
    let moment = (start, end(&buffer));
    write_member(&mut buffer, "upstream", &UpstreamJson::of(verification));
    let decision = end(&buffer);
    write_member(&mut buffer, "checks", &ChecksJson::of(verification));
    let checks = end(&buffer);
    write_member(&mut buffer, "identity", &IdentityJson::of(&verification.identity));
    let identity = end(&buffer);
    let links = write_media(&mut buffer, &verification.media);
    let media = end(&buffer);
    buffer.push(b'}');
    (buffer, Layout { moment, decision, checks, identity, media, links })
}

/// An upstream's body is at most 1 MiB, so an answer is far below 4 GiB.
const fn end(buffer: &[u8]) -> u32 {
    buffer.len() as u32
}

/// Writes the members of the decision that change with time.
pub(super) fn write_moment(buffer: &mut Vec<u8>, moment: Moment) {
    buffer.extend_from_slice(b"\"stale\":");
    write(buffer, &moment.stale);
    write_member(buffer, "retryAfterSeconds", &moment.retry_after);
}

fn write_media(buffer: &mut Vec<u8>, media: &[Medium]) -> Box<[Link]> {
    buffer.extend_from_slice(b",\"media\":[");
    let mut links = Vec::with_capacity(media.len());
    for medium in media {
        if !links.is_empty() {
            buffer.push(b',');
        }
        let start = end(buffer);
        let expires_at = Seconds(medium.expires_at);
        write(buffer, &MediumJson { kind: medium.kind.name(), url: &medium.url, expires_at });
        let object = (start, end(buffer));
        links.push(Link { object, expires_at: medium.expires_at.as_millisecond() });
    }
    buffer.push(b']');
    links.into()
}

fn write_member(buffer: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    buffer.extend_from_slice(b",\"");
    buffer.extend_from_slice(name.as_bytes());
    buffer.extend_from_slice(b"\":");
    write(buffer, value);
}

/// Text keys, finite numbers and a buffer that grows: nothing here can fail.
fn write(buffer: &mut Vec<u8>, value: &impl Serialize) {
    let written = value.serialize(&mut Writer::with_formatter(buffer, Visible));
    debug_assert!(written.is_ok(), "our own values can be written as JSON");
}

/// The first members of the decision, which every caller sees.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    signature_id: &'a str,
    status: &'static str,
    r#final: bool,
    reason: Option<ReasonJson>,
    region: &'a str,
    submitted: Option<bool>,
    observed_at: Seconds,
}

impl<'a> Head<'a> {
    fn of(verification: &'a Verification, region: &'a RegionName) -> Self {
        let verdict = verification.verdict;
        Self {
            signature_id: verification.id.as_str(),
            status: verdict.status().name(),
            r#final: verdict.is_final(),
            reason: verdict.reason().map(ReasonJson::of),
            region: region.as_str(),
            submitted: verification.submitted,
            observed_at: Seconds(verification.observed_at),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReasonJson {
    code: &'static str,
    category: &'static str,
    user_can_retry: bool,
    message: &'static str,
}

impl ReasonJson {
    const fn of(reason: Reason) -> Self {
        Self {
            code: reason.code(),
            category: reason.category().name(),
            user_can_retry: reason.user_can_retry(),
            message: reason.message(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpstreamJson<'a> {
    transaction_id: Option<&'a str>,
    result: Option<&'a str>,
    error_code: Option<&'a str>,
}

impl<'a> UpstreamJson<'a> {
    fn of(verification: &'a Verification) -> Self {
        let words = &verification.upstream;
        Self {
            transaction_id: words.transaction_id.as_deref(),
            result: words.result.as_deref(),
            error_code: words.error_code.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct ChecksJson<'a> {
    face: Option<FaceJson<'a>>,
    document: Option<DocumentJson<'a>>,
}

impl<'a> ChecksJson<'a> {
    fn of(verification: &'a Verification) -> Self {
        Self {
            face: verification.face.as_ref().map(FaceJson::of),
            document: verification.document.as_ref().map(DocumentJson::of),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FaceJson<'a> {
    result: Option<&'static str>,
    liveness_score: Option<f64>,
    similarity_score: Option<f64>,
    events: Events<'a>,
}

impl<'a> FaceJson<'a> {
    fn of(face: &'a FaceCheck) -> Self {
        Self {
            result: face.result.map(CheckResult::name),
            liveness_score: face.liveness_score,
            similarity_score: face.similarity_score,
            events: Events(&face.events),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DocumentJson<'a> {
    result: Option<&'static str>,
    country: Option<&'a str>,
    r#type: Option<SidesJson<'a, Option<String>>>,
    sub_type: Option<SidesJson<'a, Option<String>>>,
    quality_labels: Option<SidesJson<'a, Vec<String>>>,
    forgery_labels: Option<&'a [String]>,
    events: Events<'a>,
}

impl<'a> DocumentJson<'a> {
    fn of(document: &'a DocumentCheck) -> Self {
        Self {
            result: document.result.map(CheckResult::name),
            country: document.country.as_deref(),
            r#type: document.kind.as_ref().map(SidesJson::of),
            sub_type: document.sub_kind.as_ref().map(SidesJson::of),
            quality_labels: document.quality_labels.as_ref().map(SidesJson::of),
            forgery_labels: document.forgery_labels.as_deref(),
            events: Events(&document.events),
        }
    }
}

#[derive(Serialize)]
struct SidesJson<'a, T> {
    front: &'a T,
    back: &'a T,
}

impl<'a, T> SidesJson<'a, T> {
    const fn of(sides: &'a Sides<T>) -> Self {
        Self { front: &sides.front, back: &sides.back }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentityJson<'a> {
    reference: Option<&'a str>,
    name: Option<&'a str>,
    id_number: Option<&'a str>,
    birth_date: Option<Day>,
    gender: Option<&'a str>,
    nationality: Option<&'a str>,
    address: Option<&'a str>,
    fields: SidesJson<'a, OpenMap>,
}

impl<'a> IdentityJson<'a> {
    fn of(identity: &'a Identity) -> Self {
        Self {
            reference: identity.reference.as_deref(),
            name: identity.name.as_deref(),
            id_number: identity.id_number.as_deref(),
            birth_date: identity.birth_date.map(Day),
            gender: identity.gender.as_deref(),
            nationality: identity.nationality.as_deref(),
            address: identity.address.as_deref(),
            fields: SidesJson::of(&identity.fields),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MediumJson<'a> {
    kind: &'static str,
    url: &'a str,
    expires_at: Seconds,
}

struct Events<'a>(&'a [Event]);

impl Serialize for Events<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|event| EventJson {
            event: event.name.as_deref(),
            result: event.result.map(CheckResult::name),
            at: event.at.map(Millis),
        }))
    }
}

#[derive(Serialize)]
struct EventJson<'a> {
    event: Option<&'a str>,
    result: Option<&'static str>,
    at: Option<Millis>,
}

/// `2026-11-22T10:00:00Z`
struct Seconds(Timestamp);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.0}", self.0))
    }
}

/// `2022-10-17T07:58:42.952Z`
struct Millis(Timestamp);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

/// `1977-10-28`
struct Day(Date);

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
