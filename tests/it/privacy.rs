//! Nothing about a person and no secret in logs, metrics, traces, errors or the shown configuration, at any log level.
//!
//! Every secret and every personal text of these tests has the word `canary` in it, whoever sends it.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::collector::Collector;
use crate::support::gateway::sha256;
use crate::support::process::{Scratch, Served, text};
use crate::support::{Answer, Reply, Upstream, bodies, client, eventually};

const KEY: &str = "canary-caller-key";
const ACCESS_KEY: &str = "canary-access-key";
const SECRET_KEY: &str = "canary-secret-key";
/// Says `canary` in its claims and in what should be its signature.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.\
    eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoiaWR2LWdhdGV3YXkiLCJzdWIiOiJjYW5hcnktc3ViamVjdCIsImV4cCI6NDEwMjQ0NDgwMH0.\
    Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5YWJjZA";
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// A result with everything that is known of a person.
fn person(id: &str) -> Value {
    let mut body = bodies::passed(id);
    let link = |name: &str| json!(format!("https://media.example/{name}.jpg?signature=canary-link"));
    let front = json!({
        "name": "Canary Binti Contoh", "idNumber": "770101-canary", "address": "1 Jalan Canary",
        "birthday": "canary 1977", "gender": "canary", "citizen": "canary",
    });
    body["data"]["docDetail"]["ocrInfo"] = json!({ "front": front, "back": { "idNumber": "770101-canary" } });
    body["data"]["docDetail"]["docFrontImage"] = link("front");
    body["data"]["faceDetail"]["faceImageFar"] = link("far");
    body
}

/// Puts texts of a person where none belong.
fn mistype(body: &mut Value) {
    let data = &mut body["data"];
    data["faceDetail"]["faceLivenessScore"] = json!("Canary Binti Contoh");
    data["faceDetail"]["eventDetails"] = json!({ "canary": "canary" });
    data["faceDetail"]["faceImageNear"] = json!("not a link: canary");
    data["docDetail"]["ocrInfo"] = json!(["Canary Binti Contoh"]);
    data["docDetail"]["forgeryLabels"] = json!({ "canary": ["canary"] });
    data["docDetail"]["docType"] = json!("canary");
    data["canaryName"] = json!("Canary Binti Contoh");
    body["canaryField"] = json!("canary");
    body["message"] = json!(["canary"]);
    body["extra"] = json!({ "name": "canary" });
}

/// A refusal whose every text speaks of a person.
fn refusal(code: &str) -> Reply {
    let mut body = bodies::refusal(code, "no canary timestamp for Canary Binti Contoh");
    body["transactionId"] = json!("Canary Binti Contoh");
    body["data"] = json!({ "name": "canary" });
    Reply::json(body)
}

fn with_body(change: impl FnOnce(&mut Value)) -> Reply {
    let mut body = person("canary-id");
    body["data"]["signatureId"] = Value::Null;
    change(&mut body);
    Reply::json(body)
}

/// What a region of each kind answers, and the status and code that callers get for it.
fn faults() -> Vec<(Reply, u16, &'static str)> {
    let text = |status, body: &str| Reply::text(status, body);
    let canary = || "canary ".repeat(1000);
    let truncated =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"name\":\"canary";
    let redirect =
        Reply::Http(302, vec![("location", "http://127.0.0.1:1/canary?name=canary".to_owned())], vec![]);
    let huge_header = format!("HTTP/1.1 200 OK\r\nx-canary: {}\r\n\r\n", "canary".repeat(100_000));
    vec![
        (with_body(mistype), 200, "passed"),
        (with_body(|body| body["data"]["idvResult"] = json!("canary")), 200, "unrecognized"),
        (with_body(|body| body["data"]["idvResult"] = json!({ "canary": "canary" })), 200, "unrecognized"),
        (with_body(|body| body["data"]["errorCode"] = json!("CANARY BINTI CONTOH")), 200, "unrecognized"),
        (with_body(|body| body["data"]["signatureId"] = json!("canary-other")), 502, "upstream_id_mismatch"),
        (with_body(|body| body["data"] = json!(["canary"])), 502, "upstream_malformed"),
        (with_body(|body| body["code"] = json!({ "canary": 1 })), 502, "upstream_malformed"),
        (refusal("SIGNATURE_NOT_EXIST"), 404, "signature_not_found"),
        (refusal("ERROR"), 502, "upstream_error"),
        (refusal("CANARY_CODE"), 502, "upstream_error"),
        (refusal("PARAMETER_ERROR"), 502, "upstream_error"),
        (refusal("IAM_FAILED"), 502, "upstream_auth"),
        (refusal("INSUFFICIENT_BALANCE"), 502, "upstream_account"),
        (refusal("SERVICE_BUSY").header("retry-after", "canary"), 503, "upstream_busy"),
        (text(500, &format!("{{\"canary\":\"{}\"", canary())), 502, "upstream_error"),
        (text(200, &format!("<html>{}</html>", canary())), 502, "upstream_malformed"),
        (
            text(200, "{\"code\":\"SUCCESS\",\"data\":{\"name\":\"canary\",\"name\":\"canary\"}}"),
            502,
            "upstream_malformed",
        ),
        (
            text(200, "{\"code\":\"SUCCESS\",\"data\":{\"idvResult\":PASS,\"name\":\"canary\"}}"),
            502,
            "upstream_malformed",
        ),
        (text(401, "canary"), 502, "upstream_auth"),
        (text(200, &format!("{{\"name\":\"{}\"}}", "canary".repeat(200_000))), 502, "upstream_malformed"),
        (redirect, 502, "upstream_malformed"),
        (Reply::Bytes(truncated.as_bytes().to_vec()), 502, "upstream_malformed"),
        (Reply::Bytes(b"canary canary canary\r\n\r\n".to_vec()), 502, "upstream_malformed"),
        (Reply::Bytes(huge_header.into_bytes()), 502, "upstream_malformed"),
        (Reply::Reset, 503, "upstream_unavailable"),
        (Reply::Stall(b"HTTP/1.1 200 OK\r\nx-canary: canary".to_vec()), 504, "upstream_timeout"),
    ]
}

