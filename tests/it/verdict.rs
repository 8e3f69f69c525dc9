//! The verdict: what the upstream says of an id, row by row, and that nothing but a clean PASS is ever `passed`.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::Dialect;
use crate::support::dialect::drift;

/// What the upstream says, the status and reason callers get of it, and what of it counts as drift.
type Row<const N: usize> = (Value, &'static str, Option<&'static str>, [(&'static str, u64); N]);

/// Asks for each row, and checks the decision.
async fn check<const N: usize>(rows: impl IntoIterator<Item = Row<N>>) {
    let dialect = Dialect::start().await;
    for (data, status, reason, counted) in rows {
        let seen = dialect.read(data.clone()).await;
        assert_eq!(
            (seen["status"].as_str(), seen["reason"]["code"].as_str()),
            (Some(status), reason),
            "{data}"
        );
        let is_final = matches!(status, "passed" | "failed" | "incomplete");
        assert_eq!(seen["final"], is_final, "{data}");
        assert_eq!(seen["retryAfterSeconds"].is_null(), is_final, "{data}");
        assert_eq!(dialect.drift().await, drift(counted), "{data}");
    }
}

#[tokio::test]
async fn either_generations_result_counts_where_the_other_says_nothing() {
    check([
        (json!({ "idvResult": "PASS" }), "passed", None, []),
        (json!({ "overallResult": "PASS" }), "passed", None, []),
        (json!({ "overallResult": "PASS", "idvResult": null }), "passed", None, []),
        (json!({ "overallResult": null, "idvResult": "PASS" }), "passed", None, []),
        (json!({ "overallResult": "FAIL", "idvResult": null }), "failed", Some("OTHER"), []),
        (json!({ "overallResult": null, "idvResult": "FAIL" }), "failed", Some("OTHER"), []),
        (json!({ "overallResult": "INCOMPLETE" }), "incomplete", Some("OTHER"), []),
        (json!({ "idvResult": "INCOMPLETE" }), "incomplete", Some("OTHER"), []),
        (json!({ "overallResult": null, "idvResult": null }), "pending", None, []),
        (json!({}), "pending", None, []),
        (json!({ "submissionCompleted": true }), "pending", None, []),
    ])
    .await;
    check([(json!({ "eckyResult": "PASS" }), "pending", None, [("unknown_field", 1)])]).await;
}

#[tokio::test]
async fn both_generations_results_must_agree() {
    for word in ["PASS", "FAIL", "INCOMPLETE"] {
        let (status, reason) = match word {
            "PASS" => ("passed", None),
            "FAIL" => ("failed", Some("OTHER")),
            _ => ("incomplete", Some("OTHER")),
        };
        check([(json!({ "overallResult": word, "idvResult": word.to_lowercase() }), status, reason, [])])
            .await;
    }
    check(
        [
            ("PASS", "FAIL"),
            ("FAIL", "PASS"),
            ("PASS", "INCOMPLETE"),
            ("INCOMPLETE", "PASS"),
            ("FAIL", "INCOMPLETE"),
        ]
        .map(|(overall, idv)| {
            let data = json!({ "overallResult": overall, "idvResult": idv });
            (data, "unrecognized", Some("OTHER"), [("conflict", 1)])
        }),
    )
    .await;
}

#[tokio::test]
async fn a_known_word_beside_an_unknown_one_is_a_contradiction() {
    check(["PASS", "FAIL"].map(|word| {
        let data = json!({ "overallResult": "REVIEW", "idvResult": word });
        (data, "unrecognized", Some("OTHER"), [("unknown_value", 1), ("conflict", 1)])
    }))
    .await;
}

#[tokio::test]
async fn words_are_trimmed_and_their_case_is_folded() {
    check([
        (json!({ "idvResult": "pass", "errorCode": "success" }), "passed", None, []),
        (json!({ "idvResult": "fail" }), "failed", Some("OTHER"), []),
        (
            json!({ "idvResult": "FAIL", "errorCode": " liveness_Attack\t" }),
            "failed",
            Some("LIVENESS_ATTACK"),
            [],
        ),
        (json!({ "idvResult": "PASS", "errorCode": " Success " }), "passed", None, []),
        (json!({ "idvResult": "PASS", "errorCodes": ["success"] }), "passed", None, []),
    ])
    .await;
    check([
        (json!({ "idvResult": " PASS " }), "passed", None, [("unknown_value", 1)]),
        (json!({ "idvResult": "Pass" }), "passed", None, [("unknown_value", 1)]),
        (json!({ "overallResult": "Fail\n" }), "failed", Some("OTHER"), [("unknown_value", 1)]),
        (json!({ "idvResult": "inComplete" }), "incomplete", Some("OTHER"), [("unknown_value", 1)]),
    ])
    .await;
}

#[tokio::test]
async fn a_result_that_is_no_known_word_is_unrecognized() {
    let unknown = ["REVIEW", "", " ", "PASSED", "PA SS", "ＰＡＳＳ", "paß", "NULL", "true", "UNKNOWN"];
    check(unknown.map(|word| {
        (
            json!({ "idvResult": word, "errorCode": "SUCCESS" }),
            "unrecognized",
            Some("OTHER"),
            [("unknown_value", 1)],
        )
    }))
    .await;
    check([json!(true), json!(1), json!(["PASS"]), json!({ "result": "PASS" })].map(|word| {
        (json!({ "overallResult": word }), "unrecognized", Some("OTHER"), [("type_mismatch", 1)])
    }))
    .await;
}

#[tokio::test]
async fn a_pass_beside_an_error_code_is_unrecognized() {
    check(["LIVENESS_ATTACK", "USER_TIMEOUT", "ERROR", "ID_FORGERY_DETECTED"].map(|code| {
        (json!({ "idvResult": "PASS", "errorCode": code }), "unrecognized", Some("OTHER"), [("conflict", 1)])
    }))
    .await;
    check(["MOON_PHASE", "", "SUCCES", "OTHER"].map(|code| {
        let counted = [("unknown_code", 1), ("conflict", 1)];
        (json!({ "idvResult": "PASS", "errorCode": code }), "unrecognized", Some("OTHER"), counted)
    }))
    .await;
    check([json!(0), json!(false), json!([]), json!({}), json!(["SUCCESS"])].map(|code| {
        let counted = [("type_mismatch", 1), ("conflict", 1)];
        (json!({ "idvResult": "PASS", "errorCode": code }), "unrecognized", Some("OTHER"), counted)
    }))
    .await;
}

#[tokio::test]
async fn every_item_of_a_list_of_error_codes_counts() {
    check([
        (json!({ "overallResult": "PASS", "errorCodes": [] }), "passed", None, []),
        (json!({ "overallResult": "PASS", "errorCodes": null }), "passed", None, []),
        (json!({ "overallResult": "PASS", "errorCodes": ["SUCCESS"] }), "passed", None, []),
        (
            json!({ "overallResult": "FAIL", "errorCodes": ["SUCCESS", "STRATEGY_HIT"] }),
            "failed",
            Some("STRATEGY_HIT"),
            [],
        ),
        (
            json!({ "overallResult": "FAIL", "errorCode": "CARD_NOT_FOUND", "errorCodes": ["ERROR"] }),
            "failed",
            Some("CARD_NOT_FOUND"),
            [],
        ),
        (json!({ "overallResult": "FAIL", "errorCodes": [] }), "failed", Some("OTHER"), []),
    ])
    .await;
    check([(
        json!({ "overallResult": "FAIL", "errorCodes": ["ADDRESS_NOT_FOUND", "LIVENESS_ATTACK"] }),
        "failed",
        Some("LIVENESS_ATTACK"),
        [("unknown_code", 1)],
    )])
    .await;
    check(
        [
            json!({ "overallResult": "PASS", "errorCodes": ["SUCCESS", "STRATEGY_HIT"] }),
            json!({ "overallResult": "PASS", "errorCode": "SUCCESS", "errorCodes": ["STRATEGY_HIT"] }),
        ]
        .map(|data| (data, "unrecognized", Some("OTHER"), [("conflict", 1)])),
    )
    .await;
    check([json!("SUCCESS"), json!({}), json!([null]), json!([1]), json!([["SUCCESS"]])].map(|codes| {
        let counted = [("type_mismatch", 1), ("conflict", 1)];
        (json!({ "overallResult": "PASS", "errorCodes": codes }), "unrecognized", Some("OTHER"), counted)
    }))
    .await;
}

#[tokio::test]
async fn a_pass_beside_a_part_that_fails_is_unrecognized() {
    let failing = [
        json!({ "faceDetail": { "faceResult": "FAIL" } }),
        json!({ "faceDetail": { "faceResult": "fail" } }),
        json!({ "docDetail": { "docResult": "FAIL" } }),
        json!({ "docDetail": { "ocrResult": "FAIL" } }),
        json!({ "docDetail": { "docResult": null, "ocrResult": "fail" } }),
        json!({ "faceDetail": { "faceResult": "PASS" }, "docDetail": { "docResult": "FAIL", "ocrResult": "FAIL" } }),
    ];
    check(failing.map(|parts| (with(parts, "PASS"), "unrecognized", Some("OTHER"), [("conflict", 1)]))).await;
    let unknown = [
        json!({ "docDetail": { "sides": { "front": { "checkResult": "FAIL" } } } }),
        json!({ "docDetail": { "sides": [{ "RESULT": " fail " }] } }),
        json!({ "faceDetail": { "LivenessAttackType": 1 } }),
        json!({ "faceDetail": { "fraudPrevention": { "result": "FAIL" } } }),
    ];
    let counted = [("conflict", 1), ("unknown_field", 1)];
    check(unknown.map(|parts| (with(parts, "PASS"), "unrecognized", Some("OTHER"), counted))).await;
    let at_odds = [
        json!({ "docDetail": { "docResult": "FAIL", "ocrResult": "PASS" } }),
        json!({ "docDetail": { "docResult": "PASS", "ocrResult": "FAIL" } }),
    ];
    check(at_odds.map(|parts| (with(parts, "PASS"), "unrecognized", Some("OTHER"), [("conflict", 2)]))).await;
}

#[tokio::test]
async fn a_part_that_fails_changes_no_other_verdict() {
    let parts = json!({ "faceDetail": { "faceResult": "FAIL" }, "docDetail": { "docResult": "FAIL" } });
    check([
        (with(parts.clone(), "FAIL"), "failed", Some("OTHER"), []),
        (with(parts.clone(), "INCOMPLETE"), "incomplete", Some("OTHER"), []),
        (parts, "pending", None, []),
    ])
    .await;
}

#[tokio::test]
async fn an_event_that_fails_does_not_matter() {
    let events =
        json!([{ "event": "FE_DOCUMENT_SCAN", "result": "FAIL", "createTimestamp": 1_665_993_522_952_i64 }]);
    let data = json!({
        "idvResult": "PASS", "errorCode": "SUCCESS",
        "faceDetail": { "faceResult": "PASS", "eventDetails": events },
        "docDetail": { "ocrResult": "PASS", "eventDetails": events },
    });
    check([(data, "passed", None, [])]).await;
}

#[tokio::test]
async fn a_part_that_cannot_be_read_never_leaves_a_pass() {
    check(
        [
            json!({ "faceDetail": { "faceResult": 1 } }),
            json!({ "docDetail": { "ocrResult": ["FAIL"] } }),
            json!({ "faceDetail": "FAIL" }),
            json!({ "docDetail": [{ "docResult": "FAIL" }] }),
        ]
        .map(|parts| {
            let counted = [("type_mismatch", 1), ("conflict", 1)];
            (with(parts, "PASS"), "unrecognized", Some("OTHER"), counted)
        }),
    )
    .await;
    check(
        [("faceDetail", json!({ "faceResult": "REVIEW" })), ("docDetail", json!({ "docResult": "REVIEW" }))]
            .map(|(part, detail)| {
                let counted = [("unknown_value", 1), ("conflict", 1)];
                (with(json!({ part: detail }), "PASS"), "unrecognized", Some("OTHER"), counted)
            }),
    )
    .await;
}

#[tokio::test]
async fn a_verdict_without_a_reason_of_its_own_is_other() {
    check([
        (json!({ "idvResult": "FAIL", "errorCode": "SUCCESS" }), "failed", Some("OTHER"), [("conflict", 1)]),
        (
            json!({ "overallResult": "INCOMPLETE", "errorCode": "SUCCESS" }),
            "incomplete",
            Some("OTHER"),
            [("conflict", 1)],
        ),
        (
            json!({ "idvResult": "FAIL", "errorCode": "MOON_PHASE" }),
            "failed",
            Some("OTHER"),
            [("unknown_code", 1)],
        ),
        (json!({ "idvResult": "FAIL", "errorCode": 17 }), "failed", Some("OTHER"), [("type_mismatch", 1)]),
    ])
    .await;
}

#[tokio::test]
async fn signs_of_forgery_do_not_undo_a_pass() {
    let data = json!({ "idvResult": "PASS", "docDetail": { "forgeryLabels": ["photocopy", "screen"] } });
    check([(data, "passed", None, [])]).await;
}

#[tokio::test]
async fn scores_never_decide() {
    let face = json!({ "faceResult": "PASS", "faceLivenessScore": 0, "faceSimilarityScore": 0 });
    let good = json!({ "faceResult": "FAIL", "faceLivenessScore": 100, "faceSimilarityScore": 100 });
    check([
        (with(json!({ "faceDetail": face }), "PASS"), "passed", None, []),
        (with(json!({ "faceDetail": good }), "FAIL"), "failed", Some("OTHER"), []),
    ])
    .await;
}

#[tokio::test]
async fn every_reason_has_its_category_and_says_whether_trying_again_can_help() {
    let table = [
        ("LIVENESS_ATTACK", "fraud", false),
        ("ID_FORGERY_DETECTED", "fraud", false),
        ("SIMILARITY_FAIL", "face", true),
        ("STRATEGY_HIT", "policy", false),
        ("NO_FACE_DETECTED", "document", true),
        ("CARD_INFO_MISMATCH", "document", true),
        ("NO_SUPPORTED_CARD", "document", true),
        ("NO_SUPPORTED_CARD_CUSTOMIZED", "document", true),
        ("CARD_TYPE_MISMATCH", "document", true),
        ("CARD_LOW_QUALITY_IMAGE", "document", true),
        ("INCOMPLETED_CARD", "document", true),
        ("TOO_MANY_CARDS", "document", true),
        ("CARD_NOT_FOUND", "document", true),
        ("OCR_NO_RESULT", "document", true),
        ("USER_TIMEOUT", "user", true),
        ("PARAMETER_ERROR", "system", true),
        ("ERROR", "system", true),
        ("MOON_PHASE", "other", false),
    ];
    let dialect = Dialect::start().await;
    let mut messages = HashSet::new();
    for (word, category, user_can_retry) in table {
        let code = if category == "other" { "OTHER" } else { word };
        for (result, status) in [("FAIL", "failed"), ("INCOMPLETE", "incomplete")] {
            let mut seen = dialect.read(json!({ "idvResult": result, "errorCode": word })).await;
            assert_eq!((&seen["status"], &seen["upstream"]["errorCode"]), (&json!(status), &json!(word)));
            let message = seen["reason"].as_object_mut().and_then(|reason| reason.shift_remove("message"));
            messages.insert(message.expect("a reason says what it means").to_string());
            let expected = json!({ "code": code, "category": category, "userCanRetry": user_can_retry });
            assert_eq!(seen["reason"], expected, "{word}");
        }
    }
    assert_eq!(messages.len(), table.len(), "each reason has words of its own");
    assert!(messages.contains("\"The face capture did not come from a live person.\""));
}

/// `parts` beside a result.
fn with(parts: Value, result: &str) -> Value {
    let mut data = parts;
    data["idvResult"] = json!(result);
    data
}
