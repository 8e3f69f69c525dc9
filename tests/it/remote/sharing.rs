//! What one replica learns, the others know: results, regions, purges, messages; and one of them fetches for all.

use std::time::Duration;

use crate::support::bodies;
use crate::support::client::{NO_CACHE, gist};
use crate::support::gateway::{Gateway, OPEN, caller, region};
use crate::support::process::text;
use crate::support::redis::{KEY, Redis, replica, replica_of, up};
use crate::support::upstream::{Gate, Reply, Upstream};
use crate::support::{client, eventually, within};
use futures_util::future::join_all;

const NOT_FOUND: &str =
    "idv_upstream_requests_total{region=\"my\",operation=\"get_result\",outcome=\"not_found\"}";

#[tokio::test]
async fn a_result_that_one_replica_fetched_is_a_hit_on_another() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    let (one, other) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    let fetched = one.get("/idv/S1").await;
    assert_eq!(fetched.cache_status(), "idv-gateway; fwd=miss; stored");
    let shared = other.get("/idv/S1").await;
    assert_eq!(shared.status, 200);
    assert_eq!(shared.text(), fetched.text(), "the same bytes");
    let status = shared.cache_status();
    assert!(status.starts_with("idv-gateway; hit; ttl=") && status.ends_with("; detail=remote"), "{status}");
    let kept = other.get("/idv/S1").await;
    assert!(!kept.cache_status().contains("remote"), "it is in memory now");
    assert_eq!(upstream.hits("S1"), 1);
    assert_eq!(other.metric(r#"idv_lookups_total{outcome="remote_hit"}"#).await, 1.0);
    let counted = async |gateway: &Gateway| {
        gateway.metric("idv_results_total{region=\"my\",status=\"passed\",reason=\"none\"}").await
    };
    assert_eq!((counted(&one).await, counted(&other).await), (1.0, 0.0), "counted once");
}

#[tokio::test]
async fn a_purge_on_one_replica_is_a_purge_on_all() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    let (one, other) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    one.get("/idv/S1").await;
    other.get("/idv/S1").await;
    assert_eq!(one.send("DELETE", "/idv/S1", &[]).await.status, 204);
    assert!(redis.keys("*:result").await.is_empty(), "nothing of the person is left");
    eventually("the purge on the other replica", async || {
        other.metric(r#"idv_cache_evictions_total{cause="purged"}"#).await > 0.0
    })
    .await;
    assert_eq!(other.get("/idv/S1").await.cache_status(), "idv-gateway; fwd=miss; stored");
    assert_eq!(upstream.hits("S1"), 2);
    let again = one.get("/idv/S1").await;
    assert!(again.cache_status().ends_with("; detail=remote"), "shared again");
}

#[tokio::test]
async fn a_fill_under_way_on_another_replica_does_not_put_back_what_was_purged() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let (one, other) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    let asked = one.ask("/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    assert_eq!(other.send("DELETE", "/idv/S1", &[]).await.status, 204);
    gate.open();
    assert_eq!(asked.answer().await.status, 200);
    assert!(redis.keys("*:result").await.is_empty());
    assert_eq!(other.get("/idv/S1").await.cache_status(), "idv-gateway; fwd=miss; stored");
}

#[tokio::test]
async fn a_region_that_one_replica_learned_is_the_only_one_another_asks() {
    let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    ph.answer("S1", [Reply::pending("S1")]);
    let pieces = [OPEN, &region("my", &my), &region("ph", &ph), &redis.section()];
    let cache = "[cache]\npending_ttl = \"100ms\"\n";
    let (one, other) = (
        Gateway::with(&[&pieces[..], &[cache]].concat()).await,
        Gateway::with(&[&pieces[..], &[cache]].concat()).await,
    );
    one.get("/idv/S1").await;
    eventually("the end of the pending result", async || redis.keys("*:result").await.is_empty()).await;
    assert_eq!(other.get("/idv/S1").await.status, 200);
    assert_eq!((my.hits("S1"), ph.hits("S1")), (1, 2), "my was not asked again");
}

#[tokio::test]
async fn a_second_holder_that_another_replica_found_is_a_conflict_here() {
    let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    for upstream in [&my, &ph] {
        upstream.pass("S1");
    }
    let pieces = [OPEN, &region("my", &my), &region("ph", &ph), &redis.section()];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    assert_eq!(one.get("/idv/S1?region=my").await.status, 200);
    assert_eq!(other.get("/idv/S1?region=ph").await.status, 200);
    let answer = other.get("/idv/S1").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (409, Some("ambiguous_signature")));
}

