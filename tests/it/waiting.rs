//! `Prefer: wait`: one request instead of many, answered the moment the result is final.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::client::NO_CACHE;
use crate::support::gateway::{OPEN, caller, region};
use crate::support::upstream::Gate;
use crate::support::{Answer, Gateway, Reply, Upstream, bodies, eventually};

const SECOND: Duration = Duration::from_secs(1);

fn wait(seconds: &str) -> [(&'static str, String); 1] {
    [("Prefer", format!("wait={seconds}"))]
}

async fn get(gateway: &Gateway, target: &str, seconds: &str) -> Answer {
    let header = wait(seconds);
    gateway.send("GET", target, &[(header[0].0, &header[0].1)]).await
}

async fn waiters(gateway: &Gateway) -> f64 {
    gateway.metric("idv_waiters").await
}

async fn wait_for_waiters(gateway: &Gateway, n: usize) {
    eventually("as many waiters", async || waiters(gateway).await == n as f64).await;
}

/// A gateway that polls every 300 ms.
async fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::with(&[OPEN, "[cache]\npending_ttl = \"300ms\"\n", &region("my", upstream)]).await
}

#[tokio::test]
async fn a_result_that_is_too_large_to_keep_is_polled_no_more_often_than_others() {
    let upstream = Upstream::start().await;
    let mut large = bodies::pending("S1");
    large["data"]["docDetail"]["ocrInfo"]["front"]["note"] = "x".repeat(200_000).into();
    upstream.answer("S1", [Reply::json(large)]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(get(&gateway, "/idv/S1", "1").await.gist(), (200, "pending".to_owned()));
    assert_eq!(upstream.hits("S1"), 2, "once at first, and once when the wait begins");
}

#[tokio::test]
async fn a_waiter_is_answered_when_the_result_becomes_final() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::pending("S1"), Reply::passed("S1")]);
    let gateway = gateway(&upstream).await;
    let answer = get(&gateway, "/idv/S1", "20").await;
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert_eq!(answer.header("preference-applied"), Some("wait=20"));
    assert_eq!(upstream.hits("S1"), 3, "one poll after the other, and none too many");
    wait_for_waiters(&gateway, 0).await;
    assert_eq!(gateway.metric("idv_pollers").await, 0.0);
    let polls = async |outcome| gateway.metric(&format!("idv_polls_total{{outcome=\"{outcome}\"}}")).await;
    eventually("the last poll", async || polls("final").await == 1.0).await;
    assert_eq!(polls("pending").await, 1.0);
}

#[tokio::test]
async fn a_waiter_gets_the_pending_answer_when_its_time_is_up() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let gateway = gateway(&upstream).await;
    let started = Instant::now();
    let answer = get(&gateway, "/idv/S1", "1").await;
    assert_eq!(answer.gist(), (200, "pending".to_owned()));
    assert!(started.elapsed() >= SECOND, "{:?}", started.elapsed());
    assert_eq!(answer.header("preference-applied"), Some("wait=1"));
    assert!(answer.header("retry-after").is_some() && answer.json()["retryAfterSeconds"].is_u64());
}

#[tokio::test]
async fn a_final_result_and_an_unknown_id_are_answered_at_once() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let gateway = gateway(&upstream).await;
    for (target, gist) in [("/idv/S1", (200, "passed")), ("/idv/S2", (404, "signature_not_found"))] {
        let answer = get(&gateway, target, "30").await;
        assert_eq!(answer.gist(), (gist.0, gist.1.to_owned()));
        assert_eq!(answer.header("preference-applied"), None, "nobody waited");
    }
}

#[tokio::test]
async fn a_head_request_and_a_malformed_preference_do_not_wait() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let gateway = gateway(&upstream).await;
    for preference in ["wait=-5", "wait=soon", "wait=0", "respond-async"] {
        let answer = gateway.send("GET", "/idv/S1", &[("Prefer", preference)]).await;
        assert_eq!(answer.gist(), (200, "pending".to_owned()), "{preference}");
        assert_eq!(answer.header("preference-applied"), None, "{preference}");
    }
    let head = gateway.send("HEAD", "/idv/S1", &[("Prefer", "wait=30")]).await;
    assert_eq!((head.status, head.header("preference-applied")), (200, None));
}

#[tokio::test]
async fn a_wait_longer_than_the_limit_is_lowered_to_it() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let gateway = Gateway::with(&[OPEN, "[wait]\nmax = \"1s\"\n", &region("my", &upstream)]).await;
    let answer = get(&gateway, "/idv/S1", "99999999999999999999").await;
    assert_eq!(answer.gist(), (200, "pending".to_owned()));
    assert_eq!(answer.header("preference-applied"), Some("wait=1"));
}

