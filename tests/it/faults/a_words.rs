//! The upstream answers badly, in its `data`: results, codes, ids and values that are missing, odd or contradictory.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::trial::{Trial, generated};
use crate::support::{Reply, bodies, eventually};

#[tokio::test]
async fn f011_success_without_data() {
    let trial = Trial::start().await;
    trial.upstream().answer("F011", [Reply::json(bodies::success(Value::Null))]);
    for asked in [1, 2] {
        assert_eq!(trial.ask("F011").await.gist(), (502, "upstream_malformed".to_owned()));
        assert_eq!(trial.upstream().hits("F011"), asked, "not retried, not kept");
        assert_eq!(trial.drift("type_mismatch").await, asked as f64);
    }
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f012_no_result_at_all() {
    let trial = Trial::start().await;
    trial.upstream().answer("F012", [Reply::json(bodies::success(json!({})))]);
    let answer = trial.ask("F012").await;
    assert_eq!(answer.gist(), (200, "pending".to_owned()));
    assert_eq!(answer.json()["final"], false);
    assert_eq!(answer.json()["reason"], Value::Null);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f013_a_null_result() {
    let trial = Trial::start().await;
    trial.upstream().answer("F013", [Reply::json(bodies::pending("F013"))]);
    let answer = trial.ask("F013").await;
    assert_eq!(answer.gist(), (200, "pending".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(answer.json()["retryAfterSeconds"], 2);
    assert!(trial.ask("F013").await.ttl().is_some_and(|ttl| (0..=2).contains(&ttl)));
    assert_eq!(trial.upstream().hits("F013"), 1);
    trial.invariants_hold().await;

    let trial = Trial::with(&["my"], "[cache]\npending_ttl = \"100ms\"\n").await;
    trial.truly_passes("F013");
    let then = Reply::json(bodies::passed("F013"));
    trial.upstream().answer("F013", [Reply::json(bodies::pending("F013")), then]);
    let passes = async || trial.ask("F013").await.gist() == (200, "passed".to_owned());
    eventually("the verdict", passes).await;
    assert_eq!(trial.upstream().hits("F013"), 2);
    trial.invariants_hold().await;
}

/// All lower case is how the vendor's own sample writes it, so that alone is no drift.
#[tokio::test]
async fn f014_words_in_other_spellings() {
    let trial = Trial::start().await;
    for (n, (word, code, status, drift)) in [
        ("fail", "LIVENESS_ATTACK", "failed", 0.0),
        (" PASS ", "SUCCESS", "passed", 1.0),
        ("Pass", "SUCCESS", "passed", 2.0),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("F014-{n}");
        if status == "passed" {
            trial.truly_passes(&id);
        }
        trial.upstream().answer(&id, [Reply::json(bodies::verdict(&id, json!(word), json!(code)))]);
        assert_eq!(trial.ask(&id).await.gist(), (200, status.to_owned()), "{word:?}");
        assert_eq!(trial.drift("unknown_value").await, drift, "{word:?}");
    }
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f015_an_unknown_result() {
    let trial = Trial::start().await;
    let review = bodies::verdict("F015", json!("REVIEW"), json!("SUCCESS"));
    trial.upstream().answer("F015", [Reply::json(review)]);
    let answer = trial.ask("F015").await;
    assert_eq!(answer.gist(), (200, "unrecognized".to_owned()));
    assert_eq!(answer.json()["final"], false);
    assert_eq!(answer.json()["reason"]["code"], "OTHER");
    assert_eq!(answer.json()["upstream"]["result"], "REVIEW");
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(trial.drift("unknown_value").await, 1.0);
    assert!(trial.ask("F015").await.ttl().is_some_and(|ttl| (0..=2).contains(&ttl)));
    trial.invariants_hold().await;
}

/// PASS in any case and either field, beside something that contradicts it.
fn contradictions() -> impl Strategy<Value = Value> {
    let pass = prop_oneof![Just("PASS"), Just("pass"), Just(" Pass ")];
    let result = (prop_oneof![Just("idvResult"), Just("overallResult")], pass);
    let fail = prop_oneof![Just("FAIL"), Just("fail"), Just("Fail "), Just("INCOMPLETE"), Just("REVIEW")];
    let known = prop_oneof![Just("LIVENESS_ATTACK"), Just("SIMILARITY_FAIL"), Just("ID_FORGERY_DETECTED")];
    let word = prop_oneof![known.prop_map(str::to_owned), "[A-Z]{1,6}_[A-Z]{1,6}"];
    let against = prop_oneof![
        word.clone().prop_map(|word| json!({ "errorCode": word })),
        word.prop_map(|word| json!({ "errorCode": "SUCCESS", "errorCodes": ["SUCCESS", word] })),
        any::<u8>().prop_map(|n| json!({ "errorCode": n })),
        fail.clone().prop_map(|fail| json!({ "faceDetail": { "faceResult": fail } })),
        fail.clone().prop_map(|fail| json!({ "docDetail": { "docResult": fail, "ocrResult": "PASS" } })),
        fail.prop_map(|fail| json!({ "docDetail": { "ocrResult": fail } })),
        Just(json!({ "idvResult": "PASS", "overallResult": "FAIL" })),
    ];
    (result, against).prop_map(|((field, pass), against)| {
        let mut data = json!({ field: pass });
        for (key, value) in against.as_object().expect("an object") {
            data[key] = value.clone();
        }
        data
    })
}

#[tokio::test]
async fn f016_pass_beside_a_contradiction() {
    let trial = Trial::start().await;
    let mut fails = bodies::passed("F016-FACE");
    fails["data"]["faceDetail"]["faceResult"] = json!("FAIL");
    let attack = bodies::verdict("F016-CODE", json!("PASS"), json!("LIVENESS_ATTACK"));
    let mut cases = vec![("F016-FACE".to_owned(), fails), ("F016-CODE".to_owned(), attack)];
    let more = generated(64, contradictions()).into_iter().enumerate();
    cases.extend(more.map(|(n, data)| (format!("F016-{n:02}"), bodies::success(data))));
    for (id, body) in &cases {
        trial.upstream().answer(id, [Reply::json(body.clone())]);
        let answer = trial.ask(id).await;
        assert_eq!(answer.gist(), (200, "unrecognized".to_owned()), "{body}");
        assert_eq!(answer.json()["final"], false, "{body}");
    }
    assert!(trial.drift("conflict").await >= cases.len() as f64);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f018_a_spelling_nobody_documented() {
    let trial = Trial::start().await;
    let sample = json!({
        "idvResult": "fail", "errorCode": "NOT_SUPPORTED_CARD", "faceDetail": null, "docDetail": null,
    });
    trial.upstream().answer("F018", [Reply::json(bodies::success(sample))]);
    let answer = trial.ask("F018").await;
    assert_eq!(answer.gist(), (200, "failed".to_owned()));
    assert_eq!(answer.json()["reason"]["code"], "NO_SUPPORTED_CARD");
    assert_eq!(answer.json()["upstream"]["errorCode"], "NOT_SUPPORTED_CARD");
    trial.invariants_hold().await;
}

/// The metric to wake somebody up from is `idv_contract_drift_total{kind="id_mismatch"}`.
#[tokio::test]
async fn f019_id_mismatch() {
    let trial = Trial::start().await;
    trial.passes("F019-OTHER");
    trial.upstream().answer("F019-ASKED", [Reply::json(bodies::passed("F019-OTHER"))]);
    for asked in [1, 2] {
        let answer = trial.ask("F019-ASKED").await;
        assert_eq!(answer.gist(), (502, "upstream_id_mismatch".to_owned()));
        assert_eq!(answer.json()["retryable"], false);
        assert_eq!(trial.upstream().hits("F019-ASKED"), asked, "not retried, not kept");
        assert_eq!(trial.drift("id_mismatch").await, asked as f64);
    }
    assert_eq!(trial.ask("F019-OTHER").await.gist(), (200, "passed".to_owned()));
    assert_eq!(trial.upstream().hits("F019-OTHER"), 1, "nor kept for the id it is about");
    trial.invariants_hold().await;
}

/// A score as text is one of the forms that are read.
#[tokio::test]
async fn f021_wrong_types() {
    let trial = Trial::start().await;
    trial.truly_passes("F021");
    let mut body = bodies::passed("F021");
    body["data"]["faceDetail"]["faceLivenessScore"] = json!("99");
    body["data"]["faceDetail"]["eventDetails"] = json!({});
    body["data"]["docDetail"]["ocrInfo"] = json!([]);
    trial.upstream().answer("F021", [Reply::json(body)]);
    let answer = trial.ask("F021").await;
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert_eq!(answer.json()["checks"]["face"]["livenessScore"].as_f64(), Some(99.0));
    assert_eq!(answer.json()["checks"]["face"]["events"], json!([]));
    assert_eq!(answer.json()["identity"]["name"], Value::Null);
    assert_eq!(trial.drift("type_mismatch").await, 2.0);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f021_any_field_of_any_wrong_type() {
    /// Where a field is, where it is shown, and what is shown instead.
    const FIELDS: [(&str, &str, &str); 8] = [
        ("/data/faceDetail/faceLivenessScore", "/checks/face/livenessScore", "null"),
        ("/data/faceDetail/faceSimilarityScore", "/checks/face/similarityScore", "null"),
        ("/data/faceDetail/eventDetails", "/checks/face/events", "[]"),
        ("/data/docDetail/docType", "/checks/document/type", "null"),
        ("/data/docDetail/qualityLabels", "/checks/document/qualityLabels", "null"),
        ("/data/docDetail/forgeryLabels", "/checks/document/forgeryLabels", "null"),
        ("/data/docDetail/ocrInfo", "/identity/name", "null"),
        ("/data/docDetail/docFrontImage", "/media/1", "null"),
    ];
    let wrong = prop_oneof![any::<bool>().prop_map(Value::from), "[a-z]{1,8} ?".prop_map(Value::from)];
    let trial = Trial::start().await;
    let cases = generated(40, (proptest::sample::select(FIELDS.to_vec()), wrong, any::<bool>()));
    let count = cases.len();
    for (n, ((field, shown, instead), wrong, passes)) in cases.into_iter().enumerate() {
        let id = format!("F021-{n:02}");
        let (status, mut body) = if passes {
            trial.truly_passes(&id);
            ("passed", bodies::passed(&id))
        } else {
            ("failed", bodies::failed(&id, "LIVENESS_ATTACK"))
        };
        *body.pointer_mut(field).expect("a field of the body") = wrong;
        trial.upstream().answer(&id, [Reply::json(body.clone())]);
        let answer = trial.ask(&id).await;
        assert_eq!(answer.gist(), (200, status.to_owned()), "{body}");
        let left = answer.json().pointer(shown).map_or("null".to_owned(), Value::to_string);
        assert_eq!(left, instead, "{body}");
    }
    let drift = trial.drift("type_mismatch").await + trial.drift("unknown_value").await;
    assert!(drift >= count as f64, "{drift} of {count}");
    trial.invariants_hold().await;
}