#[tokio::test]
async fn a_holder_that_another_replica_found_meanwhile_stays_one() {
    let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    let (gate, pass) = (Gate::default(), Reply::passed("S1"));
    let busy = Reply::refusal("SERVICE_BUSY", "later");
    my.answer("S1", [Reply::absent(), pass.clone(), busy]);
    ph.answer("S1", [pass.clone().gated(&gate), pass]);
    let pieces = [OPEN, &region("my", &my), &region("ph", &ph), &redis.section()];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    let asked = one.ask("/idv/S1", &[]).await;
    ph.wait_for_hits("S1", 1).await;
    eventually("what my said", async || one.metric(NOT_FOUND).await == 1.0).await;
    assert_eq!(other.get("/idv/S1?region=my").await.gist(), gist(200, "passed"));
    gate.open();
    assert_eq!(asked.answer().await.status, 200);
    let answer = one.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!(answer.gist(), gist(409, "ambiguous_signature"));
}

#[tokio::test]
async fn two_holders_that_two_replicas_find_at_once_are_a_conflict() {
    let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    let gate = Gate::default();
    let pass = Reply::passed("S1").gated(&gate);
    my.answer("S1", [pass.clone()]);
    ph.answer("S1", [Reply::absent(), pass]);
    let pieces = [OPEN, &region("my", &my), &region("ph", &ph), &redis.section()];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    let unpinned = one.ask("/idv/S1", &[]).await;
    ph.wait_for_hits("S1", 1).await;
    let pinned = other.ask("/idv/S1?region=ph", &[]).await;
    ph.wait_for_hits("S1", 2).await;
    gate.open();
    unpinned.answer().await;
    assert_eq!(pinned.answer().await.gist(), gist(200, "passed"));
    eventually("the conflict", async || one.get("/idv/S1").await.status == 409).await;
    let counted = async |gateway: &Gateway, region| {
        gateway.metric(&format!("idv_contract_drift_total{{region=\"{region}\",kind=\"conflict\"}}")).await
    };
    assert!(counted(&one, "my").await + counted(&other, "ph").await > 0.0);
}

/// Two replicas. One found the id in my, to the other every region then denied it, and the first has asked ph alone since.
async fn with_an_id_that_left_my(pieces: &[&str]) -> (Gateway, Gateway) {
    let (one, other) = (replica_of(pieces).await, replica_of(pieces).await);
    assert_eq!(one.get("/idv/S1").await.gist(), gist(200, "passed"));
    assert_eq!(other.send("GET", "/idv/S1", NO_CACHE).await.gist(), gist(404, "signature_not_found"));
    assert_eq!(one.send("GET", "/idv/S1?region=ph", NO_CACHE).await.status, 404);
    (one, other)
}

#[tokio::test]
async fn a_region_that_denied_the_id_to_another_replica_is_not_named_again() {
    let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    let down = Reply::text(500, "down");
    my.answer("S1", [Reply::passed("S1"), Reply::absent(), down]);
    ph.answer("S1", [Reply::absent(), Reply::absent(), Reply::absent(), Reply::passed("S1")]);
    let pieces = [OPEN, &region("my", &my), &region("ph", &ph), &redis.section()];
    let _replicas = with_an_id_that_left_my(&pieces).await;
    let third = replica_of(&pieces).await;
    assert_eq!(third.get("/idv/S1").await.gist(), gist(200, "passed"), "ph is asked, too");
}

#[tokio::test]
async fn what_regions_said_before_the_id_was_gone_confirms_nothing_on_another_replica() {
    let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    my.answer("S1", [Reply::passed("S1"), Reply::absent(), Reply::passed("S1")]);
    ph.answer("S1", [Reply::absent(), Reply::absent(), Reply::absent(), Reply::passed("S1")]);
    let pieces = [OPEN, &region("my", &my), &region("ph", &ph), &redis.section()];
    let _replicas = with_an_id_that_left_my(&pieces).await;
    let (third, fourth) = (replica_of(&pieces).await, replica_of(&pieces).await);
    assert_eq!(third.get("/idv/S1?region=my").await.gist(), gist(200, "passed"));
    assert_eq!(fourth.get("/idv/S1").await.gist(), gist(409, "ambiguous_signature"), "ph is asked again");
}

