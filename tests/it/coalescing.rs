//! One upstream call for any number of callers of one id, whoever hangs up, and nothing kept that should not be.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::client::{self, Asked, NO_CACHE, answers};
use crate::support::gateway::{OPEN, region};
use crate::support::upstream::Gate;
use crate::support::{Dice, Gateway, Reply, Upstream, bodies};

#[tokio::test]
async fn a_thousand_callers_of_a_cold_id_cost_one_call_and_one_token() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let gateway = Gateway::patient(&upstream).await;
    let asked = gateway.crowd("/idv/S1", 1000).await;
    assert_eq!(gateway.fills().await, 1.0);
    gate.open();
    let answers = answers(asked).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    assert_eq!((upstream.hits("S1"), upstream.token_hits()), (1, 1));
    let counts = [
        gateway.metric(r#"idv_lookups_total{outcome="filled"}"#).await,
        gateway.metric(r#"idv_lookups_total{outcome="joined"}"#).await,
    ];
    assert_eq!(counts, [1.0, 999.0]);
    gateway.wait_for_fills(0).await;
}

#[tokio::test]
async fn when_all_callers_hang_up_the_fill_lands_and_the_next_caller_hits() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let gateway = Gateway::patient(&upstream).await;
    let asked = gateway.crowd("/idv/S1", 50).await;
    gateway.wait_for_fills(1).await;
    join_all(asked.into_iter().map(Asked::hang_up)).await;
    assert_eq!(gateway.fills().await, 1.0, "the fill goes on without them");
    gate.open();
    gateway.wait_for_fills(0).await;
    let next = gateway.get("/idv/S1").await;
    assert!(next.status == 200 && next.is_hit(), "{next:?}");
    assert_eq!(upstream.hits("S1"), 1);
}

#[tokio::test]
async fn when_the_first_caller_hangs_up_those_who_joined_are_answered_and_more_may_join() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let gateway = Gateway::patient(&upstream).await;
    let first = gateway.crowd("/idv/S1", 1).await;
    upstream.wait_for_hits("S1", 1).await;
    let mut others = gateway.crowd("/idv/S1", 3).await;
    join_all(first.into_iter().map(Asked::hang_up)).await;
    others.remove(0).hang_up().await;
    others.extend(gateway.crowd("/idv/S1", 1).await);
    gate.open();
    for answer in answers(others).await {
        assert_eq!(answer.gist(), (200, "passed".to_owned()));
        assert_eq!(answer.cache_status(), "idv-gateway; fwd=miss; stored; collapsed");
    }
    assert_eq!(upstream.hits("S1"), 1);
}

#[tokio::test]
async fn three_hundred_callers_who_hang_up_in_a_row_cost_one_call_and_harm_nobody() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let gateway = Gateway::patient(&upstream).await;
    for _ in 0..300 {
        gateway.ask("/idv/S1", &[]).await.hang_up().await;
    }
    let last = gateway.crowd("/idv/S1", 1).await;
    gate.open();
    for answer in answers(last).await {
        assert_eq!(answer.gist(), (200, "passed".to_owned()));
    }
    assert_eq!(upstream.hits("S1"), 1);
    gateway.wait_for_fills(0).await;
    assert_eq!(gateway.metric("idv_panics_total").await, 0.0);
}

#[tokio::test]
async fn a_caller_whose_time_is_up_gets_504_and_the_fill_goes_on() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let timeout = "[request]\ntimeout = \"100ms\"\nfill_timeout = \"15s\"\n";
    let gateway = Gateway::with(&[OPEN, timeout, &region("my", &upstream)]).await;
    let late = answers(gateway.crowd("/idv/S1", 3).await).await;
    assert!(late.iter().all(|answer| answer.gist() == (504, "upstream_timeout".to_owned())), "{late:?}");
    assert!(late.iter().all(|answer| answer.json()["retryable"] == true));
    assert_eq!(gateway.fills().await, 1.0);
    gate.open();
    gateway.wait_for_fills(0).await;
    let next = gateway.get("/idv/S1").await;
    assert!(next.is_hit(), "{next:?}");
    assert_eq!(upstream.hits("S1"), 1);
}

#[tokio::test]
async fn a_fill_ends_at_its_own_deadline_and_is_off_the_table() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::Stall(Vec::new()), Reply::passed("S1")]);
    let timeout = "[request]\nfill_timeout = \"150ms\"\n";
    let gateway = Gateway::with(&[OPEN, timeout, &region("my", &upstream)]).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), (504, "upstream_timeout".to_owned()));
    gateway.wait_for_fills(0).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), (200, "passed".to_owned()));
}

#[tokio::test]
async fn a_failure_is_shared_with_those_present_and_never_kept() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    let refusal = Reply::refusal("PARAMETER_ERROR", "no");
    upstream.answer("S1", [refusal.gated(&gate), Reply::passed("S1")]);
    let gateway = Gateway::patient(&upstream).await;
    let asked = gateway.crowd("/idv/S1", 50).await;
    gate.open();
    let answers = answers(asked).await;
    assert!(answers.iter().all(|answer| answer.gist() == (502, "upstream_error".to_owned())));
    let first = answers.iter().filter(|answer| answer.cache_status() == "idv-gateway; fwd=miss").count();
    let joined =
        answers.iter().filter(|answer| answer.cache_status() == "idv-gateway; fwd=miss; collapsed").count();
    assert_eq!((first, joined), (1, 49));
    assert_eq!(upstream.hits("S1"), 1);
    assert_eq!(gateway.get("/idv/S1").await.gist(), (200, "passed".to_owned()));
    assert_eq!(upstream.hits("S1"), 2);
    assert_eq!(gateway.metric(r#"idv_lookups_total{outcome="failed"}"#).await, 50.0);
}

#[tokio::test]
async fn not_found_is_shared_like_any_answer() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::absent().gated(&gate)]);
    let gateway = Gateway::patient(&upstream).await;
    let asked = gateway.crowd("/idv/S1", 50).await;
    gate.open();
    let answers = answers(asked).await;
    assert!(answers.iter().all(|answer| answer.gist() == (404, "signature_not_found".to_owned())));
    assert_eq!(upstream.hits("S1"), 1);
}

