//! `openapi.yaml` is true: every answer of a real gateway is documented, and every documented answer is given.

pub mod document;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use document::Document;
use futures_util::future::join_all;
use idv_gateway::domain::reason::Reason;
use serde_json::{Value, json};

use crate::support::gateway::{OPEN, caller, region, region_at};
use crate::support::upstream::Gate;
use crate::support::{Answer, Gateway, Reply, Upstream, bodies, eventually};

const IDV: &str = "/idv/{signatureId}";
/// Paths of the admin listener, each with how the document calls it.
const ADMIN: [(&str, &str); 10] = [
    ("/", "/"),
    ("/status", "/status"),
    ("/docs", "/docs"),
    ("/assets/base.css", "/assets/{file}"),
    ("/assets/status.js", "/assets/{file}"),
    ("/livez", "/livez"),
    ("/readyz", "/readyz"),
    ("/metrics", "/metrics"),
    ("/openapi.yaml", "/openapi.yaml"),
    ("/config", "/config"),
];

/// Documented answers that these tests do not provoke, each with the reason.
const NOT_PROVOKED: [&str; 16] = [
    // A defect of the gateway's own: nothing that a client, an operator or the upstream can send makes one.
    "GET /idv/{signatureId} 500 internal",
    "HEAD /idv/{signatureId} 500",
    "DELETE /idv/{signatureId} 500 internal",
    "GET / 500 internal",
    "GET /status 500 internal",
    "GET /docs 500 internal",
    "GET /assets/{file} 500 internal",
    "GET /livez 500 internal",
    "GET /readyz 500 internal",
    "GET /metrics 500 internal",
    "GET /openapi.yaml 500 internal",
    "GET /config 500 internal",
    // Said of the path, for the methods that it does not know; HEAD is one that it knows.
    "HEAD /idv/{signatureId} 405",
    // The gateway is ready before its listeners are polled for the first time.
    "GET /readyz 503 starting",
    // To forget takes no room and waits for nothing, as long as there is no second tier.
    "DELETE /idv/{signatureId} 503 overloaded",
    "DELETE /idv/{signatureId} 503 shutting_down",
];

/// The answers so far, each held to the document as it comes.
struct Ledger {
    document: Document,
    seen: RefCell<BTreeSet<String>>,
}

impl Ledger {
    fn new() -> Self {
        Self { document: Document::read(), seen: RefCell::default() }
    }