#[tokio::test]
async fn a_shared_result_is_no_answer_for_regions_that_never_answered() {
    let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    my.pass("S1");
    let regions = [region("my", &my), region("ph", &ph)].concat();
    let callers = [
        caller("both", &[], ""),
        caller("only-my", &[], "regions = [\"my\"]"),
        caller("only-ph", &[], "regions = [\"ph\"]"),
    ];
    let (callers, section) = (callers.concat(), redis.section());
    let pieces = [regions.as_str(), &callers, &section];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    assert_eq!(one.get_as("only-my", "/idv/S1").await.status, 200);
    assert_eq!(other.get_as("only-ph", "/idv/S1").await.status, 404, "it does not exist for this caller");
    assert_eq!(other.get_as("both", "/idv/S1").await.status, 200);
    assert_eq!((my.hits("S1"), ph.hits("S1")), (1, 1), "ph had just said no");
}

#[tokio::test]
async fn a_waiter_on_one_replica_is_answered_by_what_another_brings() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let pending = Reply::pending("S1");
    upstream.answer("S1", [pending, Reply::passed("S1")]);
    let slow = "[cache]\npending_ttl = \"30s\"\n";
    let pieces = [OPEN, slow, &region("my", &upstream), &redis.section()];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    let waiting = one.ask("/idv/S1", &[("Prefer", "wait=20")]).await;
    eventually("the waiter", async || one.metric("idv_waiters").await == 1.0).await;
    let refreshed = other.send("GET", "/idv/S1", &[("Cache-Control", "no-cache")]).await;
    assert_eq!(refreshed.json()["status"], "passed");
    assert_eq!(waiting.answer().await.json()["status"], "passed");
    assert_eq!(upstream.hits("S1"), 2);
}

