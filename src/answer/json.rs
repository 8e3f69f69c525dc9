//! Writes our public JSON of a verification into one buffer. `openapi.yaml` says what its members mean.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::layout::Layout;
use super::links;
use crate::domain::reason::Reason;
use crate::domain::region::RegionName;
use crate::domain::text::is_hidden;
use crate::domain::verification::{self, DocumentCheck, FaceCheck, Verification};

/// The one control character that JSON does not escape and that is ASCII.
const DELETE: u8 = 0x7f;

/// What an answer says about the moment it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The result is past its time, and no region could answer.
    pub stale: bool,
    /// When to ask again, in seconds; only for a result that is not final.
    pub retry_after: Option<u64>,
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
    #[serde(serialize_with = "verification::seconds")]
    observed_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReasonJson {
    code: &'static str,
    category: &'static str,
    user_can_retry: bool,
    message: &'static str,
}

/// What is read of a medium that was rendered.
#[derive(Deserialize)]
struct Link<'a> {
    #[serde(rename = "expiresAt")]
    expires_at: &'a str,
}

/// The checks, each null if the solution has none.
#[derive(Serialize)]
struct Checks<'a> {
    face: &'a Option<FaceCheck>,
    document: &'a Option<DocumentCheck>,
}

/// Writes a verification with every section; `region` is the name of its region.
pub(super) fn write_answer(verification: &Verification, region: &RegionName) -> (Vec<u8>, Layout) {
    let Verification { face, document, identity, media, upstream, .. } = verification;
    let mut buffer = Vec::with_capacity(4096);
    write(&mut buffer, &head(verification, region));
    // The decision stays open for the members that follow.
    buffer.pop();
    buffer.push(b',');
    let start = end(&buffer);
    write_moment(&mut buffer, Moment::default());
    let moment = (start, end(&buffer));
    write_member(&mut buffer, "upstream", upstream);
    let decision = end(&buffer);
    write_member(&mut buffer, "checks", &Checks { face, document });
    let checks = end(&buffer);
    write_member(&mut buffer, "identity", identity);
    let identity = end(&buffer);
    let mut links = Vec::with_capacity(2048);
    write(&mut links, media);
    buffer.extend_from_slice(&links::pack(&links));
    let links_end = media.iter().map(|medium| medium.expires_at.as_millisecond()).min().unwrap_or(i64::MAX);
    let links = end(&links);
    (buffer, Layout { moment, decision, checks, identity, links, links_end })
}

/// An upstream's body is at most 1 MiB, so an answer is far below 4 GiB.
const fn end(buffer: &[u8]) -> u32 {
    buffer.len() as u32
}

fn head<'a>(verification: &'a Verification, region: &'a RegionName) -> Head<'a> {
    let verdict = verification.verdict;
    let reason = |reason: Reason| ReasonJson {
        code: reason.code(),
        category: reason.category().into(),
        user_can_retry: reason.user_can_retry(),
        message: reason.message(),
    };
    Head {
        signature_id: verification.id.as_str(),
        status: verdict.status().into(),
        r#final: verdict.is_final(),
        reason: verdict.reason().map(reason),
        region: region.as_str(),
        submitted: verification.submitted,
        observed_at: verification.observed_at,
    }
}

/// Writes the members of the decision that change with time.
pub(super) fn write_moment(buffer: &mut Vec<u8>, moment: Moment) {
    buffer.extend_from_slice(b"\"stale\":");
    write(buffer, &moment.stale);
    write_member(buffer, "retryAfterSeconds", &moment.retry_after);
}

/// Writes the section of the media, of which `links` are the rendered value, without those that have expired by `now`.
pub(super) fn write_live_media(buffer: &mut Vec<u8>, links: &[u8], now: Timestamp) {
    let links: Vec<&RawValue> = serde_json::from_slice(links).unwrap_or_default();
    let live: Vec<_> = links.into_iter().filter(|link| is_live(link, now)).collect();
    write_member(buffer, "media", &live);
}

fn is_live(medium: &RawValue, now: Timestamp) -> bool {
    let link = serde_json::from_str::<Link>(medium.get());
    link.is_ok_and(|link| link.expires_at.parse::<Timestamp>().is_ok_and(|end| end > now))
}

fn write_member(buffer: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    buffer.extend_from_slice(b",\"");
    buffer.extend_from_slice(name.as_bytes());
    buffer.extend_from_slice(b"\":");
    write(buffer, value);
}

/// Text keys, finite numbers and a buffer that grows: nothing here can fail.
fn write(buffer: &mut Vec<u8>, value: &impl Serialize) {
    let start = buffer.len();
    let written = serde_json::to_writer(&mut *buffer, value);
    debug_assert!(written.is_ok(), "our own values can be written as JSON");
    // All of it is looked at, in large steps: that takes less than a look at each text.
    if !buffer[start..].iter().fold(true, |is_plain, byte| is_plain & (*byte < DELETE)) {
        let written = buffer.split_off(start);
        write_visibly(buffer, &String::from_utf8_lossy(&written));
    }
}

/// Writes JSON so that every character is visible. JSON itself would leave line separators and marks of writing direction
/// as they are: an answer that a caller shows or logs must not read other than it is.
fn write_visibly(buffer: &mut Vec<u8>, mut json: &str) {
    while let Some((at, hidden)) = json.char_indices().find(|(_, letter)| is_hidden(*letter)) {
        buffer.extend_from_slice(&json.as_bytes()[..at]);
        for unit in hidden.encode_utf16(&mut [0; 2]) {
            buffer.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
        }
        json = &json[at + hidden.len_utf8()..];
    }
    buffer.extend_from_slice(json.as_bytes());
}
