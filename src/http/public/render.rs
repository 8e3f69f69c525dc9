//! Our public JSON: the document of a verification, made once.

use std::io;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use serde_json::ser::{Formatter, Serializer};

use crate::domain::document::{Document, Ends};
use crate::domain::reason::Reason;
use crate::domain::region::Regions;
use crate::domain::verification::{
    CheckResult, DocumentCheck, Event, FaceCheck, Identity, Medium, OpenMap, Sides, Verification,
};
use crate::lookup::Lifetimes;

/// Makes documents.
pub(crate) struct Renderer {
    /// The regions by name.
    pub regions: Regions,
    /// How long results are kept, for `retryAfterSeconds`.
    pub lifetimes: Lifetimes,
}

/// The decision: what every caller sees.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decision<'a> {
    signature_id: &'a str,
    status: &'static str,
    r#final: bool,
    reason: Option<ReasonJson>,
    region: &'a str,
    observed_at: String,
    stale: bool,
    retry_after_seconds: Option<u64>,
    upstream: UpstreamJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReasonJson {
    code: &'static str,
    category: &'static str,
    user_can_retry: bool,
    message: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpstreamJson<'a> {
    transaction_id: Option<&'a str>,
    result: Option<&'a str>,
    error_code: Option<&'a str>,
}

impl Renderer {
    /// Renders a verification, with every part and for both freshnesses.
    pub(crate) fn document(&self, verification: &Verification) -> Document {
        let mut buffer = Vec::with_capacity(2048);
        self.write_decision(&mut buffer, verification, false);
        let decision = buffer.len();
        write_part(&mut buffer, "checks", &checks_json(verification));
        let checks = buffer.len();
        write_part(&mut buffer, "identity", &identity_json(&verification.identity));
        let identity = buffer.len();
        write_part(&mut buffer, "media", &media_json(verification.media.iter()));
        let media = buffer.len();
        buffer.push(b'}');
        self.write_decision(&mut buffer, verification, true);
        Document::new(buffer, Ends { decision, checks, identity, media })
    }

    /// Writes the decision as an object that is still open.
    fn write_decision(&self, buffer: &mut Vec<u8>, verification: &Verification, stale: bool) {
        let verdict = verification.verdict;
        let decision = Decision {
            signature_id: verification.id.as_str(),
            status: verdict.status().name(),
            r#final: verdict.is_final(),
            reason: verdict.reason().map(reason_json),
            region: self.regions.name(verification.region).as_str(),
            observed_at: seconds(verification.observed_at),
            stale,
            retry_after_seconds: self.lifetimes.retry_after(verdict),
            upstream: UpstreamJson {
                transaction_id: verification.upstream.transaction_id.as_deref(),
                result: verification.upstream.result.as_deref(),
                error_code: verification.upstream.error_code.as_deref(),
            },
        };
        write_json(buffer, &decision);
        let closing_brace = buffer.pop();
        debug_assert_eq!(closing_brace, Some(b'}'), "an object ends with its brace");
    }
}

pub(super) fn write_part(buffer: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    buffer.extend_from_slice(b",\"");
    buffer.extend_from_slice(name.as_bytes());
    buffer.extend_from_slice(b"\":");
    write_json(buffer, value);
}

/// Text keys, finite numbers and a buffer that grows: there is nothing here that could fail.
fn write_json(buffer: &mut Vec<u8>, value: &impl Serialize) {
    let written = value.serialize(&mut Serializer::with_formatter(buffer, Visible));
    debug_assert!(written.is_ok(), "our own values can be written as JSON");
}

/// Compact JSON in which every character can be seen. JSON itself would leave line separators and marks of writing
/// direction as they are: an answer shown or logged by a caller must not read other than it is.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, letter)| is_hidden(*letter)) {
            let (before, from) = rest.split_at(at);
            write!(out, "{before}\\u{:04x}", u32::from(hidden))?;
            rest = &from[hidden.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// Controls, and marks without a shape of their own. All of them have four hexadecimal digits.
fn is_hidden(letter: char) -> bool {
    let marks =
        ['\u{61c}'..='\u{61c}', '\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{2069}'];
    letter.is_control() || marks.iter().any(|marks| marks.contains(&letter))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentityJson<'a> {
    name: Option<&'a str>,
    id_number: Option<&'a str>,
    birth_date: Option<String>,
    gender: Option<&'a str>,
    nationality: Option<&'a str>,
    address: Option<&'a str>,
    fields: FieldsJson<'a>,
}

#[derive(Serialize)]
struct FieldsJson<'a> {
    front: &'a OpenMap,
    back: &'a OpenMap,
}

const fn reason_json(reason: Reason) -> ReasonJson {
    ReasonJson {
        code: reason.code(),
        category: reason.category().name(),
        user_can_retry: reason.user_can_retry(),
        message: reason.message(),
    }
}

fn checks_json(verification: &Verification) -> serde_json::Value {
    json!({
        "face": verification.face.as_ref().map(face_json),
        "document": verification.document.as_ref().map(document_json),
    })
}

fn face_json(face: &FaceCheck) -> serde_json::Value {
    json!({
        "result": face.result.map(CheckResult::name),
        "livenessScore": face.liveness_score,
        "similarityScore": face.similarity_score,
        "events": events_json(&face.events),
    })
}

fn document_json(document: &DocumentCheck) -> serde_json::Value {
    json!({
        "result": document.result.map(CheckResult::name),
        "type": document.kind.as_ref().map(sides_json),
        "subType": document.sub_kind.as_ref().map(sides_json),
        "qualityLabels": document.quality_labels.as_ref().map(sides_json),
        "forgeryLabels": document.forgery_labels,
        "events": events_json(&document.events),
    })
}

fn sides_json<T: Serialize>(sides: &Sides<T>) -> serde_json::Value {
    json!({ "front": sides.front, "back": sides.back })
}

fn events_json(events: &[Event]) -> Vec<serde_json::Value> {
    let event = |event: &Event| json!({ "event": event.name, "result": event.result.map(CheckResult::name), "at": event.at.map(millis) });
    events.iter().map(event).collect()
}

fn identity_json(identity: &Identity) -> IdentityJson<'_> {
    IdentityJson {
        name: identity.name.as_deref(),
        id_number: identity.id_number.as_deref(),
        birth_date: identity.birth_date.map(|date| date.to_string()),
        gender: identity.gender.as_deref(),
        nationality: identity.nationality.as_deref(),
        address: identity.address.as_deref(),
        fields: FieldsJson { front: &identity.fields.front, back: &identity.fields.back },
    }
}

pub(super) fn media_json<'a>(media: impl Iterator<Item = &'a Medium>) -> serde_json::Value {
    let link = |medium: &Medium| json!({ "kind": medium.kind.name(), "url": medium.url, "expiresAt": seconds(medium.expires_at) });
    media.map(link).collect()
}

/// `2026-11-22T10:00:00Z`
fn seconds(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// `2022-10-17T07:58:42.952Z`
fn millis(at: Timestamp) -> String {
    format!("{at:.3}")
}
