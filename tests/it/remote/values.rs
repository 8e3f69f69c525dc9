//! What lies in the second tier: nothing in clear, nothing for ever, and nothing that is believed if it was changed.

use crate::support::bodies;
use crate::support::gateway::{Gateway, OPEN, region};
use crate::support::redis::{KEY, Redis, Said, replica, up};
use crate::support::upstream::{Reply, Upstream};

const UNDECRYPTABLE: &str = r#"idv_remote_requests_total{operation="read",outcome="undecryptable"}"#;

#[tokio::test]
async fn every_key_ends_and_none_holds_an_id_a_name_or_a_link_in_clear() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gateway = replica(&upstream, &redis).await;
    for (id, body) in [("person-1", bodies::passed("person-1")), ("person-2", bodies::pending("person-2"))] {
        upstream.answer(id, [Reply::json(body)]);
        gateway.get(&format!("/idv/{id}")).await;
    }
    gateway.send("DELETE", "/idv/person-1", &[]).await;
    gateway.get("/idv/person-1").await;
    let keys = redis.keys("*").await;
    assert!(keys.len() >= 5, "{keys:?}");
    let mut all = keys.join("\n").into_bytes();
    for key in &keys {
        assert!(redis.ask(&["PTTL", key]).await.number() > 0, "{key} has no end");
        if let Said::Text(dump) = redis.ask(&["DUMP", key]).await {
            all.extend(dump);
        }
    }
    let all = String::from_utf8_lossy(&all).into_owned();
    for clear in ["person", "passed", "PASS", "https", "media.example", "test-access-key"] {
        assert!(!all.contains(clear), "{clear} is in clear");
    }
}

#[tokio::test]
async fn f091_a_value_that_was_changed_in_any_byte_is_a_miss_and_is_removed() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    replica(&upstream, &redis).await.get("/idv/S1").await;
    let key = redis.key("*:result").await;
    let good = redis.ask(&["GET", &key]).await.bytes();
    let gateway = replica(&upstream, &redis).await;
    let whole = good.len();
    let mut changed: Vec<Vec<u8>> = [0, 15, 21, 44, 45, 46, 100, whole / 2, whole - 1]
        .into_iter()
        .map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        })
        .collect();
    changed.extend([good[..whole - 1].to_vec(), good[..10].to_vec(), b"x".to_vec()]);
    for (n, bytes) in changed.iter().enumerate() {
        gateway.send("DELETE", "/idv/S1", &[]).await;
        redis.ask(&["FLUSHALL"]).await;
        redis.ask_bytes(&[b"SET", key.as_bytes(), bytes, b"PX", b"60000"]).await;
        let before = gateway.metric(UNDECRYPTABLE).await;
        let answer = gateway.get("/idv/S1").await;
        assert_eq!(answer.cache_status(), "idv-gateway; fwd=miss; stored", "case {n}");
        assert!(gateway.metric(UNDECRYPTABLE).await > before, "case {n}");
    }
}

#[tokio::test]
async fn f092_the_value_of_another_id_is_a_miss() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let one = replica(&upstream, &redis).await;
    upstream.pass("S1");
    one.get("/idv/S1").await;
    let first = redis.key("*:result").await;
    upstream.answer("S2", [Reply::failed("S2", "LIVENESS_ATTACK")]);
    one.get("/idv/S2").await;
    let second = redis.keys("*:result").await.into_iter().find(|key| *key != first).expect("another key");
    redis.ask(&["COPY", &first, &second, "REPLACE"]).await;
    redis
        .ask(&["COPY", &first.replace("result", "index"), &second.replace("result", "index"), "REPLACE"])
        .await;
    let other = replica(&upstream, &redis).await;
    let answer = other.get("/idv/S2").await;
    assert_eq!(
        (answer.json()["signatureId"].as_str(), answer.json()["status"].as_str()),
        (Some("S2"), Some("failed"))
    );
    assert_eq!(answer.cache_status(), "idv-gateway; fwd=miss; stored");
    assert!(other.metric(UNDECRYPTABLE).await > 0.0);
}

#[tokio::test]
async fn a_longer_life_does_not_make_an_old_result_new() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    replica(&upstream, &redis).await.get("/idv/S1").await;
    let key = redis.key("*:result").await;
    for more in [&["PERSIST", key.as_str()][..], &["PEXPIRE", &key, "999999999"]] {
        redis.ask(more).await;
        let answer = replica(&upstream, &redis).await.get("/idv/S1?region=my").await;
        assert_eq!(answer.cache_status(), "idv-gateway; fwd=miss; stored", "{more:?}");
    }
}