#[tokio::test]
async fn callers_of_a_pending_id_share_one_call() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::pending("S1").gated(&gate)]);
    let gateway = Gateway::patient(&upstream).await;
    let asked = gateway.crowd("/idv/S1", 200).await;
    gate.open();
    for answer in answers(asked).await {
        assert_eq!(answer.gist(), (200, "pending".to_owned()));
        assert_eq!(
            (answer.header("retry-after"), &answer.json()["retryAfterSeconds"]),
            (Some("2"), &2.into())
        );
    }
    assert_eq!(upstream.hits("S1"), 1);
}

#[tokio::test]
async fn many_pollers_of_a_pending_id_cost_one_call_per_pending_ttl() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let gateway =
        Gateway::with(&[OPEN, "[cache]\npending_ttl = \"300ms\"\n", &region("my", &upstream)]).await;
    let started = Instant::now();
    let poll = async || {
        while upstream.hits("S1") < 4 {
            assert_eq!(gateway.get("/idv/S1").await.gist(), (200, "pending".to_owned()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    join_all((0..20).map(|_| poll())).await;
    // A pending result is kept for 300 ms less the jitter, so the fourth call comes after three such times.
    assert!(started.elapsed() >= Duration::from_millis(3 * 270), "{:?}", started.elapsed());
}

#[tokio::test]
async fn fills_in_flight_counts_ids_and_returns_to_zero() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    upstream.answer("S2", [Reply::absent().gated(&gate)]);
    upstream.answer("S3", [Reply::refusal("PARAMETER_ERROR", "no").gated(&gate)]);
    let gateway = Gateway::patient(&upstream).await;
    let mut asked = Vec::new();
    for target in ["/idv/S1", "/idv/S2", "/idv/S3"] {
        asked.extend(gateway.crowd(target, 5).await);
    }
    gateway.wait_for_fills(3).await;
    gate.open();
    answers(asked).await;
    gateway.wait_for_fills(0).await;
}

#[tokio::test]
async fn refreshes_join_no_older_fill_and_share_the_next_one() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    let numbered = |number: u32| {
        let mut body = bodies::passed("S1");
        body["transactionId"] = number.to_string().into();
        Reply::json(body).gated(&gate)
    };
    upstream.answer("S1", [numbered(1), numbered(2)]);
    let gateway = Gateway::patient(&upstream).await;
    let mut asked = gateway.crowd("/idv/S1", 1).await;
    upstream.wait_for_hits("S1", 1).await;
    asked.extend(join_all((0..10).map(|_| gateway.ask("/idv/S1", NO_CACHE))).await);
    gate.open();
    let answers = answers(asked).await;
    assert_eq!(answers[0].cache_status(), "idv-gateway; fwd=miss; stored");
    let number = |answer: &crate::support::Answer| answer.json()["upstream"]["transactionId"].clone();
    assert_eq!(number(&answers[0]), "1");
    for refreshed in &answers[1..] {
        assert_eq!(refreshed.cache_status(), "idv-gateway; fwd=request");
        assert_eq!(number(refreshed), "2", "from a request that was sent after it arrived");
    }
    assert_eq!(upstream.hits("S1"), 2);
}

#[tokio::test]
async fn a_refresh_under_way_does_not_keep_others_from_the_cache() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    let passed = Reply::passed("S1");
    upstream.answer("S1", [passed.clone(), passed.gated(&gate)]);
    let gateway = Gateway::patient(&upstream).await;
    gateway.get("/idv/S1").await;
    let refresh = gateway.ask("/idv/S1", NO_CACHE).await;
    upstream.wait_for_hits("S1", 2).await;
    let other = gateway.get("/idv/S1").await;
    assert!(other.is_hit(), "{other:?}");
    gate.open();
    assert_eq!(refresh.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_landing_between_look_and_join_costs_no_second_call() {
    let upstream = Upstream::start().await;
    let ids: Vec<String> = (0..200).map(|n| format!("S{n}")).collect();
    for id in &ids {
        upstream.pass(id);
    }
    let (gateway, dice) = (Gateway::patient(&upstream).await, Dice::new());
    for ids in ids.chunks(20) {
        let targets = ids.iter().flat_map(|id| std::iter::repeat_n(format!("/idv/{id}"), 6));
        let callers = targets.map(|target| {
            let (public, delay) = (gateway.public, Duration::from_micros(dice.roll(0..3000)));
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                client::request(public, "GET", &target, &[]).await
            })
        });
        for answer in join_all(callers).await {
            assert_eq!(answer.expect("the caller is not cut off").status, 200);
        }
    }
    for id in &ids {
        assert_eq!(upstream.hits(id), 1, "{id}");
    }
}
