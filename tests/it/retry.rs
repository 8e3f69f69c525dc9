//! Upstream calls that go wrong: what is tried a second time, what is not, what callers are told, and what it all costs.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::bodies::{http_date, not_exist, refusal};
use crate::support::client::{gist, pass};
use crate::support::gateway::{BREAKER, OPEN, RETRIES, region, region_at};
use crate::support::upstream::Gate;
use crate::support::{Answer, Gateway, Reply, Upstream, bodies, eventually};

fn coded(status: u16, code: &str) -> Reply {
    Reply::text(status, &refusal(code, "in words that may change").to_string())
}

fn html(status: u16) -> Reply {
    let page = b"<html><h1>nginx</h1></html>".to_vec();
    Reply::Http(status, vec![("content-type", "text/html".to_owned())], page)
}

/// A whole answer as bytes.
fn answer_bytes(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The first half of an answer for S1: head and some of the body.
fn half_an_answer() -> Vec<u8> {
    let whole = answer_bytes(&bodies::passed("S1"));
    whole[..whole.len() / 2].to_vec()
}

fn amid_the_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: applic".to_vec()
}

/// A body whose valid prefix ends where the connection does: nothing but the parser can tell.
fn closed_amid_json() -> Reply {
    let body = bodies::passed("S1").to_string();
    let half = &body[..body.len() / 2];
    Reply::Bytes(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{half}").into_bytes())
}

fn seconds(answer: &Answer) -> u64 {
    answer.header("retry-after").expect("it has Retry-After").parse().expect("whole seconds")
}

#[tokio::test]
async fn what_a_second_attempt_can_help_gets_exactly_one() {
    let cases = [
        ("reset before the answer", Reply::Reset, 503, "upstream_unavailable"),
        ("closed before the answer", Reply::Bytes(vec![]), 503, "upstream_unavailable"),
        ("reset amid the head", Reply::RawThenReset(amid_the_head()), 503, "upstream_unavailable"),
        ("closed amid the head", Reply::Bytes(amid_the_head()), 503, "upstream_unavailable"),
        ("closed amid the body", Reply::Bytes(half_an_answer()), 502, "upstream_malformed"),
        ("500 with JSON", coded(500, "ERROR"), 502, "upstream_error"),
        ("500 with JSON that is no envelope", Reply::text(500, "{}"), 502, "upstream_error"),
        ("500 with HTML", html(500), 502, "upstream_error"),
        ("502 with HTML", html(502), 502, "upstream_error"),
        ("503 with HTML", html(503), 502, "upstream_error"),
        ("504 without a body", Reply::Http(504, vec![], vec![]), 502, "upstream_error"),
        ("ERROR in HTTP 200", coded(200, "ERROR"), 502, "upstream_error"),
        ("error in any case", coded(200, " Error "), 502, "upstream_error"),
    ];
    for (name, reply, status, code) in cases {
        let upstream = Upstream::start().await;
        upstream.answer("S1", [reply.clone(), Reply::passed("S1")]);
        upstream.answer("S2", [reply]);
        let gateway = Gateway::over(&upstream).await;
        assert_eq!(gateway.get("/idv/S1").await.gist(), pass(), "{name}");
        assert_eq!((upstream.hits("S1"), gateway.metric(RETRIES).await), (2, 1.0), "{name}");
        let answer = gateway.get("/idv/S2").await;
        assert_eq!(answer.gist(), gist(status, code), "{name}");
        assert_eq!((upstream.hits("S2"), gateway.metric(RETRIES).await), (2, 2.0), "{name}");
        let problem = answer.json();
        assert_eq!((&problem["retryable"], &problem["region"]), (&json!(true), &json!("my")), "{name}");
        assert_eq!(answer.header("retry-after").is_some(), [404, 503].contains(&status), "{name}");
        assert!(!answer.text().contains("nginx"), "nothing of the upstream's page: {}", answer.text());
        assert_eq!(upstream.token_hits(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_twice() {
    let upstream = Upstream::start().await;
    // Bound but not listening: connections are refused, and nobody else gets the port.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let my = region_at("my", &format!("http://{}", closed.local_addr().unwrap()));
    let token_url = format!("token_url = \"{}\"", upstream.base_url());
    let gateway = Gateway::with(&[OPEN, &my, &token_url]).await;
    let answer = gateway.get("/idv/S1").await;
    assert_eq!(answer.gist(), gist(503, "upstream_unavailable"));
    assert_eq!(answer.json()["retryable"], true);
    assert!(seconds(&answer) >= 1);
    assert_eq!(gateway.metric(RETRIES).await, 1.0);
    let refused =
        "idv_upstream_requests_total{region=\"my\",operation=\"get_result\",outcome=\"unavailable\"}";
    assert_eq!(gateway.metric(refused).await, 2.0);
    // Somebody listens by the time of the second attempt, or the caller's next try.
    let listener = closed.listen(16).unwrap();
    let healed = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let reply = answer_bytes(&bodies::passed("S1"));
        tokio::io::AsyncWriteExt::write_all(&mut stream, &reply).await.unwrap();
        stream
    });
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
    drop(healed.await);
}

#[tokio::test]
async fn what_a_second_attempt_cannot_help_gets_none() {
    let cases = [
        ("busy", coded(200, "SERVICE_BUSY"), 503, "upstream_busy", true),
        ("retry later", coded(200, "RETRY_LATER"), 503, "upstream_busy", true),
        ("429 with HTML", html(429), 503, "upstream_busy", true),
        ("429 without a body", Reply::Http(429, vec![], vec![]), 503, "upstream_busy", true),
        ("busy in HTTP 503", coded(503, "SERVICE_BUSY"), 503, "upstream_busy", true),
        ("not exist", Reply::absent(), 404, "signature_not_found", true),
        ("not exist in HTTP 404", coded(404, "SIGNATURE_NOT_EXIST"), 404, "signature_not_found", true),
        ("not exist in HTTP 500", coded(500, "SIGNATURE_NOT_EXIST"), 404, "signature_not_found", true),
        ("parameter", coded(200, "PARAMETER_ERROR"), 502, "upstream_error", false),
        ("parameter in HTTP 500", coded(500, "PARAMETER_ERROR"), 502, "upstream_error", false),
        ("client", coded(400, "CLIENT_ERROR"), 502, "upstream_error", false),
        ("unknown", coded(200, "FOO_BAR"), 502, "upstream_error", false),
        ("balance", coded(200, "INSUFFICIENT_BALANCE"), 502, "upstream_account", false),
        ("quota", coded(200, "OVER_QUERY_LIMIT"), 502, "upstream_account", false),
        ("disabled", coded(200, "ACCOUNT_DISABLED"), 502, "upstream_account", false),
        ("400 with HTML", html(400), 502, "upstream_malformed", true),
        ("404 with HTML", html(404), 502, "upstream_malformed", true),
        ("200 with HTML", html(200), 502, "upstream_malformed", true),
        ("200 without a body", Reply::Http(200, vec![], vec![]), 502, "upstream_malformed", true),
        ("204", Reply::Http(204, vec![], vec![]), 502, "upstream_malformed", true),
        ("304", Reply::Http(304, vec![], vec![]), 502, "upstream_malformed", true),
        ("no envelope", Reply::text(200, "[]"), 502, "upstream_malformed", true),
        ("no code", Reply::text(200, "{\"data\":{}}"), 502, "upstream_malformed", true),
        ("no data", Reply::json(bodies::success(Value::Null)), 502, "upstream_malformed", true),
        ("half a JSON", closed_amid_json(), 502, "upstream_malformed", true),
        ("no HTTP", Reply::Bytes(b"\x00\x01garbage\r\n\r\n".to_vec()), 502, "upstream_malformed", true),
        ("another protocol", Reply::Bytes(b"220 mail ESMTP\r\n".to_vec()), 502, "upstream_malformed", true),
        ("another id", Reply::passed("S2"), 502, "upstream_id_mismatch", false),
    ];
    for (name, reply, status, code, retryable) in cases {
        let upstream = Upstream::start().await;
        upstream.answer("S1", [reply, Reply::passed("S1")]);
        let gateway = Gateway::over(&upstream).await;
        let answer = gateway.get("/idv/S1").await;
        assert_eq!(answer.gist(), gist(status, code), "{name}");
        assert_eq!(answer.json()["retryable"], retryable, "{name}");
        assert_eq!((upstream.hits("S1"), gateway.metric(RETRIES).await), (1, 0.0), "{name}");
        assert_eq!(answer.header("retry-after").is_some(), [404, 503].contains(&status), "{name}");
        let is_repeated =
            ["words that may change", "nginx"].iter().any(|words| answer.text().contains(words));
        assert!(!is_repeated, "{}", answer.text());
        assert_eq!(upstream.token_hits(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_upstream_error_names_what_the_upstream_said_only_where_we_know_the_word() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [coded(200, "PARAMETER_ERROR")]);
    upstream.answer("S2", [coded(200, "FOO_BAR")]);
    upstream.answer("S3", [Reply::json(json!({ "code": "CLIENT_ERROR", "transactionId": "<b>x</b>" }))]);
    let gateway = Gateway::over(&upstream).await;
    let said = async |id: &str| gateway.get(&format!("/idv/{id}")).await.json()["upstream"].clone();
    let transaction = json!("b6d722f7e9f553ae");
    assert_eq!(said("S1").await, json!({ "code": "PARAMETER_ERROR", "transactionId": transaction }));
    assert_eq!(said("S2").await, json!({ "transactionId": transaction }));
    assert_eq!(said("S3").await, json!({ "code": "CLIENT_ERROR" }));
    let drift = "idv_contract_drift_total{region=\"my\",kind=\"unknown_code\"}";
    assert_eq!(gateway.metric(drift).await, 1.0);
}

#[tokio::test]
async fn a_502_says_when_to_come_back_only_if_the_upstream_does() {
    let upstream = Upstream::start().await;
    let refusals =
        [coded(200, "INSUFFICIENT_BALANCE"), coded(200, "PARAMETER_ERROR"), html(200), coded(200, "FOO")];
    for (n, refusal) in refusals.into_iter().enumerate() {
        upstream.answer(&format!("S{n}"), [refusal.clone(), refusal.header("retry-after", "7")]);
    }
    let gateway = Gateway::over(&upstream).await;
    for n in 0..4 {
        for expected in [None, Some("7")] {
            let answer = gateway.get(&format!("/idv/S{n}")).await;
            assert_eq!((answer.status, answer.header("retry-after")), (502, expected), "S{n}");
        }
    }
}

#[tokio::test]
async fn errors_are_not_kept() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [coded(200, "PARAMETER_ERROR"), html(200), Reply::passed("S1")]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(502, "upstream_error"));
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(502, "upstream_malformed"));
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
}

#[tokio::test]
async fn callers_are_told_when_to_come_back_however_the_upstream_says_it() {
    let in_30_s = http_date(Timestamp::now() + SignedDuration::from_secs(30));
    let cases = [
        (Some("10"), 10..=10),
        (Some("10s"), 10..=10),
        (Some(in_30_s.as_str()), 20..=30),
        (Some("-1"), 1..=1),
        (Some("0"), 1..=1),
        (Some("99999999"), 60..=60),
        (Some("Sun, 06 Nov 1994 08:49:37 GMT"), 1..=1),
        (Some("soon"), 5..=5),
        (Some(""), 5..=5),
        (None, 5..=5),
    ];
    for (retry_after, expected) in cases {
        for busy in [coded(200, "SERVICE_BUSY"), html(429)] {
            let upstream = Upstream::start().await;
            let busy = match retry_after {
                Some(value) => busy.header("retry-after", value),
                None => busy,
            };
            upstream.answer("S1", [busy]);
            let gateway = Gateway::over(&upstream).await;
            let answer = gateway.get("/idv/S1").await;
            assert_eq!(answer.gist(), gist(503, "upstream_busy"), "{retry_after:?}");
            assert!(expected.contains(&seconds(&answer)), "{retry_after:?} became {}", seconds(&answer));
        }
    }
}

#[tokio::test]
async fn a_busy_region_is_left_alone_for_as_long_as_it_asks() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    my.answer("S1", [coded(200, "SERVICE_BUSY").header("retry-after", "2"), Reply::passed("S1")]);
    my.pass("S2");
    ph.pass("S3");
    let gateway = Gateway::with(&[OPEN, &region("my", &my), &region("ph", &ph)]).await;
    let asked = Instant::now();
    assert_eq!(gateway.get("/idv/S1?region=my").await.gist(), gist(503, "upstream_busy"));
    let mut left = 2;
    while left > 1 {
        let answer = gateway.get("/idv/S2?region=my").await;
        assert_eq!(answer.gist(), gist(503, "upstream_busy"));
        assert!((1..=left).contains(&seconds(&answer)), "Retry-After is what remains");
        left = seconds(&answer);
        assert_eq!(gateway.get("/idv/S3?region=ph").await.gist(), pass(), "another region");
    }
    assert_eq!(my.result_hits(), 1, "no call while it is paused");
    eventually("the pause's end", async || gateway.get("/idv/S2?region=my").await.gist() == pass()).await;
    assert!(asked.elapsed() >= Duration::from_secs(2));
    assert_eq!((my.hits("S2"), gateway.metric(RETRIES).await), (1, 0.0));
}

#[tokio::test]
async fn second_attempts_stay_within_their_budget() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    // Enough answers that the breaker sees a region that mostly works.
    let get = async |id: String| gateway.get(&format!("/idv/{id}")).await.status;
    let absent: Vec<u16> = stream::iter((0..500).map(|n| get(format!("A{n}")))).buffered(50).collect().await;
    assert_eq!(absent, vec![404; 500]);
    let ids: Vec<String> = (0..200).map(|n| format!("F{n}")).collect();
    ids.iter().for_each(|id| upstream.answer(id, [html(500)]));
    let started = Instant::now();
    let failed: Vec<u16> = stream::iter(ids.iter().cloned().map(get)).buffered(50).collect().await;
    let earned = started.elapsed().as_secs_f64() * 3.0;
    assert_eq!(failed, vec![502; 200]);
    assert_eq!(gateway.metric(BREAKER).await, 0.0, "the breaker plays no part here");
    let second_attempts = ids.iter().map(|id| upstream.hits(id) - 1).sum::<usize>() as f64;
    assert!(second_attempts <= 30.0 + 20.0 + earned + 1.0, "{second_attempts} second attempts");
    assert!(second_attempts >= 30.0, "{second_attempts} second attempts: the budget is there to be used");
    assert_eq!(gateway.metric(RETRIES).await, second_attempts);
}

