//! The upstream's dialect: both generations of its field names, its words, its types, and what of them we believe.
//!
//! Nothing here fails because of a field, word or type that we do not know: it is counted as drift, and where it
//! touches the verdict, the verdict is `unrecognized`.

mod fields;
mod identity;
mod media;
mod parts;
#[cfg(test)]
mod tests;
mod verdict;

use std::borrow::Cow;

use jiff::Timestamp;

use super::json::{Json, Object};
use super::number;
use crate::domain::drift::{Drift, DriftKind};
use crate::domain::region::RegionId;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::{UpstreamWords, Verification};

pub(super) use fields::text as text_field;
pub(super) use media::AllowedHosts;
pub(super) use verdict::is;

/// The members of `data` that any of the vendor's product pages names.
const KNOWN: &[&str] = &[
    "signatureId",
    "overallResult",
    "idvResult",
    "submissionCompleted",
    "errorCode",
    "errorCodes",
    "faceDetail",
    "docDetail",
    "docDatabaseDetail",
    "addressDetail",
    "feeDetail",
    "countryCodeIso3",
    "inputParameters",
];

/// What is known of an answer beside its `data`.
pub(super) struct Context<'a> {
    pub(super) id: SignatureId,
    pub(super) region: RegionId,
    pub(super) observed_at: Timestamp,
    pub(super) transaction_id: Option<String>,
    pub(super) allowed_hosts: &'a AllowedHosts,
}

/// Which id an answer is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// The one that was asked for.
    Same,
    /// It does not say.
    Missing,
    /// Another one.
    Other,
}

/// Makes a verification of the `data` of a SUCCESS envelope.
pub(super) fn normalise(data: &Object, context: Context<'_>, drift: &mut Drift) -> Verification {
    fields::count_unknown(data, KNOWN, drift);
    let face = parts::face(data, drift);
    let document = parts::document(data, drift);
    let verdict = verdict::verdict(data, &[face.says, document.says], drift);
    let media = media::links(face.object, document.object, context.allowed_hosts, context.observed_at, drift);
    Verification {
        id: context.id,
        region: context.region,
        observed_at: context.observed_at,
        verdict,
        submitted: fields::flag(data, "submissionCompleted", drift).or(verdict.is_final().then_some(true)),
        upstream: UpstreamWords { transaction_id: context.transaction_id, ..verdict::raw_words(data) },
        identity: identity::identity(data, document.object, drift),
        face: face.check,
        document: document.check,
        media,
    }
}

/// Which id `data` is about. The vendor's samples leave it out while a result is pending.
pub(super) fn echo(data: &Object, asked: &SignatureId, drift: &mut Drift) -> Echo {
    let echoed = match data.get("signatureId") {
        None | Some(Json::Null) => return Echo::Missing,
        Some(Json::Text(text)) if text.is_empty() => {
            drift.add(DriftKind::UnknownValue);
            return Echo::Missing;
        }
        Some(Json::Text(text)) => Cow::from(text.as_ref()),
        Some(Json::Number(digits)) => {
            drift.add(DriftKind::TypeMismatch);
            number::whole(digits).unwrap_or(Cow::from(*digits))
        }
        Some(Json::Bool(_) | Json::Array(_) | Json::Object(_)) => {
            drift.add(DriftKind::TypeMismatch);
            return Echo::Other;
        }
    };
    if echoed == asked.as_str() {
        return Echo::Same;
    }
    if !echoed.eq_ignore_ascii_case(asked.as_str()) {
        return Echo::Other;
    }
    drift.add(DriftKind::UnknownValue);
    Echo::Same
}
