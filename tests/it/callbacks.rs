//! Callbacks: a hint that an id has changed, never a result.

use crate::support::client;
use crate::support::gateway::{OPEN, caller, region};
use crate::support::process::Scratch;
use crate::support::upstream::Gate;
use crate::support::{Answer, Gateway, Reply, Upstream, eventually};

const RARE_POLLS: &str = "[cache]\npending_ttl = \"60s\"\npending_ttl_max = \"60s\"\n";

/// A gateway that takes callbacks with either of two keys, and the folder of its key file.
async fn gateway(regions: &str, more: &str) -> (Gateway, Scratch) {
    gateway_of(&[OPEN, regions, more].concat()).await
}

async fn gateway_of(config: &str) -> (Gateway, Scratch) {
    let folder = Scratch::new();
    let keys = folder.write("keys", "callback-key-one-0123456789\ncallback-key-two-0123456789\n");
    let callbacks = format!("[callbacks]\nlisten = \"127.0.0.1:8082\"\nkey_file = {keys:?}\n");
    (Gateway::with(&[config, &callbacks]).await, folder)
}

async fn call(gateway: &Gateway, target: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!("POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n");
    let request = format!("{head}Connection: close\r\n\r\n{body}");
    let address = gateway.callbacks.expect("the listener is on");
    client::parse(&client::raw(address, request.as_bytes()).await).expect("an answer")
}

fn completed(id: &str) -> String {
    format!(r#"{{"signatureId":"{id}","type":"COMPLETED"}}"#)
}

const MY: &str = "/callbacks/my?key=callback-key-one-0123456789";

async fn outcomes(gateway: &Gateway, outcome: &str) -> f64 {
    gateway.metric(&format!("idv_callbacks_total{{outcome=\"{outcome}\"}}")).await
}

#[tokio::test]
async fn a_callback_causes_one_fetch_whose_result_answers_those_who_wait() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::failed("S1", "STRATEGY_HIT")]);
    let (gateway, _keys) = gateway(&region("my", &upstream), RARE_POLLS).await;
    let waiting = gateway.ask("/idv/S1", &[("Prefer", "wait=30")]).await;
    eventually("a waiter", async || gateway.metric("idv_waiters").await == 1.0).await;
    assert_eq!(call(&gateway, MY, &completed("S1")).await.status, 200);
    assert_eq!(
        waiting.answer().await.gist(),
        (200, "failed".to_owned()),
        "what the upstream says, not the callback"
    );
    assert_eq!((upstream.hits("S1"), outcomes(&gateway, "fetched").await), (2, 1.0));
}

#[tokio::test]
async fn a_callback_for_an_id_that_did_not_exist_a_moment_ago_has_it_fetched() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::absent(), Reply::passed("S1")]);
    let (gateway, _keys) = gateway(&region("my", &upstream), "[cache]\nnot_found_ttl = \"60s\"\n").await;
    assert_eq!(gateway.get("/idv/S1").await.status, 404);
    assert_eq!(call(&gateway, MY, &completed("S1")).await.status, 200);
    eventually("the result", async || gateway.get("/idv/S1").await.gist() == (200, "passed".to_owned()))
        .await;
    assert_eq!(upstream.hits("S1"), 2);
}

#[tokio::test]
async fn a_callback_during_the_first_fetch_of_an_id_has_it_fetched_again() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    let pending = Reply::pending("S1").gated(&gate);
    upstream.answer("S1", [pending, Reply::passed("S1")]);
    let (gateway, _keys) = gateway(&region("my", &upstream), RARE_POLLS).await;
    let waiting = gateway.ask("/idv/S1", &[("Prefer", "wait=30")]).await;
    upstream.wait_for_hits("S1", 1).await;
    assert_eq!(call(&gateway, MY, &completed("S1")).await.status, 200);
    gate.open();
    assert_eq!(waiting.answer().await.gist(), (200, "passed".to_owned()), "long before the next poll");
    assert_eq!((upstream.hits("S1"), outcomes(&gateway, "fetched").await), (2, 1.0));
}

#[tokio::test]
async fn callbacks_that_come_together_take_turns_and_none_is_lost() {
    let upstream = Upstream::start().await;
    let one_fetch_at_once = region("my", &upstream) + "concurrency = 1\n";
    let (gateway, _keys) = gateway(&one_fetch_at_once, RARE_POLLS).await;
    let gate = Gate::default();
    let ids = ["S1", "S2", "S3"];
    for id in ids {
        let passed = Reply::passed(id).gated(&gate);
        upstream.answer(id, [Reply::pending(id), passed]);
        gateway.get(&format!("/idv/{id}")).await;
    }
    for id in ids {
        assert_eq!(call(&gateway, MY, &completed(id)).await.status, 200);
    }
    gate.open();
    for id in ids {
        let is_final = async || gateway.get(&format!("/idv/{id}")).await.gist() == (200, "passed".to_owned());
        eventually(id, is_final).await;
    }
    assert_eq!(outcomes(&gateway, "fetched").await, 3.0);
}