#[tokio::test]
async fn an_upstream_that_is_too_slow_is_given_up_in_time() {
    let cases = [
        ("never answers", Reply::Stall(vec![])),
        ("stalls amid the head", Reply::Stall(amid_the_head())),
        ("stalls amid the body", Reply::Stall(half_an_answer())),
        ("stalls after its interim answers", Reply::Stall(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())),
    ];
    for (name, reply) in cases {
        let upstream = Upstream::start().await;
        upstream.answer("S1", [reply]);
        upstream.pass("S2");
        let gateway = Gateway::with_settings(&upstream, "attempt_timeout = \"100ms\"").await;
        let asked = Instant::now();
        let answer = gateway.get("/idv/S1").await;
        assert_eq!(answer.gist(), gist(504, "upstream_timeout"), "{name}");
        assert_eq!(answer.json()["retryable"], true);
        assert!(asked.elapsed() < Duration::from_secs(4), "{name}: {:?}", asked.elapsed());
        assert!(upstream.hits("S1") <= 2, "{name}: {} attempts", upstream.hits("S1"));
        assert_eq!(gateway.get("/idv/S2").await.gist(), pass(), "{name}");
        gateway.wait_for_fills(0).await;
    }
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_has_the_time_of_one_attempt() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::Drip(answer_bytes(&bodies::passed("S1")), Duration::from_millis(20))]);
    let gateway = Gateway::with_settings(&upstream, "attempt_timeout = \"200ms\"").await;
    let asked = Instant::now();
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(504, "upstream_timeout"));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_fill_ends_at_its_deadline_whatever_the_upstream_does() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::Stall(vec![])]);
    let times = "[request]\ntimeout = \"300ms\"\nfill_timeout = \"300ms\"";
    let gateway = Gateway::with_settings(&upstream, times).await;
    let asked = Instant::now();
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(504, "upstream_timeout"));
    assert!(asked.elapsed() < Duration::from_secs(4));
    gateway.wait_for_fills(0).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let padding = "x".repeat(1 << 20);
    let over = |framing: &str| {
        let mut body = bodies::passed("S1");
        body["extra"] = json!(padding);
        match framing {
            "length" => format!("{head}content-length: {}\r\n\r\n{body}", body.to_string().len()),
            "chunks" => {
                let body = body.to_string();
                let pieces = body.as_bytes().chunks(10_000);
                let chunk =
                    |piece: &[u8]| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
                format!(
                    "{head}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
                    pieces.map(chunk).collect::<String>()
                )
            }
            _ => format!("{head}\r\n{body}"),
        }
        .into_bytes()
    };
    let promised = format!("{head}content-length: 10000000000\r\n\r\n{{").into_bytes();
    let cases = [
        ("length", Reply::Bytes(over("length"))),
        ("chunks", Reply::Bytes(over("chunks"))),
        ("until closed", Reply::Bytes(over("until closed"))),
        ("10 GB promised", Reply::Stall(promised)),
    ];
    for (name, reply) in cases {
        let upstream = Upstream::start().await;
        upstream.answer("S1", [reply]);
        let gateway = Gateway::over(&upstream).await;
        assert_eq!(gateway.get("/idv/S1").await.gist(), gist(502, "upstream_malformed"), "{name}");
        assert_eq!(upstream.hits("S1"), 1, "{name}");
    }
}

