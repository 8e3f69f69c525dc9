//! `data` of a result: a template in the fields of its generation, with what the person and the verdict change in it.

use super::ids::{Flaw, Generation, Outcome};
use super::people::Values;
use serde_json::{Value, json};

/// The vendor's third sample: a card it does not support, with a spelling of the code that its own table lacks.
const NULLS: &str = include_str!("answers/nulls.json");
/// The vendor's fourth sample: face comparison and forgery check still run, and the id is not echoed.
const PENDING: &str = include_str!("answers/pending.json");

const VIDEO: &str = "https://media.sandbox.example/{marker}/face.mp4?{signature}";

/// A final result.
pub(super) fn data(values: &Values, outcome: &Outcome) -> Value {
    let Outcome { result, code, flaw, generation } = *outcome;
    let is_new = matches!(generation, Generation::New { .. });
    let (template, is_lower) = match generation {
        _ if flaw == Flaw::Nulls => (NULLS, true),
        Generation::Oldest => (include_str!("answers/old.json"), true),
        Generation::Old => (include_str!("answers/old.json"), false),
        Generation::Current => (include_str!("answers/current.json"), false),
        Generation::New { .. } => (include_str!("answers/new.json"), false),
    };
    let spell = |word: &str| if is_lower { word.to_ascii_lowercase() } else { word.to_owned() };
    let fails = |flaws: &[Flaw]| spell(if flaws.contains(&flaw) { "FAIL" } else { "PASS" });
    let has_video = generation == Generation::New { video: true };
    let words = [
        ("video", if has_video { VIDEO } else { "PENDING" }.to_owned()),
        ("code", code.to_owned()),
        ("result", spell(result)),
        ("pass", spell("PASS")),
        ("face", fails(&[Flaw::Liveness, Flaw::Similarity])),
        ("document", fails(&[Flaw::Document, Flaw::Forgery, Flaw::Card])),
    ];
    let mut data = values.fill(template, &words);
    apply_flaw(&mut data, flaw, is_new);
    if code == "CARD_LOW_QUALITY_IMAGE" {
        data["docDetail"]["qualityLabels"]["front"] = json!(["blur"]);
    }
    if is_new && result == "INCOMPLETE" {
        data["submissionCompleted"] = json!(false);
    }
    data
}

/// Changes what shows that the verification went wrong there. Below 50 a liveness score is an attack, and a similarity
/// score below 70 is somebody else.
fn apply_flaw(data: &mut Value, flaw: Flaw, is_new: bool) {
    match flaw {
        Flaw::None | Flaw::Document | Flaw::Policy | Flaw::Nulls => {}
        Flaw::Label | Flaw::Forgery => data["docDetail"]["forgeryLabels"] = json!(["photocopy"]),
        Flaw::Liveness => {
            data["faceDetail"]["faceLivenessScore"] = json!(0.0);
            data["faceDetail"]["faceSimilarityScore"] = json!(82.0);
            if is_new {
                data["faceDetail"]["livenessAttackType"] = json!(1);
            }
        }
        Flaw::Similarity => data["faceDetail"]["faceSimilarityScore"] = json!(41.5),
        Flaw::Card => {
            data["faceDetail"] = Value::Null;
            data["docDetail"]["ocrInfo"] = Value::Null;
        }
        Flaw::Session => {
            data["faceDetail"] = Value::Null;
            data["docDetail"] = Value::Null;
        }
    }
}

/// No result yet.
pub(super) fn pending(values: &Values, submitted: bool) -> Value {
    let mut data = values.fill(PENDING, &[]);
    data["submissionCompleted"] = json!(submitted);
    data
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
        let values = Values::new(id, "my", Timestamp::now());
        match ids::parse(id).map(|known| known.script) {
            Some(Script::Result(outcome)) => vec![data(&values, &outcome)],
            Some(Script::Pending(_)) => vec![pending(&values, true), data(&values, &ids::PASS)],
            Some(Script::Slow(_) | Script::Flaky) => vec![data(&values, &ids::PASS)],
            Some(Script::Mismatch) => vec![data(&values, &ids::PASS)],
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
