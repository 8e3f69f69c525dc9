//! Every documented shape of the upstream's answers, and exactly what callers get of it.
//!
//! The expected answers were written by hand from the contract. All of these shapes are known, so none counts as drift.

use serde_json::{Value, json};

use crate::support::bodies::fixture;
use crate::support::dialect::{Drift, settled};
use crate::support::{Answer, Dialect, Reply};

/// The id of the vendor's samples.
const ID: &str = "f302f5d2454a85c2";
/// A link without an end of its own: a day, less an hour's margin.
const LINK_LIFE: u64 = 23 * 3600;

/// What became of one fixture.
struct Outcome {
    answer: Answer,
    body: Value,
    hits: usize,
    token_hits: usize,
}

/// Has the upstream say `reply` to `id`, and asks.
async fn told(id: &str, reply: Reply) -> Outcome {
    let dialect = Dialect::start().await;
    let answer = dialect.hear_of(id, reply).await;
    assert_eq!(dialect.drift().await, Drift::new(), "a documented shape is no drift");
    let (hits, token_hits) = (dialect.upstream.hits(id), dialect.upstream.token_hits());
    Outcome { body: settled(&answer), answer, hits, token_hits }
}

fn ok(name: &str) -> Reply {
    Reply::text(200, &fixture(name))
}

/// The verification of a fixture, asked for once.
async fn verification(id: &str, name: &str) -> Value {
    let outcome = told(id, ok(name)).await;
    assert_eq!((outcome.answer.status, outcome.hits, outcome.token_hits), (200, 1, 1));
    outcome.body
}

/// A problem as callers get it, but for its prose.
fn problem(status: u16, code: &str, retryable: bool, upstream: Value) -> Value {
    let mut problem = json!({
        "type": format!("urn:idv-gateway:{code}"), "status": status, "code": code,
        "retryable": retryable, "region": "my",
    });
    if !upstream.is_null() {
        problem["upstream"] = upstream;
    }
    problem
}

fn link(kind: &str, path: &str) -> Value {
    json!({ "kind": kind, "url": format!("https://media.example/{path}"), "expiresAt": LINK_LIFE })
}

#[tokio::test]
async fn a_pass_with_a_forgery_label_is_passed() {
    let expected = json!({
        "signatureId": ID, "status": "passed", "final": true, "reason": null, "region": "my", "submitted": true,
        "stale": false, "retryAfterSeconds": null,
        "upstream": { "transactionId": "d3fde1547eeaf226", "result": "PASS", "errorCode": "SUCCESS" },
        "checks": {
            "face": {
                "result": "pass", "livenessScore": 99.0, "similarityScore": 82.0,
                "events": [{ "event": "FE_FACE_CAPTURE", "result": "pass", "at": "2022-10-17T07:58:42.952Z" }],
            },
            "document": {
                "result": "pass", "country": null,
                "type": { "front": "MY-ID-MYKAD", "back": "MY-ID-MYKAD" },
                "subType": { "front": "MY-ID-MYKAD", "back": "MY-ID-MYKAD" },
                "qualityLabels": { "front": [], "back": [] },
                "forgeryLabels": ["photocopy"],
                "events": [{ "event": "FE_DOCUMENT_SCAN", "result": "pass", "at": "2022-10-17T07:58:02.952Z" }],
            },
        },
        "identity": { "reference": null,
            "name": "AMINAH BINTI CONTOH", "idNumber": "771028-99-0001", "birthDate": "1977-10-28",
            "gender": "PEREMPUAN", "nationality": "MYS",
            "address": "1 JALAN REKAAN 2/3 TAMAN CONTOH 00000 KOTA FIKSYEN",
            "fields": {
                "front": {
                    "gender": "PEREMPUAN", "name": "AMINAH BINTI CONTOH",
                    "address": "1 JALAN REKAAN 2/3 TAMAN CONTOH 00000 KOTA FIKSYEN",
                    "idNumber": "771028-99-0001", "religion": null, "birthday": "1977/10/28", "citizen": "MYS",
                },
                "back": { "idNumber": "771028-99-0001" },
            },
        },
        "media": [
            link("face_far", "f01/faceImageFar.jpg"),
            link("face_near", "f01/faceImageNear.jpg"),
            link("face_audit", "f01/auditImage.zip"),
            link("document_front", "f01/idFrontImage.jpg"),
            link("document_back", "f01/idBackImage.jpg"),
        ],
    });
    assert_eq!(verification(ID, "f01_pass.json").await, expected);
}

