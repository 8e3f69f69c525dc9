//! Regions: which are asked for an id, what their answers mean together, and who may know of them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use crate::support::client::{NO_CACHE, gist};
use crate::support::gateway::{EVERY_SCOPE, OPEN, caller, region};
use crate::support::upstream::Gate;
use crate::support::{Answer, Gateway, Reply, Upstream, eventually};

fn down() -> Reply {
    Reply::Http(503, vec![("content-type", "text/html".to_owned())], b"<html>down</html>".to_vec())
}

fn found_in(region: &str) -> (u16, Option<String>) {
    (200, Some(region.to_owned()))
}

/// The status and the region that the answer names.
fn found(answer: &Answer) -> (u16, Option<String>) {
    (answer.status, answer.json()["region"].as_str().map(str::to_owned))
}

/// A gateway with the regions `my` and `ph`, open to everybody, and more settings.
async fn gateway(my: &Upstream, ph: &Upstream, settings: &str) -> Gateway {
    Gateway::with(&[OPEN, &region("my", my), &region("ph", ph), settings]).await
}

async fn upstreams() -> (Upstream, Upstream) {
    (Upstream::start().await, Upstream::start().await)
}

/// A gateway with the regions `my` and `ph`, and callers: `both` may use them all, `only-my` and `only-ph` one.
async fn gateway_for_callers(my: &Upstream, ph: &Upstream) -> Gateway {
    let only = |region| caller(&format!("only-{region}"), EVERY_SCOPE, &format!("regions = [\"{region}\"]"));
    let callers = [caller("both", EVERY_SCOPE, ""), only("my"), only("ph")];
    Gateway::with(&[&region("my", my), &region("ph", ph), &callers.concat()]).await
}

/// How many conflicts were counted, in all regions.
async fn conflicts(gateway: &Gateway) -> f64 {
    let of = |region: &str| format!("idv_contract_drift_total{{region=\"{region}\",kind=\"conflict\"}}");
    gateway.metric(&of("my")).await + gateway.metric(&of("ph")).await
}

#[tokio::test]
async fn a_named_region_alone_is_asked() {
    let (my, ph) = upstreams().await;
    my.pass("S1");
    ph.pass("S2");
    let gateway = gateway(&my, &ph, "").await;
    assert_eq!(found(&gateway.get("/idv/S2?region=ph").await), found_in("ph"));
    assert_eq!(found(&gateway.get("/idv/S1?region=my").await), found_in("my"));
    let missed = gateway.get("/idv/S1?region=ph").await;
    assert_eq!(missed.gist(), gist(404, "signature_not_found"));
    assert_eq!(missed.json()["region"], "ph");
    assert_eq!((my.hits("S1"), my.hits("S2"), ph.hits("S1"), ph.hits("S2")), (1, 0, 1, 1));
    assert_eq!(gateway.get("/idv/S1?region=sg").await.gist(), gist(400, "unknown_region"));
}

#[tokio::test]
async fn an_unknown_id_is_asked_for_in_every_region_at_once() {
    let (my, ph) = upstreams().await;
    let gate = Gate::default();
    my.answer("S1", [Reply::absent().gated(&gate)]);
    ph.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let gateway = gateway(&my, &ph, "").await;
    let open = async {
        my.wait_for_hits("S1", 1).await;
        ph.wait_for_hits("S1", 1).await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(gateway.get("/idv/S1"), open);
    assert_eq!(found(&answer), found_in("ph"));
    assert_eq!(answer.cache_status(), "idv-gateway; fwd=miss; stored");
}

#[tokio::test]
async fn the_first_region_that_has_the_id_answers_and_is_the_only_one_asked_from_then_on() {
    let (my, ph) = upstreams().await;
    let gate = Gate::default();
    my.answer("S1", [Reply::absent().gated(&gate)]);
    ph.pass("S1");
    let gateway = gateway(&my, &ph, "").await;
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("ph"), "while my still thinks");
    my.wait_for_hits("S1", 1).await;
    for refreshes in 1..=3 {
        let answer = gateway.send("GET", "/idv/S1", NO_CACHE).await;
        assert_eq!((found(&answer), answer.cache_status()), (found_in("ph"), "idv-gateway; fwd=request"));
        assert_eq!((my.hits("S1"), ph.hits("S1")), (1, 1 + refreshes), "the region is learned");
    }
    gate.open();
    gateway.wait_for_fills(0).await;
    assert!(gateway.get("/idv/S1").await.is_hit());
    assert_eq!(conflicts(&gateway).await, 0.0);
}