#[tokio::test]
async fn a_body_just_below_the_limit_is_read() {
    let upstream = Upstream::start().await;
    let mut body = bodies::passed("S1");
    body["extra"] = json!("x".repeat((1 << 20) - 4096));
    upstream.answer("S1", [Reply::json(body)]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
}

#[tokio::test]
async fn every_request_names_the_gateway_and_its_version() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [html(500), Reply::passed("S1")]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
    let agent = format!("idv-gateway/{}", env!("CARGO_PKG_VERSION"));
    let received = upstream.received();
    assert_eq!(received.len(), 3, "a token, an attempt, a retry");
    assert!(received.iter().all(|request| request.header("user-agent") == Some(&agent)), "{received:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Upstream::start().await;
    elsewhere.pass("S1");
    for status in [301, 302, 303, 307, 308] {
        let upstream = Upstream::start().await;
        let path = "/intl/openapi/identity-risk/idvs-h5/ekyc/v1/get-result";
        let location = format!("{}{path}", elsewhere.base_url());
        upstream.answer("S1", [html(status).header("location", &location)]);
        upstream.answer_tokens([Reply::token(1), html(status).header("location", &location)]);
        let gateway = Gateway::over(&upstream).await;
        assert_eq!(gateway.get("/idv/S1").await.gist(), gist(502, "upstream_malformed"), "{status}");
        assert_eq!(upstream.hits("S1"), 1, "{status}");
    }
    assert_eq!(elsewhere.connections(), 0, "neither token nor id went there");
}

#[tokio::test]
async fn a_redirected_token_request_is_not_followed_either() {
    let (upstream, elsewhere) = (Upstream::start().await, Upstream::start().await);
    let location = format!("{}/openapi/auth/ticket/v1/generate-token", elsewhere.base_url());
    upstream.answer_tokens([html(307).header("location", &location)]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(503, "upstream_unavailable"));
    assert_eq!((upstream.token_hits(), elsewhere.connections()), (1, 0));
}

#[tokio::test]
async fn interim_answers_are_skipped() {
    let upstream = Upstream::start().await;
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n".to_vec();
    bytes.extend(answer_bytes(&bodies::passed("S1")));
    upstream.answer("S1", [Reply::Raw(bytes)]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
    assert_eq!(upstream.hits("S1"), 1);
}

#[tokio::test]
async fn a_second_answer_on_the_wire_is_nobodys() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for n in 0..100 {
        let (first, next) = (format!("S{n}"), format!("T{n}"));
        // What follows names no id, so that nothing but its place on the wire tells whose it is.
        let mut bytes = answer_bytes(&bodies::passed(&first));
        bytes.extend(answer_bytes(&if n % 2 == 0 { not_exist() } else { bodies::success(json!({})) }));
        upstream.answer(&first, [Reply::Raw(bytes)]);
        upstream.pass(&next);
        assert_eq!(gateway.get(&format!("/idv/{first}")).await.gist(), pass(), "{first}");
        assert_eq!(gateway.get(&format!("/idv/{next}")).await.gist(), pass(), "{next}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_not_unpacked() {
    let upstream = Upstream::start().await;
    // gzip, with its one block stored as it is.
    let body = bodies::passed("S1").to_string().into_bytes();
    let length = u16::try_from(body.len()).unwrap();
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(&body);
    let headers =
        vec![("content-type", "application/json".to_owned()), ("content-encoding", "gzip".to_owned())];
    upstream.answer("S1", [Reply::Http(200, headers, packed)]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(502, "upstream_malformed"));
    assert_eq!(upstream.requests("S1")[0].header("accept-encoding"), None, "we ask for none");
}

#[tokio::test]
async fn a_region_that_mostly_fails_is_left_alone_until_a_probe_finds_it_well() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let ids: Vec<String> = (0..40).map(|n| format!("F{n}")).collect();
    ids.iter().for_each(|id| upstream.answer(id, [html(500)]));
    let gate = Gate::default();
    upstream.answer("P", [Reply::passed("P").gated(&gate)]);
    upstream.pass("Q");
    let mut answers = Vec::new();
    for id in &ids {
        answers.push(gateway.get(&format!("/idv/{id}")).await);
    }
    let opened = answers.iter().position(|answer| answer.status == 503).expect("it opens");
    assert!(opened >= 10, "after {opened} ids");
    for answer in &answers[opened..] {
        assert_eq!(answer.gist(), gist(503, "upstream_unavailable"));
        assert!((1..=20).contains(&seconds(answer)));
    }
    assert_eq!(gateway.metric(BREAKER).await, 2.0);
    let failed = upstream.result_hits();
    assert!(failed <= 40, "{failed} calls");
    // The first to ask after the pause is the probe; nobody else gets through while it is out.
    let probe = async {
        let mut answer = gateway.get("/idv/P").await;
        while answer.status == 503 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = gateway.get("/idv/P").await;
        }
        answer
    };
    let others = async {
        upstream.wait_for_hits("P", 1).await;
        assert_eq!(gateway.metric(BREAKER).await, 1.0);
        for _ in 0..10 {
            assert_eq!(gateway.get("/idv/Q").await.gist(), gist(503, "upstream_unavailable"));
        }
        assert_eq!(upstream.result_hits(), failed + 1, "the probe alone");
        gate.open();
    };
    let (probed, ()) = tokio::join!(probe, others);
    assert_eq!(probed.gist(), pass());
    assert_eq!(gateway.metric(BREAKER).await, 0.0);
    assert_eq!(gateway.get("/idv/Q").await.gist(), pass());
    assert_eq!(gateway.get("/idv/F0").await.gist(), gist(502, "upstream_error"), "asked again");
}

#[tokio::test]
async fn a_failed_probe_keeps_the_region_closed_for_longer() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let mut asked = 0;
    let mut ask = async || {
        asked += 1;
        let id = format!("F{asked}");
        upstream.answer(&id, [html(500)]);
        gateway.get(&format!("/idv/{id}")).await
    };
    eventually("an open breaker", async || {
        ask().await;
        gateway.metric(BREAKER).await == 2.0
    })
    .await;
    let before = upstream.result_hits();
    let opened = Instant::now();
    eventually("a probe", async || {
        ask().await;
        upstream.result_hits() > before
    })
    .await;
    assert!(opened.elapsed() >= Duration::from_millis(800), "{:?}", opened.elapsed());
    assert_eq!(upstream.result_hits(), before + 1, "a failed probe is not tried again at once");
    assert_eq!(gateway.metric(BREAKER).await, 2.0);
    assert_eq!(seconds(&ask().await), 2, "the pause doubles");
}

#[tokio::test]
async fn refusals_and_unreadable_answers_open_no_breaker() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for n in 0..60 {
        let id = format!("S{n}");
        let reply = [coded(200, "PARAMETER_ERROR"), html(200), Reply::absent()][n % 3].clone();
        upstream.answer(&id, [reply]);
        assert_ne!(gateway.get(&format!("/idv/{id}")).await.status, 503, "{id}");
    }
    assert_eq!(gateway.metric(BREAKER).await, 0.0);
}