#[tokio::test]
async fn a_refresh_is_answered_afresh_and_then_waits() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::pending("S1"), Reply::passed("S1")]);
    let gateway = gateway(&upstream).await;
    gateway.get("/idv/S1").await;
    let headers = [NO_CACHE[0], ("Prefer", "wait=20")];
    let answer = gateway.send("GET", "/idv/S1", &headers).await;
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert_eq!(upstream.hits("S1"), 3);
}

#[tokio::test]
async fn a_waiter_is_polled_for_by_the_newest_result_whoever_fetched_it() {
    let upstream = Upstream::start().await;
    let submitted = |is: bool| {
        let mut body = bodies::pending("S1");
        body["data"]["submissionCompleted"] = is.into();
        Reply::json(body)
    };
    upstream.answer("S1", [submitted(false), submitted(true), Reply::passed("S1")]);
    let polls = "[cache]\npending_ttl = \"2s\"\n";
    let gateway = Gateway::with(&[OPEN, polls, &region("my", &upstream)]).await;
    let waiting = gateway.ask("/idv/S1", &[("Prefer", "wait=4")]).await;
    wait_for_waiters(&gateway, 1).await;
    let refreshed = gateway.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!(refreshed.gist(), (200, "pending".to_owned()));
    assert_eq!(waiting.answer().await.gist(), (200, "passed".to_owned()), "after 2 s, not 6");
}

#[tokio::test]
async fn another_requests_final_result_wakes_a_waiter() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::passed("S1")]);
    let rare = "[cache]\npending_ttl = \"60s\"\npending_ttl_max = \"60s\"\n";
    let gateway = Gateway::with(&[OPEN, rare, &region("my", &upstream)]).await;
    let waiting = async { get(&gateway, "/idv/S1", "30").await };
    let refresh = async {
        wait_for_waiters(&gateway, 1).await;
        gateway.send("GET", "/idv/S1", NO_CACHE).await
    };
    let (waited, refreshed) = tokio::join!(waiting, refresh);
    assert_eq!((waited.gist(), refreshed.status), ((200, "passed".to_owned()), 200));
    assert_eq!(upstream.hits("S1"), 2, "the waiter's own poll is not due for a minute");
}

#[tokio::test]
async fn a_second_regions_answer_ends_a_wait_with_409() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    let gate = Gate::default();
    my.answer("S1", [Reply::pending("S1")]);
    ph.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let gateway = Gateway::with(&[OPEN, &region("my", &my), &region("ph", &ph)]).await;
    let waiting = async { get(&gateway, "/idv/S1", "30").await };
    let open = async {
        wait_for_waiters(&gateway, 1).await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(waiting, open);
    assert_eq!(answer.gist(), (409, "ambiguous_signature".to_owned()));
    assert_eq!(answer.header("preference-applied"), Some("wait=30"));
}

#[tokio::test]
async fn a_wait_for_an_id_that_is_gone_ends_with_404() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::absent()]);
    let gateway = gateway(&upstream).await;
    let answer = get(&gateway, "/idv/S1", "20").await;
    assert_eq!(answer.gist(), (404, "signature_not_found".to_owned()));
    assert_eq!(answer.header("preference-applied"), Some("wait=20"));
}

#[tokio::test]
async fn an_id_that_moves_to_another_region_is_waited_for_there() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    my.answer("S1", [Reply::pending("S1"), Reply::absent()]);
    ph.answer("S1", [Reply::absent(), Reply::pending("S1"), Reply::passed("S1")]);
    let polls = "[cache]\npending_ttl = \"300ms\"\n";
    let gateway = Gateway::with(&[OPEN, polls, &region("my", &my), &region("ph", &ph)]).await;
    let answer = get(&gateway, "/idv/S1", "10").await;
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert_eq!((my.hits("S1"), ph.hits("S1")), (2, 3));
}

/// With the default schedule: at 0, 2, 4, 6, 9, 13.5 s.
#[tokio::test]
async fn two_hundred_waiters_cost_as_few_calls_as_one() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let gateway = Gateway::over(&upstream).await;
    let answers = join_all((0..200).map(|_| get(&gateway, "/idv/S1", "15"))).await;
    assert!(answers.iter().all(|answer| answer.gist() == (200, "pending".to_owned())));
    assert!((5..=7).contains(&upstream.hits("S1")), "{} calls", upstream.hits("S1"));
}

#[tokio::test]
async fn beyond_the_limit_the_pending_answer_comes_at_once() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let callers = [caller("one", &[], ""), caller("two", &[], "")].concat();
    let gateway = Gateway::with(&["[wait]\nmax_waiters = 4\n", &region("my", &upstream), &callers]).await;
    let ask = async |key: &str| {
        let key = format!("Bearer {key}");
        gateway.ask("/idv/S1", &[("Authorization", &key), ("Prefer", "wait=30")]).await
    };
    let waiting = [ask("one").await, ask("one").await];
    wait_for_waiters(&gateway, 2).await;
    let third = ask("one").await.answer().await;
    assert_eq!(third.gist(), (200, "pending".to_owned()), "one caller has at most half of the places");
    assert_eq!(third.header("preference-applied"), None);
    let others = [ask("two").await, ask("two").await];
    wait_for_waiters(&gateway, 4).await;
    assert_eq!(ask("two").await.answer().await.gist(), (200, "pending".to_owned()));
    drop((waiting, others));
}