#[tokio::test]
async fn a_second_region_that_has_the_id_makes_it_ambiguous_however_late_it_answers() {
    let (my, ph) = upstreams().await;
    let gate = Gate::default();
    my.pass("S1");
    ph.answer("S1", [Reply::failed("S1", "LIVENESS_ATTACK").gated(&gate)]);
    let gateway = gateway(&my, &ph, "").await;
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("my"));
    assert!(gateway.get("/idv/S1").await.is_hit());
    gate.open();
    eventually("the conflict", async || conflicts(&gateway).await == 1.0).await;
    let answer = gateway.get("/idv/S1").await;
    assert_eq!(answer.gist(), gist(409, "ambiguous_signature"));
    assert_eq!((&answer.json()["retryable"], &answer.json()["region"]), (&Value::Bool(false), &Value::Null));
    let refreshed = gateway.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!(refreshed.gist(), gist(409, "ambiguous_signature"));
    assert_eq!((my.hits("S1"), ph.hits("S1")), (1, 1), "the entry is dropped, and nobody is asked in vain");
    // Who names the region is served.
    let in_my = gateway.get("/idv/S1?region=my").await;
    assert_eq!((in_my.gist(), found(&in_my)), (gist(200, "passed"), found_in("my")));
    let in_ph = gateway.get("/idv/S1?region=ph").await;
    assert_eq!((in_ph.gist(), found(&in_ph)), (gist(200, "failed"), found_in("ph")));
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(409, "ambiguous_signature"), "for good");
    assert_eq!(conflicts(&gateway).await, 1.0, "counted once");
}

#[tokio::test]
async fn two_regions_that_have_the_id_at_the_same_time_end_in_a_conflict() {
    let (my, ph) = upstreams().await;
    my.pass("S1");
    ph.pass("S1");
    let gateway = gateway(&my, &ph, "").await;
    let first = gateway.get("/idv/S1").await;
    assert!([200, 409].contains(&first.status), "{first:?}");
    eventually("the conflict", async || gateway.get("/idv/S1").await.status == 409).await;
    assert_eq!((my.hits("S1"), ph.hits("S1"), conflicts(&gateway).await), (1, 1, 1.0));
    // DELETE forgets the mark with everything else.
    ph.answer("S1", [Reply::absent()]);
    assert_eq!(gateway.send("DELETE", "/idv/S1", &[]).await.status, 204);
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("my"));
    ph.wait_for_hits("S1", 2).await;
    assert_eq!(my.hits("S1"), 2);
}

#[tokio::test]
async fn a_conflict_found_by_naming_the_other_region_counts_too() {
    let (my, ph) = upstreams().await;
    my.pass("S1");
    ph.answer("S1", [Reply::absent(), Reply::passed("S1")]);
    let gateway = gateway(&my, &ph, "[cache]\nnot_found_ttl = \"1ms\"").await;
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("my"));
    eventually("the answer of ph", async || gateway.get("/idv/S1?region=ph").await.status == 200).await;
    assert_eq!(conflicts(&gateway).await, 1.0);
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(409, "ambiguous_signature"));
}

#[tokio::test]
async fn not_found_is_never_said_while_a_region_could_not_be_asked() {
    let coded = |code: &str| Reply::refusal(code, "");
    let cases = [
        ("down", down()),
        ("reset", Reply::Reset),
        ("error", coded("ERROR")),
        ("busy", coded("SERVICE_BUSY").header("retry-after", "1")),
        ("auth", coded("IAM_FAILED")),
        ("account", coded("ACCOUNT_DISABLED")),
        ("refused", coded("PARAMETER_ERROR")),
        ("unknown", coded("FOO")),
        ("malformed", Reply::text(200, "<html>")),
        ("404 with HTML", Reply::Http(404, vec![], b"<html>404</html>".to_vec())),
        ("another id", Reply::passed("S2")),
        ("slow", Reply::Stall(vec![])),
    ];
    for (name, reply) in cases {
        let (my, ph) = upstreams().await;
        my.answer("S1", [Reply::absent().after(Duration::from_millis(20))]);
        ph.answer("S1", [reply.clone()]);
        let slow = "attempt_timeout = \"150ms\"";
        let gateway = gateway(&my, &ph, slow).await;
        for _ in 0..2 {
            let answer = gateway.get("/idv/S1").await;
            assert_eq!(answer.gist(), gist(503, "region_undetermined"), "{name}");
            assert_eq!(answer.cache_status(), "idv-gateway; fwd=miss", "{name}: only the absence is kept");
            assert_eq!(answer.json()["retryable"], true, "{name}");
            assert!(answer.header("retry-after").is_some(), "{name}");
        }
        assert_eq!(gateway.get("/idv/S1?region=my").await.gist(), gist(404, "signature_not_found"));
        ph.pass("S1");
        eventually("an answer of ph", async || gateway.get("/idv/S1").await.status == 200).await;
        assert_eq!(found(&gateway.get("/idv/S1").await), found_in("ph"), "{name}");
    }
}

