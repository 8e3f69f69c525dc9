//! Writes our public JSON of a verification into one buffer. `openapi.yaml` says what its members mean.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::layout::{Layout, MEDIA, START};
use super::links;
use super::writer::{
    add, add_day, add_flag, add_list, add_millisecond, add_optional, add_second, add_text, add_value,
    add_word, end, end_section,
};
use crate::domain::reason::Reason;
use crate::domain::region::RegionName;
use crate::domain::verification::{
    DocumentCheck, Event, FaceCheck, Identity, Medium, Sides, UpstreamWords, Verification,
};

/// What an answer says about the moment it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The result is past its time, and no region could answer.
    pub stale: bool,
    /// When to ask again, in seconds; only for a result that is not final.
    pub retry_after: Option<u64>,
}

/// What is read of a medium that was rendered.
#[derive(Deserialize)]
struct Link<'a> {
    #[serde(rename = "expiresAt")]
    expires_at: &'a str,
}

/// Writes a verification with every section; `region` is the name of its region.
pub(super) fn write_answer(verification: &Verification, region: &RegionName) -> (Vec<u8>, Layout) {
    let mut json = Vec::with_capacity(4096);
    write_head(&mut json, verification, region);
    let start = end(&json);
    write_moment(&mut json, Moment::default());
    let moment = (start, end(&json));
    write_upstream(&mut json, &verification.upstream);
    let decision = end_section(&mut json, moment.1);
    write_checks(&mut json, verification);
    let checks = end_section(&mut json, decision);
    write_identity(&mut json, &verification.identity);
    let identity = end_section(&mut json, checks);
    let media = &verification.media;
    let mut links = Vec::with_capacity(2048);
    add_list(&mut links, media, write_medium);
    links::pack(&links, &mut json);
    let links_end = media.iter().map(|medium| medium.expires_at.as_millisecond()).min().unwrap_or(i64::MAX);
    let links = end(&links);
    (json, Layout { moment, decision, checks, identity, links, links_end })
}