#[tokio::test]
async fn a_thousand_callbacks_may_wait_for_their_turn_and_those_beyond_are_counted() {
    let upstream = Upstream::start().await;
    let one_fetch_at_once = region("my", &upstream) + "concurrency = 1\n";
    let (gateway, _keys) = gateway(&one_fetch_at_once, RARE_POLLS).await;
    let gate = Gate::default();
    for n in 0..1003 {
        let id = format!("S{n}");
        upstream.answer(&id, [Reply::pending(&id), Reply::passed(&id).gated(&gate)]);
        gateway.get(&format!("/idv/{id}")).await;
    }
    for n in 0..1003 {
        assert_eq!(call(&gateway, MY, &completed(&format!("S{n}"))).await.status, 200);
    }
    assert_eq!((outcomes(&gateway, "fetched").await, outcomes(&gateway, "over_budget").await), (1000.0, 3.0));
}

#[tokio::test]
async fn a_callback_soon_after_another_is_fetched_when_its_turn_comes() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::pending("S1"), Reply::passed("S1")]);
    let (gateway, _keys) = gateway(&region("my", &upstream), RARE_POLLS).await;
    let waiting = gateway.ask("/idv/S1", &[("Prefer", "wait=30")]).await;
    eventually("a waiter", async || gateway.metric("idv_waiters").await == 1.0).await;
    let submitted = completed("S1").replace("COMPLETED", "SUBMITTED");
    assert_eq!(call(&gateway, MY, &submitted).await.status, 200);
    assert_eq!(call(&gateway, MY, &completed("S1")).await.status, 200);
    assert_eq!(waiting.answer().await.gist(), (200, "passed".to_owned()), "long before the next poll");
    assert_eq!((outcomes(&gateway, "fetched").await, outcomes(&gateway, "deferred").await), (1.0, 1.0));
    assert_eq!(upstream.hits("S1"), 3);
}

#[tokio::test]
async fn a_callback_whose_turn_comes_after_a_purge_does_not_bring_the_id_back() {
    let upstream = Upstream::start().await;
    let (gateway, _keys) = gateway(&region("my", &upstream), RARE_POLLS).await;
    for id in ["S1", "S2"] {
        upstream.answer(id, [Reply::pending(id)]);
        gateway.get(&format!("/idv/{id}")).await;
        for _ in 0..2 {
            assert_eq!(call(&gateway, MY, &completed(id)).await.status, 200);
        }
    }
    assert_eq!(outcomes(&gateway, "deferred").await, 2.0);
    upstream.wait_for_hits("S1", 2).await;
    assert_eq!(gateway.send("DELETE", "/idv/S1", &[]).await.status, 204);
    upstream.wait_for_hits("S2", 3).await;
    assert_eq!(upstream.hits("S1"), 2, "its turn was before the other's");
}

#[tokio::test]
async fn a_callback_for_a_region_that_was_purged_does_not_bring_it_back_while_another_has_the_id() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    let callers = [caller("all", &[], ""), caller("one", &["purge"], "regions = [\"my\"]")].concat();
    let config = [callers, region("my", &my), region("ph", &ph), RARE_POLLS.to_owned()].concat();
    let (gateway, _keys) = gateway_of(&config).await;
    for id in ["S1", "S2"] {
        my.answer(id, [Reply::pending(id)]);
        ph.answer(id, [Reply::pending(id)]);
        assert_eq!(gateway.get_as("all", &format!("/idv/{id}")).await.status, 409);
        for _ in 0..2 {
            assert_eq!(call(&gateway, MY, &completed(id)).await.status, 200);
        }
    }
    my.wait_for_hits("S1", 2).await;
    let purged = gateway.send("DELETE", "/idv/S1", &[("Authorization", "Bearer one")]).await;
    assert_eq!(purged.status, 204);
    my.wait_for_hits("S2", 3).await;
    assert_eq!(my.hits("S1"), 2, "its turn was before the other's");
}

#[tokio::test]
async fn a_callback_answers_those_who_wait_for_an_id_that_was_purged_meanwhile() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::passed("S1")]);
    let (gateway, _keys) = gateway(&region("my", &upstream), RARE_POLLS).await;
    let waiting = gateway.ask("/idv/S1", &[("Prefer", "wait=30")]).await;
    eventually("a waiter", async || gateway.metric("idv_waiters").await == 1.0).await;
    assert_eq!(gateway.send("DELETE", "/idv/S1", &[]).await.status, 204);
    assert_eq!(call(&gateway, MY, &completed("S1")).await.status, 200);
    assert_eq!(waiting.answer().await.gist(), (200, "passed".to_owned()));
}