#[tokio::test]
async fn a_region_that_is_down_hides_no_id_of_another() {
    let (my, ph) = upstreams().await;
    my.answer("S1", [down()]);
    ph.pass("S1");
    let gateway = gateway(&my, &ph, "").await;
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("ph"));
}

#[tokio::test]
async fn a_caller_who_runs_out_of_time_is_not_told_that_the_id_does_not_exist() {
    let (my, ph) = upstreams().await;
    let gate = Gate::default();
    my.answer("S1", [Reply::absent()]);
    ph.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let gateway = gateway(&my, &ph, "[request]\ntimeout = \"200ms\"\nfill_timeout = \"10s\"").await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(503, "region_undetermined"));
    // The fill goes on, and what it brings is kept.
    gate.open();
    eventually("the answer of ph", async || gateway.get("/idv/S1").await.status == 200).await;
    assert_eq!((my.hits("S1"), ph.hits("S1")), (1, 1));
}

#[tokio::test]
async fn a_region_that_a_result_was_not_held_for_any_longer_has_not_said_that_the_id_does_not_exist() {
    let (my, ph) = upstreams().await;
    my.answer("S1", [Reply::passed("S1"), Reply::absent()]);
    ph.answer("S1", [Reply::Stall(vec![])]);
    let request = "[request]\ntimeout = \"1500ms\"\ndiscovery_wait = \"500ms\"\n";
    let gateway = gateway(&my, &ph, request).await;
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("my"));
    let held = gateway.ask("/idv/S1", &[]).await;
    let gone = gateway.send("GET", "/idv/S1?region=my", NO_CACHE).await;
    assert_eq!(gone.gist(), gist(404, "signature_not_found"));
    assert_eq!(held.answer().await.gist(), gist(503, "region_undetermined"));
}

#[tokio::test]
async fn an_id_that_no_region_has_is_remembered_for_a_while() {
    let (my, ph) = upstreams().await;
    let gateway = gateway(&my, &ph, "[cache]\nnot_found_ttl = \"1s\"").await;
    let asked = Instant::now();
    let answer = gateway.get("/idv/S1").await;
    assert_eq!(answer.gist(), gist(404, "signature_not_found"));
    assert_eq!((&answer.json()["retryable"], &answer.json()["region"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(answer.cache_status(), "idv-gateway; fwd=miss; stored");
    let again = gateway.get("/idv/S1").await;
    assert_eq!(again.gist(), gist(404, "signature_not_found"));
    assert!(again.is_hit(), "{}", again.cache_status());
    assert_eq!((my.hits("S1"), ph.hits("S1")), (1, 1));
    my.pass("S1");
    eventually("the end of the memory", async || gateway.get("/idv/S1").await.status == 200).await;
    assert!(asked.elapsed() >= Duration::from_millis(900), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn no_cache_sees_at_once_that_an_id_exists_now() {
    let (my, ph) = upstreams().await;
    let gateway = gateway(&my, &ph, "").await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(404, "signature_not_found"));
    ph.pass("S1");
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(404, "signature_not_found"), "from memory");
    let fresh = gateway.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!((found(&fresh), fresh.cache_status()), (found_in("ph"), "idv-gateway; fwd=request"));
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("ph"), "and so does everybody else");
    my.wait_for_hits("S1", 2).await;
    assert_eq!((my.hits("S1"), ph.hits("S1")), (2, 2));
}

#[tokio::test]
async fn what_one_region_does_not_have_says_nothing_of_another() {
    let (my, ph) = upstreams().await;
    ph.pass("S1");
    let gateway = gateway(&my, &ph, "").await;
    assert_eq!(gateway.get("/idv/S1?region=my").await.gist(), gist(404, "signature_not_found"));
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("ph"));
    let known = gateway.get("/idv/S1?region=my").await;
    assert_eq!(known.gist(), gist(404, "signature_not_found"));
    assert!(known.is_hit());
    assert_eq!((my.hits("S1"), ph.hits("S1")), (1, 1), "what my said is remembered");
}

#[tokio::test]
async fn an_id_that_left_its_region_is_looked_for_everywhere() {
    let (my, ph) = upstreams().await;
    my.answer("S1", [Reply::passed("S1"), Reply::absent()]);
    ph.answer("S1", [Reply::absent(), Reply::passed("S1")]);
    let gateway = gateway(&my, &ph, "[cache]\nnot_found_ttl = \"1ms\"").await;
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("my"));
    ph.wait_for_hits("S1", 1).await;
    gateway.wait_for_fills(0).await;
    let moved = gateway.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!(found(&moved), found_in("ph"));
    assert_eq!((my.hits("S1"), ph.hits("S1")), (2, 2));
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("ph"), "the old entry is gone");
    assert_eq!(found(&gateway.send("GET", "/idv/S1", NO_CACHE).await), found_in("ph"));
    assert_eq!((my.hits("S1"), ph.hits("S1")), (2, 3), "the new region is learned");
    assert_eq!(conflicts(&gateway).await, 0.0);
}

