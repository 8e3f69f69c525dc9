//! Tokens: signed, one refresh for everybody, early while the old one serves, replaced when the upstream refuses one.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::bodies::{http_date, refusal, token_until};
use crate::support::client::{gist, pass};
use crate::support::gateway::{OPEN, region, region_at, sha256};
use crate::support::upstream::{Gate, Received};
use crate::support::{Gateway, Reply, Upstream, bodies, eventually};

/// Answers each of `ids` with these replies in order.
fn answer_all(upstream: &Upstream, ids: &[String], replies: impl Fn(&str) -> Vec<Reply>) {
    ids.iter().for_each(|id| upstream.answer(id, replies(id)));
}

fn ids(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|index| format!("{prefix}{index}")).collect()
}

fn iam_failed() -> Reply {
    Reply::refusal("IAM_FAILED", "Token not found or expired")
}

/// The tokens that the requests for `id` carried.
fn tokens_carried(upstream: &Upstream, id: &str) -> Vec<String> {
    let carried = |request: &Received| request.header("x-access-token").unwrap_or("none").to_owned();
    upstream.requests(id).iter().map(carried).collect()
}

/// The body of the `n`th token request, whose signature must be right for those keys.
fn signed_request(upstream: &Upstream, n: usize, access: &str, secret: &str) -> Value {
    let body: Value = serde_json::from_str(&upstream.token_requests()[n].body).unwrap();
    let timestamp = body["timestamp"].as_i64().unwrap();
    let signature = sha256(&format!("{access}{secret}{timestamp}"));
    assert_eq!((&body["accessKey"], &body["signature"]), (&json!(access), &json!(signature)), "{body}");
    body
}

/// Asks for all of `ids`, a hundred at a time.
async fn all(gateway: &Gateway, ids: &[String]) -> Vec<(u16, String)> {
    let answers = ids.iter().map(async |id| gateway.get(&format!("/idv/{id}")).await.gist());
    stream::iter(answers).buffered(100).collect().await
}

#[tokio::test]
async fn a_token_is_asked_for_with_the_vendors_signature_and_carried_by_the_call() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let gateway = Gateway::with_settings(&upstream, "token_period = \"90s\"").await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
    let body = signed_request(&upstream, 0, "test-access-key", "test-secret-key");
    assert_eq!(body["periodSecond"], 90);
    let age = Timestamp::now().as_millisecond() - body["timestamp"].as_i64().unwrap();
    assert!((0..60_000).contains(&age), "the timestamp is {age} ms old");
    let request = &upstream.token_requests()[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-access-token"), None, "there is none yet");
    assert_eq!(tokens_carried(&upstream, "S1"), ["test-token-1"]);
    assert_eq!(gateway.metric("idv_token_refreshes_total{region=\"my\",outcome=\"ok\"}").await, 1.0);
    let expiry = gateway.metric("idv_token_expiry_timestamp_seconds{region=\"my\"}").await;
    assert!((0.0..=95.0).contains(&(expiry - Timestamp::now().as_second() as f64)), "{expiry}");
}

#[tokio::test]
async fn tokens_come_from_the_token_url_if_there_is_one() {
    let (upstream, token_host) = (Upstream::start().await, Upstream::start().await);
    upstream.pass("S1");
    let gateway =
        Gateway::with_settings(&upstream, &format!("token_url = \"{}/auth-host\"", token_host.base_url()))
            .await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
    assert_eq!((upstream.token_hits(), token_host.token_hits()), (0, 1));
    assert_eq!(token_host.received()[0].path, "/auth-host/openapi/auth/ticket/v1/generate-token");
    assert_eq!(token_host.result_hits(), 0);
}

