//! The cache is bounded in bytes, keeps what was just asked for, and says what left it and why.

use serde_json::{Value, json};

use crate::support::client::NO_CACHE;
use crate::support::{Gateway, Reply, Upstream, bodies, eventually};

const MAX_BYTES: f64 = 262_144.0;
/// More results than the cache can hold: each takes more than a kilobyte.
const MANY: usize = 300;

/// An upstream that knows `S0` … and a gateway with room for some of them.
async fn crowded() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    for n in 0..MANY {
        let id = format!("S{n}");
        upstream.pass(&id);
    }
    let gateway = Gateway::with_cache(&upstream, "max_bytes = \"256KiB\"").await;
    (upstream, gateway)
}

async fn evictions(gateway: &Gateway, cause: &str) -> f64 {
    gateway.metric(&format!("idv_cache_evictions_total{{cause=\"{cause}\"}}")).await
}

async fn bytes(gateway: &Gateway) -> f64 {
    gateway.metric("idv_cache_bytes").await
}

/// A result with `n` more fields read from the document.
fn with_fields(id: &str, n: usize) -> Value {
    let mut body = bodies::passed(id);
    for field in 0..n {
        body["data"]["docDetail"]["ocrInfo"]["front"][format!("field{field}")] = json!("x".repeat(100));
    }
    body
}

#[tokio::test]
async fn a_scan_stays_within_the_bound_and_what_leaves_is_counted() {
    let (_upstream, gateway) = crowded().await;
    let mut most: f64 = 0.0;
    for n in 0..MANY {
        assert_eq!(gateway.get(&format!("/idv/S{n}")).await.status, 200);
        if n % 20 == 19 {
            most = most.max(bytes(&gateway).await);
            assert!(most <= MAX_BYTES, "{most}");
        }
    }
    assert!(most >= MAX_BYTES * 0.9, "the room is used: {most}");
    let (entries, evicted) = (gateway.metric("idv_cache_entries").await, evictions(&gateway, "size").await);
    assert_eq!(entries + evicted, MANY as f64);
    assert!(entries >= 50.0, "{entries}");
}

#[tokio::test]
async fn a_scan_does_not_push_out_what_is_read_again_and_again() {
    let (upstream, gateway) = crowded().await;
    for n in 1..MANY {
        gateway.get(&format!("/idv/S{n}")).await;
        if n % 10 == 0 {
            assert_eq!(gateway.get("/idv/S0").await.status, 200);
        }
    }
    assert!(evictions(&gateway, "size").await > 100.0);
    assert_eq!(upstream.hits("S0"), 1);
}

#[tokio::test]
async fn a_full_cache_keeps_what_was_just_asked_for_however_popular_the_rest_is() {
    let (upstream, gateway) = crowded().await;
    for _ in 0..3 {
        for n in 0..100 {
            gateway.get(&format!("/idv/S{n}")).await;
        }
    }
    for n in 100..MANY {
        gateway.get(&format!("/idv/S{n}")).await;
        if n % 50 == 0 {
            // A scrape settles what the cache has put off.
            bytes(&gateway).await;
            gateway.get(&format!("/idv/S{n}")).await;
            assert_eq!(upstream.hits(&format!("S{n}")), 1, "S{n}");
        }
    }
    assert!(evictions(&gateway, "size").await > 0.0, "it is full");
}

#[tokio::test]
async fn results_are_weighed_by_their_bytes() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let mut weights = Vec::new();
    for fields in [0, 50] {
        let id = format!("fields-{fields}");
        upstream.answer(&id, [Reply::json(with_fields(&id, fields))]);
        let before = bytes(&gateway).await;
        let answer = gateway.get(&format!("/idv/{id}")).await;
        let weight = bytes(&gateway).await - before;
        assert!(weight >= answer.body.len() as f64, "{weight} for {} bytes", answer.body.len());
        weights.push(weight);
    }
    assert!(weights[1] - weights[0] >= 50.0 * 100.0, "{weights:?}");
    assert_eq!(gateway.metric("idv_cache_entries").await, 2.0);
}

#[tokio::test]
async fn a_result_that_is_purged_as_soon_as_it_is_final_leaves_the_weight_of_the_others() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    upstream.answer("kept", [Reply::json(with_fields("kept", 50))]);
    gateway.get("/idv/kept").await;
    let before = bytes(&gateway).await;
    for n in 0..5 {
        let id = format!("S{n}");
        upstream.answer(&id, [Reply::pending(&id), Reply::json(with_fields(&id, 50))]);
        gateway.get(&format!("/idv/{id}")).await;
        assert!(bytes(&gateway).await > before);
        gateway.send("GET", &format!("/idv/{id}"), NO_CACHE).await;
        gateway.send("DELETE", &format!("/idv/{id}"), &[]).await;
        assert_eq!(bytes(&gateway).await, before, "{id}");
    }
}

#[tokio::test]
async fn a_result_that_is_larger_than_the_cache_is_served_and_not_kept() {
    let upstream = Upstream::start().await;
    upstream.answer("large", [Reply::json(with_fields("large", 50))]);
    let gateway = Gateway::with_cache(&upstream, "max_bytes = \"4KiB\"").await;
    for _ in 0..3 {
        let answer = gateway.get("/idv/large").await;
        assert_eq!(answer.gist(), (200, "passed".to_owned()));
        assert_eq!((answer.cache_status(), bytes(&gateway).await), ("idv-gateway; fwd=miss", 0.0));
    }
}

#[tokio::test]
async fn what_is_replaced_purged_or_past_its_time_is_counted_so() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    upstream.answer("S2", [Reply::pending("S2")]);
    let gateway = Gateway::with_cache(&upstream, "pending_ttl = \"100ms\"").await;
    gateway.get("/idv/S1").await;
    gateway.send("GET", "/idv/S1", NO_CACHE).await;
    assert_eq!(
        (evictions(&gateway, "replaced").await, gateway.metric("idv_cache_entries").await),
        (1.0, 1.0)
    );
    gateway.send("DELETE", "/idv/S1", &[]).await;
    assert_eq!((evictions(&gateway, "purged").await, gateway.metric("idv_cache_entries").await), (1.0, 0.0));
    gateway.get("/idv/S2").await;
    eventually("the end of a pending result", async || evictions(&gateway, "expired").await == 1.0).await;
    assert_eq!((gateway.metric("idv_cache_entries").await, bytes(&gateway).await), (0.0, 0.0));
    assert_eq!(evictions(&gateway, "size").await, 0.0);
}

#[tokio::test]
async fn a_scan_of_unknown_ids_takes_no_room_from_results() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let gateway = Gateway::with_cache(&upstream, "max_bytes = \"8KiB\"").await;
    gateway.get("/idv/S1").await;
    let before = bytes(&gateway).await;
    for n in 0..200 {
        assert_eq!(gateway.get(&format!("/idv/unknown-{n}")).await.status, 404);
    }
    assert_eq!((bytes(&gateway).await, gateway.metric("idv_cache_entries").await), (before, 1.0));
    gateway.get("/idv/S1").await;
    assert_eq!(upstream.hits("S1"), 1);
}