#[tokio::test]
async fn where_an_id_did_not_exist_a_moment_ago_is_asked_again_when_it_has_left_its_region() {
    let (my, ph) = upstreams().await;
    my.answer("S1", [Reply::passed("S1"), Reply::absent()]);
    ph.answer("S1", [Reply::absent(), Reply::passed("S1")]);
    let gateway = gateway(&my, &ph, "[cache]\nfinal_ttl = \"1ms\"\nincomplete_ttl = \"1ms\"").await;
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("my"));
    let has_moved = async || found(&gateway.get("/idv/S1").await) == found_in("ph");
    eventually("the new region, within cache.not_found_ttl", has_moved).await;
    assert_eq!((my.hits("S1"), ph.hits("S1")), (2, 2));
}

#[tokio::test]
async fn what_a_region_said_before_an_id_was_gone_confirms_no_later_result() {
    let (my, ph) = upstreams().await;
    my.answer("S1", [Reply::passed("S1"), Reply::absent(), down()]);
    ph.answer(
        "S1",
        [Reply::absent(), Reply::absent(), Reply::passed("S1").after(Duration::from_millis(2500))],
    );
    let gateway = gateway(&my, &ph, "[cache]\nnot_found_ttl = \"1ms\"").await;
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("my"));
    let gone = gateway.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!(gone.gist(), gist(404, "signature_not_found"));
    let is_in_ph = async || gateway.get("/idv/S1").await.status == 200;
    eventually("the result of ph, while my is down", is_in_ph).await;
    my.answer("S1", [Reply::failed("S1", "STRATEGY_HIT")]);
    let is_in_both = async || gateway.get("/idv/S1").await.gist() == gist(409, "ambiguous_signature");
    eventually("the answer of my", is_in_both).await;
}

#[tokio::test]
async fn an_id_that_left_every_region_is_gone() {
    let (my, ph) = upstreams().await;
    my.answer("S1", [Reply::passed("S1"), Reply::absent()]);
    let gateway = gateway(&my, &ph, "").await;
    assert_eq!(found(&gateway.get("/idv/S1").await), found_in("my"));
    let gone = gateway.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!(gone.gist(), gist(404, "signature_not_found"));
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(404, "signature_not_found"), "no stale result");
}

#[tokio::test]
async fn a_learned_region_fails_with_its_own_error() {
    let (my, ph) = upstreams().await;
    my.answer("S1", [Reply::pending("S1"), down()]);
    let gateway = gateway(&my, &ph, "[cache]\npending_ttl = \"1ms\"").await;
    assert_eq!(gateway.get("/idv/S1").await.gist(), gist(200, "pending"));
    ph.wait_for_hits("S1", 1).await;
    let mut answer = gateway.get("/idv/S1").await;
    eventually("the pending answer's end", async || {
        answer = gateway.get("/idv/S1").await;
        answer.status != 200
    })
    .await;
    assert_eq!(answer.gist(), gist(502, "upstream_error"));
    assert_eq!((answer.json()["region"].as_str(), ph.hits("S1")), (Some("my"), 1));
}

#[tokio::test]
async fn one_of_several_regions_fails_with_its_own_error_if_it_is_named() {
    let (my, ph) = upstreams().await;
    my.answer("S1", [down()]);
    let gateway = gateway(&my, &ph, "").await;
    let answer = gateway.get("/idv/S1?region=my").await;
    assert_eq!((answer.gist(), ph.hits("S1")), (gist(502, "upstream_error"), 0));
}

