//! How long each kind of answer is kept, and what `Cache-Status` and the metrics say about it.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::support::client::NO_CACHE;
use crate::support::gateway::{OPEN, region};
use crate::support::upstream::Gate;
use crate::support::{Answer, Gateway, Reply, Upstream, bodies, eventually};

/// The seconds a hit says it is good for.
fn ttl(answer: &Answer) -> i64 {
    answer.ttl().unwrap_or_else(|| panic!("no hit: {answer:?}"))
}

/// Every kind of answer: a name, the upstream's body, and the `cache` key that says how long it is kept.
fn kinds() -> Vec<(&'static str, Value, &'static str)> {
    let word = |id: &str, result: &str, code: Value| bodies::verdict(id, json!(result), code);
    vec![
        ("passed", bodies::passed("passed"), "final_ttl"),
        ("failed", bodies::failed("failed", "LIVENESS_ATTACK"), "final_ttl"),
        ("gave-up", word("gave-up", "INCOMPLETE", json!("USER_TIMEOUT")), "final_ttl"),
        ("incomplete", word("incomplete", "INCOMPLETE", json!("CARD_NOT_FOUND")), "incomplete_ttl"),
        ("incomplete-bare", word("incomplete-bare", "INCOMPLETE", Value::Null), "incomplete_ttl"),
        ("pending", bodies::pending("pending"), "pending_ttl"),
        ("unknown", word("unknown", "REVIEW", Value::Null), "pending_ttl"),
        ("contradiction", word("contradiction", "PASS", json!("LIVENESS_ATTACK")), "pending_ttl"),
        ("absent", bodies::not_exist(), "not_found_ttl"),
    ]
}

#[tokio::test]
async fn each_kind_of_answer_is_kept_as_long_as_its_setting_says() {
    let upstream = Upstream::start().await;
    let lifetimes: [(&str, RangeInclusive<i64>); 4] = [
        ("final_ttl", 8_990..=11_000),
        ("incomplete_ttl", 4_490..=5_000),
        ("pending_ttl", 1_790..=2_200),
        ("not_found_ttl", 890..=1_000),
    ];
    let cache = "final_ttl = \"10000s\"\nincomplete_ttl = \"5000s\"\npending_ttl = \"2000s\"\nnot_found_ttl = \"1000s\"";
    let gateway = Gateway::with_cache(&upstream, cache).await;
    for (id, body, setting) in kinds() {
        upstream.answer(id, [Reply::json(body)]);
        let first = gateway.get(&format!("/idv/{id}")).await;
        assert_eq!(first.cache_status(), "idv-gateway; fwd=miss; stored", "{id}");
        let again = gateway.get(&format!("/idv/{id}")).await;
        assert_eq!(again.gist(), first.gist(), "{id}");
        let (_, range) = lifetimes.iter().find(|(name, _)| *name == setting).expect("listed above");
        assert!(range.contains(&ttl(&again)), "{id}: {again:?}");
        assert_eq!(upstream.hits(id), 1, "{id}");
    }
}

#[tokio::test]
async fn past_its_time_each_kind_of_answer_is_asked_for_again() {
    let upstream = Upstream::start().await;
    let short = "100ms";
    let cache = format!(
        "final_ttl = \"{short}\"\nincomplete_ttl = \"{short}\"\npending_ttl = \"{short}\"\nnot_found_ttl = \"{short}\""
    );
    let gateway = Gateway::with_cache(&upstream, &cache).await;
    for (id, body, _) in kinds() {
        upstream.answer(id, [Reply::json(body), Reply::failed(id, "STRATEGY_HIT")]);
        gateway.get(&format!("/idv/{id}")).await;
    }
    for (id, ..) in kinds() {
        let is_newer = async || {
            let answer = gateway.get(&format!("/idv/{id}")).await;
            answer.status == 200 && answer.json()["reason"]["code"] == "STRATEGY_HIT"
        };
        eventually(&format!("the newer answer of {id}"), is_newer).await;
    }
}

