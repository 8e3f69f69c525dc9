//! The parts of a verification: face and document, in both generations' names.

use super::fields::{array, count_unknown, moment, object, score, text, texts};
use super::verdict::{Says, agree, result};
use crate::domain::drift::{Drift, DriftKind};
use crate::domain::verification::{CheckResult, DocumentCheck, Event, FaceCheck, Sides};
use crate::upstream::json::{Json, Object};

const FACE_FIELDS: &[&str] = &[
    "faceResult",
    "faceImage",
    "faceImageTime",
    "faceImageFar",
    "faceImageFarTime",
    "faceImageNear",
    "faceImageNearTime",
    "silentImage",
    "silentImageTime",
    "auditImageUrl",
    "faceLivenessScore",
    "livenessAttackType",
    "livenessType",
    "livenessFlowCategory",
    "faceSimilarityScore",
    "eventDetails",
    "faceVideoUrl",
];

const DOCUMENT_FIELDS: &[&str] = &[
    "ocrResult",
    "docResult",
    "docFrontImage",
    "docBackImage",
    "idFrontImage",
    "idBackImage",
    "docType",
    "subDocType",
    "ocrInfo",
    "qualityLabels",
    "forgeryLabels",
    "eventDetails",
];

const EVENT_FIELDS: &[&str] = &["event", "result", "createTimestamp", "createTimestmap"];

/// One part: what it says, the check made of it, and the object it came from.
pub(super) struct Part<'a, Check> {
    pub(super) says: Says,
    pub(super) check: Option<Check>,
    pub(super) object: Option<&'a Object<'a>>,
}

/// The face part.
pub(super) fn face<'a>(data: &'a Object<'a>, drift: &mut Drift) -> Part<'a, FaceCheck> {
    let Some(detail) = object(data, "faceDetail", drift) else {
        return missing(data.get("faceDetail"));
    };
    count_unknown(detail, FACE_FIELDS, drift);
    let says = result(detail.get("faceResult"), drift);
    let check = FaceCheck {
        result: check_result(says),
        liveness_score: score(detail, "faceLivenessScore", drift),
        similarity_score: score(detail, "faceSimilarityScore", drift),
        events: events(detail, drift),
    };
    Part { says, check: Some(check), object: Some(detail) }
}

/// The document part.
pub(super) fn document<'a>(data: &'a Object<'a>, drift: &mut Drift) -> Part<'a, DocumentCheck> {
    let Some(detail) = object(data, "docDetail", drift) else {
        return missing(data.get("docDetail"));
    };
    count_unknown(detail, DOCUMENT_FIELDS, drift);
    let older = result(detail.get("docResult"), drift);
    let newer = result(detail.get("ocrResult"), drift);
    let says = agree(older, newer, drift);
    let check = DocumentCheck {
        result: check_result(says),
        country: country(data, drift),
        kind: sides(detail, "docType", drift, owned_text),
        sub_kind: sides(detail, "subDocType", drift, owned_text),
        quality_labels: sides(detail, "qualityLabels", drift, |side, key, drift| {
            texts(side, key, drift).unwrap_or_default()
        }),
        forgery_labels: texts(detail, "forgeryLabels", drift),
        events: events(detail, drift),
    };
    Part { says, check: Some(check), object: Some(detail) }
}

/// A part that is not there. An empty list is how some serializers write "nothing"; any other value of a wrong type
/// may hide a FAIL.
fn missing<'a, Check>(field: Option<&Json>) -> Part<'a, Check> {
    let says = match field {
        None | Some(Json::Null) => Says::Nothing,
        Some(Json::Array(items)) if items.is_empty() => Says::Nothing,
        Some(_) => Says::Unknown,
    };
    Part { says, check: None, object: None }
}

/// The country of the verification: three letters, whatever the case.
fn country(data: &Object, drift: &mut Drift) -> Option<String> {
    let code = text(data, "countryCodeIso3", drift)?.trim();
    if code.is_empty() {
        return None;
    }
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_code {
        drift.add(DriftKind::UnknownValue);
    }
    is_code.then(|| code.to_ascii_uppercase())
}

fn sides<T>(
    detail: &Object,
    key: &str,
    drift: &mut Drift,
    read: impl Fn(&Object, &str, &mut Drift) -> T,
) -> Option<Sides<T>> {
    let both = object(detail, key, drift)?;
    count_unknown(both, &["front", "back"], drift);
    Some(Sides { front: read(both, "front", drift), back: read(both, "back", drift) })
}

fn owned_text(object: &Object, key: &str, drift: &mut Drift) -> Option<String> {
    text(object, key, drift).map(str::to_owned)
}

fn events(detail: &Object, drift: &mut Drift) -> Vec<Event> {
    let mut events = Vec::new();
    for item in array(detail, "eventDetails", drift).unwrap_or_default() {
        match item {
            Json::Object(item) => events.push(event(item, drift)),
            Json::Null => {}
            Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Array(_) => {
                drift.add(DriftKind::TypeMismatch)
            }
        }
    }
    events
}

fn event(item: &Object, drift: &mut Drift) -> Event {
    count_unknown(item, EVENT_FIELDS, drift);
    // The samples misspell what the tables call createTimestamp.
    let at = moment(item, "createTimestamp", drift).or_else(|| moment(item, "createTimestmap", drift));
    Event {
        name: owned_text(item, "event", drift),
        result: check_result(result(item.get("result"), drift)),
        at,
    }
}

fn check_result(says: Says) -> Option<CheckResult> {
    match says {
        Says::Pass => Some(CheckResult::Pass),
        Says::Fail => Some(CheckResult::Fail),
        Says::Nothing | Says::Incomplete | Says::Unknown => None,
    }
}
