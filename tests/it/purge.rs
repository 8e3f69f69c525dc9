//! `DELETE` forgets an id wherever the gateway remembers it, and what is under way does not bring it back.

use crate::support::client::NO_CACHE;
use crate::support::gateway::{OPEN, region};
use crate::support::upstream::Gate;
use crate::support::{Gateway, Reply, Upstream, bodies, eventually};

/// Nothing ends by itself in these tests.
const LONG: &str = "[cache]\npending_ttl = \"1h\"\nnot_found_ttl = \"1h\"\n";

async fn over(upstream: &Upstream) -> Gateway {
    Gateway::with(&[OPEN, LONG, &region("my", upstream)]).await
}

async fn over_two(my: &Upstream, ph: &Upstream) -> Gateway {
    Gateway::with(&[OPEN, LONG, &region("my", my), &region("ph", ph)]).await
}

async fn purge(gateway: &Gateway, id: &str) {
    let answer = gateway.send("DELETE", &format!("/idv/{id}"), &[]).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_purged_result_is_asked_for_again_and_other_ids_are_left_alone() {
    let upstream = Upstream::start().await;
    for id in ["S1", "S2"] {
        upstream.pass(id);
    }
    let gateway = over(&upstream).await;
    for id in ["S1", "S2"] {
        gateway.get(&format!("/idv/{id}")).await;
    }
    upstream.answer("S1", [Reply::failed("S1", "STRATEGY_HIT")]);
    purge(&gateway, "S1").await;
    assert_eq!(gateway.metric("idv_cache_entries").await, 1.0);
    let again = gateway.get("/idv/S1").await;
    assert_eq!(again.gist(), (200, "failed".to_owned()));
    assert_eq!(again.cache_status(), "idv-gateway; fwd=miss; stored");
    assert!(gateway.get("/idv/S2").await.is_hit());
    assert_eq!((upstream.hits("S1"), upstream.hits("S2")), (2, 1));
}

#[tokio::test]
async fn an_unknown_id_can_be_purged_and_nobody_is_asked_about_it() {
    let upstream = Upstream::start().await;
    let gateway = over(&upstream).await;
    for _ in 0..2 {
        purge(&gateway, "unknown").await;
    }
    assert_eq!((upstream.result_hits(), upstream.token_hits()), (0, 0));
}

#[tokio::test]
async fn a_purge_forgets_that_the_id_does_not_exist() {
    let upstream = Upstream::start().await;
    let gateway = over(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.status, 404);
    upstream.pass("S1");
    assert_eq!(gateway.get("/idv/S1").await.status, 404, "it is remembered");
    purge(&gateway, "S1").await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), (200, "passed".to_owned()));
}

#[tokio::test]
async fn a_purge_forgets_the_learned_region() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    ph.pass("S1");
    let gateway = over_two(&my, &ph).await;
    assert_eq!(gateway.get("/idv/S1").await.json()["region"], "ph");
    gateway.wait_for_fills(0).await;
    gateway.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!((my.hits("S1"), ph.hits("S1")), (1, 2), "the region is known");
    purge(&gateway, "S1").await;
    assert_eq!(gateway.get("/idv/S1").await.status, 200);
    gateway.wait_for_fills(0).await;
    assert_eq!((my.hits("S1"), ph.hits("S1")), (2, 3), "and now it is not");
}

#[tokio::test]
async fn a_purge_forgets_that_two_regions_hold_the_id() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    my.pass("S1");
    ph.answer("S1", [Reply::passed("S1"), Reply::absent()]);
    let gateway = over_two(&my, &ph).await;
    gateway.get("/idv/S1").await;
    gateway.wait_for_fills(0).await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), (409, "ambiguous_signature".to_owned()));
    purge(&gateway, "S1").await;
    let again = gateway.get("/idv/S1").await;
    assert_eq!((again.status, &again.json()["region"]), (200, &"my".into()));
    gateway.wait_for_fills(0).await;
    assert_eq!(gateway.get("/idv/S1").await.status, 200);
}

#[tokio::test]
async fn a_purge_during_a_fill_wins_over_it_and_those_who_wait_are_answered() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    let (old, new) = (bodies::passed("S1"), bodies::failed("S1", "STRATEGY_HIT"));
    upstream.answer("S1", [Reply::json(old).gated(&gate), Reply::json(new)]);
    let gateway = over(&upstream).await;
    let waiting = [gateway.ask("/idv/S1", &[]).await, gateway.ask("/idv/S1", &[]).await];
    upstream.wait_for_hits("S1", 1).await;
    purge(&gateway, "S1").await;
    gate.open();
    let mut statuses = Vec::new();
    for asked in waiting {
        let answer = asked.answer().await;
        assert_eq!(answer.gist(), (200, "passed".to_owned()));
        statuses.push(answer.cache_status().to_owned());
    }
    // Beside a second tier either of the two starts the fill.
    statuses.sort();
    assert_eq!(statuses, ["idv-gateway; fwd=miss", "idv-gateway; fwd=miss; collapsed"], "not stored");
    assert_eq!(gateway.metric("idv_cache_entries").await, 0.0);
    let next = gateway.get("/idv/S1").await;
    assert_eq!((next.gist(), upstream.hits("S1")), ((200, "failed".to_owned()), 2));
}