#[tokio::test]
async fn a_fail_in_the_other_generations_names_is_failed_with_its_reason() {
    let expected = json!({
        "signatureId": ID, "status": "failed", "final": true,
        "reason": { "code": "LIVENESS_ATTACK", "category": "fraud", "userCanRetry": false },
        "region": "my", "submitted": true, "stale": false, "retryAfterSeconds": null,
        "upstream": { "transactionId": "0d5c8a7e21b94f36", "result": "FAIL", "errorCode": "LIVENESS_ATTACK" },
        "checks": {
            "face": { "result": "fail", "livenessScore": 0.0, "similarityScore": 82.0, "events": [] },
            "document": {
                "result": "pass", "country": null, "type": null, "subType": null, "qualityLabels": { "front": [], "back": [] },
                "forgeryLabels": [], "events": [],
            },
        },
        "identity": { "reference": null,
            "name": "SITI BINTI REKAAN", "idNumber": "771028-99-0002", "birthDate": "1977-10-28",
            "gender": "PEREMPUAN", "nationality": "MYS", "address": "7 LORONG CONTOH 00000 BANDAR FIKSYEN",
            "fields": {
                "front": {
                    "gender": "PEREMPUAN", "name": "SITI BINTI REKAAN",
                    "address": "7 LORONG CONTOH 00000 BANDAR FIKSYEN",
                    "idNumber": "771028-99-0002", "religion": null, "birthday": "1977/10/28", "citizen": "MYS",
                },
                "back": { "secondaryIdNumber": "771028-99-0002-01" },
            },
        },
        "media": [
            link("face_far", "f02/faceImageFar.jpg"),
            link("face_near", "f02/faceImageNear.jpg"),
            link("face_audit", "f02/auditImage.zip"),
            link("document_front", "f02/idFrontImage.jpg"),
            link("document_back", "f02/idBackImage.jpg"),
        ],
    });
    assert_eq!(verification(ID, "f02_fail_alias_names.json").await, expected);
}

#[tokio::test]
async fn lower_case_and_an_undocumented_spelling_are_understood() {
    let expected = json!({
        "signatureId": ID, "status": "failed", "final": true,
        "reason": { "code": "NO_SUPPORTED_CARD", "category": "document", "userCanRetry": true },
        "region": "my", "submitted": true, "stale": false, "retryAfterSeconds": null,
        "upstream": { "transactionId": "5e10f9ab3c7d2248", "result": "fail", "errorCode": "NOT_SUPPORTED_CARD" },
        "checks": {
            "face": { "result": null, "livenessScore": null, "similarityScore": null, "events": [] },
            "document": {
                "result": null, "country": null, "type": null, "subType": null, "qualityLabels": null, "forgeryLabels": null,
                "events": [],
            },
        },
        "identity": nobody(),
        "media": [],
    });
    assert_eq!(verification(ID, "f03_lower_case_unsupported.json").await, expected);
}

#[tokio::test]
async fn a_result_in_processing_is_pending_with_what_is_there_already() {
    let outcome = told(ID, ok("f04_processing.json")).await;
    let expected = json!({
        "signatureId": ID, "status": "pending", "final": false, "reason": null, "region": "my", "submitted": null,
        "stale": false, "retryAfterSeconds": 2,
        "upstream": { "transactionId": "a1f4497b3e6d0c52", "result": null, "errorCode": null },
        "checks": {
            "face": {
                "result": "pass", "livenessScore": 99.0, "similarityScore": null,
                "events": [{ "event": "FE_FACE_CAPTURE", "result": "pass", "at": "2022-10-17T07:58:42.952Z" }],
            },
            "document": {
                "result": "pass", "country": null, "type": null, "subType": null, "qualityLabels": { "front": [], "back": [] },
                "forgeryLabels": null,
                "events": [{ "event": "FE_DOCUMENT_SCAN", "result": "pass", "at": "2022-10-17T07:58:02.952Z" }],
            },
        },
        "identity": { "reference": null,
            "name": "HALIMBAWA, MARIA KATHA", "idNumber": "09-0000001-0", "birthDate": "1977-10-28",
            "gender": null, "nationality": null, "address": null,
            "fields": {
                "front": {
                    "birthday": "OCTOBER 28,1977", "name": "HALIMBAWA, MARIA KATHA",
                    "birthdayParsed": "1977/10/28", "idNumber": "09-0000001-0",
                },
                "back": {},
            },
        },
        "media": [
            link("face_far", "f04/faceImageFar.jpg"),
            link("face_near", "f04/faceImageNear.jpg"),
            link("face_audit", "f04/auditImage.zip"),
            link("document_front", "f04/idFrontImage.jpg"),
            link("document_back", "f04/idBackImage.jpg"),
        ],
    });
    assert_eq!((outcome.answer.status, outcome.body), (200, expected));
    assert_eq!(outcome.answer.header("retry-after"), Some("2"));
}

