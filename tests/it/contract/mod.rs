//! The OpenAPI documents are true: every response of a real gateway is documented, and every documented response is given.

pub mod document;
mod rules;
mod scenarios;
mod texts;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use document::{ADMIN, API, Document};
use serde_json::{Value, json};

use crate::support::gateway::{caller, region};
use crate::support::{Answer, Gateway, Reply, Upstream, bodies};

const IDV: &str = "/idv/{signatureId}";

/// Documented responses that these tests do not provoke, each with the reason.
const NOT_PROVOKED: [&str; 4] = [
    // Documented for the path, for the methods that it does not have; HEAD is one that it has.
    "HEAD /idv/{signatureId} 405",
    // The gateway is ready before its listeners are polled for the first time.
    "GET /readyz 503 starting",
    // Forgetting needs no upstream call and waits for nothing.
    "DELETE /idv/{signatureId} 503 overloaded",
    "DELETE /idv/{signatureId} 503 shutting_down",
];

/// The responses so far, each checked against its document when it arrives.
struct Ledger {
    api: Document,
    admin: Document,
    given: RefCell<BTreeSet<String>>,
    /// The problems by code.
    problems: RefCell<BTreeMap<String, Vec<Value>>>,
}

impl Ledger {
    fn new() -> Self {
        let (api, admin) = (Document::read(API), Document::read(ADMIN));
        Self { api, admin, given: RefCell::default(), problems: RefCell::default() }
    }

