//! `remote.share_tokens`: one replica asks for a token, and all use it.

use crate::support::eventually;
use crate::support::gateway::{Gateway, OPEN, region};
use crate::support::redis::{Redis, replica_of};
use crate::support::upstream::{Gate, Reply, Upstream};

async fn replica(upstream: &Upstream, redis: &Redis) -> Gateway {
    let section = format!("{}share_tokens = true\n", redis.section());
    replica_of(&[OPEN, &section, &region("my", upstream)]).await
}

fn refused() -> Reply {
    Reply::refusal("IAM_FAILED", "Token not found or expired")
}

/// The tokens that the requests for `id` carried.
fn carried(upstream: &Upstream, id: &str) -> Vec<String> {
    let token = |request: &crate::support::upstream::Received| {
        request.header("x-access-token").unwrap_or_default().to_owned()
    };
    upstream.requests(id).iter().map(token).collect()
}

#[tokio::test]
async fn replicas_use_one_token_and_one_refresh() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    for id in ["S1", "S2"] {
        upstream.pass(id);
    }
    for id in ["S3", "S4"] {
        upstream.answer(id, [refused(), Reply::passed(id)]);
    }
    let (one, other) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    one.get("/idv/S1").await;
    other.get("/idv/S2").await;
    assert_eq!((carried(&upstream, "S2"), upstream.token_hits()), (vec!["test-token-1".to_owned()], 1));
    assert_eq!(other.metric(r#"idv_token_refreshes_total{region="my",outcome="shared"}"#).await, 1.0);
    assert_eq!(one.get("/idv/S3").await.status, 200);
    assert_eq!(upstream.token_hits(), 2, "a new one, for all");
    assert_eq!(other.get("/idv/S4").await.status, 200);
    assert_eq!(
        (carried(&upstream, "S4"), upstream.token_hits()),
        (vec!["test-token-1".to_owned(), "test-token-2".to_owned()], 2)
    );
    let key = redis.key("*:token").await;
    let left = redis.ask(&["PTTL", &key]).await.number();
    assert!((1..=3_600_000).contains(&left), "it ends with the token: {left}");
    let value = redis.ask(&["GET", &key]).await.text();
    assert!(!value.contains("test-token"), "it is sealed");
}

#[tokio::test]
async fn without_the_setting_no_token_leaves_the_replica() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    Gateway::with(&[OPEN, &redis.section(), &region("my", &upstream)]).await.get("/idv/S1").await;
    assert!(redis.keys("*token*").await.is_empty());
}

#[tokio::test]
async fn a_shared_token_that_is_refused_here_ends_the_sharing() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    upstream.answer("S2", [refused(), Reply::passed("S2")]);
    let (one, bound) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    one.get("/idv/S1").await;
    assert_eq!(bound.get("/idv/S2").await.status, 200);
    let tokens = ["test-token-1".to_owned(), "test-token-2".to_owned()];
    assert_eq!(carried(&upstream, "S2"), tokens, "the shared one, then one of its own");
    let counted = r#"idv_remote_requests_total{operation="token",outcome="refused"}"#;
    assert_eq!(bound.metric(counted).await, 1.0);
    let third = replica(&upstream, &redis).await;
    upstream.pass("S3");
    third.get("/idv/S3").await;
    assert_eq!(carried(&upstream, "S3"), ["test-token-1"], "its own was not shared");
}

#[tokio::test]
async fn a_request_that_is_refused_with_any_token_does_not_end_the_sharing() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.answer("S1", [Reply::passed("S1"), refused(), Reply::passed("S1")]);
    upstream.answer("S2", [refused()]);
    let (one, other) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    one.get("/idv/S1").await;
    assert_eq!(other.get("/idv/S2").await.status, 502);
    assert_eq!(carried(&upstream, "S2"), ["test-token-1", "test-token-2"]);
    assert_eq!(one.send("GET", "/idv/S1", &[("Cache-Control", "no-cache")]).await.status, 200);
    eventually("the token of the other replica", async || {
        other.get("/idv/S2").await;
        carried(&upstream, "S2").last().is_some_and(|token| token == "test-token-3")
    })
    .await;
}

#[tokio::test]
async fn a_shared_token_that_was_just_replaced_does_not_end_the_sharing() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.answer("S1", [Reply::passed("S1"), refused(), Reply::passed("S1")]);
    upstream.answer("S2", [refused(), Reply::passed("S2")]);
    let (one, other) = (replica(&upstream, &redis).await, replica(&upstream, &redis).await);
    one.get("/idv/S1").await;
    let gate = Gate::default();
    upstream.answer_tokens([Reply::token(2).gated(&gate)]);
    let refreshing = one.ask("/idv/S1", &[("Cache-Control", "no-cache")]).await;
    upstream.wait_for_token_hits(2).await;
    // The vendor has ended the first token, and the second one is not shared yet.
    let refused = other.ask("/idv/S2", &[]).await;
    let looks = r#"idv_remote_requests_total{operation="token",outcome="ok"}"#;
    eventually("its looks", async || other.metric(looks).await >= 2.0).await;
    gate.open();
    assert_eq!((refreshing.answer().await.status, refused.answer().await.status), (200, 200));
    assert_eq!(carried(&upstream, "S2"), ["test-token-1", "test-token-2"]);
    assert_eq!(upstream.token_hits(), 2, "one refresh for both");
}

#[tokio::test]
async fn a_token_that_was_asked_for_while_the_second_tier_was_away_is_shared_when_it_is_back() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = Gate::default();
    upstream.answer_tokens([Reply::token(1).gated(&gate)]);
    for id in ["S1", "S2"] {
        upstream.pass(id);
    }
    let one = replica(&upstream, &redis).await;
    redis.signal("STOP");
    let first = one.ask("/idv/S1", &[]).await;
    upstream.wait_for_token_hits(1).await;
    redis.signal("CONT");
    gate.open();
    assert_eq!(first.answer().await.status, 200);
    replica(&upstream, &redis).await.get("/idv/S2").await;
    assert_eq!((carried(&upstream, "S2"), upstream.token_hits()), (vec!["test-token-1".to_owned()], 1));
}

#[tokio::test]
async fn a_replica_that_asks_for_a_token_and_dies_is_waited_for_a_while_only() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    replica(&upstream, &redis).await.get("/idv/S1").await;
    let key = redis.key("*:token").await;
    redis.ask(&["DEL", &key]).await;
    redis.ask(&["SET", &format!("{key}-lease"), "another", "PX", "60000"]).await;
    upstream.pass("S2");
    let request = "[request]\ntimeout = \"20s\"\n";
    let section = format!("{}share_tokens = true\n", redis.section());
    let gateway = Gateway::with(&[OPEN, request, &section, &region("my", &upstream)]).await;
    assert_eq!(gateway.get("/idv/S2").await.status, 200);
    assert_eq!(carried(&upstream, "S2"), ["test-token-2"]);
}
