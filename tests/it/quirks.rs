//! The upstream's known quirks that no other file has, one test each, by their numbers in the list of facts about it.

use serde_json::{Value, json};

use crate::support::bodies::{self, success};
use crate::support::dialect::{Drift, drift};
use crate::support::{Dialect, Reply};

/// The values at these JSON pointers; what is not there is the text "absent".
fn at<const N: usize>(body: &Value, pointers: [&str; N]) -> [Value; N] {
    pointers.map(|pointer| body.pointer(pointer).cloned().unwrap_or_else(|| json!("absent")))
}

#[tokio::test]
async fn quirk_02_results_come_in_upper_and_lower_case() {
    let dialect = Dialect::start().await;
    for (word, status, check) in [
        ("PASS", "passed", "pass"),
        ("pass", "passed", "pass"),
        ("FAIL", "failed", "fail"),
        ("fail", "failed", "fail"),
    ] {
        let data = json!({ "idvResult": word, "faceDetail": { "faceResult": word }, "docDetail": { "docResult": word } });
        let seen = dialect.read(data).await;
        let pointers = ["/status", "/checks/face/result", "/checks/document/result", "/upstream/result"];
        assert_eq!(at(&seen, pointers), [status, check, check, word].map(Value::from));
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn quirk_03_error_codes_come_as_one_or_as_a_list_and_under_two_spellings() {
    let dialect = Dialect::start().await;
    for data in [
        json!({ "overallResult": "INCOMPLETE", "errorCode": "NO_SUPPORTED_CARD" }),
        json!({ "overallResult": "INCOMPLETE", "errorCodes": ["NO_SUPPORTED_CARD"] }),
        json!({ "overallResult": "INCOMPLETE", "errorCode": "NOT_SUPPORTED_CARD" }),
        json!({ "overallResult": "fail", "errorCode": "NOT_SUPPORTED_CARD" }),
    ] {
        let seen = dialect.read(data.clone()).await;
        let status = if data["overallResult"] == "fail" { "failed" } else { "incomplete" };
        assert_eq!(
            at(&seen, ["/status", "/reason/code"]),
            [json!(status), json!("NO_SUPPORTED_CARD")],
            "{data}"
        );
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn quirk_04_the_document_part_has_two_sets_of_names() {
    let dialect = Dialect::start().await;
    let (front, back) = ("https://media.example/front", "https://media.example/back");
    for detail in [
        json!({ "ocrResult": "PASS", "docFrontImage": front, "docBackImage": back }),
        json!({ "docResult": "PASS", "idFrontImage": front, "idBackImage": back }),
        json!({ "docResult": "PASS", "ocrResult": "PASS", "docFrontImage": front, "idBackImage": back }),
    ] {
        let seen = dialect.read(json!({ "idvResult": "PASS", "docDetail": detail })).await;
        let pointers = [
            "/status",
            "/checks/document/result",
            "/media/0/kind",
            "/media/0/url",
            "/media/1/kind",
            "/media/1/url",
        ];
        let expected = ["passed", "pass", "document_front", front, "document_back", back].map(Value::from);
        assert_eq!(at(&seen, pointers), expected, "{detail}");
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn quirk_05_the_time_of_an_event_is_also_misspelt() {
    let dialect = Dialect::start().await;
    for name in ["createTimestamp", "createTimestmap"] {
        let events = json!([{ "event": "FE_DOCUMENT_SCAN", "result": "PASS", name: 1_665_993_522_952_i64 }]);
        let data = json!({
            "idvResult": "PASS", "faceDetail": { "eventDetails": events }, "docDetail": { "eventDetails": events },
        });
        let seen = dialect.read(data).await;
        let expected =
            json!([{ "event": "FE_DOCUMENT_SCAN", "result": "pass", "at": "2022-10-17T07:58:42.952Z" }]);
        assert_eq!(
            at(&seen, ["/checks/face/events", "/checks/document/events"]),
            [expected.clone(), expected],
            "{name}"
        );
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn quirk_07_scores_come_as_integers_as_floats_and_as_text() {
    let dialect = Dialect::start().await;
    for (sent, score) in [
        (json!(99), 99.0),
        (json!(82.0), 82.0),
        (json!(0.0), 0.0),
        (json!(0), 0.0),
        (json!(100), 100.0),
        (json!("99"), 99.0),
        (json!("82.5"), 82.5),
        (json!(" 7 "), 7.0),
    ] {
        let face = json!({ "faceLivenessScore": sent, "faceSimilarityScore": sent });
        let seen = dialect.read(json!({ "idvResult": "PASS", "faceDetail": face })).await;
        let shown = at(&seen, ["/checks/face/livenessScore", "/checks/face/similarityScore"]);
        assert_eq!(shown.map(|shown| shown.as_f64()), [Some(score), Some(score)], "{sent}");
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn quirk_08_null_may_stand_at_every_level() {
    let dialect = Dialect::start().await;
    let null = Value::Null;
    let face = json!({
        "faceResult": null, "faceImage": null, "faceImageFar": null, "faceImageNear": null, "silentImage": null,
        "auditImageUrl": null, "faceVideoUrl": null, "faceLivenessScore": null, "faceSimilarityScore": null,
        "livenessAttackType": null, "eventDetails": null,
    });
    let document = json!({
        "docResult": null, "ocrResult": null, "docFrontImage": null, "idBackImage": null, "docType": null,
        "subDocType": null, "ocrInfo": null, "qualityLabels": null, "forgeryLabels": null, "eventDetails": null,
    });
    let halves = json!({
        "docType": { "front": null }, "ocrInfo": { "front": null, "back": null }, "qualityLabels": { "front": null },
        "forgeryLabels": [], "eventDetails": [null, { "event": null, "result": null, "createTimestamp": null }],
    });
    for data in [
        json!({ "idvResult": "PASS", "errorCode": null, "errorCodes": null, "faceDetail": null, "docDetail": null }),
        json!({ "idvResult": "PASS", "faceDetail": face, "docDetail": document }),
        json!({ "idvResult": "PASS", "faceDetail": {}, "docDetail": halves }),
    ] {
        assert_eq!(dialect.read(data.clone()).await["status"], "passed", "{data}");
    }
    assert_eq!(dialect.drift().await, Drift::new(), "null is never drift");
    let seen = dialect.read(json!({ "idvResult": null, "faceDetail": null, "docDetail": halves })).await;
    let expected = json!({
        "result": null, "country": null, "type": { "front": null, "back": null }, "subType": null,
        "qualityLabels": { "front": [], "back": [] }, "forgeryLabels": [],
        "events": [{ "event": null, "result": null, "at": null }],
    });
    assert_eq!(
        at(&seen, ["/status", "/checks/face", "/checks/document"]),
        [json!("pending"), null.clone(), expected]
    );
    let unchecked = json!({ "idvResult": null, "docDetail": { "forgeryLabels": null } });
    assert_eq!(dialect.read(unchecked).await["checks"]["document"]["forgeryLabels"], null, "not checked yet");
    let nothing = dialect.hear(Reply::absent()).await;
    assert_eq!(nothing.gist(), (404, "signature_not_found".to_owned()));
}

#[tokio::test]
async fn quirk_09_an_answer_may_leave_the_id_out() {
    let dialect = Dialect::start().await;
    for data in [json!({ "idvResult": null }), json!({ "idvResult": null, "signatureId": null })] {
        let answer = dialect.hear_of("the-one-asked-for", Reply::json(success(data))).await;
        assert_eq!(answer.json()["signatureId"], "the-one-asked-for");
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn quirk_13_the_envelopes_tail_is_loose() {
    let dialect = Dialect::start().await;
    for extra in [Value::Null, json!("CANARY trace"), json!({ "exception": "CANARY" }), json!(["CANARY"])] {
        for pricing in [json!("FREE"), json!("PAY"), Value::Null] {
            let id = dialect.new_id();
            let mut body = success(json!({ "signatureId": id, "idvResult": "PASS" }));
            body["extra"] = extra.clone();
            body["pricingStrategy"] = pricing.clone();
            let answer = dialect.hear_of(&id, Reply::json(body)).await;
            assert_eq!(answer.gist(), (200, "passed".to_owned()), "{extra} {pricing}");
            assert!(!answer.text().contains("CANARY"));
        }
    }
    let id = dialect.new_id();
    let data = json!({ "signatureId": id, "idvResult": "PASS" });
    let bare = dialect.hear_of(&id, Reply::json(json!({ "code": "SUCCESS", "data": data }))).await;
    assert_eq!(at(&bare.json(), ["/status", "/upstream/transactionId"]), [json!("passed"), Value::Null]);
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn quirk_14_what_the_flow_was_started_with_is_nobodys_business() {
    let dialect = Dialect::start().await;
    let parameters = json!({ "failReturnUrl": "https://shop.example/CANARY", "failedReturnUrl": "https://shop.example/CANARY" });
    let answer = dialect
        .hear(Reply::json(success(json!({ "idvResult": "PASS", "inputParameters": parameters }))))
        .await;
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert!(!answer.text().contains("CANARY"));
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn quirk_16_only_the_documented_word_for_it_says_that_an_id_does_not_exist() {
    let dialect = Dialect::start().await;
    let gone = dialect.hear(Reply::refusal("SIGNATURE_NOT_EXIST", "whatever it says")).await;
    assert_eq!(gone.gist(), (404, "signature_not_found".to_owned()));
    for (code, message) in [
        ("SIGNATURE_ID_NOT_EXIST", "SignatureId is not exist"),
        ("PARAMETER_ERROR", "SignatureId is not exist"),
        ("PARAMETER_ERROR", "SIGNATURE_NOT_EXIST"),
        ("NOT_FOUND", "This signatureId is not exist"),
    ] {
        let answer = dialect.hear(Reply::refusal(code, message)).await;
        assert_eq!(answer.gist(), (502, "upstream_error".to_owned()), "{code} {message}");
    }
}

#[tokio::test]
async fn quirk_18_the_code_counts_whatever_the_http_status() {
    for status in [429, 500, 404, 401] {
        let dialect = Dialect::start().await;
        let pass = success(json!({ "idvResult": "PASS" })).to_string();
        let passed = dialect.hear(Reply::text(status, &pass)).await;
        assert_eq!(passed.gist(), (200, "passed".to_owned()), "HTTP {status}");
        let gone = dialect.hear(Reply::text(status, &bodies::not_exist().to_string())).await;
        assert_eq!(gone.gist(), (404, "signature_not_found".to_owned()), "HTTP {status}");
    }
}

#[tokio::test]
async fn quirk_19_one_field_may_come_as_a_number_or_as_text() {
    let dialect = Dialect::start().await;
    let expired_time = (jiff::Timestamp::now().as_second() + 3600).to_string();
    let token = success(json!({ "token": "invented-token", "expiredTime": expired_time }));
    dialect.upstream.answer_tokens([Reply::json(token)]);
    let mut body = success(json!({
        "signatureId": 708, "idvResult": "PASS",
        "faceDetail": { "faceLivenessScore": "99", "eventDetails": [{ "createTimestamp": "1665993522952" }] },
    }));
    body["transactionId"] = json!(104);
    let seen = dialect.hear_of("708", Reply::json(body)).await.json();
    let pointers = ["/status", "/signatureId", "/checks/face/livenessScore", "/checks/face/events/0/at"];
    let expected = [json!("passed"), json!("708"), json!(99.0), json!("2022-10-17T07:58:42.952Z")];
    assert_eq!(at(&seen, pointers), expected);
    let mistyped = [("type_mismatch", 2)];
    assert_eq!(dialect.drift().await, drift(mistyped), "the ids; scores and times are loose by contract");
}