#[tokio::test]
async fn f095_what_the_previous_key_sealed_is_read_and_nothing_once_it_is_gone() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    replica(&upstream, &redis).await.get("/idv/S1").await;
    let new = KEY.replace("AAEC", "AQEC");
    let with_keys = async |keys: &str| {
        Gateway::with(&[OPEN, &region("my", &upstream), &redis.section_at(&redis.url(), keys)]).await
    };
    let rotated = with_keys(&format!("{new}\n{KEY}")).await;
    let answer = rotated.get("/idv/S1").await;
    assert!(answer.cache_status().ends_with("detail=remote"));
    let later = with_keys(&new).await;
    let answer = later.get("/idv/S1").await;
    assert_eq!(answer.cache_status(), "idv-gateway; fwd=miss; stored");
    assert_eq!(later.metric(UNDECRYPTABLE).await, 0.0, "under another key it has another name");
}

#[tokio::test]
async fn a_result_of_before_a_purge_is_not_believed() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    let one = replica(&upstream, &redis).await;
    one.get("/idv/S1").await;
    let (result, index) = (redis.key("*:result").await, redis.key("*:index").await);
    let kept = redis.ask(&["DUMP", &result]).await.bytes();
    let known = redis.ask(&["DUMP", &index]).await.bytes();
    one.send("DELETE", "/idv/S1", &[]).await;
    let restore = async |key: &str, dump: &[u8]| {
        redis.ask_bytes(&[b"RESTORE", key.as_bytes(), b"20000000", dump, b"REPLACE"]).await;
    };
    restore(&result, &kept).await;
    let other = replica(&upstream, &redis).await;
    assert_eq!(other.get("/idv/S1").await.cache_status(), "idv-gateway; fwd=miss; stored");
    restore(&result, &kept).await;
    restore(&index, &known).await;
    one.send("DELETE", "/idv/S1", &[]).await;
    restore(&result, &kept).await;
    restore(&index, &known).await;
    let answer = one.get("/idv/S1").await;
    assert_eq!(
        answer.cache_status(),
        "idv-gateway; fwd=miss; stored",
        "the replica that purged it remembers"
    );
}

#[tokio::test]
async fn a_shared_result_grows_no_younger_here() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    let replica = async |ttl: &str| {
        let cache = format!("[cache]\nfinal_ttl = \"{ttl}\"\n");
        let gateway = Gateway::with(&[OPEN, &cache, &region("my", &upstream), &redis.section()]).await;
        up(&gateway).await;
        gateway
    };
    replica("1h").await.get("/idv/S1").await;
    let key = redis.key("*:result").await;
    redis.ask(&["PEXPIRE", &key, "60000"]).await;
    // Here it could be older: its end there counts.
    let answer = replica("10h").await.get("/idv/S1").await;
    assert!(answer.ttl().is_some_and(|ttl| (50..=60).contains(&ttl)), "{}", answer.cache_status());
    let stricter = replica("10s").await.get("/idv/S1").await;
    assert_eq!(
        stricter.cache_status(),
        "idv-gateway; fwd=miss; stored",
        "it is older than results may be here"
    );
}

#[tokio::test]
async fn a_region_that_has_moved_to_another_host_has_no_results_of_the_old_one() {
    let (old, new, redis) = (Upstream::start().await, Upstream::start().await, Redis::start().await);
    old.pass("S1");
    replica(&old, &redis).await.get("/idv/S1").await;
    assert_eq!(redis.keys("*:result").await.len(), 1);
    let answer = replica(&new, &redis).await.get("/idv/S1").await;
    assert_eq!((answer.status, new.hits("S1")), (404, 1));
}

#[tokio::test]
async fn a_result_with_links_that_are_not_handed_on_here_is_not_taken_over() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    let links = replica(&upstream, &redis).await.get("/idv/S1").await.json()["media"].clone();
    assert_ne!(links, serde_json::json!([]));
    let hosts = "[media]\nallowed_hosts = [\"cdn.example\"]\n";
    let stricter = Gateway::with(&[OPEN, hosts, &region("my", &upstream), &redis.section()]).await;
    up(&stricter).await;
    let answer = stricter.get("/idv/S1").await;
    assert_eq!(
        (answer.cache_status(), &answer.json()["media"]),
        ("idv-gateway; fwd=miss; stored", &serde_json::json!([]))
    );
}

#[tokio::test]
async fn a_value_of_a_newer_version_is_a_miss_and_no_error() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.pass("S1");
    replica(&upstream, &redis).await.get("/idv/S1").await;
    let key = redis.key("*:result").await;
    // After the 16 digits of its turn.
    redis.ask_bytes(&[b"SETRANGE", key.as_bytes(), b"16", b"\x63"]).await;
    let other = replica(&upstream, &redis).await;
    assert_eq!(other.get("/idv/S1").await.cache_status(), "idv-gateway; fwd=miss; stored");
    assert_eq!(other.metric(UNDECRYPTABLE).await, 0.0);
}