#[tokio::test]
async fn repeated_callbacks_cause_one_fetch() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let (gateway, _keys) = gateway(&region("my", &upstream), RARE_POLLS).await;
    gateway.get("/idv/S1").await;
    for _ in 0..100 {
        assert_eq!(call(&gateway, MY, &completed("S1")).await.status, 200);
    }
    upstream.wait_for_hits("S1", 2).await;
    let fetches = outcomes(&gateway, "fetched").await + outcomes(&gateway, "deferred").await;
    assert!((2.0..=3.0).contains(&fetches), "one at once, and one per two seconds: {fetches}");
    assert!(outcomes(&gateway, "repeated").await >= 97.0);
}

#[tokio::test]
async fn what_nobody_asked_about_is_not_fetched_and_what_is_no_callback_is_refused() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let (gateway, _keys) = gateway(&region("my", &upstream), "").await;
    assert_eq!(call(&gateway, MY, &completed("S1")).await.status, 200);
    assert_eq!((upstream.hits("S1"), outcomes(&gateway, "unknown").await), (0, 1.0));
    let unknown_type = r#"{"signatureId":"S2","type":"NEW","more":{"a":[1]}}"#;
    assert_eq!(call(&gateway, MY, unknown_type).await.status, 200);
    let large = format!(r#"{{"signatureId":"S1","type":"{}"}}"#, "x".repeat(5000));
    for (body, what) in [("not json", "syntax"), ("{}", "no id"), (&large, "size")] {
        let answer = call(&gateway, MY, body).await;
        assert_eq!(answer.gist(), (400, "bad_request".to_owned()), "{what}");
    }
    let head = format!(
        "POST {MY} HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 4097\r\n\r\n"
    );
    let answer = client::raw(gateway.callbacks.expect("the listener is on"), head.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "a body that is too large is not asked for");
    let nowhere = call(&gateway, "/callbacks/sg?key=callback-key-one-0123456789", &completed("S1")).await;
    assert_eq!(nowhere.gist(), (404, "route_not_found".to_owned()));
    assert_eq!(call(&gateway, "/idv/S1", "").await.gist(), (404, "route_not_found".to_owned()));
    assert_eq!(outcomes(&gateway, "malformed").await, 6.0);
    assert_eq!(gateway.metric("idv_cache_entries").await, 0.0);
}

#[tokio::test]
async fn without_a_valid_key_nothing_happens() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1")]);
    let (gateway, _keys) = gateway(&region("my", &upstream), RARE_POLLS).await;
    gateway.get("/idv/S1").await;
    let twice = format!("{MY}&key=callback-key-one-0123456789");
    let wrong =
        ["/callbacks/my?key=wrong", "/callbacks/my", "/callbacks/my?key=", "/callbacks/sg?key=wrong", &twice];
    for target in wrong {
        let answer = call(&gateway, target, &completed("S1")).await;
        assert_eq!(answer.gist(), (401, "unauthenticated".to_owned()), "{target}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"idv-gateway\""));
    }
    assert_eq!((upstream.hits("S1"), outcomes(&gateway, "unauthenticated").await), (1, 5.0));
    let second_key = "/callbacks/my?key=callback-key-two-0123456789";
    assert_eq!(call(&gateway, second_key, &completed("S1")).await.status, 200);
    upstream.wait_for_hits("S1", 2).await;
}

#[tokio::test]
async fn a_callback_that_comes_before_the_result_leaves_the_waiting_as_it_was() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::pending("S1"), Reply::pending("S1"), Reply::passed("S1")]);
    let polls = "[cache]\npending_ttl = \"500ms\"\n";
    let (gateway, _keys) = gateway(&region("my", &upstream), polls).await;
    let waiting = gateway.ask("/idv/S1", &[("Prefer", "wait=30")]).await;
    eventually("a waiter", async || gateway.metric("idv_waiters").await == 1.0).await;
    assert_eq!(call(&gateway, MY, &completed("S1")).await.status, 200);
    assert_eq!(waiting.answer().await.gist(), (200, "passed".to_owned()));
    assert_eq!(upstream.hits("S1"), 3, "the request, the callback, and one poll");
}

#[tokio::test]
async fn a_callback_for_the_wrong_region_is_fetched_where_the_id_is() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    my.answer("S1", [Reply::pending("S1"), Reply::passed("S1")]);
    let regions = region("my", &my) + &region("ph", &ph);
    let (gateway, _keys) = gateway(&regions, RARE_POLLS).await;
    gateway.get("/idv/S1").await;
    assert_eq!(ph.hits("S1"), 1);
    call(&gateway, "/callbacks/ph?key=callback-key-one-0123456789", &completed("S1")).await;
    my.wait_for_hits("S1", 2).await;
    assert_eq!(ph.hits("S1"), 1);
}

#[tokio::test]
async fn other_methods_are_405_with_allow() {
    let upstream = Upstream::start().await;
    let (gateway, _keys) = gateway(&region("my", &upstream), "").await;
    let address = gateway.callbacks.expect("the listener is on");
    let answer = client::request(address, "GET", MY, &[]).await;
    assert_eq!(
        (answer.gist(), answer.header("allow")),
        ((405, "method_not_allowed".to_owned()), Some("POST"))
    );
}