#[tokio::test]
async fn naming_another_region_than_the_entrys_is_a_miss_that_leaves_the_entry_alone() {
    let (my, ph) = upstreams().await;
    my.pass("S1");
    let gateway = gateway(&my, &ph, "[cache]\nnot_found_ttl = \"1ms\"").await;
    assert_eq!(found(&gateway.get("/idv/S1?region=my").await), found_in("my"));
    let missed = gateway.get("/idv/S1?region=ph").await;
    assert_eq!(missed.gist(), gist(404, "signature_not_found"));
    assert!(!missed.cache_status().contains("hit"));
    for target in ["/idv/S1", "/idv/S1?region=my"] {
        let answer = gateway.get(target).await;
        assert_eq!(found(&answer), found_in("my"));
        assert!(answer.is_hit(), "{target}: {}", answer.cache_status());
    }
    ph.answer("S1", [down()]);
    eventually("the failure of ph", async || {
        gateway.get("/idv/S1?region=ph").await.gist() == gist(502, "upstream_error")
    })
    .await;
    assert_eq!(my.hits("S1"), 1);
}

#[tokio::test]
async fn an_entry_of_a_region_that_a_caller_may_not_use_does_not_exist_for_him() {
    let (my, ph) = upstreams().await;
    my.pass("S1");
    ph.answer("S2", [down()]);
    my.pass("S2");
    let gateway = gateway_for_callers(&my, &ph).await;
    for id in ["S1", "S2"] {
        assert_eq!(found(&gateway.get_as("only-my", &format!("/idv/{id}")).await), found_in("my"));
    }
    let missed = gateway.get_as("only-ph", "/idv/S1").await;
    assert_eq!(missed.gist(), gist(404, "signature_not_found"));
    assert_eq!(missed.json()["region"], "ph");
    // Not even as a stale answer, nor for a refresh.
    assert_eq!(gateway.get_as("only-ph", "/idv/S2").await.gist(), gist(502, "upstream_error"));
    let refresh = [("Authorization", "Bearer only-ph"), NO_CACHE[0]];
    assert_eq!(gateway.send("GET", "/idv/S1", &refresh).await.status, 404);
    // His 404 is his own.
    for key in ["both", "only-my"] {
        let answer = gateway.get_as(key, "/idv/S1").await;
        assert_eq!(found(&answer), found_in("my"), "{key}");
        assert!(answer.is_hit(), "{key}: {}", answer.cache_status());
    }
    assert_eq!(my.hits("S1"), 1);
}

#[tokio::test]
async fn a_conflict_is_one_only_for_those_who_may_use_both_regions() {
    let (my, ph) = upstreams().await;
    my.pass("S1");
    ph.answer("S1", [Reply::failed("S1", "STRATEGY_HIT")]);
    let gateway = gateway_for_callers(&my, &ph).await;
    let check_everybody = async || {
        let in_my = gateway.get_as("only-my", "/idv/S1").await;
        assert_eq!((in_my.gist(), found(&in_my)), (gist(200, "passed"), found_in("my")));
        let in_ph = gateway.get_as("only-ph", "/idv/S1").await;
        assert_eq!((in_ph.gist(), found(&in_ph)), (gist(200, "failed"), found_in("ph")));
        let both = gateway.get_as("both", "/idv/S1").await;
        assert_eq!(both.gist(), gist(409, "ambiguous_signature"));
        let named = gateway.get_as("both", "/idv/S1?region=ph").await;
        assert_eq!((named.gist(), found(&named)), (gist(200, "failed"), found_in("ph")));
    };
    check_everybody().await;
    check_everybody().await;
    assert_eq!(conflicts(&gateway).await, 1.0);
}

#[tokio::test]
async fn a_region_that_hangs_takes_no_room_from_another() {
    let (my, ph) = upstreams().await;
    let gate = Gate::default();
    let ids: Vec<String> = (0..50).map(|n| format!("S{n}")).collect();
    for id in &ids {
        my.answer(id, [Reply::absent().gated(&gate)]);
        ph.pass(id);
    }
    let few = format!("{}concurrency = 2\n", region("my", &my));
    let gateway = Gateway::with(&[OPEN, &few, &region("ph", &ph)]).await;
    let answers = join_all(ids.iter().map(async |id| gateway.get(&format!("/idv/{id}")).await)).await;
    assert!(answers.iter().all(|answer| found(answer) == found_in("ph")), "while my hangs");
    eventually("two calls", async || my.result_hits() >= 2).await;
    assert_eq!(my.result_hits(), 2, "at once, as configured");
    assert_eq!(gateway.fills().await, 2.0, "nobody waits for those that queued");
    gate.open();
    eventually("the end of all fills", async || gateway.fills().await == 0.0).await;
    assert_eq!((my.result_hits(), conflicts(&gateway).await), (2, 0.0));
}