#[tokio::test]
async fn what_is_filled_together_does_not_expire_together() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with_cache(&upstream, "final_ttl = \"1000s\"\nnot_found_ttl = \"1000s\"").await;
    // What may soon be another answer is kept no longer than its setting says.
    for (found, longest) in [(true, 1040..=1100), (false, 960..=1000)] {
        let mut ttls = Vec::new();
        for n in 0..40 {
            let id = format!("{found}-{n}");
            if found {
                upstream.pass(&id);
            }
            gateway.get(&format!("/idv/{id}")).await;
            ttls.push(ttl(&gateway.get(&format!("/idv/{id}")).await));
        }
        let (least, most) = (*ttls.iter().min().expect("forty"), *ttls.iter().max().expect("forty"));
        assert!((890..960).contains(&least) && longest.contains(&most), "{found}: {ttls:?}");
    }
}

#[tokio::test]
async fn cache_status_says_hit_miss_or_request() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let gateway = Gateway::over(&upstream).await;
    let first = gateway.ask("/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    let second = gateway.ask("/idv/S1", &[]).await;
    gate.open();
    assert_eq!(first.answer().await.cache_status(), "idv-gateway; fwd=miss; stored");
    assert_eq!(second.answer().await.cache_status(), "idv-gateway; fwd=miss; stored; collapsed");
    let (hit, head) = (gateway.get("/idv/S1").await, gateway.send("HEAD", "/idv/S1", &[]).await);
    assert!(ttl(&hit) > 0 && ttl(&head) > 0);
    let refreshed = gateway.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!((refreshed.cache_status(), upstream.hits("S1")), ("idv-gateway; fwd=request", 2));
}

#[tokio::test]
async fn cache_status_of_not_found_and_of_errors_is_theirs_too() {
    let upstream = Upstream::start().await;
    upstream.answer("broken", [Reply::refusal("PARAMETER_ERROR", "no")]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/absent").await.cache_status(), "idv-gateway; fwd=miss; stored");
    let hit = gateway.get("/idv/absent").await;
    assert!(hit.gist() == (404, "signature_not_found".to_owned()) && ttl(&hit) > 0, "{hit:?}");
    let refreshed = gateway.send("GET", "/idv/absent", NO_CACHE).await;
    assert_eq!((refreshed.cache_status(), upstream.hits("absent")), ("idv-gateway; fwd=request", 2));
    for _ in 0..2 {
        assert_eq!(gateway.get("/idv/broken").await.cache_status(), "idv-gateway; fwd=miss");
    }
    assert_eq!(upstream.hits("broken"), 2);
}

#[tokio::test]
async fn cache_status_of_a_conflict_says_whether_it_was_known() {
    let regions = [Upstream::start().await, Upstream::start().await];
    for upstream in &regions {
        upstream.pass("S1");
    }
    let [my, ph] = &regions;
    let gateway = Gateway::with(&[OPEN, &region("my", my), &region("ph", ph)]).await;
    for cache_status in ["idv-gateway; fwd=miss", "idv-gateway; hit"] {
        let answer = gateway.get("/idv/S1").await;
        assert_eq!((answer.status, answer.cache_status()), (409, cache_status));
    }
}

#[tokio::test]
async fn a_refresh_replaces_what_is_kept() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::passed("S1")]);
    let gateway = Gateway::with_cache(&upstream, "pending_ttl = \"1h\"").await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), (200, "pending".to_owned()));
    assert_eq!(gateway.send("GET", "/idv/S1", NO_CACHE).await.gist(), (200, "passed".to_owned()));
    let next = gateway.get("/idv/S1").await;
    assert!(next.gist() == (200, "passed".to_owned()) && ttl(&next) > 0, "{next:?}");
    assert_eq!(upstream.hits("S1"), 2);
}

