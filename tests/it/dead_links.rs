//! Links have an end of their own: who may see them has them renewed, once; nobody else does, and nobody gets a dead one.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::gateway::{caller, region};
use crate::support::{Answer, Gateway, Reply, Upstream, bodies, eventually};

/// The end of a link of long ago.
const DEAD: u64 = 1_000_000_000;
/// The end of a link that outlives these tests.
const ALIVE: u64 = 4_000_000_000;

/// A passed result whose face link ends then, and whose document link lives on.
fn with_face_link_until(id: &str, end: u64) -> Value {
    let mut body = bodies::passed(id);
    body["data"]["faceDetail"]["faceImageFar"] = json!(format!("https://media.example/{id}?Expires={end}"));
    body
}

fn kinds(answer: &Answer) -> Vec<String> {
    let media = answer.json()["media"].as_array().cloned().expect("media are shown");
    media.iter().map(|medium| medium["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_caller_who_sees_media_has_dead_links_renewed_once_and_nobody_else_does() {
    let upstream = Upstream::start().await;
    let replies = [DEAD, ALIVE].map(|end| Reply::json(with_face_link_until("S1", end)));
    upstream.answer("S1", replies);
    let cache = "[cache]\npending_ttl = \"50ms\"\n";
    let decision = caller("decision", &[], "");
    let callers =
        [decision, caller("identity", &["checks", "identity"], ""), caller("media", &["media"], "")];
    let gateway = Gateway::with(&[cache, &callers.concat(), &region("my", &upstream)]).await;
    gateway.get_as("decision", "/idv/S1").await;
    let first = Instant::now();
    while first.elapsed() < Duration::from_millis(150) {
        for key in ["decision", "identity"] {
            assert!(gateway.get_as(key, "/idv/S1").await.is_hit(), "{key}");
        }
        let cut = gateway.get_as("media", "/idv/S1?view=decision").await;
        assert!(cut.is_hit() && cut.json().get("media").is_none(), "{cut:?}");
    }
    assert_eq!(upstream.hits("S1"), 1);
    let renewed = gateway.get_as("media", "/idv/S1").await;
    assert_eq!(renewed.header("cache-status"), Some("idv-gateway; fwd=miss; stored"));
    assert_eq!(kinds(&renewed), ["face_far", "document_front"]);
    for _ in 0..10 {
        assert!(gateway.get_as("media", "/idv/S1").await.is_hit());
    }
    assert_eq!(upstream.hits("S1"), 2);
}

#[tokio::test]
async fn a_link_that_dies_while_it_is_kept_is_renewed() {
    let upstream = Upstream::start().await;
    let soon = jiff::Timestamp::now().as_second() as u64 + 3;
    let replies = [soon, ALIVE].map(|end| Reply::json(with_face_link_until("S1", end)));
    upstream.answer("S1", replies);
    let gateway = Gateway::with_cache(&upstream, "pending_ttl = \"20ms\"").await;
    assert_eq!(kinds(&gateway.get("/idv/S1").await), ["face_far", "document_front"]);
    assert!(gateway.get("/idv/S1").await.is_hit(), "it lives");
    eventually("a renewal", async || {
        let answer = gateway.get("/idv/S1").await;
        assert_eq!(kinds(&answer), ["face_far", "document_front"], "a live link, old or new");
        !answer.is_hit()
    })
    .await;
    assert!(gateway.get("/idv/S1").await.is_hit());
    assert_eq!(upstream.hits("S1"), 2);
}

#[tokio::test]
async fn links_that_come_dead_are_left_out_and_not_asked_for_at_every_call() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::json(with_face_link_until("S1", DEAD))]);
    let gateway = Gateway::with_cache(&upstream, "pending_ttl = \"1h\"").await;
    for n in 0..20 {
        let answer = gateway.get("/idv/S1").await;
        assert_eq!(kinds(&answer), ["document_front"]);
        assert_eq!(answer.is_hit(), n > 0);
    }
    assert_eq!(upstream.hits("S1"), 1);
}

#[tokio::test]
async fn dead_links_cost_at_most_one_call_per_pending_ttl_and_id() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::json(with_face_link_until("S1", DEAD))]);
    let gateway = Gateway::with_cache(&upstream, "pending_ttl = \"200ms\"").await;
    let started = Instant::now();
    while upstream.hits("S1") < 4 {
        for answer in join_all((0..20).map(|_| gateway.get("/idv/S1"))).await {
            assert_eq!(kinds(&answer), ["document_front"]);
        }
    }
    assert!(started.elapsed() >= Duration::from_millis(3 * 200), "{:?}", started.elapsed());
}

#[tokio::test]
async fn when_the_renewal_fails_the_decision_is_served_without_the_dead_links() {
    let upstream = Upstream::start().await;
    let broken = Reply::refusal("PARAMETER_ERROR", "no");
    upstream.answer("S1", [Reply::json(with_face_link_until("S1", DEAD)), broken]);
    let gateway = Gateway::with_cache(&upstream, "pending_ttl = \"100ms\"").await;
    let started = Instant::now();
    while upstream.hits("S1") < 4 {
        let answer = gateway.get("/idv/S1").await;
        assert_eq!(
            (answer.gist(), kinds(&answer)),
            ((200, "passed".to_owned()), vec!["document_front".to_owned()])
        );
        assert_eq!((&answer.json()["stale"], &answer.json()["final"]), (&json!(false), &json!(true)));
    }
    assert!(started.elapsed() >= Duration::from_millis(3 * 100), "a failed renewal is not repeated at once");
}
