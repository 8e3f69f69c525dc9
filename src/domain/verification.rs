//! The normalised result of one verification: the decision, and the personal data behind it. What callers may read of it
//! serialises as our public JSON.
//!
//! What holds a person's data has no `Debug` and no `Display`, so it cannot slip into a log line.

use enum_map::Enum;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use strum::{EnumDiscriminants, IntoStaticStr};

use super::reason::Reason;
use super::region::RegionId;
use super::signature_id::SignatureId;

/// The lifetime of a link that carries no end of its own. The vendor: "all links expire in 1 day".
pub const LINK_LIFE: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// One verification as the gateway understands it.
pub struct Verification {
    /// The id that was asked for.
    pub id: SignatureId,
    /// The region that answered.
    pub region: RegionId,
    /// When the upstream's answer was received.
    pub observed_at: Timestamp,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the person has finished; `None` if the vendor did not say and there is no verdict yet.
    pub submitted: Option<bool>,
    /// The upstream's own words, as far as they are harmless.
    pub upstream: UpstreamWords,
    /// The face check, if the solution has one.
    pub face: Option<FaceCheck>,
    /// The document check, if the solution has one.
    pub document: Option<DocumentCheck>,
    /// Who the person is.
    pub identity: Identity,
    /// Links to images and videos, https only.
    pub media: Vec<Medium>,
}

/// The upstream's verdict, folded into our five words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumDiscriminants)]
#[strum_discriminants(
    doc = "The `status` word of an answer.",
    name(Status),
    derive(Enum, IntoStaticStr),
    strum(serialize_all = "snake_case")
)]
pub enum Verdict {
    /// The upstream says PASS and nothing contradicts it.
    Passed,
    /// The upstream says FAIL.
    Failed(Reason),
    /// The person gave up or ran out of time.
    Incomplete(Reason),
    /// No verdict yet.
    Pending,
    /// A word we do not know, or words that contradict each other.
    Unrecognized,
}

impl Verdict {
    /// The `status` word that callers read.
    pub fn status(self) -> Status {
        self.into()
    }

    /// Why it did not pass.
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Passed | Self::Pending => None,
            Self::Failed(reason) | Self::Incomplete(reason) => Some(reason),
            Self::Unrecognized => Some(Reason::Other),
        }
    }

    /// Whether the upstream has given its verdict.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Passed | Self::Failed(_) | Self::Incomplete(_) => true,
            Self::Pending | Self::Unrecognized => false,
        }
    }
}

/// The raw words of the upstream that are safe to show with the decision.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamWords {
    /// The vendor's request id, at most 64 characters.
    pub transaction_id: Option<String>,
    /// `overallResult`, else `idvResult`, as sent.
    pub result: Option<String>,
    /// The first error code that counts, as sent.
    pub error_code: Option<String>,
}

/// What one part of a verification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// PASS
    Pass,
    /// FAIL
    Fail,
}

/// The face check.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaceCheck {
    /// Pass, fail, or not said.
    pub result: Option<CheckResult>,
    /// 0 to 100.
    pub liveness_score: Option<f64>,
    /// 0 to 100; `None` while it is processed.
    pub similarity_score: Option<f64>,
    /// What happened, in the vendor's order.
    pub events: Vec<Event>,
}

/// The document check.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentCheck {
    /// Pass, fail, or not said.
    pub result: Option<CheckResult>,
    /// The country of the verification, ISO 3166-1 alpha-3.
    pub country: Option<String>,
    /// The kind of document seen on each side.
    #[serde(rename = "type")]
    pub kind: Option<Sides<Option<String>>>,
    /// The finer kind of document seen on each side.
    #[serde(rename = "subType")]
    pub sub_kind: Option<Sides<Option<String>>>,
    /// Complaints about the images.
    pub quality_labels: Option<Sides<Vec<String>>>,
    /// Signs of forgery; `None` = not checked yet.
    pub forgery_labels: Option<Vec<String>>,
    /// What happened, in the vendor's order.
    pub events: Vec<Event>,
}

/// Something for each side of a document.
#[derive(Default, Serialize)]
pub struct Sides<T> {
    /// The front side.
    pub front: T,
    /// The back side.
    pub back: T,
}

/// One step of the person's way through the check.
#[derive(Serialize)]
pub struct Event {
    /// The vendor's name for the step.
    #[serde(rename = "event")]
    pub name: Option<String>,
    /// Pass, fail, or not said.
    pub result: Option<CheckResult>,
    /// When.
    #[serde(serialize_with = "millis")]
    pub at: Option<Timestamp>,
}

/// Who the person is, as read from the document.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The caller's own name for the person, as it was given to the vendor.
    pub reference: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// The document's number.
    pub id_number: Option<String>,
    /// Birth date.
    #[serde(serialize_with = "day")]
    pub birth_date: Option<Date>,
    /// As printed, in the document's language.
    pub gender: Option<String>,
    /// As printed.
    pub nationality: Option<String>,
    /// As printed.
    pub address: Option<String>,
    /// Everything that was read, by the vendor's field names: an object of JSON.
    pub fields: Sides<Box<RawValue>>,
}

/// One link.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Medium {
    /// What it shows.
    pub kind: MediumKind,
    /// An https URL, as JSON: it needs no escapes.
    pub url: Box<RawValue>,
    /// When to stop using it.
    #[serde(serialize_with = "seconds")]
    pub expires_at: Timestamp,
}

/// What a link shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum MediumKind {
    Face,
    FaceFar,
    FaceNear,
    FaceSilent,
    FaceAudit,
    FaceVideo,
    DocumentFront,
    DocumentBack,
}

/// `2026-11-22T10:00:00Z`
pub fn seconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
    serializer.serialize_str(&PRINTER.timestamp_to_string(at))
}

/// `2022-10-17T07:58:42.952Z`
fn millis<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    at.map(|at| PRINTER.timestamp_to_string(&at)).serialize(serializer)
}

/// `1977-10-28`
fn day<S: Serializer>(day: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    day.map(|day| day.to_string()).serialize(serializer)
}

#[cfg(test)]
impl Verification {
    /// A verdict, received at a moment of 2026, and nothing else.
    pub(crate) fn bare(id: SignatureId, region: RegionId, verdict: Verdict) -> Self {
        Self {
            id,
            region,
            observed_at: Timestamp::constant(1_795_345_200, 0),
            verdict,
            submitted: None,
            upstream: UpstreamWords::default(),
            face: None,
            document: None,
            identity: Identity::default(),
            media: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(Verification: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Identity: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Medium: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(FaceCheck: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(DocumentCheck: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Event: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Sides<String>: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(UpstreamWords: std::fmt::Debug, std::fmt::Display);
}