/// Writes the first members of the decision, which every caller sees.
fn write_head(json: &mut Vec<u8>, verification: &Verification, region: &RegionName) {
    let verdict = verification.verdict;
    add(json, START);
    add(json, verification.id.as_str());
    add(json, r#"","status":"#);
    add_word(json, verdict.status());
    add(json, r#","final":"#);
    add_flag(json, verdict.is_final());
    add(json, r#","reason":"#);
    add_optional(json, verdict.reason(), write_reason);
    add(json, r#","region":"#);
    add_text(json, Some(region.as_str()));
    add(json, r#","submitted":"#);
    add_optional(json, verification.submitted, add_flag);
    add(json, r#","observedAt":"#);
    add_second(json, verification.observed_at);
    add(json, ",");
}

fn write_reason(json: &mut Vec<u8>, reason: Reason) {
    add(json, r#"{"code":"#);
    add_word(json, reason);
    add(json, r#","category":"#);
    add_word(json, reason.category());
    add(json, r#","userCanRetry":"#);
    add_flag(json, reason.user_can_retry());
    add(json, r#","message":"#);
    add_text(json, Some(reason.message()));
    add(json, "}");
}

/// Writes the members of the decision that change with time.
pub(super) fn write_moment(json: &mut Vec<u8>, moment: Moment) {
    add(json, r#""stale":"#);
    add_flag(json, moment.stale);
    add(json, r#","retryAfterSeconds":"#);
    add_optional(json, moment.retry_after, add_value);
}

fn write_upstream(json: &mut Vec<u8>, upstream: &UpstreamWords) {
    add(json, r#","upstream":{"transactionId":"#);
    add_text(json, upstream.transaction_id.as_deref());
    add(json, r#","result":"#);
    add_text(json, upstream.result.as_deref());
    add(json, r#","errorCode":"#);
    add_text(json, upstream.error_code.as_deref());
    add(json, "}");
}

/// Writes the checks, each null if the solution has none.
fn write_checks(json: &mut Vec<u8>, verification: &Verification) {
    add(json, r#","checks":{"face":"#);
    add_optional(json, verification.face.as_ref(), write_face);
    add(json, r#","document":"#);
    add_optional(json, verification.document.as_ref(), write_document);
    add(json, "}");
}

fn write_face(json: &mut Vec<u8>, face: &FaceCheck) {
    add(json, r#"{"result":"#);
    add_optional(json, face.result, add_word);
    add(json, r#","livenessScore":"#);
    add_optional(json, face.liveness_score, add_value);
    add(json, r#","similarityScore":"#);
    add_optional(json, face.similarity_score, add_value);
    add(json, r#","events":"#);
    add_list(json, &face.events, write_event);
    add(json, "}");
}

fn write_document(json: &mut Vec<u8>, document: &DocumentCheck) {
    add(json, r#"{"result":"#);
    add_optional(json, document.result, add_word);
    add(json, r#","country":"#);
    add_text(json, document.country.as_deref());
    add(json, r#","type":"#);
    add_optional(json, document.kind.as_ref(), write_kind);
    add(json, r#","subType":"#);
    add_optional(json, document.sub_kind.as_ref(), write_kind);
    add(json, r#","qualityLabels":"#);
    add_optional(json, document.quality_labels.as_ref(), write_quality);
    add(json, r#","forgeryLabels":"#);
    add_optional(json, document.forgery_labels.as_deref(), write_labels);
    add(json, r#","events":"#);
    add_list(json, &document.events, write_event);
    add(json, "}");
}

fn write_kind(json: &mut Vec<u8>, kind: &Sides<Option<String>>) {
    write_sides(json, kind, |json, kind| add_text(json, kind.as_deref()));
}

fn write_quality(json: &mut Vec<u8>, labels: &Sides<Vec<String>>) {
    write_sides(json, labels, |json, labels| write_labels(json, labels));
}

fn write_sides<T>(json: &mut Vec<u8>, sides: &Sides<T>, write_side: impl Fn(&mut Vec<u8>, &T)) {
    add(json, r#"{"front":"#);
    write_side(json, &sides.front);
    add(json, r#","back":"#);
    write_side(json, &sides.back);
    add(json, "}");
}

fn write_labels(json: &mut Vec<u8>, labels: &[String]) {
    add_list(json, labels, |json, label| add_text(json, Some(label)));
}

fn write_event(json: &mut Vec<u8>, event: &Event) {
    add(json, r#"{"event":"#);
    add_text(json, event.name.as_deref());
    add(json, r#","result":"#);
    add_optional(json, event.result, add_word);
    add(json, r#","at":"#);
    add_optional(json, event.at, add_millisecond);
    add(json, "}");
}

fn write_identity(json: &mut Vec<u8>, identity: &Identity) {
    add(json, r#","identity":{"reference":"#);
    add_text(json, identity.reference.as_deref());
    add(json, r#","name":"#);
    add_text(json, identity.name.as_deref());
    add(json, r#","idNumber":"#);
    add_text(json, identity.id_number.as_deref());
    add(json, r#","birthDate":"#);
    add_optional(json, identity.birth_date, add_day);
    add(json, r#","gender":"#);
    add_text(json, identity.gender.as_deref());
    add(json, r#","nationality":"#);
    add_text(json, identity.nationality.as_deref());
    add(json, r#","address":"#);
    add_text(json, identity.address.as_deref());
    add(json, r#","fields":"#);
    write_sides(json, &identity.fields, |json, fields| add(json, fields.get()));
    add(json, "}");
}

fn write_medium(json: &mut Vec<u8>, medium: &Medium) {
    add(json, r#"{"kind":"#);
    add_word(json, medium.kind);
    add(json, r#","url":""#);
    add(json, &medium.url);
    add(json, r#"","expiresAt":"#);
    add_second(json, medium.expires_at);
    add(json, "}");
}

/// Writes the section of the media, of which `links` are the rendered value, without those that have expired by `now`.
pub(super) fn write_live_media(json: &mut Vec<u8>, links: &[u8], now: Timestamp) {
    let links: Vec<&RawValue> = serde_json::from_slice(links).unwrap_or_default();
    let live: Vec<_> = links.into_iter().filter(|link| is_live(link, now)).collect();
    add(json, MEDIA);
    add_value(json, live);
}

fn is_live(medium: &RawValue, now: Timestamp) -> bool {
    let link = serde_json::from_str::<Link>(medium.get());
    link.is_ok_and(|link| link.expires_at.parse::<Timestamp>().is_ok_and(|end| end > now))
}