#[tokio::test]
async fn an_id_that_does_not_exist_is_not_found() {
    let outcome = told(ID, ok("f05_signature_not_exist.json")).await;
    assert_eq!(outcome.body, problem(404, "signature_not_found", true, Value::Null));
    assert_eq!(outcome.hits, 1);
}

#[tokio::test]
async fn an_error_of_the_upstream_is_tried_twice_and_named() {
    let outcome = told(ID, ok("f06_error.json")).await;
    let said = json!({ "code": "ERROR", "transactionId": "1deae5a13ef2bd5e" });
    assert_eq!(outcome.body, problem(502, "upstream_error", true, said));
    assert_eq!(outcome.hits, 2);
}

#[tokio::test]
async fn the_newer_generation_is_read_whole() {
    let id = "681760d460df34eb";
    let expected = json!({
        "signatureId": id, "status": "passed", "final": true, "reason": null, "region": "my", "submitted": true,
        "stale": false, "retryAfterSeconds": null,
        "upstream": { "transactionId": "77e0c3b1a95d4f08", "result": "PASS", "errorCode": "SUCCESS" },
        "checks": {
            "face": {
                "result": "pass", "livenessScore": 98.75, "similarityScore": 91.5,
                "events": [{ "event": "FE_FACE_CAPTURE", "result": "pass", "at": "2025-10-18T09:58:45.004Z" }],
            },
            "document": {
                "result": "pass", "country": "PHL",
                "type": { "front": "PH-ID-PHILSYS", "back": "PH-ID-PHILSYS" },
                "subType": { "front": "PH-ID-PHILSYS", "back": null },
                "qualityLabels": { "front": [], "back": ["BLUR"] },
                "forgeryLabels": [],
                "events": [{ "event": "FE_DOCUMENT_SCAN", "result": "pass", "at": "2025-10-18T09:58:32.000Z" }],
            },
        },
        "identity": { "reference": "invented-user-7",
            "name": "PANANDA, JOSE LIKHA", "idNumber": "0000-0000-0000-0007", "birthDate": "1990-02-03",
            "gender": "MALE", "nationality": "PHL",
            "address": "12 KALYE HALIMBAWA, BARANGAY KATHA, LUNGSOD PANANDA",
            "fields": {
                "front": {
                    "fullName": "PANANDA, JOSE LIKHA",
                    "address": "12 KALYE HALIMBAWA, BARANGAY KATHA, LUNGSOD PANANDA",
                    "idNumber": "0000-0000-0000-0007", "dateOfBirth": "1990-02-03", "nationality": "PHL",
                },
                "back": { "gender": "MALE", "bloodType": null },
            },
        },
        "media": [
            link("face", "f07/faceImage.jpg"),
            link("face_far", "f07/faceImageFar.jpg"),
            link("face_near", "f07/faceImageNear.jpg"),
            link("face_silent", "f07/silentImage.jpg"),
            link("face_audit", "f07/auditImage.zip"),
            link("document_front", "f07/docFrontImage.jpg"),
            link("document_back", "f07/docBackImage.jpg"),
        ],
    });
    assert_eq!(verification(id, "f07_newer_generation.json").await, expected);
}