#[tokio::test]
async fn a_hundred_callers_at_cold_start_cost_one_token_call() {
    let upstream = Upstream::start().await;
    let (ids, gate) = (ids("S", 100), Gate::default());
    answer_all(&upstream, &ids, |id| vec![Reply::passed(id)]);
    upstream.answer_tokens([Reply::token(1).gated(&gate)]);
    let gateway = Gateway::with_settings(&upstream, "concurrency = 100").await;
    let open = async {
        gateway.wait_for_fills(100).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(all(&gateway, &ids), open);
    assert_eq!(answers, vec![pass(); 100]);
    assert_eq!(upstream.token_hits(), 1);
}

#[tokio::test]
async fn a_hundred_refusals_of_one_token_cost_one_refresh_however_late_they_come() {
    let upstream = Upstream::start().await;
    let (ids, gate) = (ids("S", 100), Gate::default());
    upstream.pass("W");
    answer_all(&upstream, &ids, |id| vec![iam_failed().gated(&gate), Reply::passed(id)]);
    let gateway = Gateway::with_settings(&upstream, "concurrency = 100").await;
    assert_eq!(gateway.get("/idv/W").await.gist(), pass());
    let refuse = async {
        for id in &ids {
            upstream.wait_for_hits(id, 1).await;
        }
        // A few refusals first: the token is replaced. The others come when there is a newer one already.
        gate.let_through(10);
        eventually("a newer token in use", async || upstream.result_hits() >= 1 + 100 + 10).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(all(&gateway, &ids), refuse);
    assert_eq!(answers, vec![pass(); 100]);
    assert_eq!(upstream.token_hits(), 2, "one at the start, one for all the refusals");
    for id in &ids {
        assert_eq!(tokens_carried(&upstream, id), ["test-token-1", "test-token-2"], "{id}");
    }
}

#[tokio::test]
async fn a_token_is_renewed_early_and_nobody_waits_for_that() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    let next = Reply::token(2).gated(&gate);
    upstream.answer_tokens([Reply::token_living(1, Duration::from_secs(5)), next]);
    let gateway = Gateway::with_settings(&upstream, "token_period = \"60s\"").await;
    let mut asked = 0;
    let mut ask = async || {
        asked += 1;
        let id = format!("S{asked}");
        upstream.pass(&id);
        assert_eq!(gateway.get(&format!("/idv/{id}")).await.gist(), pass(), "{id}");
        tokens_carried(&upstream, &id)
    };
    eventually("an early refresh", async || {
        assert_eq!(ask().await, ["test-token-1"]);
        upstream.token_hits() == 2
    })
    .await;
    // The new token has not come yet: the old one serves.
    assert_eq!(ask().await, ["test-token-1"]);
    assert_eq!(ask().await, ["test-token-1"]);
    gate.open();
    eventually("the new token in use", async || ask().await == ["test-token-2"]).await;
    assert_eq!(upstream.token_hits(), 2);
}

#[tokio::test]
async fn the_token_of_an_idle_region_is_renewed_after_a_growing_pause_where_that_fails() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    upstream.pass("S2");
    let down = || Reply::text(500, "<html>down</html>");
    upstream.answer_tokens([Reply::token_living(1, Duration::from_secs(1)), down(), down(), Reply::token(2)]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
    upstream.wait_for_token_hits(3).await;
    let failed = Instant::now();
    let renewed = "idv_token_refreshes_total{region=\"my\",outcome=\"ok\"}";
    eventually("a new token", async || gateway.metric(renewed).await == 2.0).await;
    assert!(failed.elapsed() > Duration::from_millis(700), "a pause of a second: {:?}", failed.elapsed());
    assert_eq!(gateway.get("/idv/S2").await.gist(), pass());
    assert_eq!(tokens_carried(&upstream, "S2"), ["test-token-2"]);
    assert_eq!(
        upstream.token_hits(),
        4,
        "one refresh that failed, with its second try, and one that did not"
    );
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_disturbs_nobody_while_the_old_token_lives() {
    let upstream = Upstream::start().await;
    let down = Reply::text(500, "<html>down</html>");
    upstream.answer_tokens([Reply::token_living(1, Duration::from_secs(4)), down]);
    let gateway = Gateway::with_settings(&upstream, "token_period = \"60s\"").await;
    let mut asked = 0;
    let mut ask = async || {
        asked += 1;
        let id = format!("S{asked}");
        upstream.pass(&id);
        gateway.get(&format!("/idv/{id}")).await
    };
    eventually("a failed refresh", async || {
        assert_eq!(ask().await.gist(), pass());
        upstream.token_hits() >= 3
    })
    .await;
    assert_eq!(ask().await.gist(), pass(), "the old token still lives");
    assert_eq!(gateway.metric("idv_breaker_state{region=\"my\"}").await, 0.0);
    eventually("the old token's end", async || {
        let answer = ask().await;
        assert!([pass(), gist(503, "upstream_unavailable")].contains(&answer.gist()), "{answer:?}");
        answer.status == 503 && answer.header("retry-after").is_some()
    })
    .await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass(), "what is in memory needs no token");
    assert!(upstream.token_hits() <= 7, "{} token calls", upstream.token_hits());
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_call_made_again() {
    let refusals = [
        ("IAM_FAILED", iam_failed()),
        ("401 with IAM_FAILED", Reply::text(401, &refusal("IAM_FAILED", "Access denied").to_string())),
        ("401 with HTML", Reply::text(401, "<html>401</html>")),
        ("401 without a body", Reply::Http(401, vec![], vec![])),
        ("403 without a body", Reply::Http(403, vec![], vec![])),
    ];
    for (name, refused) in refusals {
        let upstream = Upstream::start().await;
        upstream.answer("S1", [refused, Reply::passed("S1")]);
        let gateway = Gateway::over(&upstream).await;
        assert_eq!(gateway.get("/idv/S1").await.gist(), pass(), "{name}");
        assert_eq!(tokens_carried(&upstream, "S1"), ["test-token-1", "test-token-2"], "{name}");
        assert_eq!(upstream.token_hits(), 2, "{name}");
        assert_eq!(gateway.metric("idv_upstream_retries_total{region=\"my\"}").await, 0.0, "{name}");
        let refused = "idv_upstream_requests_total{region=\"my\",operation=\"get_result\",outcome=\"auth\"}";
        assert_eq!(gateway.metric(refused).await, 1.0, "{name}");
    }
}

#[tokio::test]
async fn a_second_refusal_is_an_error_that_costs_few_tokens_and_harms_no_other_id() {
    let upstream = Upstream::start().await;
    let (refused, good) = (ids("R", 200), ids("G", 20));
    answer_all(&upstream, &refused, |_| vec![iam_failed()]);
    answer_all(&upstream, &good, |id| vec![Reply::passed(id)]);
    let gateway = Gateway::over(&upstream).await;
    let answer = gateway.get("/idv/R0").await;
    assert_eq!(answer.gist(), gist(502, "upstream_auth"));
    let problem = answer.json();
    assert_eq!(problem["upstream"], json!({ "code": "IAM_FAILED", "transactionId": "b6d722f7e9f553ae" }));
    assert_eq!((&problem["retryable"], &problem["region"]), (&json!(false), &json!("my")));
    assert_eq!(tokens_carried(&upstream, "R0"), ["test-token-1", "test-token-2"]);
    let started = Instant::now();
    let (refusals, passes) = tokio::join!(all(&gateway, &refused), all(&gateway, &good));
    assert_eq!(refusals, vec![gist(502, "upstream_auth"); 200]);
    assert_eq!(passes, vec![pass(); 20]);
    // 1 s, 2 s, 4 s … between refreshes.
    let refreshes = (started.elapsed().as_secs_f64() + 1.0).log2().ceil() as usize;
    assert!(upstream.token_hits() <= 2 + refreshes, "{} token calls", upstream.token_hits());
    assert_eq!(gateway.metric("idv_breaker_state{region=\"my\"}").await, 0.0, "the region is well");
}

#[tokio::test]
async fn refreshes_back_off_while_tokens_are_refused() {
    let upstream = Upstream::start().await;
    upstream.answer("R", [iam_failed()]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/R").await.gist(), gist(502, "upstream_auth"));
    let mut last = Instant::now();
    for (tokens, pause) in [(3, Duration::from_secs(1)), (4, Duration::from_secs(2))] {
        eventually("another refresh", async || {
            assert_eq!(gateway.get("/idv/R").await.gist(), gist(502, "upstream_auth"));
            upstream.token_hits() == tokens
        })
        .await;
        assert!(last.elapsed() >= pause - Duration::from_millis(300), "refresh {tokens} came too early");
        last = Instant::now();
    }
}

#[tokio::test]
async fn a_region_that_refuses_our_tokens_leaves_the_others_alone() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    my.answer("S1", [iam_failed()]);
    ph.pass("S2");
    let gateway = Gateway::with(&[OPEN, &region("my", &my), &region("ph", &ph)]).await;
    assert_eq!(gateway.get("/idv/S1?region=my").await.gist(), gist(502, "upstream_auth"));
    assert_eq!(gateway.get("/idv/S2?region=ph").await.gist(), pass());
    assert_eq!((my.token_hits(), ph.token_hits()), (2, 1));
}

#[tokio::test]
async fn without_a_token_everybody_is_answered_at_once_while_the_endpoint_is_left_alone() {
    let upstream = Upstream::start().await;
    let ids = ids("S", 50);
    answer_all(&upstream, &ids, |id| vec![Reply::passed(id)]);
    upstream.answer_tokens([Reply::text(500, "<html>down</html>")]);
    let gateway = Gateway::over(&upstream).await;
    let answer = gateway.get("/idv/S0").await;
    assert_eq!(answer.gist(), gist(503, "upstream_unavailable"));
    assert_eq!(answer.json()["retryable"], true);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(upstream.token_hits(), 2, "one, and one second try");
    let started = Instant::now();
    assert_eq!(all(&gateway, &ids).await, vec![gist(503, "upstream_unavailable"); 50]);
    let refreshes = (started.elapsed().as_secs_f64() + 1.0).log2().ceil() as usize;
    assert!(upstream.token_hits() <= 2 + 2 * refreshes, "{} token calls", upstream.token_hits());
    assert_eq!(upstream.result_hits(), 0, "no call without a token");
    upstream.answer_tokens([Reply::token(9)]);
    eventually("recovery", async || gateway.get("/idv/S0").await.gist() == pass()).await;
}

#[tokio::test]
async fn a_token_endpoint_that_cannot_be_reached_makes_the_region_unavailable() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    // Bound but not listening: connections are refused, and nobody else gets the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let token_url = format!("token_url = \"http://{}\"", closed.local_addr().unwrap());
    let gateway = Gateway::with_settings(&upstream, &token_url).await;
    let answer = gateway.get("/idv/S1").await;
    assert_eq!(answer.gist(), gist(503, "upstream_unavailable"));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_busy_token_endpoint_is_left_alone_for_as_long_as_it_asks() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let busy = Reply::refusal("SERVICE_BUSY", "Rate limit is exceeded").header("retry-after", "7s");
    upstream.answer_tokens([busy]);
    let gateway = Gateway::over(&upstream).await;
    for seconds in [7..=7, 2..=7] {
        let answer = gateway.get("/idv/S1").await;
        assert_eq!(answer.gist(), gist(503, "upstream_busy"));
        let retry_after: i32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(seconds.contains(&retry_after), "{retry_after}");
    }
    assert_eq!(upstream.token_hits(), 1);
}

#[tokio::test]
async fn a_timestamp_error_teaches_the_upstreams_clock_from_its_date() {
    for skew in [600, -600] {
        let upstream = Upstream::start().await;
        let there = Timestamp::now() + SignedDuration::from_secs(skew);
        let wrong_time = Reply::refusal("PARAMETER_ERROR", "Timestamp error");
        let token = token_until(1, there.as_millisecond() + 3_600_000);
        upstream.answer_tokens([
            wrong_time.header("date", &http_date(there)),
            Reply::json(token).header("date", &http_date(there)),
            Reply::token(2),
        ]);
        upstream.pass("S1");
        upstream.answer("S2", [iam_failed(), Reply::passed("S2")]);
        let gateway = Gateway::over(&upstream).await;
        assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
        assert_eq!(upstream.token_hits(), 2);
        let shown = gateway.metric("idv_clock_skew_seconds{region=\"my\"}").await;
        assert!((shown - skew as f64).abs() <= 3.0, "{shown} for {skew}");
        // The next refresh knows already.
        assert_eq!(gateway.get("/idv/S2").await.gist(), pass());
        assert_eq!(upstream.token_hits(), 3);
        for (request, expected) in [(0, 0), (1, skew), (2, skew)] {
            let body = signed_request(&upstream, request, "test-access-key", "test-secret-key");
            let ahead = body["timestamp"].as_i64().unwrap() - Timestamp::now().as_millisecond();
            assert!((ahead / 1000 - expected).abs() <= 5, "request {request} is {ahead} ms ahead");
        }
    }
}

#[tokio::test]
async fn a_timestamp_error_is_corrected_once() {
    let wrong_time = || Reply::refusal("PARAMETER_ERROR", "Timestamp error");
    let there = http_date(Timestamp::now() + SignedDuration::from_secs(600));
    let cases = [
        ("a clock that is wrong again", wrong_time().header("date", &there), 2),
        ("our own clock", wrong_time().header("date", &http_date(Timestamp::now())), 1),
        ("no clock", wrong_time(), 1),
        ("a date that is none", wrong_time().header("date", "yesterday"), 1),
    ];
    for (name, reply, calls) in cases {
        let upstream = Upstream::start().await;
        upstream.answer_tokens([reply]);
        let gateway = Gateway::over(&upstream).await;
        assert_eq!(gateway.get("/idv/S1").await.gist(), gist(502, "upstream_auth"), "{name}");
        assert_eq!(upstream.token_hits(), calls, "{name}");
    }
}

#[tokio::test]
async fn an_odd_lifetime_starts_no_refresh_loop() {
    let now = Timestamp::now().as_millisecond();
    let lifetimes = [
        json!(now / 1000 + 3600),
        json!(0),
        json!(-1),
        json!(now / 1000 * 1000 + 1),
        json!(now - 3_600_000),
        Value::Null,
        json!((now + 3_600_000).to_string()),
        json!("soon"),
        json!(""),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(253_402_300_799_000_i64),
        json!(1e300),
        json!(true),
        json!([now]),
    ];
    for lifetime in lifetimes {
        let upstream = Upstream::start().await;
        let date = http_date(Timestamp::from_millisecond(now).unwrap());
        upstream.answer_tokens([Reply::json(token_until(1, lifetime.clone())).header("date", &date)]);
        let gateway = Gateway::over(&upstream).await;
        for id in ids("S", 20) {
            upstream.pass(&id);
            assert_eq!(gateway.get(&format!("/idv/{id}")).await.gist(), pass(), "{lifetime}");
        }
        assert_eq!(upstream.token_hits(), 1, "{lifetime}");
    }
}

#[tokio::test]
async fn an_answer_without_a_usable_token_is_no_token() {
    for token in [json!(null), json!(""), json!(7), json!("two\r\nlines: 1"), json!({})] {
        let upstream = Upstream::start().await;
        upstream.pass("S1");
        upstream.answer_tokens([Reply::json(bodies::success(json!({ "token": token, "expiredTime": 1 })))]);
        let gateway = Gateway::over(&upstream).await;
        assert_eq!(gateway.get("/idv/S1").await.gist(), gist(503, "upstream_unavailable"), "{token}");
        assert_eq!((upstream.token_hits(), upstream.result_hits()), (1, 0), "{token}");
    }
}

#[tokio::test]
async fn refused_keys_and_a_disabled_account_are_told_apart_and_not_hammered() {
    let refusals = [
        (refusal("PARAMETER_ERROR", "Signature error"), "upstream_auth", "PARAMETER_ERROR"),
        (refusal("IAM_FAILED", "Access Key not found"), "upstream_auth", "IAM_FAILED"),
        (refusal("ACCOUNT_DISABLED", "Account Disabled"), "upstream_account", "ACCOUNT_DISABLED"),
    ];
    for (refused, code, upstream_code) in refusals {
        let upstream = Upstream::start().await;
        upstream.answer_tokens([Reply::json(refused)]);
        let gateway = Gateway::over(&upstream).await;
        let answer = gateway.get("/idv/S1").await;
        assert_eq!(answer.gist(), gist(502, code));
        assert_eq!(answer.json()["upstream"]["code"], upstream_code);
        assert_eq!(answer.json()["retryable"], false);
        let started = Instant::now();
        assert_eq!(all(&gateway, &ids("S", 50)).await, vec![gist(502, code); 50]);
        let refreshes = (started.elapsed().as_secs_f64() + 1.0).log2().ceil() as usize;
        assert!(upstream.token_hits() <= 1 + refreshes, "{code}: {} token calls", upstream.token_hits());
        assert_eq!(upstream.result_hits(), 0);
        let failed = "idv_token_refreshes_total{region=\"my\",outcome=\"failed\"}";
        assert!(gateway.metric(failed).await >= 1.0);
    }
}

/// Key files of one region, in a directory that goes with them.
struct KeyFiles(std::path::PathBuf);

impl KeyFiles {
    fn new(test: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("idv-gateway-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let files = Self(directory);
        files.write("old");
        files
    }

    fn write(&self, keys: &str) {
        std::fs::write(self.0.join("access"), format!("{keys}-access\n")).unwrap();
        std::fs::write(self.0.join("secret"), format!("{keys}-secret\n")).unwrap();
    }

    async fn gateway(&self, upstream: &Upstream) -> Gateway {
        let keys = region_at("my", &upstream.base_url())
            .replace(
                "access_key = \"test-access-key\"",
                &format!("access_key_file = \"{}/access\"", self.0.display()),
            )
            .replace(
                "secret_key = \"test-secret-key\"",
                &format!("secret_key_file = \"{}/secret\"", self.0.display()),
            );
        Gateway::with(&[OPEN, &keys]).await
    }
}

impl Drop for KeyFiles {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn keys_taken_up(gateway: &Gateway) {
    eventually("the new keys", async || gateway.metric("idv_reloads_total{outcome=\"used\"}").await >= 1.0)
        .await;
}

#[tokio::test]
async fn keys_that_change_on_disk_sign_the_next_token_and_the_old_one_serves_until_then() {
    let upstream = Upstream::start().await;
    let files = KeyFiles::new("rotated");
    upstream.pass("S1");
    upstream.pass("S2");
    upstream.answer("S3", [iam_failed(), Reply::passed("S3")]);
    let gateway = files.gateway(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
    files.write("new");
    keys_taken_up(&gateway).await;
    assert_eq!(gateway.get("/idv/S2").await.gist(), pass());
    assert_eq!(tokens_carried(&upstream, "S2"), ["test-token-1"]);
    assert_eq!(upstream.token_hits(), 1, "the old token still serves");
    assert_eq!(gateway.get("/idv/S3").await.gist(), pass());
    signed_request(&upstream, 0, "old-access", "old-secret");
    signed_request(&upstream, 1, "new-access", "new-secret");
}

#[tokio::test]
async fn the_keys_before_are_tried_when_the_new_ones_are_refused() {
    let upstream = Upstream::start().await;
    let files = KeyFiles::new("refused");
    let refused = Reply::refusal("PARAMETER_ERROR", "Signature error");
    upstream.answer_tokens([Reply::token(1), refused, Reply::token(2)]);
    upstream.pass("S1");
    upstream.answer("S2", [iam_failed(), Reply::passed("S2")]);
    let gateway = files.gateway(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
    files.write("new");
    keys_taken_up(&gateway).await;
    assert_eq!(gateway.get("/idv/S2").await.gist(), pass());
    assert_eq!(upstream.token_hits(), 3);
    signed_request(&upstream, 1, "new-access", "new-secret");
    signed_request(&upstream, 2, "old-access", "old-secret");
    assert_eq!(tokens_carried(&upstream, "S2"), ["test-token-1", "test-token-2"]);
}

#[tokio::test]
async fn new_keys_are_tried_at_once_after_refused_ones() {
    let upstream = Upstream::start().await;
    let files = KeyFiles::new("repaired");
    let refused = || Reply::refusal("PARAMETER_ERROR", "Signature error");
    upstream.answer_tokens([refused()]);
    upstream.pass("S1");
    let gateway = files.gateway(&upstream).await;
    // Two failures, so that the next refresh may be further away than the new keys.
    eventually("a second refresh", async || {
        assert_eq!(gateway.get("/idv/S1").await.gist(), gist(502, "upstream_auth"));
        upstream.token_hits() == 2
    })
    .await;
    files.write("new");
    keys_taken_up(&gateway).await;
    upstream.answer_tokens([Reply::token(1)]);
    assert_eq!(gateway.get("/idv/S1").await.gist(), pass());
    signed_request(&upstream, upstream.token_hits() - 1, "new-access", "new-secret");
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_nobodys_refresh() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.pass("S2");
    upstream.answer_tokens([Reply::token(1).gated(&gate)]);
    let gateway = Gateway::over(&upstream).await;
    let mut leader = TcpStream::connect(gateway.public).await.unwrap();
    leader.write_all(b"GET /idv/S1 HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    upstream.wait_for_token_hits(1).await;
    drop(leader);
    let open = async {
        gateway.wait_for_fills(2).await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(gateway.get("/idv/S2"), open);
    assert_eq!(answer.gist(), pass());
    assert_eq!(upstream.token_hits(), 1);
}

#[tokio::test]
async fn a_token_that_no_header_could_carry_is_no_token_and_the_next_one_is_asked_for() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let mut endless = token_until(1, Timestamp::now().as_millisecond() + 3_600_000);
    endless["data"]["token"] = "t".repeat(9_000).into();
    upstream.answer_tokens([Reply::json(endless.clone()), Reply::token_living(2, Duration::from_secs(3600))]);
    let gateway = Gateway::over(&upstream).await;
    eventually("the token after it", async || gateway.get("/idv/S1").await.status == 200).await;
    assert_eq!(upstream.token_hits(), 2);
}