#[tokio::test]
async fn a_waiter_that_hangs_up_frees_its_place_and_the_last_one_ends_the_polling() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let gateway = gateway(&upstream).await;
    let one = gateway.ask("/idv/S1", &[("Prefer", "wait=30")]).await;
    let other = gateway.ask("/idv/S1", &[("Prefer", "wait=30")]).await;
    wait_for_waiters(&gateway, 2).await;
    assert_eq!(gateway.metric("idv_pollers").await, 1.0);
    one.hang_up().await;
    wait_for_waiters(&gateway, 1).await;
    assert_eq!(gateway.metric("idv_pollers").await, 1.0, "the other still waits");
    other.hang_up().await;
    wait_for_waiters(&gateway, 0).await;
    assert_eq!(gateway.metric("idv_pollers").await, 0.0);
}

#[tokio::test]
async fn waiters_leave_connections_for_short_requests() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let few = "[server]\nmax_connections = 20\n";
    let gateway = Gateway::with(&[OPEN, few, &region("my", &upstream)]).await;
    let mut waiting = Vec::new();
    for _ in 0..18 {
        waiting.push(gateway.ask("/idv/S1", &[("Prefer", "wait=30")]).await);
    }
    wait_for_waiters(&gateway, 18).await;
    assert_eq!(get(&gateway, "/idv/S1", "30").await.header("preference-applied"), None, "nor may it wait");
    assert_eq!(gateway.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_drain_answers_waiters_at_once_and_announces_the_end() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let drain = "[drain]\ndelay = \"10s\"\ndeadline = \"20s\"\n";
    let mut gateway = Gateway::with(&[OPEN, drain, &region("my", &upstream)]).await;
    let mut waiting = Vec::new();
    for _ in 0..30 {
        let mut connection = gateway.connect().await;
        connection.ask("GET", "/idv/S1", &[("Prefer", "wait=30")]).await;
        waiting.push(connection);
    }
    wait_for_waiters(&gateway, 30).await;
    gateway.stop();
    for mut connection in waiting {
        let answer = connection.answer().await.expect("an answer");
        assert_eq!(answer.gist(), (200, "pending".to_owned()));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let next = get(&gateway, "/idv/S1", "30").await;
    assert_eq!(next.gist(), (200, "pending".to_owned()), "nor does anybody wait from then on");
}

#[tokio::test]
async fn polls_that_are_due_together_take_turns_and_none_is_put_off() {
    let upstream = Upstream::start().await;
    let ids: Vec<_> = (0..12).map(|n| format!("S{n}")).collect();
    for id in &ids {
        upstream.answer(id, [Reply::pending(id), Reply::passed(id).after(Duration::from_millis(20))]);
    }
    let one_poll_at_once = region("my", &upstream) + "concurrency = 2\n";
    let gateway = Gateway::with(&[OPEN, "[cache]\npending_ttl = \"300ms\"\n", &one_poll_at_once]).await;
    let targets: Vec<_> = ids.iter().map(|id| format!("/idv/{id}")).collect();
    let answers = join_all(targets.iter().map(|target| get(&gateway, target, "30"))).await;
    assert!(answers.iter().all(|answer| answer.gist() == (200, "passed".to_owned())));
    assert_eq!(gateway.metric(r#"idv_polls_total{outcome="skipped"}"#).await, 0.0);
}

#[tokio::test]
async fn a_region_that_is_busy_is_polled_as_soon_as_it_says() {
    let upstream = Upstream::start().await;
    let busy = || Reply::refusal("SERVICE_BUSY", "slow down").header("Retry-After", "1");
    upstream.answer("S1", [Reply::pending("S1"), busy(), busy(), Reply::passed("S1")]);
    let gateway = gateway(&upstream).await;
    let answer = get(&gateway, "/idv/S1", "6").await;
    assert_eq!(answer.gist(), (200, "passed".to_owned()), "with two pauses of the shortest time");
    assert_eq!(gateway.metric(r#"idv_polls_total{outcome="skipped"}"#).await, 2.0);
}

#[tokio::test]
async fn a_region_that_fails_is_polled_less_and_less_and_the_waiter_gets_what_was_known() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::refusal("PARAMETER_ERROR", "no")]);
    let gateway = gateway(&upstream).await;
    let answer = get(&gateway, "/idv/S1", "4").await;
    assert_eq!(answer.gist(), (200, "pending".to_owned()));
    assert!(upstream.hits("S1") <= 4, "{}", upstream.hits("S1"));
    assert!(gateway.metric(r#"idv_polls_total{outcome="failed"}"#).await >= 1.0);
}