#[tokio::test]
async fn a_callback_reaches_the_waiter_on_another_replica() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let pending = Reply::pending("S1");
    upstream.answer("S1", [pending, Reply::passed("S1")]);
    let slow = "[cache]\npending_ttl = \"30s\"\n";
    let key = redis.scratch.write("callback-key", "a-callback-key\n");
    let callbacks = format!("[callbacks]\nlisten = \"127.0.0.1:0\"\nkey_file = \"{}\"\n", text(&key));
    let pieces = [OPEN, slow, &callbacks, &region("my", &upstream), &redis.section()];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    let waiting = one.ask("/idv/S1", &[("Prefer", "wait=20")]).await;
    eventually("the waiter", async || one.metric("idv_waiters").await == 1.0).await;
    let to = other.callbacks.expect("it takes callbacks");
    let body = r#"{"signatureId":"S1","type":"COMPLETED"}"#;
    let head =
        format!("POST /callbacks/my?key=a-callback-key HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    client::raw(to, request.as_bytes()).await;
    assert_eq!(waiting.answer().await.json()["status"], "passed");
    assert_eq!(upstream.hits("S1"), 2);
    assert_eq!(other.metric(r#"idv_callbacks_total{outcome="fetched"}"#).await, 1.0);
}

#[tokio::test]
async fn a_purge_that_the_second_tier_did_not_take_is_made_up_for() {
    let (upstream, mut redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    let (one, other) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    one.get("/idv/S1").await;
    other.get("/idv/S1").await;
    redis.signal("STOP");
    assert_eq!(one.send("DELETE", "/idv/S1", &[]).await.status, 204);
    redis.signal("CONT");
    eventually("the purge on the other replica", async || {
        other.metric(r#"idv_cache_evictions_total{cause="purged"}"#).await > 0.0
    })
    .await;
    eventually("the end of the shared result", async || redis.keys("*:result").await.is_empty()).await;
    redis.stop();
}

#[tokio::test]
async fn a_replica_that_did_not_listen_learns_what_was_purged_meanwhile() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    let (one, other) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    one.get("/idv/S1").await;
    other.get("/idv/S1").await;
    redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(one.send("DELETE", "/idv/S1", &[]).await.status, 204);
    eventually("the purge on the other replica", async || {
        other.metric(r#"idv_cache_evictions_total{cause="purged"}"#).await > 0.0
    })
    .await;
}

#[tokio::test]
async fn not_found_is_never_taken_from_another_replica() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let (one, other) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    assert_eq!(one.get("/idv/S1").await.status, 404);
    upstream.pass("S1");
    assert_eq!(other.get("/idv/S1").await.status, 200);
    assert!(one.get("/idv/S1").await.is_hit(), "believed for ten seconds where it was heard");
}

#[tokio::test]
async fn a_pending_result_is_fetched_on_one_schedule_by_all_replicas() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.answer("S1", [Reply::pending("S1")]);
    let replicas = join_all((0..3).map(|_| replica(&upstream, &redis))).await;
    for replica in &replicas {
        let answer = replica.get("/idv/S1").await;
        assert_eq!(answer.json()["status"], "pending");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(upstream.hits("S1"), 1);
}

fn contradictory(id: &str) -> Reply {
    let mut body = bodies::passed(id);
    body["data"]["overallResult"] = "FAIL".into();
    Reply::json(body)
}

#[tokio::test]
async fn an_older_final_result_does_not_come_back_over_a_newer_answer_that_is_none() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.answer("S1", [Reply::passed("S1"), contradictory("S1")]);
    let pieces = [OPEN, "[cache]\npending_ttl = \"200ms\"\n", &region("my", &upstream), &redis.section()];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    assert_eq!(one.get("/idv/S1").await.gist(), gist(200, "passed"));
    assert_eq!(one.send("GET", "/idv/S1", NO_CACHE).await.gist(), gist(200, "unrecognized"));
    upstream.answer("S1", [contradictory("S1")]);
    for _ in 0..5 {
        for replica in [&one, &other] {
            assert_eq!(replica.get("/idv/S1").await.gist(), gist(200, "unrecognized"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn what_was_asked_earlier_and_answered_later_does_not_replace_what_is_newer() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = Gate::default();
    let failed = Reply::failed("S1", "LIVENESS_ATTACK");
    upstream.answer("S1", [Reply::passed("S1").gated(&gate), failed]);
    let (one, two) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    let slow = one.ask("/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    assert_eq!(two.send("GET", "/idv/S1", NO_CACHE).await.gist(), gist(200, "failed"));
    gate.open();
    assert_eq!(slow.answer().await.gist(), gist(200, "passed"));
    let three = replica(&upstream, &redis).await;
    let answer = three.get("/idv/S1").await;
    assert_eq!(answer.gist(), gist(200, "failed"), "{}", answer.cache_status());
    assert!(answer.cache_status().ends_with("detail=remote"), "{}", answer.cache_status());
}

#[tokio::test]
async fn an_id_that_another_replica_saw_move_is_no_conflict_here() {
    let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    my.answer("S1", [Reply::pending("S1"), Reply::absent()]);
    ph.answer("S1", [Reply::absent(), Reply::passed("S1")]);
    let cache = "[cache]\npending_ttl = \"100ms\"\nnot_found_ttl = \"1ms\"\n";
    let pieces = [OPEN, cache, &region("my", &my), &region("ph", &ph), &redis.section()];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    assert_eq!(one.get("/idv/S1").await.gist(), gist(200, "pending"));
    eventually("the end of the pending result", async || redis.keys("*:result").await.is_empty()).await;
    assert_eq!(other.get("/idv/S1").await.gist(), gist(200, "passed"));
    eventually("the end of what it had itself", async || {
        let answer = one.get("/idv/S1").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.gist() == gist(200, "passed")
    })
    .await;
}

#[tokio::test]
async fn a_conflict_that_one_replica_finds_ends_what_another_keeps() {
    for headers in [&[][..], NO_CACHE] {
        let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
        my.pass("S1");
        ph.answer("S1", [Reply::absent(), Reply::passed("S1")]);
        let cache = "[cache]\nnot_found_ttl = \"1ms\"\n";
        let pieces = [OPEN, cache, &region("my", &my), &region("ph", &ph), &redis.section()];
        let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
        assert_eq!(other.get("/idv/S1").await.gist(), gist(200, "passed"));
        assert!(other.get("/idv/S1").await.is_hit());
        assert_eq!(one.send("GET", "/idv/S1?region=ph", headers).await.gist(), gist(200, "passed"));
        eventually("the conflict on the other replica", async || other.get("/idv/S1").await.status == 409)
            .await;
    }
}

#[tokio::test]
async fn a_waiter_is_told_at_once_that_another_replica_found_a_conflict() {
    let (my, ph, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    my.answer("S1", [Reply::pending("S1")]);
    ph.answer("S1", [Reply::absent(), Reply::pending("S1")]);
    let slow = "[cache]\npending_ttl = \"30s\"\n";
    let pieces = [OPEN, slow, &region("my", &my), &region("ph", &ph), &redis.section()];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    let waiting = one.ask("/idv/S1", &[("Prefer", "wait=30")]).await;
    eventually("the waiter", async || one.metric("idv_waiters").await == 1.0).await;
    assert_eq!(other.get("/idv/S1?region=ph").await.gist(), gist(200, "pending"));
    let answer = within("the conflict", waiting.answer()).await;
    assert_eq!((answer.status, answer.code()), (409, "ambiguous_signature".to_owned()));
}

#[tokio::test]
async fn a_waiter_is_told_at_once_that_another_replica_found_the_id_gone() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.answer("S1", [Reply::pending("S1"), Reply::absent()]);
    let slow = "[cache]\npending_ttl = \"30s\"\n";
    let pieces = [OPEN, slow, &region("my", &upstream), &redis.section()];
    let (one, other) = (replica_of(&pieces).await, replica_of(&pieces).await);
    let waiting = one.ask("/idv/S1", &[("Prefer", "wait=30")]).await;
    eventually("the waiter", async || one.metric("idv_waiters").await == 1.0).await;
    let refreshed = other.send("GET", "/idv/S1", &[("Cache-Control", "no-cache")]).await;
    assert_eq!(refreshed.gist(), gist(404, "signature_not_found"));
    let answer = within("the end of the wait", waiting.answer()).await;
    assert_eq!(answer.gist(), gist(404, "signature_not_found"));
    assert_eq!(upstream.hits("S1"), 3, "asked again, not taken from the other replica");
}

#[tokio::test]
async fn a_replica_that_is_told_nothing_reads_what_was_purged() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    redis.ask(&["ACL", "SETUSER", "mute", "on", ">p", "~*", "&*", "+@all", "-publish"]).await;
    let mute = redis.section_at(&format!("redis://mute:p@{}", redis.address), KEY);
    let one = Gateway::with(&[OPEN, &region("my", &upstream), &mute]).await;
    let other = replica(&upstream, &redis).await;
    up(&one).await;
    one.get("/idv/S1").await;
    other.get("/idv/S1").await;
    assert_eq!(one.send("DELETE", "/idv/S1", &[]).await.status, 204);
    eventually("the purge on the other replica", async || {
        other.metric(r#"idv_cache_evictions_total{cause="purged"}"#).await > 0.0
    })
    .await;
}

#[tokio::test]
async fn a_region_of_another_account_has_nothing_of_this_one() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    let one = replica(&upstream, &redis).await;
    let account = region("my", &upstream).replace("test-access-key", "another-access-key");
    let other = Gateway::with(&[OPEN, &account, &redis.section()]).await;
    up(&other).await;
    one.get("/idv/S1").await;
    assert_eq!(other.get("/idv/S1").await.cache_status(), "idv-gateway; fwd=miss; stored");
    assert_eq!(upstream.hits("S1"), 2);
    assert_eq!(one.send("DELETE", "/idv/S1", &[]).await.status, 204);
    eventually("the purge, which is of the person", async || {
        other.metric(r#"idv_cache_evictions_total{cause="purged"}"#).await > 0.0
    })
    .await;
}

#[tokio::test]
async fn one_result_that_could_not_be_shared_does_not_end_the_sharing() {
    let (upstream, redis, gate) = (Upstream::start().await, Redis::start().await, Gate::default());
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    upstream.pass("S2");
    let gateway = replica(&upstream, &redis).await;
    let asked = gateway.ask("/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    redis.signal("STOP");
    gate.open();
    assert_eq!(asked.answer().await.status, 200);
    let given_up = r#"idv_remote_requests_total{operation="write",outcome="timeout"}"#;
    eventually("a write that is given up", async || gateway.metric(given_up).await == 1.0).await;
    redis.signal("CONT");
    assert_eq!(gateway.get("/idv/S2").await.status, 200);
    eventually("the next result", async || {
        let other = replica(&upstream, &redis).await;
        other.get("/idv/S2").await.cache_status().ends_with("; detail=remote")
    })
    .await;
    assert_eq!(upstream.hits("S2"), 1);
}
