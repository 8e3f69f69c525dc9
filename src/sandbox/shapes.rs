//! `faceDetail` and `docDetail` in each generation of the vendor's fields.

use super::ids::{Flaw, Generation, Outcome};
use super::people::Scene;
use serde_json::{Value, json};

/// The time in the vendor's samples, epoch milliseconds.
const EVENT_AT: i64 = 1_665_993_522_952;

/// `object` and the members of `more`, which take the place of those of the same name.
pub(super) fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut object, more) {
        members.extend(more);
    }
    object
}

pub(super) fn events(generation: Generation, result: &str) -> Value {
    let is_new = matches!(generation, Generation::New { .. });
    // All but the newest misspell it.
    let time_field = if is_new { "createTimestamp" } else { "createTimestmap" };
    json!([{ "event": "FE_DOCUMENT_SCAN", "result": generation.spell(result), time_field: EVENT_AT }])
}

fn link(scene: &Scene<'_>, generation: Generation, file: &str) -> String {
    if generation.is_old() { scene.old_link(file) } else { scene.link(file) }
}

/// Null where the flow never came to the face.
pub(super) fn face(scene: &Scene<'_>, outcome: &Outcome) -> Value {
    let Outcome { flaw, generation, .. } = *outcome;
    if matches!(flaw, Flaw::Card | Flaw::Session) {
        return Value::Null;
    }
    let link = |file| link(scene, generation, file);
    let face = json!({
        "faceResult": generation.spell(face_result(flaw)),
        "faceImageFar": link("face-far.jpg"),
        "faceImageNear": link("face-near.jpg"),
        "auditImageUrl": link("audit.zip"),
        "faceLivenessScore": liveness(flaw),
        "faceSimilarityScore": similarity(flaw),
        "eventDetails": events(generation, "PASS"),
    });
    let Generation::New { video } = generation else { return face };
    let new = json!({
        "faceImage": link("face.jpg"), "faceImageTime": EVENT_AT,
        "faceImageFarTime": EVENT_AT,
        "faceImageNearTime": EVENT_AT,
        "silentImage": link("face-silent.jpg"), "silentImageTime": EVENT_AT,
        "livenessAttackType": if flaw == Flaw::Liveness { json!(1) } else { Value::Null },
        "livenessType": "SILENT",
        "faceVideoUrl": if video { link("face.mp4") } else { "PENDING".to_owned() },
    });
    with(face, new)
}

/// Null where the flow ended before the document.
pub(super) fn document(scene: &Scene<'_>, outcome: &Outcome) -> Value {
    let Outcome { flaw, generation, .. } = *outcome;
    if flaw == Flaw::Session {
        return Value::Null;
    }
    let [front, back] = ["document-front.jpg", "document-back.jpg"].map(|file| link(scene, generation, file));
    let result = generation.spell(document_result(flaw));
    let labels = json!({ "qualityLabels": quality(outcome), "forgeryLabels": forgery(flaw) });
    if generation.is_old() {
        let back_number = json!({ "secondaryIdNumber": scene.back_number() });
        let old = json!({
            "docResult": result,
            "idFrontImage": front,
            "idBackImage": back,
            "ocrInfo": ocr(scene, outcome, back_number),
        });
        return with(labels, old);
    }
    let card = json!({ "front": scene.card(), "back": scene.card() });
    let current = json!({
        "ocrResult": result,
        "docFrontImage": front,
        "docBackImage": back,
        "docType": card,
        "subDocType": card,
        "ocrInfo": ocr(scene, outcome, json!({ "idNumber": scene.id_number() })),
        "eventDetails": events(generation, document_result(flaw)),
    });
    with(labels, current)
}

/// The newest generation has an absent value in the vendor's oddest form.
fn ocr(scene: &Scene<'_>, outcome: &Outcome, back: Value) -> Value {
    if outcome.flaw == Flaw::Card {
        return Value::Null;
    }
    let front = json!({
        "gender": scene.gender(),
        "name": scene.name(),
        "address": scene.address(),
        "idNumber": scene.id_number(),
        "religion": "",
        "birthday": scene.birthday(),
        "citizen": scene.citizen(),
    });
    let new = json!({
        "placeOfBirth": "null",
        "birthdayParsed": scene.birthday(),
        "birthday": scene.printed_birthday(),
    });
    let is_new = matches!(outcome.generation, Generation::New { .. });
    json!({ "front": if is_new { with(front, new) } else { front }, "back": back })
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