    fn note(&self, method: &str, path: &str, answer: &Answer) {
        let line = self.document.check(method, path, answer);
        check_what_schemas_cannot(answer);
        self.seen.borrow_mut().insert(line);
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

/// What holds between header and body, or between two members.
fn check_what_schemas_cannot(answer: &Answer) {
    let kind = answer.header("content-type").unwrap_or_default();
    if kind == "application/problem+json" && !answer.body.is_empty() {
        let problem = answer.json();
        assert_eq!(problem["status"], answer.status, "{answer:?}");
        assert_eq!(problem["type"], format!("urn:idv-gateway:{}", answer.code()));
        assert_eq!(problem["requestId"].as_str(), answer.header("x-request-id"), "{answer:?}");
    }
    if answer.header("cache-status").is_some() && answer.status == 200 && !answer.body.is_empty() {
        let seconds = answer.json()["retryAfterSeconds"].as_u64().map(|seconds| seconds.to_string());
        assert_eq!(seconds.as_deref(), answer.header("retry-after"), "{answer:?}");
    }
}

#[tokio::test]
async fn every_answer_is_documented_and_every_documented_answer_is_given() {
    let ledger = Ledger::new();
    tokio::join!(
        verdicts(&ledger),
        stale(&ledger),
        refusals(&ledger),
        two_regions(&ledger),
        upstream_failures(&ledger),
        overload(&ledger),
        drain(&ledger),
        admin(&ledger),
    );
    let given = ledger.seen.into_inner();
    let promised = ledger.document.promised();
    let excused = BTreeSet::from(NOT_PROVOKED.map(str::to_owned));
    assert!(given.is_disjoint(&excused), "excused without need: {:#?}", given.intersection(&excused));
    let accounted: BTreeSet<_> = given.union(&excused).cloned().collect();
    let undone: Vec<_> = promised.difference(&accounted).collect();
    assert!(undone.is_empty(), "documented, but neither given nor excused: {undone:#?}");
    let unpromised: Vec<_> = accounted.difference(&promised).collect();
    assert!(unpromised.is_empty(), "given or excused, but not documented: {unpromised:#?}");
}

/// Every verdict and every reason, for every set of scopes.
async fn verdicts(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let mut ids = vec!["passed".to_owned(), "pending".to_owned(), "unrecognized".to_owned()];
    upstream.answer("passed", [Reply::json(bodies::passed("passed"))]);
    upstream.answer("pending", [Reply::json(bodies::pending("pending"))]);
    let unknown_word = bodies::verdict("unrecognized", json!("REVIEW"), Value::Null);
    upstream.answer("unrecognized", [Reply::json(unknown_word)]);
    for reason in Reason::ALL {
        for word in ["FAIL", "INCOMPLETE"] {
            let id = format!("{word}-{}", reason.code());
            let body = bodies::verdict(&id, json!(word), json!(reason.code()));
            upstream.answer(&id, [Reply::json(body)]);
            ids.push(id);
        }
    }
    let sets: Vec<Vec<&str>> = (0..8_u8).map(scopes).collect();
    let callers: Vec<String> = sets.iter().map(|set| caller(&key(set), set, "")).collect();
    let gateway = Gateway::with(&[&callers.concat(), &region("my", &upstream)]).await;
    for id in &ids {
        for set in &sets {
            let answer = gateway.get_as(&key(set), &format!("/idv/{id}")).await;
            ledger.note("GET", IDV, &answer);
            assert_eq!(answer.status, 200, "{id}: {answer:?}");
            let body = answer.json();
            let shown = ["checks", "identity", "media"].into_iter().filter(|part| body.get(part).is_some());
            assert_eq!(shown.collect::<Vec<_>>(), *set, "{id}");
        }
        let decision = ledger.ask_as(&gateway, &key(&sets[7]), &format!("/idv/{id}?view=decision")).await;
        let bare = gateway.get_as(&key(&sets[0]), &format!("/idv/{id}")).await;
        assert_eq!(decision.body, bare.body, "{id}: view=decision shows what no scope shows");
    }
}

fn scopes(bits: u8) -> Vec<&'static str> {
    let all = ["checks", "identity", "media"].into_iter().enumerate();
    all.filter(|(n, _)| bits >> n & 1 == 1).map(|(_, scope)| scope).collect()
}

fn key(scopes: &[&str]) -> String {
    format!("sees.{}", scopes.join("."))
}

/// A final result that outlived its time, while the upstream is down.
async fn stale(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let down = Reply::text(500, "{}");
    upstream.answer("old", [Reply::json(bodies::failed("old", "SIMILARITY_FAIL")), down]);
    let cache = "[cache]\nfinal_ttl = \"5ms\"\nincomplete_ttl = \"5ms\"\n";
    let gateway = Gateway::with(&[OPEN, cache, &region("my", &upstream)]).await;
    assert_eq!(ledger.ask(&gateway, "/idv/old").await.gist(), (200, "failed".to_owned()));
    eventually("a stale answer", async || ledger.ask(&gateway, "/idv/old").await.json()["stale"] == true)
        .await;
    let refreshed = ledger.ask_with(&gateway, "/idv/old", &[("Cache-Control", "no-cache")]).await;
    assert_eq!(refreshed.json()["stale"], true);
}

/// What is refused before anybody is asked.
async fn refusals(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let other = Upstream::start().await;
    let callers = [
        caller("all", &["checks", "identity", "media", "refresh", "purge"], ""),
        caller("one-region", &[], "regions = [\"my\"]"),
        caller("slow", &["purge"], "requests_per_second = 1"),
    ];
    let gateway = Gateway::with(&[&callers.concat(), &region("my", &upstream), &region("ph", &other)]).await;
    for (key, target, status) in [
        ("all", "/idv/a.b", 400),
        ("all", "/idv/x?region=xx", 400),
        ("all", "/idv/x?colour=red", 400),
        ("nobody", "/idv/x", 401),
        ("one-region", "/idv/x?region=ph", 403),
        ("all", "/nothing", 404),
    ] {
        assert_eq!(ledger.ask_as(&gateway, key, target).await.status, status, "{target}");
    }
    let bearer = |key: &str| format!("Bearer {key}");
    for (key, target, status) in [
        ("all", "/idv/x", 204),
        ("all", "/idv/a.b", 400),
        ("all", "/idv/x?region=my", 400),
        ("nobody", "/idv/x", 401),
        ("one-region", "/idv/x", 403),
        ("all", "/nothing", 404),
    ] {
        let answer = ledger.forget(&gateway, target, &[("Authorization", &bearer(key))]).await;
        assert_eq!(answer.status, status, "DELETE {target}");
    }
    for method in ["POST", "PUT", "OPTIONS", "QUERY"] {
        let answer = gateway.send(method, "/idv/x", &[]).await;
        ledger.note("GET", IDV, &answer);
        ledger.note("DELETE", IDV, &answer);
    }
    let slow = bearer("slow");
    let slow = [("Authorization", slow.as_str())];
    eventually("a refusal of GET, HEAD and DELETE each", async || {
        ledger.ask_with(&gateway, "/idv/x", &slow).await;
        ledger.forget(&gateway, "/idv/x", &slow).await;
        let seen = ledger.seen.borrow();
        ["GET", "HEAD", "DELETE"]
            .iter()
            .all(|method| seen.iter().any(|line| line.starts_with(&format!("{method} {IDV} 429"))))
    })
    .await;
    assert_eq!(upstream.hits("a.b") + other.hits("a.b"), 0);
}

/// What several regions can say together.
async fn two_regions(ledger: &Ledger) {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    my.answer("both", [Reply::json(bodies::passed("both"))]);
    ph.answer("both", [Reply::json(bodies::passed("both"))]);
    ph.answer("unsure", [Reply::json(bodies::refusal("ACCESS_DENIED", "no"))]);
    let gateway = Gateway::with(&[OPEN, &region("my", &my), &region("ph", &ph)]).await;
    assert_eq!(ledger.ask(&gateway, "/idv/nowhere").await.code(), "signature_not_found");
    assert_eq!(ledger.ask(&gateway, "/idv/nowhere?region=my").await.code(), "signature_not_found");
    assert_eq!(ledger.ask(&gateway, "/idv/unsure").await.code(), "region_undetermined");
    let conflict =
        async || ledger.ask(&gateway, "/idv/both").await.gist() == (409, "ambiguous_signature".to_owned());
    eventually("a conflict", conflict).await;
}

/// What one region's own failure is called.
async fn upstream_failures(ledger: &Ledger) {
    let says = |code: &str| Reply::json(bodies::refusal(code, "said by the upstream"));
    let malformed = || Reply::text(200, "<html>");
    let no_data =
        Reply::json(json!({ "code": "SUCCESS", "data": null, "transactionId": "b6d722f7e9f553ae" }));
    let cases = [
        (says("SIGNATURE_NOT_EXIST"), "signature_not_found"),
        (says("ERROR"), "upstream_error"),
        (says("ACCESS_DENIED"), "upstream_error"),
        (says("PARAMETER_ERROR"), "upstream_error"),
        (says("EMPTY_PARAMETER_ERROR"), "upstream_error"),
        (says("CLIENT_ERROR"), "upstream_error"),
        (says("SOMETHING_NEW"), "upstream_error"),
        (Reply::text(500, "oops"), "upstream_error"),
        (malformed(), "upstream_malformed"),
        (no_data, "upstream_malformed"),
        (says("IAM_FAILED"), "upstream_auth"),
        (Reply::text(401, ""), "upstream_auth"),
        (says("INSUFFICIENT_BALANCE"), "upstream_account"),
        (says("OVER_QUERY_LIMIT"), "upstream_account"),
        (says("ACCOUNT_DISABLED"), "upstream_account"),
        (says("SERVICE_DISABLED"), "upstream_account"),
        (Reply::json(bodies::passed("somebody-else")), "upstream_id_mismatch"),
        (says("SERVICE_BUSY"), "upstream_busy"),
        (says("RETRY_LATER").header("retry-after", "7"), "upstream_busy"),
        (Reply::text(429, ""), "upstream_busy"),
        (Reply::Stall(Vec::new()), "upstream_timeout"),
        (Reply::Reset, "upstream_unavailable"),
    ];
    let failures = cases.into_iter().map(async |(reply, code)| {
        let upstream = Upstream::start().await;
        upstream.answer("x", [reply]);
        let times = "[request]\ntimeout = \"8s\"\n";
        // Only what never answers is waited for in vain.
        let patience = if code == "upstream_timeout" { "1s" } else { "4s" };
        let quick = format!("{}attempt_timeout = \"{patience}\"\n", region("my", &upstream));
        let gateway = Gateway::with(&[OPEN, times, &quick]).await;
        let answer = ledger.ask(&gateway, "/idv/x").await;
        assert_eq!(answer.code(), code, "{answer:?}");
    });
    join_all(failures).await;
    let gateway = Gateway::with(&[OPEN, &region_at("my", "http://127.0.0.1:1")]).await;
    assert_eq!(ledger.ask(&gateway, "/idv/x").await.code(), "upstream_unavailable");
}

/// As many fills under way as each region has room for, and callers who wait for all of them.
async fn overload(ledger: &Ledger) {
    const REGIONS: usize = 64;
    const SHARE: usize = 10_000 / REGIONS;
    let upstream = Upstream::start().await;
    let silence = Gate::default();
    upstream.answer_tokens([Reply::json(bodies::token(1)).gated(&silence)]);
    let region = |n| {
        let region = region_at(&format!("r{n}"), &format!("{}/{n}", upstream.base_url()));
        format!("{region}attempt_timeout = \"60s\"\n")
    };
    let regions = (0..REGIONS).map(region);
    let times = "[request]\ntimeout = \"60s\"\nfill_timeout = \"60s\"\n";
    let gateway = Gateway::with(&[OPEN, times, &regions.collect::<String>()]).await;
    let mut waiting = Vec::new();
    for n in 0..SHARE {
        waiting.push(gateway.ask(&format!("/idv/{n}"), &[]).await);
    }
    let fills = async || gateway.fills().await as usize;
    eventually("as many fills as there can be", async || fills().await == SHARE * REGIONS).await;
    let answer = ledger.ask(&gateway, "/idv/one-more?region=r0").await;
    assert_eq!(answer.gist(), (503, "overloaded".to_owned()));
    assert_eq!(fills().await, SHARE * REGIONS, "and no fill more");
    drop(waiting);
}

/// The end: not ready, and in the end what is still under way is answered.
async fn drain(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let silence = Gate::default();
    for method in ["GET", "HEAD"] {
        upstream.answer(method, [Reply::json(bodies::passed(method)).gated(&silence)]);
    }
    let drain = "[drain]\ndelay = \"100ms\"\ndeadline = \"800ms\"\n";
    let mut gateway = Gateway::with(&[OPEN, drain, &region("my", &upstream)]).await;
    let public = gateway.public;
    let ask =
        async |method| crate::support::client::request(public, method, &format!("/idv/{method}"), &[]).await;
    let stop = async {
        upstream.wait_for_hits("GET", 1).await;
        upstream.wait_for_hits("HEAD", 1).await;
        gateway.stop();
        eventually("not ready", async || {
            let answer = gateway.admin("/readyz").await;
            ledger.note("GET", "/readyz", &answer);
            answer.status == 503
        })
        .await;
    };
    let (get, head, ()) = tokio::join!(ask("GET"), ask("HEAD"), stop);
    assert_eq!(get.gist(), (503, "shutting_down".to_owned()));
    ledger.note("GET", IDV, &get);
    ledger.note("HEAD", IDV, &head);
}

/// The admin listener.
async fn admin(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for (path, name) in ADMIN {
        let answer = gateway.admin(path).await;
        assert_eq!(answer.status, 200, "{path}");
        ledger.note("GET", name, &answer);
        // On the other listener the path does not exist.
        ledger.note("GET", name, &gateway.get(path).await);
        let post = crate::support::client::request(gateway.admin, "POST", path, &[]).await;
        assert_eq!(post.header("allow"), Some("GET, HEAD"));
        ledger.note("GET", name, &post);
    }
    let answer = gateway.admin("/idv/x").await;
    assert_eq!(answer.gist(), (404, "route_not_found".to_owned()));
    ledger.note("GET", IDV, &answer);
}

/// Answers of the upstream that are legal, odd or wrong, each as changes to the data of a good one.
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
async fn whatever_the_upstream_says_the_answer_keeps_to_its_schema() {
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

#[test]
fn problem_codes_and_their_statuses_are_the_same_in_the_source_and_in_the_document() {
    let source = include_str!("../../src/http/code.rs");
    let parts = source.split("const fn parts(").nth(1).and_then(|rest| rest.split("\n    }\n").next());
    let arms = parts.expect("the table of codes").lines().filter_map(|line| line.split_once("=> (\""));
    let coded: BTreeMap<&str, &str> =
        arms.filter_map(|(_, arm)| arm.split_once("\", ")).map(|(code, rest)| (code, &rest[..3])).collect();
    let document = Document::read();
    let listed = document.root["components"]["schemas"]["ProblemCode"]["enum"].as_array().expect("codes");
    let listed: BTreeSet<&str> = listed.iter().filter_map(Value::as_str).collect();
    assert_eq!(coded.keys().copied().collect::<BTreeSet<_>>(), listed);
    for line in document.promised() {
        let mut words = line.split(' ').skip(2);
        let (status, code) = (words.next().expect("a status"), words.next().unwrap_or_default());
        if let Some(known) = coded.get(code) {
            assert_eq!(*known, status, "{line}");
        }
    }
    let documented = document.promised();
    let unused =
        listed.iter().filter(|code| !documented.iter().any(|line| line.ends_with(&format!(" {code}"))));
    assert_eq!(unused.collect::<Vec<_>>(), Vec::<&&str>::new(), "listed, but no answer has them");
}

#[test]
fn reasons_are_the_same_in_the_source_and_in_the_document() {
    let document = Document::read();
    let listed = document.root["components"]["schemas"]["ReasonCode"]["enum"].as_array().expect("reasons");
    assert_eq!(*listed, Reason::ALL.map(|reason| json!(reason.code())));
    let schema = json!({ "$ref": "#/components/schemas/Reason" });
    for reason in Reason::ALL {
        let right = json!({
            "code": reason.code(), "category": reason.category().name(),
            "userCanRetry": reason.user_can_retry(), "message": reason.message(),
        });
        assert_eq!(document.validate(&schema, &right), Ok(()));
        let mut wrong = right;
        wrong["userCanRetry"] = json!(!reason.user_can_retry());
        assert!(document.validate(&schema, &wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_documents_examples_are_valid_and_all_in_use() {
    let document = Document::read();
    let components = &document.root["components"];
    let mut used = BTreeSet::new();
    for (method, path, operation) in document.operations() {
        for (status, response) in operation["responses"].as_object().expect("answers") {
            let contents = document.resolve(response)["content"].as_object();
            for content in contents.into_iter().flatten().map(|(_, content)| content) {
                let examples = content["examples"].as_object().expect("every body has an example");
                for (name, example) in examples {
                    used.extend(example["$ref"].as_str().map(str::to_owned));
                    let value = &document.resolve(example)["value"];
                    let valid = document.validate(&content["schema"], value);
                    assert_eq!(valid, Ok(()), "{method} {path} {status}: example {name}");
                }
            }
        }
    }
    let all = components["examples"].as_object().expect("examples").keys();
    let all: BTreeSet<String> = all.map(|name| format!("#/components/examples/{name}")).collect();
    assert_eq!(all, used);
    for kind in ["headers", "parameters"] {
        for (name, holder) in components[kind].as_object().expect("components") {
            let valid = document.validate(&holder["schema"], &holder["example"]);
            assert_eq!(valid, Ok(()), "{kind}: example of {name}");
        }
    }
}

#[test]
fn the_document_refuses_what_is_not_promised() {
    let document = Document::read();
    let schema = json!({ "$ref": "#/components/schemas/Verification" });
    let example = &document.root["components"]["examples"]["pending"]["value"];
    assert_eq!(document.validate(&schema, example), Ok(()));
    for (key, value) in [
        ("status", json!("passed")),
        ("status", json!("approved")),
        ("final", json!(true)),
        ("stale", json!(true)),
        ("retryAfterSeconds", json!(null)),
        ("observedAt", json!("yesterday")),
        ("signatureId", json!("a/b")),
        ("identity", json!(null)),
        (
            "media",
            json!([{ "kind": "face", "url": "http://a.example/", "expiresAt": "2026-11-23T09:00:00Z" }]),
        ),
        ("secret", json!("x")),
    ] {
        let mut wrong = example.clone();
        wrong[key] = value;
        assert!(document.validate(&schema, &wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn the_admin_listener_serves_the_document_as_it_stands_in_the_repository() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.admin("/openapi.yaml").await.text(), document::TEXT);
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