#[tokio::test]
async fn a_refresh_sees_an_id_that_did_not_exist_a_moment_ago_and_one_that_no_longer_does() {
    let upstream = Upstream::start().await;
    let (gone, there) = (Reply::absent(), Reply::passed("S1"));
    upstream.answer("S1", [gone.clone(), there, gone]);
    let gateway = Gateway::with_cache(&upstream, "not_found_ttl = \"1h\"").await;
    assert_eq!(gateway.get("/idv/S1").await.status, 404);
    assert_eq!(gateway.send("GET", "/idv/S1", NO_CACHE).await.status, 200);
    assert_eq!(gateway.get("/idv/S1").await.status, 200, "the mark is gone");
    assert_eq!(gateway.send("GET", "/idv/S1", NO_CACHE).await.status, 404);
    assert_eq!(gateway.get("/idv/S1").await.status, 404, "the result is gone");
    assert_eq!(upstream.hits("S1"), 3);
}

#[tokio::test]
async fn that_an_id_did_not_exist_is_forgotten_once_it_was_seen() {
    let upstream = Upstream::start().await;
    let (gone, there) = (Reply::absent(), Reply::pending("S1"));
    upstream.answer("S1", [gone, there]);
    let gateway = Gateway::with_cache(&upstream, "not_found_ttl = \"1h\"\npending_ttl = \"30ms\"").await;
    assert_eq!(gateway.get("/idv/S1").await.status, 404);
    assert_eq!(gateway.send("GET", "/idv/S1", NO_CACHE).await.status, 200);
    eventually("two more calls", async || {
        assert_eq!(gateway.get("/idv/S1").await.gist(), (200, "pending".to_owned()));
        upstream.hits("S1") >= 4
    })
    .await;
}

#[tokio::test]
async fn lookups_are_counted_by_how_they_were_answered() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    upstream.answer("broken", [Reply::refusal("PARAMETER_ERROR", "no")]);
    let gateway = Gateway::over(&upstream).await;
    let callers = [gateway.ask("/idv/S1", &[]).await, gateway.ask("/idv/S1", &[]).await];
    gate.open();
    for caller in callers {
        caller.answer().await;
    }
    for _ in 0..3 {
        gateway.get("/idv/S1").await;
    }
    for target in ["/idv/broken", "/idv/absent", "/idv/absent"] {
        gateway.get(target).await;
    }
    let broken = Reply::refusal("PARAMETER_ERROR", "no");
    upstream.answer("S1", [broken]);
    assert_eq!(gateway.send("GET", "/idv/S1", NO_CACHE).await.status, 200);
    let expected = [("filled", 2.0), ("joined", 1.0), ("hit", 4.0), ("failed", 1.0), ("stale", 1.0)];
    for (outcome, count) in expected {
        let series = format!("idv_lookups_total{{outcome=\"{outcome}\"}}");
        assert_eq!(gateway.metric(&series).await, count, "{outcome}");
    }
}

#[tokio::test]
async fn a_result_is_counted_once_per_id_when_it_is_first_seen_final() {
    let upstream = Upstream::start().await;
    let pending = Reply::pending("S1");
    upstream.answer("S1", [pending.clone(), pending, Reply::passed("S1")]);
    upstream.answer("S2", [Reply::failed("S2", "LIVENESS_ATTACK")]);
    let gateway = Gateway::over(&upstream).await;
    let passed = r#"idv_results_total{region="my",status="passed",reason="none"}"#;
    let failed = r#"idv_results_total{region="my",status="failed",reason="LIVENESS_ATTACK"}"#;
    for (refreshes, seen) in [(1, 0.0), (2, 0.0), (3, 1.0), (4, 1.0), (5, 1.0)] {
        gateway.send("GET", "/idv/S1", NO_CACHE).await;
        assert_eq!(gateway.metric(passed).await, seen, "after {refreshes} refreshes");
    }
    for _ in 0..3 {
        gateway.send("GET", "/idv/S2", NO_CACHE).await;
    }
    assert_eq!(gateway.metric(failed).await, 1.0);
    let times = r#"idv_time_to_final_seconds_count{region="my"}"#;
    assert_eq!(gateway.metric(times).await, 1.0, "S1 was seen pending, S2 was not");
}