/// One region per fault, so that none of them trips another's breaker. Fault `n` is met at `canary-id-{n}`.
fn regions(upstream: &Upstream) -> String {
    let region = |n: usize, (reply, _, _): (Reply, u16, &str)| {
        upstream.answer(&format!("canary-id-{n}"), [reply]);
        piece(&format!("r{n}"), &format!("{}/r{n}", upstream.base_url()))
    };
    faults().into_iter().enumerate().map(|(n, fault)| region(n, fault)).collect()
}

fn piece(name: &str, base_url: &str) -> String {
    format!(
        "[[regions]]\nname = \"{name}\"\nbase_url = \"{base_url}\"\nallow_http = true\nattempt_timeout = \"300ms\"\n\
         access_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n"
    )
}

/// What token endpoints answer, and what callers get for it.
fn token_faults() -> Vec<(Reply, &'static str)> {
    let token =
        |token: Value| Reply::json(bodies::success(json!({ "token": token, "expiredTime": "canary" })));
    vec![
        (refusal("PARAMETER_ERROR"), "upstream_auth"),
        (refusal("ACCOUNT_DISABLED"), "upstream_account"),
        (Reply::text(500, "canary"), "upstream_unavailable"),
        (token(json!("canary\u{7f}\ntoken")), "upstream_unavailable"),
        (token(json!(["canary"])), "upstream_unavailable"),
    ]
}

/// Everything that the gateway lets out besides results.
#[derive(Default)]
struct Leaks {
    searched: Vec<(String, String)>,
}

impl Leaks {
    fn search(&mut self, what: &str, text: String) {
        self.searched.push((what.to_owned(), text));
    }

    fn search_answer(&mut self, what: &str, answer: &Answer) {
        let headers: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        self.search(what, format!("{}\n{}", headers.join("\n"), String::from_utf8_lossy(&answer.body)));
    }

    fn expect_none(&self, further: &[String]) {
        for (what, text) in &self.searched {
            let lower = text.to_ascii_lowercase();
            for secret in further.iter().map(String::as_str).chain(["canary"]) {
                let around = lower.find(&secret.to_ascii_lowercase()).map(|at| {
                    let start = text.floor_char_boundary(at.saturating_sub(200));
                    &text[start..text.floor_char_boundary(at + 200)]
                });
                assert_eq!(around, None, "{secret} in {what}");
            }
        }
    }
}

/// Every answer of the upstream that says too much.
async fn provoke_upstream(served: &Served, upstream: &Upstream, leaks: &mut Leaks) {
    for (n, (_, status, code)) in faults().into_iter().enumerate() {
        let id = format!("canary-id-{n}");
        let answer = served.get_as(KEY, &format!("/idv/{id}?region=r{n}")).await;
        assert_eq!(answer.gist(), (status, code.to_owned()), "fault {n}");
        assert!(upstream.hits(&id) > 0, "fault {n} was met");
        if status != 200 {
            leaks.search_answer(&format!("the answer to fault {n}"), &answer);
        }
    }
}