    fn note(&self, method: &str, path: &str, answer: &Answer) {
        let document = if path == IDV { &self.api } else { &self.admin };
        let line = document.check(method, path, answer);
        rules::headers(answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        self.given.borrow_mut().insert(line);
        if answer.status >= 400 && !answer.body.is_empty() && answer.json().get("code").is_some() {
            self.problems.borrow_mut().entry(answer.code()).or_default().push(answer.json());
        }
    }

    /// Asks for a verification with GET and HEAD, as anybody.
    async fn ask(&self, gateway: &Gateway, target: &str) -> Answer {
        self.ask_with(gateway, target, &[]).await
    }

    async fn ask_as(&self, gateway: &Gateway, key: &str, target: &str) -> Answer {
        self.ask_with(gateway, target, &[("Authorization", &format!("Bearer {key}"))]).await
    }

    async fn ask_with(&self, gateway: &Gateway, target: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = gateway.send("GET", target, headers).await;
        self.note("GET", IDV, &answer);
        self.note("HEAD", IDV, &gateway.send("HEAD", target, headers).await);
        answer
    }

    async fn forget(&self, gateway: &Gateway, target: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = gateway.send("DELETE", target, headers).await;
        self.note("DELETE", IDV, &answer);
        answer
    }
}

#[tokio::test]
async fn every_response_is_documented_and_every_documented_response_is_given() {
    let ledger = Ledger::new();
    scenarios::all(&ledger).await;
    let given = ledger.given.take();
    let promised: BTreeSet<_> = ledger.api.promised().union(&ledger.admin.promised()).cloned().collect();
    let excused = BTreeSet::from(NOT_PROVOKED.map(str::to_owned));
    assert!(given.is_disjoint(&excused), "excused without need: {:#?}", given.intersection(&excused));
    let accounted: BTreeSet<_> = given.union(&excused).cloned().collect();
    // No request can provoke a defect of the gateway.
    let missing: Vec<_> = promised.difference(&accounted).filter(|line| !line.contains(" 500")).collect();
    assert!(missing.is_empty(), "documented, but neither given nor excused: {missing:#?}");
    let unpromised: Vec<_> = accounted.difference(&promised).collect();
    assert!(unpromised.is_empty(), "given or excused, but not documented: {unpromised:#?}");
    texts::examples_are_live(&ledger);
}

/// Upstream bodies that are legal, odd or wrong, each as changes to the data of a good one.
fn oddities() -> Vec<Value> {
    vec![
        json!({ "faceDetail": null, "docDetail": null }),
        json!({ "faceDetail": {}, "docDetail": {} }),
        json!({ "faceDetail": [], "docDetail": "none" }),
        json!({ "faceDetail": { "faceLivenessScore": "99.5", "faceSimilarityScore": "1e400" } }),
        json!({ "faceDetail": { "faceLivenessScore": true, "faceSimilarityScore": "NaN" } }),
        json!({ "faceDetail": { "faceResult": 7, "eventDetails": {} } }),
        json!({ "faceDetail": { "eventDetails": [null, 7, {}, { "event": 1, "result": "MAYBE", "createTimestamp": "soon" }] } }),
        json!({ "faceDetail": { "eventDetails": [{ "createTimestamp": -99_999_999_999_999_i64 }] } }),
        json!({ "faceDetail": { "eventDetails": [{ "createTimestamp": 253_402_300_800_000_i64 }] } }),
        json!({ "faceDetail": { "eventDetails": [{ "createTimestamp": i64::MAX }] } }),
        json!({ "faceDetail": { "faceImage": "HTTPS://media.example/upper.jpg" } }),
        json!({ "faceDetail": { "faceImage": "https://media.example/bild-ä.jpg" } }),
        json!({ "faceDetail": { "faceImage": "https://media.example/a|b?c=[{^}]\"<>\\" } }),
        json!({ "faceDetail": { "faceImage": "https://media.example/a?Expires=-99999999999" } }),
        json!({ "faceDetail": { "faceImage": "https://media.example/a?Expires=253402300900" } }),
        json!({ "faceDetail": { "faceImage": "https://media.example/100%" } }),
        json!({ "faceDetail": { "faceImage": "http://media.example/plain", "faceVideoUrl": "PENDING" } }),
        json!({ "docDetail": { "docType": { "front": 7 }, "subDocType": {}, "qualityLabels": { "front": ["blurry", 7, null] } } }),
        json!({ "docDetail": { "forgeryLabels": "none", "qualityLabels": [] } }),
        json!({ "docDetail": { "forgeryLabels": null, "docType": null, "qualityLabels": null } }),
        json!({ "docDetail": { "ocrInfo": { "front": { "name": 7, "birthday": "0000/00/00", "address": ["a"], "idNumber": 770_101 } } } }),
        json!({ "docDetail": { "ocrInfo": { "front": [], "back": "null" } } }),
        json!({ "docDetail": { "ocrInfo": { "front": { "": "", "name": "null", "deep": { "er": [1, { "x": null }] } } } } }),
        json!({ "docDetail": { "ocrInfo": { "front": { "birthday": "2200-12-31", "name": "\u{0}\u{2028}\u{202e}" } } } }),
        json!({ "errorCode": 7, "errorCodes": ["LIVENESS_ATTACK"], "overallResult": " fail " }),
        json!({ "idvResult": "x".repeat(100_000), "errorCode": "ü".repeat(500) }),
        json!({ "idvResult": {}, "somethingNew": [1, 2, 3] }),
    ]
}

#[tokio::test]
async fn an_odd_upstream_body_still_gives_a_documented_response() {
    let ledger = Ledger::new();
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for (n, changes) in oddities().into_iter().enumerate() {
        let id = format!("odd-{n}");
        let mut body = bodies::passed(&id);
        for (key, value) in changes.as_object().expect("changes") {
            body["data"][key] = value.clone();
        }
        upstream.answer(&id, [Reply::json(body)]);
        let answer = ledger.ask(&gateway, &format!("/idv/{id}")).await;
        assert_eq!(answer.status, 200, "{changes}: {answer:?}");
    }
}

#[tokio::test]
async fn the_admin_listener_serves_both_documents_as_they_are_in_the_repository() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for (name, text) in [API, ADMIN] {
        assert_eq!(gateway.admin(&format!("/{name}")).await.text(), text, "{name}");
    }
}

#[tokio::test]
async fn the_configuration_is_shown_with_every_section_and_without_a_secret() {
    let upstream = Upstream::start().await;
    let callers = caller("onboarding", &["checks"], "requests_per_second = 5");
    let gateway = Gateway::with(&[&callers, &region("my", &upstream)]).await;
    let answer = gateway.admin("/config").await;
    let page = answer.json();
    let sections =
        ["server", "request", "drain", "regions", "auth", "callers", "cache", "media", "telemetry"];
    for section in sections {
        assert!(page.get(section).is_some(), "{section}: {page}");
    }
    assert_eq!(page["regions"][0]["base_url"], upstream.base_url());
    assert_eq!(page["callers"][0]["requests_per_second"], 5);
    let hash = callers.split('"').nth(3).expect("the hash");
    for secret in ["test-access-key", "test-secret-key", hash] {
        assert!(!answer.text().contains(secret), "{secret}");
    }
    let masked = [&page["regions"][0]["secret_key"], &page["callers"][0]["key_sha256"][0]];
    assert_eq!(masked, [&json!("***"), &json!("***")]);
}