#[tokio::test]
async fn a_person_who_ran_out_of_time_is_incomplete_and_may_try_again() {
    let expected = json!({
        "signatureId": ID, "status": "incomplete", "final": true,
        "reason": { "code": "USER_TIMEOUT", "category": "user", "userCanRetry": true },
        "region": "my", "submitted": false, "stale": false, "retryAfterSeconds": null,
        "upstream": { "transactionId": "3be80a64d715f29c", "result": "INCOMPLETE", "errorCode": "USER_TIMEOUT" },
        "checks": { "face": null, "document": null },
        "identity": nobody(),
        "media": [],
    });
    assert_eq!(verification(ID, "f08_incomplete_user_timeout.json").await, expected);
}

#[tokio::test]
async fn a_list_of_error_codes_gives_the_first_known_one_as_the_reason() {
    let id = "681760d460df34eb";
    let expected = json!({
        "signatureId": id, "status": "failed", "final": true,
        "reason": { "code": "CARD_LOW_QUALITY_IMAGE", "category": "document", "userCanRetry": true },
        "region": "my", "submitted": true, "stale": false, "retryAfterSeconds": null,
        "upstream": {
            "transactionId": "c92b5d0e8f174a63", "result": "FAIL", "errorCode": "CARD_LOW_QUALITY_IMAGE",
        },
        "checks": { "face": null, "document": null },
        "identity": nobody(),
        "media": [],
    });
    assert_eq!(verification(id, "f09_error_codes_list.json").await, expected);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_then_an_auth_problem() {
    let outcome = told(ID, ok("f10_iam_failed.json")).await;
    let said = json!({ "code": "IAM_FAILED", "transactionId": "8a3d90c5f1b6e274" });
    assert_eq!(outcome.body, problem(502, "upstream_auth", false, said));
    assert_eq!((outcome.hits, outcome.token_hits), (2, 2));
}

#[tokio::test]
async fn a_busy_upstream_is_not_pressed_whatever_the_http_status() {
    for status in [200, 429] {
        let reply = Reply::text(status, &fixture("f11_service_busy.json")).header("retry-after", "10s");
        let outcome = told(ID, reply).await;
        let said = json!({ "code": "SERVICE_BUSY", "transactionId": "41c07bd98e2f6a35" });
        assert_eq!(outcome.body, problem(503, "upstream_busy", true, said), "HTTP {status}");
        assert_eq!(outcome.answer.header("retry-after"), Some("10"), "HTTP {status}");
        assert_eq!(outcome.hits, 1, "HTTP {status}");
    }
}

#[tokio::test]
async fn retry_later_is_busy_too() {
    let outcome = told(ID, ok("f12_retry_later.json").header("retry-after", "7")).await;
    let said = json!({ "code": "RETRY_LATER", "transactionId": "9be21d7705c3f846" });
    assert_eq!(outcome.body, problem(503, "upstream_busy", true, said));
    assert_eq!((outcome.answer.header("retry-after"), outcome.hits), (Some("7"), 1));
}

#[tokio::test]
async fn an_empty_balance_is_an_account_problem() {
    let outcome = told(ID, ok("f13_insufficient_balance.json")).await;
    let said = json!({ "code": "INSUFFICIENT_BALANCE", "transactionId": "e07f3a5c1d8b6924" });
    assert_eq!(outcome.body, problem(502, "upstream_account", false, said));
    assert_eq!(outcome.hits, 1);
}

#[tokio::test]
async fn a_used_up_quota_is_an_account_problem() {
    let outcome = told(ID, ok("f14_over_query_limit.json")).await;
    let said = json!({ "code": "OVER_QUERY_LIMIT", "transactionId": "2c58d1f96b0e7a43" });
    assert_eq!(outcome.body, problem(502, "upstream_account", false, said));
    assert_eq!(outcome.hits, 1);
}

#[tokio::test]
async fn a_refused_request_is_an_upstream_error_that_no_retry_helps() {
    let outcome = told(ID, ok("f15_client_error.json")).await;
    let said = json!({ "code": "CLIENT_ERROR", "transactionId": "6f1b7d2ac9e05384" });
    assert_eq!(outcome.body, problem(502, "upstream_error", false, said));
    assert_eq!(outcome.hits, 1);
}

#[tokio::test]
async fn an_html_404_is_malformed_and_never_not_found() {
    let html = vec![("content-type", "text/html".to_owned())];
    let outcome = told(ID, Reply::Http(404, html, fixture("f16_not_found.html").into_bytes())).await;
    assert_eq!(outcome.body, problem(502, "upstream_malformed", true, Value::Null));
    assert_eq!(outcome.hits, 1);
}

#[tokio::test]
async fn an_error_without_a_transaction_id_is_named_by_its_code_alone() {
    let outcome = told(ID, ok("f17_error_without_transaction_id.json")).await;
    assert_eq!(outcome.body, problem(502, "upstream_error", true, json!({ "code": "ERROR" })));
    assert_eq!(outcome.hits, 2);
}

#[tokio::test]
async fn an_empty_body_and_a_cut_one_are_malformed() {
    for (name, status) in [("f18_empty.txt", 200), ("f18_empty.txt", 204), ("f18_truncated.txt", 200)] {
        let outcome = told(ID, Reply::text(status, &fixture(name))).await;
        assert_eq!(outcome.body, problem(502, "upstream_malformed", true, Value::Null), "{name} {status}");
        assert_eq!(outcome.hits, 1, "{name} {status}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_asked_for_once_more() {
    let body = fixture("f01_pass.json");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let broken = Reply::Bytes([head, fixture("f18_truncated.txt")].concat().into_bytes());
    let outcome = told(ID, broken.clone()).await;
    assert_eq!(outcome.body, problem(502, "upstream_malformed", true, Value::Null));
    assert_eq!(outcome.hits, 2);
    let dialect = Dialect::start().await;
    dialect.upstream.answer(ID, [broken, ok("f01_pass.json")]);
    assert_eq!(dialect.gateway.get(&format!("/idv/{ID}")).await.gist(), (200, "passed".to_owned()));
}

/// A person of whom nothing was read.
fn nobody() -> Value {
    json!({
        "reference": null,
        "name": null, "idNumber": null, "birthDate": null, "gender": null, "nationality": null, "address": null,
        "fields": { "front": {}, "back": {} },
    })
}

#[tokio::test]
async fn a_token_goes_into_the_header_of_the_next_call() {
    let dialect = Dialect::start().await;
    dialect.upstream.answer_tokens([ok("t1_token.json")]);
    assert_eq!(dialect.hear(Reply::passed("case-0")).await.status, 200);
    let received = dialect.upstream.received();
    let asked = received.iter().find(|request| request.path.ends_with("/get-result"));
    let token = asked.and_then(|request| request.header("x-access-token"));
    assert_eq!(token, Some("invented-header.invented-claims.invented-signature"));
    assert_eq!(dialect.upstream.token_hits(), 1);
}

/// What callers get while this is how the token endpoint answers. Also: the failure is remembered, so that the next
/// caller costs no further call, and nobody is asked for a result without a token.
async fn without_token(reply: Reply) -> (Value, usize) {
    let dialect = Dialect::start().await;
    dialect.upstream.answer_tokens([reply]);
    let first = dialect.gateway.get("/idv/S1").await;
    let token_hits = dialect.upstream.token_hits();
    let second = dialect.gateway.get("/idv/S2").await;
    assert_eq!((second.status, second.code()), (first.status, first.code()));
    assert_eq!(dialect.upstream.token_hits(), token_hits, "a refusal is not asked for again at once");
    assert_eq!(dialect.upstream.result_hits(), 0);
    (settled(&first), token_hits)
}

#[tokio::test]
async fn a_refused_token_request_is_an_auth_or_account_problem_and_asked_once() {
    for (name, problem_code, code, transaction_id) in [
        ("t2_timestamp_error.json", "upstream_auth", "PARAMETER_ERROR", "6c2c50a3049ce672"),
        ("t3_parameter_empty.json", "upstream_auth", "PARAMETER_ERROR", "6c2c50a3049ce673"),
        ("t4_signature_error.json", "upstream_auth", "PARAMETER_ERROR", "6c2c50a3049ce674"),
        ("t5_account_disabled.json", "upstream_account", "ACCOUNT_DISABLED", "6c2c50a3049ce675"),
        ("t6_client_error.json", "upstream_auth", "CLIENT_ERROR", "6c2c50a3049ce676"),
    ] {
        let said = json!({ "code": code, "transactionId": transaction_id });
        let (body, token_hits) = without_token(ok(name)).await;
        assert_eq!((body, token_hits), (problem(502, problem_code, false, said), 1), "{name}");
    }
}