#[tokio::test]
async fn a_call_after_the_purge_does_not_join_the_fill_before_it() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    let (old, new) = (bodies::passed("S1"), bodies::failed("S1", "STRATEGY_HIT"));
    upstream.answer("S1", [Reply::json(old).gated(&gate), Reply::json(new)]);
    let gateway = over(&upstream).await;
    let before = gateway.ask("/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    purge(&gateway, "S1").await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), (200, "failed".to_owned()));
    gate.open();
    assert_eq!(before.answer().await.gist(), (200, "passed".to_owned()));
    gateway.wait_for_fills(0).await;
    let kept = gateway.get("/idv/S1").await;
    assert_eq!(kept.gist(), (200, "failed".to_owned()), "the old fill does not overwrite the new one");
    assert_eq!(upstream.hits("S1"), 2);
}

#[tokio::test]
async fn a_fill_that_was_purged_leaves_no_mark_that_the_id_does_not_exist() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::absent().gated(&gate), Reply::passed("S1")]);
    let gateway = over(&upstream).await;
    let waiting = gateway.ask("/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    purge(&gateway, "S1").await;
    gate.open();
    let answer = waiting.answer().await;
    assert_eq!((answer.status, answer.cache_status()), (404, "idv-gateway; fwd=miss"));
    assert_eq!(gateway.get("/idv/S1").await.status, 200);
}

#[tokio::test]
async fn a_fill_that_was_purged_teaches_no_region_and_no_conflict() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    let gate = Gate::default();
    my.answer("S1", [Reply::passed("S1").gated(&gate), Reply::absent()]);
    ph.pass("S1");
    let gateway = over_two(&my, &ph).await;
    gateway.get("/idv/S1").await;
    my.wait_for_hits("S1", 1).await;
    purge(&gateway, "S1").await;
    gate.open();
    gateway.wait_for_fills(0).await;
    let again = gateway.get("/idv/S1").await;
    assert_eq!((again.status, &again.json()["region"]), (200, &"ph".into()));
    gateway.wait_for_fills(0).await;
    assert_eq!(gateway.get("/idv/S1").await.status, 200);
    assert_eq!(gateway.metric(r#"idv_contract_drift_total{region="my",kind="conflict"}"#).await, 0.0);
}

#[tokio::test]
async fn a_refresh_under_way_does_not_bring_a_purged_result_back() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    let passed = Reply::passed("S1");
    upstream.answer("S1", [passed.clone(), passed.clone().gated(&gate), passed]);
    let gateway = over(&upstream).await;
    gateway.get("/idv/S1").await;
    let refresh = gateway.ask("/idv/S1", NO_CACHE).await;
    upstream.wait_for_hits("S1", 2).await;
    purge(&gateway, "S1").await;
    gate.open();
    assert_eq!(refresh.answer().await.status, 200);
    assert_eq!(gateway.metric("idv_cache_entries").await, 0.0);
    assert_eq!(gateway.get("/idv/S1").await.cache_status(), "idv-gateway; fwd=miss; stored");
}

#[tokio::test]
async fn a_purged_stale_result_answers_no_more() {
    let upstream = Upstream::start().await;
    let broken = Reply::refusal("PARAMETER_ERROR", "no");
    upstream.answer("S1", [Reply::passed("S1"), broken]);
    let cache = "[cache]\nfinal_ttl = \"30ms\"\n";
    let gateway = Gateway::with(&[OPEN, cache, &region("my", &upstream)]).await;
    eventually("staleness", async || gateway.get("/idv/S1").await.json()["stale"] == true).await;
    purge(&gateway, "S1").await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), (502, "upstream_error".to_owned()));
}

#[tokio::test]
async fn a_purge_while_a_refresh_fails_leaves_nothing_to_fall_back_on() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    let broken = Reply::refusal("PARAMETER_ERROR", "no");
    upstream.answer("S1", [Reply::passed("S1"), broken.gated(&gate)]);
    let gateway = over(&upstream).await;
    gateway.get("/idv/S1").await;
    let refresh = gateway.ask("/idv/S1", NO_CACHE).await;
    upstream.wait_for_hits("S1", 2).await;
    purge(&gateway, "S1").await;
    gate.open();
    assert_eq!(refresh.answer().await.gist(), (502, "upstream_error".to_owned()));
}