/// Requests that say too much.
async fn provoke_callers(served: &Served, leaks: &mut Leaks) {
    let (good, token) = (format!("Bearer {KEY}"), format!("Bearer {TOKEN}"));
    let requests: [(&str, &str, &[(&str, &str)]); 11] = [
        ("GET", "/idv/canary-id", &[("Authorization", &token)]),
        ("GET", "/idv/canary-id", &[("Authorization", "Bearer canary-wrong-key")]),
        ("GET", "/idv/canary-id", &[("Authorization", "Basic Y2FuYXJ5 canary")]),
        ("GET", "/idv/canary-id?name=canary", &[("Authorization", &good)]),
        ("GET", "/idv/canary-id?region=canary", &[("Authorization", &good)]),
        ("GET", "/idv/canary%20name", &[("Authorization", &good)]),
        ("GET", "/canary?canary=canary", &[("Cookie", "name=canary"), ("User-Agent", "canary")]),
        ("CANARY", "/idv/canary-id", &[("Authorization", &good)]),
        ("DELETE", "/idv/canary-id?view=canary", &[("Authorization", &good)]),
        ("GET", "http://canary.example/idv/canary-id", &[("Authorization", &good)]),
        ("GET", "/idv/canary-id", &[("Authorization", &good), ("Authorization", "Bearer canary")]),
    ];
    for (method, target, headers) in requests {
        let everywhere = [
            ("X-Request-Id", "canary binti contoh"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("tracestate", "canary=canary"),
            ("baggage", "name=canary"),
        ];
        let headers = [headers, &everywhere[..]].concat();
        let answer = client::request(served.public, method, target, &headers).await;
        assert!(answer.status >= 400, "{method} {target}: {}", answer.status);
        leaks.search_answer(&format!("the answer to {method} {target}"), &answer);
    }
    let body = "POST /idv/canary-id HTTP/1.1\r\nHost: canary\r\nContent-Length: 6\r\n\r\ncanary";
    let garbage = "canary canary canary canary\r\n\r\n";
    let head =
        format!("GET /idv/canary-id HTTP/1.1\r\nHost: canary\r\nX: {}\r\n\r\n", "canary".repeat(20_000));
    for bytes in [body, garbage, &head] {
        let answer = client::raw(served.public, bytes.as_bytes()).await;
        leaks.search("the answer to broken bytes", String::from_utf8_lossy(&answer).into_owned());
    }
    let mut hung_up = tokio::net::TcpStream::connect(served.public).await.expect("the gateway accepts");
    hung_up.write_all(b"GET /idv/canary-id HTTP/1.1\r\nX: can").await.expect("half a head is taken");
}

/// Everything at once, over a gateway that logs as it is told to; then nothing of it may be anywhere.
async fn nothing_leaks(telemetry: &str) {
    let upstream = Upstream::start().await;
    upstream.answer_tokens([Reply::json(bodies::success(
        json!({ "token": "canary-token", "expiredTime": null }),
    ))]);
    upstream.answer("canary-id", [Reply::json(person("canary-id"))]);
    let (scratch, mut leaks) = (Scratch::new(), Leaks::default());
    let keys = scratch.write("keys", &sha256(KEY));
    let auth = format!(
        "[auth]\nmode = \"keys+jwt\"\n[auth.jwt]\nissuer = \"https://issuer.example\"\n\
         audience = \"idv-gateway\"\njwks_file = \"{}\"\n",
        text(&scratch.write("jwks", JWKS))
    );
    let audit_key = scratch.write("audit-key", "canary-audit-key-of-32-bytes-or-more");
    let collector = Collector::start().await;
    let telemetry = format!(
        "{telemetry}audit_key_file = \"{}\"\notlp_endpoint = \"{}\"\n",
        text(&audit_key),
        collector.base_url()
    );
    let mut token_upstreams = Vec::new();
    let mut pieces = regions(&upstream);
    pieces.push_str(&piece("good", &format!("{}/good", upstream.base_url())));
    pieces.push_str(&piece("gone", "http://127.0.0.1:1"));
    for (n, (reply, _)) in token_faults().into_iter().enumerate() {
        let upstream = Upstream::start().await;
        upstream.answer_tokens([reply]);
        pieces.push_str(&piece(&format!("t{n}"), &upstream.base_url()));
        token_upstreams.push(upstream);
    }
    let caller = |name: &str, hash: &str, scopes: &str| {
        format!("[[callers]]\nname = \"{name}\"\n{hash}\nscopes = [{scopes}]\n")
    };
    let all = caller(
        "all",
        &format!("key_sha256_file = \"{}\"", text(&keys)),
        "\"checks\", \"identity\", \"media\", \"refresh\", \"purge\"",
    );
    let least_hash = format!("key_sha256 = \"{}\"", sha256("canary-least"));
    let served = Served::with(&[&pieces, &all, &caller("least", &least_hash, ""), &auth, &telemetry]).await;

    let whole = served.get_as(KEY, "/idv/canary-id?region=good").await;
    assert!(
        whole.text().contains("Canary Binti Contoh") && whole.text().contains("canary-link"),
        "{}",
        whole.text()
    );
    let decision = served.get_as("canary-least", "/idv/canary-id?region=good").await.text().to_owned();
    leaks.search("a decision", decision.replace("\"signatureId\":\"canary-id\"", ""));
    provoke_upstream(&served, &upstream, &mut leaks).await;
    provoke_callers(&served, &mut leaks).await;
    for (n, (_, code)) in token_faults().into_iter().enumerate() {
        let answer = served.get_as(KEY, &format!("/idv/canary-id?region=t{n}")).await;
        assert_eq!(answer.code(), code, "token fault {n}");
        leaks.search_answer(&format!("the answer to token fault {n}"), &answer);
    }
    let gone = served.get_as(KEY, "/idv/canary-id?region=gone").await;
    assert_eq!(gone.code(), "upstream_unavailable");
    leaks.search_answer("the answer for a region that is gone", &gone);
    let none_refused =
        async || served.admin("/metrics").await.text().contains("idv_reloads_total{outcome=\"refused\"} 0");
    scratch.write("keys", "canary-caller-key in clear\n");
    served.process.signal("HUP");
    eventually("a refused reload", async || !none_refused().await).await;

    for page in ["/metrics", "/config", "/status", "/", "/docs", "/livez", "/readyz", "/canary"] {
        leaks.search_answer(page, &served.admin(page).await);
    }
    let finished = served.stop().await;
    assert_eq!(finished.code, Some(0));
    let requests = finished.stdout.lines().filter(|line| line.contains("access")).count();
    assert!(requests > faults().len() + 12, "the requests were logged");
    assert!(finished.stdout.contains(&sha256("canary-id")[..16]), "under the hash of the id");
    assert!(finished.stdout.contains("personal data shown"), "and who saw a person is in the audit trail");
    let spans = collector.spans();
    assert!(spans.len() > requests, "the requests were traced");
    assert!(
        spans.iter().any(|span| span.get("idv.id_hash") == &sha256("canary-id")[..16]),
        "under the same hash"
    );
    for batch in collector.batches() {
        leaks.search("a batch of spans", String::from_utf8_lossy(&batch.body).into_owned());
        leaks.search("its headers", format!("{:?}", batch.headers));
    }
    leaks.search("standard output", finished.stdout);
    leaks.search("standard error", finished.stderr);
    let received = upstream.received();
    let signatures = received.iter().filter_map(|request| serde_json::from_str::<Value>(&request.body).ok());
    let mut further: Vec<String> =
        signatures.filter_map(|body| body["signature"].as_str().map(str::to_owned)).collect();
    assert!(!further.is_empty(), "tokens were asked for with signatures");
    further.extend([sha256(KEY), sha256("canary-least")]);
    further.extend(TOKEN.split('.').map(str::to_owned));
    leaks.expect_none(&further);
}

#[tokio::test]
async fn nothing_leaks_into_json_at_trace_level() {
    nothing_leaks("[telemetry]\nlog = \"trace\"\n").await;
}

#[tokio::test]
async fn nothing_leaks_into_text_with_every_library_asked_to_speak() {
    let all = "trace,hyper=trace,hyper_util=trace,rustls=trace,h2=trace,tower=trace,axum=trace";
    nothing_leaks(&format!("[telemetry]\nlog = \"{all}\"\nlog_format = \"text\"\n")).await;
}

#[tokio::test]
async fn a_command_line_that_is_refused_does_not_repeat_a_secret_of_the_file() {
    let scratch = Scratch::new();
    let config = scratch.write(
        "gateway.toml",
        "[[regions]]\nname = \"my\"\naccess_key = \"canary\"\nsecret_key_file = \"canary\"\n\
         base_url = \"https://user:canary@host.example\"\n[[callers]]\nname = \"a\"\nkey_sha256 = \"canary\"\n",
    );
    let env = [("IDV__REGIONS__MY__SECRET_KEYS", "canary"), ("IDV__CALLERS__A__KEY_SHA256", "canary,canary")];
    for command in ["check-config", "serve"] {
        let finished =
            crate::support::process::run_with(&[command, "--config", text(&config)], &env, "").await;
        assert_eq!(finished.code, Some(78));
        assert!(finished.stderr.lines().count() >= 4, "{}", finished.stderr);
        assert!(!finished.stderr.contains("canary"), "{}", finished.stderr);
    }
}
