//! `faceDetail` and `docDetail` in each generation of the vendor's fields.

use super::ids::{Flaw, Outcome};
use super::people::Scene;
use serde_json::{Value, json};

/// The time in the vendor's samples, epoch milliseconds.
const EVENT_AT: i64 = 1_665_993_522_952;

pub(super) fn events(time_field: &str, result: &str) -> Value {
    json!([{ "event": "FE_DOCUMENT_SCAN", "result": result, time_field: EVENT_AT }])
}

/// Null where the flow never came to the face.
pub(super) fn face(scene: &Scene<'_>, flaw: Flaw) -> Value {
    if !came_to_face(flaw) {
        return Value::Null;
    }
    json!({
        "faceResult": face_result(flaw),
        "faceImageFar": scene.link("face-far.jpg"),
        "faceImageNear": scene.link("face-near.jpg"),
        "auditImageUrl": scene.link("audit.zip"),
        "faceLivenessScore": liveness(flaw),
        "faceSimilarityScore": similarity(flaw),
        "eventDetails": events("createTimestmap", "PASS"),
    })
}

pub(super) fn old_face(scene: &Scene<'_>, flaw: Flaw, spell: fn(&str) -> String) -> Value {
    if !came_to_face(flaw) {
        return Value::Null;
    }
    json!({
        "faceResult": spell(face_result(flaw)),
        "faceImageFar": scene.old_link("face-far.jpg"),
        "faceImageNear": scene.old_link("face-near.jpg"),
        "auditImageUrl": scene.old_link("audit.zip"),
        "faceLivenessScore": liveness(flaw),
        "faceSimilarityScore": similarity(flaw),
        "eventDetails": events("createTimestmap", &spell("PASS")),
    })
}

pub(super) fn new_face(scene: &Scene<'_>, flaw: Flaw, video: bool) -> Value {
    if !came_to_face(flaw) {
        return Value::Null;
    }
    let video = if video { scene.link("face.mp4") } else { "PENDING".to_owned() };
    json!({
        "faceResult": face_result(flaw),
        "faceImage": scene.link("face.jpg"), "faceImageTime": EVENT_AT,
        "faceImageFar": scene.link("face-far.jpg"), "faceImageFarTime": EVENT_AT,
        "faceImageNear": scene.link("face-near.jpg"), "faceImageNearTime": EVENT_AT,
        "silentImage": scene.link("face-silent.jpg"), "silentImageTime": EVENT_AT,
        "auditImageUrl": scene.link("audit.zip"),
        "faceLivenessScore": liveness(flaw),
        "livenessAttackType": if flaw == Flaw::Liveness { json!(1) } else { Value::Null },
        "livenessType": "SILENT",
        "faceSimilarityScore": similarity(flaw),
        "faceVideoUrl": video,
        "eventDetails": events("createTimestamp", "PASS"),
    })
}

/// Null where the flow ended before the document.
pub(super) fn document(scene: &Scene<'_>, outcome: &Outcome) -> Value {
    if outcome.flaw == Flaw::Session {
        return Value::Null;
    }
    let card = json!({ "front": scene.card(), "back": scene.card() });
    json!({
        "ocrResult": document_result(outcome.flaw),
        "docFrontImage": scene.link("document-front.jpg"),
        "docBackImage": scene.link("document-back.jpg"),
        "docType": card,
        "subDocType": card,
        "ocrInfo": ocr(scene, outcome.flaw, json!({ "idNumber": scene.id_number() })),
        "qualityLabels": quality(outcome),
        "forgeryLabels": forgery(outcome.flaw),
        "eventDetails": events("createTimestmap", document_result(outcome.flaw)),
    })
}

pub(super) fn old_document(scene: &Scene<'_>, outcome: &Outcome, spell: fn(&str) -> String) -> Value {
    if outcome.flaw == Flaw::Session {
        return Value::Null;
    }
    json!({
        "docResult": spell(document_result(outcome.flaw)),
        "idFrontImage": scene.old_link("document-front.jpg"),
        "idBackImage": scene.old_link("document-back.jpg"),
        "ocrInfo": ocr(scene, outcome.flaw, json!({ "secondaryIdNumber": scene.back_number() })),
        "qualityLabels": quality(outcome),
        "forgeryLabels": forgery(outcome.flaw),
    })
}

/// As the current one, with the documented spelling of the time and an absent value in the vendor's oddest form.
pub(super) fn new_document(scene: &Scene<'_>, outcome: &Outcome) -> Value {
    let mut document = document(scene, outcome);
    if document.is_object() {
        document["eventDetails"] = events("createTimestamp", document_result(outcome.flaw));
    }
    if document["ocrInfo"].is_object() {
        document["ocrInfo"]["front"]["placeOfBirth"] = json!("null");
        document["ocrInfo"]["front"]["birthdayParsed"] = json!(scene.birthday());
        document["ocrInfo"]["front"]["birthday"] = json!(scene.printed_birthday());
    }
    document
}

fn ocr(scene: &Scene<'_>, flaw: Flaw, back: Value) -> Value {
    if flaw == Flaw::Card {
        return Value::Null;
    }
    json!({
        "front": {
            "gender": scene.gender(),
            "name": scene.name(),
            "address": scene.address(),
            "idNumber": scene.id_number(),
            "religion": "",
            "birthday": scene.birthday(),
            "citizen": scene.citizen(),
        },
        "back": back,
    })
}

fn came_to_face(flaw: Flaw) -> bool {
    !matches!(flaw, Flaw::Card | Flaw::Session)
}

fn face_result(flaw: Flaw) -> &'static str {
    if matches!(flaw, Flaw::Liveness | Flaw::Similarity) { "FAIL" } else { "PASS" }
}

fn document_result(flaw: Flaw) -> &'static str {
    if matches!(flaw, Flaw::Document | Flaw::Forgery | Flaw::Card) { "FAIL" } else { "PASS" }
}

/// Whole numbers and fractions, as in the samples; below 50 is an attack.
fn liveness(flaw: Flaw) -> Value {
    if flaw == Flaw::Liveness { json!(0.0) } else { json!(99) }
}

/// Below 70 is somebody else.
fn similarity(flaw: Flaw) -> Value {
    match flaw {
        Flaw::Liveness => json!(82.0),
        Flaw::Similarity => json!(41.5),
        Flaw::None | Flaw::Label | Flaw::Document | Flaw::Forgery | Flaw::Policy => json!(82),
        Flaw::Card | Flaw::Session | Flaw::Nulls => Value::Null,
    }
}

fn quality(outcome: &Outcome) -> Value {
    let front = if outcome.code == "CARD_LOW_QUALITY_IMAGE" { json!(["blur"]) } else { json!([]) };
    json!({ "front": front, "back": [] })
}

fn forgery(flaw: Flaw) -> Value {
    if matches!(flaw, Flaw::Label | Flaw::Forgery) { json!(["photocopy"]) } else { json!([]) }
}
