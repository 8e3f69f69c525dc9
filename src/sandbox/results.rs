//! `data` of a result, whole: which generation's fields say the verdict. The parts are in `shapes.rs`.

use super::ids::{Flaw, Generation, Outcome};
use super::people::Scene;
use super::shapes;
use serde_json::{Value, json};

/// A final result.
pub(super) fn data(scene: &Scene<'_>, outcome: &Outcome) -> Value {
    if outcome.flaw == Flaw::Nulls {
        return nulls(scene, outcome);
    }
    let Outcome { result, code, generation, .. } = *outcome;
    let data = json!({
        "signatureId": scene.id,
        "idvResult": generation.spell(result),
        "errorCode": code,
        "faceDetail": shapes::face(scene, outcome),
        "docDetail": shapes::document(scene, outcome),
    });
    if !matches!(generation, Generation::New { .. }) {
        return data;
    }
    let new = json!({
        "overallResult": result,
        "submissionCompleted": result != "INCOMPLETE",
        "countryCodeIso3": scene.citizen(),
        "inputParameters": { "userId": format!("user-{}", scene.marker), "region": scene.citizen() },
    });
    shapes::with(data, new)
}

/// The vendor's third sample: a card it does not support, with a spelling of the code that its own table lacks.
fn nulls(scene: &Scene<'_>, outcome: &Outcome) -> Value {
    json!({
        "signatureId": scene.id,
        "idvResult": outcome.result.to_ascii_lowercase(),
        "errorCode": outcome.code,
        "faceDetail": {
            "faceResult": null, "faceImageFar": null, "faceImageNear": null, "auditImageUrl": null,
            "faceLivenessScore": null, "faceSimilarityScore": null,
        },
        "docDetail": {
            "docResult": null, "docFrontImage": null, "docBackImage": null,
            "ocrInfo": null, "qualityLabels": null, "forgeryLabels": null,
        },
    })
}

/// The vendor's fourth sample: face comparison and forgery check still run, and the id is not echoed.
pub(super) fn pending(scene: &Scene<'_>, submitted: bool) -> Value {
    json!({
        "submissionCompleted": submitted,
        "idvResult": null,
        "errorCode": null,
        "faceDetail": {
            "faceResult": "pass",
            "faceImageFar": scene.link("face-far.jpg"),
            "faceImageNear": scene.link("face-near.jpg"),
            "auditImageUrl": scene.link("audit.zip"),
            "faceLivenessScore": 99,
            "faceSimilarityScore": null,
            "eventDetails": shapes::events(Generation::Current, "PASS"),
        },
        "docDetail": {
            "ocrResult": "PASS",
            "docFrontImage": scene.link("document-front.jpg"),
            "docBackImage": scene.link("document-back.jpg"),
            "ocrInfo": {
                "front": {
                    "birthday": scene.printed_birthday(),
                    "name": scene.name(),
                    "birthdayParsed": scene.birthday(),
                    "idNumber": scene.id_number(),
                },
                "back": null,
            },
            "qualityLabels": { "front": [], "back": [] },
            "forgeryLabels": null,
            "eventDetails": shapes::events(Generation::Current, "PASS"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::ids::{self, Script};
    use super::*;
    use jiff::Timestamp;

    /// What is the same for everybody: words of the protocol, types, countries, genders, dates.
    fn is_common(text: &str) -> bool {
        let date = text.bytes().filter(u8::is_ascii_digit).count() >= 5 && text.contains(['/', ',']);
        let word = text.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-".contains(&byte));
        text.is_empty() || (date && text.len() < 20) || (word && text.len() < 32)
    }

    fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::String(text) => found.push(text),
            Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn every_answer(id: &str) -> Vec<Value> {
        let scene = Scene::new(id, "my", Timestamp::now());
        match ids::parse(id).map(|known| known.script) {
            Some(Script::Result(outcome)) => vec![data(&scene, &outcome)],
            Some(Script::Pending(_)) => vec![pending(&scene, true), data(&scene, &ids::PASS)],
            Some(Script::Slow(_) | Script::Flaky) => vec![data(&scene, &ids::PASS)],
            Some(Script::Mismatch) => vec![data(&scene, &ids::PASS)],
            Some(Script::Refused(_) | Script::Busy | Script::Html | Script::Reset) | None => vec![],
        }
    }

    #[test]
    fn whatever_is_said_of_an_id_carries_its_marker() {
        for (pattern, _) in ids::ids() {
            let id = pattern.replace('…', "t1").replace("-N-", "-1-");
            let marker = super::super::people::marker(&id);
            for answer in every_answer(&id) {
                let mut found = Vec::new();
                strings(&answer, &mut found);
                for text in found {
                    assert!(text == id || text.contains(&marker) || is_common(text), "{id}: {text}");
                }
            }
        }
    }

    #[test]
    fn only_a_pending_answer_keeps_the_id_to_itself() {
        let answers = every_answer("sim-pending-5-a");
        assert!(answers[0].get("signatureId").is_none() && answers[0]["idvResult"].is_null());
        assert_eq!(answers[1]["signatureId"], "sim-pending-5-a");
    }

    #[test]
    fn the_generations_differ_in_their_fields() {
        let answer = |id| every_answer(id).remove(0);
        let old = answer("sim-old-1");
        assert_eq!((&old["idvResult"], &old["docDetail"]["docResult"]), (&json!("pass"), &json!("pass")));
        assert!(old["docDetail"]["idFrontImage"].is_string() && old["docDetail"]["docFrontImage"].is_null());
        let new = answer("sim-new-1");
        assert_eq!(
            (&new["overallResult"], &new["faceDetail"]["faceVideoUrl"]),
            (&json!("PASS"), &json!("PENDING"))
        );
        let video = answer("sim-video-1");
        assert!(video["faceDetail"]["faceVideoUrl"].as_str().unwrap().starts_with("https://"));
        let sample = answer("f302f5d2454a85c2");
        assert_eq!(
            (&sample["idvResult"], &sample["docDetail"]["forgeryLabels"]),
            (&json!("PASS"), &json!(["photocopy"]))
        );
    }

    #[test]
    fn scores_keep_the_spelling_of_the_samples() {
        let sample = every_answer("681760d460df34eb").remove(0);
        assert_eq!(sample["faceDetail"]["faceLivenessScore"].to_string(), "0.0");
        let pass = every_answer("sim-pass-1").remove(0);
        assert_eq!(pass["faceDetail"]["faceLivenessScore"].to_string(), "99");
    }
}
