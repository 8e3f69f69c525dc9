//! A final result past its time still answers while no region can, for a while, and says so; nothing else does.

use crate::support::client::NO_CACHE;
use crate::support::gateway::{OPEN, region};
use crate::support::{Answer, Gateway, Reply, Upstream, bodies, eventually};

/// The seconds a stale answer says it is past its time; `None` if the answer is not stale.
fn age(answer: &Answer) -> Option<i64> {
    answer.ttl().filter(|ttl| *ttl < 0).map(|ttl| -ttl)
}

fn is_stale(answer: &Answer) -> bool {
    let is_marked = answer.status == 200 && answer.json()["stale"] == true;
    assert_eq!(is_marked, age(answer).is_some(), "body and header agree: {answer:?}");
    is_marked
}

/// An answer of the upstream that is none.
fn broken() -> Reply {
    Reply::refusal("PARAMETER_ERROR", "no")
}

#[tokio::test]
async fn while_the_upstream_is_broken_in_any_way_a_final_result_answers_past_its_time() {
    let ways = [
        ("refusal", broken()),
        ("error", Reply::refusal("ERROR", "no")),
        ("balance", Reply::refusal("INSUFFICIENT_BALANCE", "no")),
        ("html", Reply::Http(500, Vec::new(), b"<html>".to_vec())),
        ("reset", Reply::Reset),
        ("garbage", Reply::text(200, "{\"code\"")),
        ("silence", Reply::Stall(Vec::new())),
        // Last: it pauses the region.
        ("busy", Reply::refusal("SERVICE_BUSY", "later")),
    ];
    let upstream = Upstream::start().await;
    let cache = "[request]\ntimeout = \"300ms\"\n[cache]\nfinal_ttl = \"30ms\"\nstale_max = \"1h\"\n";
    let gateway = Gateway::with(&[OPEN, cache, &region("my", &upstream)]).await;
    for (id, way) in &ways {
        upstream.answer(id, [Reply::passed(id), way.clone()]);
        assert_eq!(gateway.get(&format!("/idv/{id}")).await.json()["stale"], false, "{id}");
    }
    for (id, _) in &ways {
        let target = format!("/idv/{id}");
        eventually(id, async || {
            let answer = gateway.get(&target).await;
            assert_eq!(answer.gist(), (200, "passed".to_owned()), "{id}");
            is_stale(&answer)
        })
        .await;
        let answer = gateway.get(&target).await.json();
        assert_eq!(
            (&answer["final"], &answer["retryAfterSeconds"]),
            (&true.into(), &serde_json::Value::Null)
        );
        assert!(answer["identity"]["name"].as_str().is_some_and(|name| name.contains(id)), "all of it: {id}");
    }
}

#[tokio::test]
async fn every_kind_of_final_result_may_be_stale() {
    let upstream = Upstream::start().await;
    let cache = "final_ttl = \"30ms\"\nincomplete_ttl = \"30ms\"";
    let gateway = Gateway::with_cache(&upstream, cache).await;
    let incomplete = bodies::verdict("incomplete", "INCOMPLETE".into(), "CARD_NOT_FOUND".into());
    let kinds = [
        ("failed", bodies::failed("failed", "SIMILARITY_FAIL")),
        ("incomplete", incomplete),
        ("passed", bodies::passed("passed")),
    ];
    for (id, body) in kinds {
        upstream.answer(id, [Reply::json(body), broken()]);
        eventually(id, async || {
            let answer = gateway.get(&format!("/idv/{id}")).await;
            assert_eq!(answer.gist(), (200, id.to_owned()));
            is_stale(&answer)
        })
        .await;
    }
}

#[tokio::test]
async fn a_stale_answer_ends_at_stale_max_and_then_the_failure_is_the_answer() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::passed("S1"), broken()]);
    let gateway = Gateway::with_cache(&upstream, "final_ttl = \"30ms\"\nstale_max = \"1500ms\"").await;
    let mut was_stale = false;
    eventually("the end of the stale time", async || {
        let answer = gateway.get("/idv/S1").await;
        was_stale |= is_stale(&answer);
        answer.gist() == (502, "upstream_error".to_owned())
    })
    .await;
    assert!(was_stale);
    assert_eq!(gateway.get("/idv/S1").await.status, 502);
}

#[tokio::test]
async fn stale_max_zero_means_never() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::passed("S1"), broken()]);
    let gateway = Gateway::with_cache(&upstream, "final_ttl = \"50ms\"\nstale_max = \"0s\"").await;
    eventually("the failure", async || {
        let answer = gateway.get("/idv/S1").await;
        assert!(!is_stale(&answer));
        answer.status == 502
    })
    .await;
}

#[tokio::test]
async fn pending_unrecognized_and_not_found_are_never_stale() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with_cache(&upstream, "pending_ttl = \"50ms\"\nnot_found_ttl = \"50ms\"").await;
    let unrecognized = bodies::verdict("unrecognized", "REVIEW".into(), serde_json::Value::Null);
    let kinds = [
        ("pending", bodies::pending("pending")),
        ("unrecognized", unrecognized),
        ("absent", bodies::not_exist()),
    ];
    for (id, body) in kinds {
        upstream.answer(id, [Reply::json(body), broken()]);
        let mut was_known = false;
        eventually(&format!("the failure in place of {id}"), async || {
            let answer = gateway.get(&format!("/idv/{id}")).await;
            assert!(!is_stale(&answer), "{answer:?}");
            was_known |= answer.status != 502;
            answer.gist() == (502, "upstream_error".to_owned())
        })
        .await;
        assert!(was_known, "{id}");
        assert_eq!(gateway.get(&format!("/idv/{id}")).await.status, 502, "{id}");
    }
}

#[tokio::test]
async fn a_refresh_that_fails_is_answered_with_what_is_there_marked_stale() {
    let upstream = Upstream::start().await;
    upstream.answer("final", [Reply::passed("final"), broken()]);
    upstream.answer("pending", [Reply::pending("pending"), broken()]);
    let gateway = Gateway::with_cache(&upstream, "pending_ttl = \"1h\"").await;
    for id in ["final", "pending"] {
        gateway.get(&format!("/idv/{id}")).await;
    }
    let answer = gateway.send("GET", "/idv/final", NO_CACHE).await;
    assert!(answer.gist() == (200, "passed".to_owned()) && is_stale(&answer), "{answer:?}");
    assert_eq!(
        gateway.send("GET", "/idv/pending", NO_CACHE).await.gist(),
        (502, "upstream_error".to_owned())
    );
    for id in ["final", "pending"] {
        let answer = gateway.get(&format!("/idv/{id}")).await;
        assert!(
            answer.status == 200 && !is_stale(&answer),
            "a failed refresh takes nothing away: {answer:?}"
        );
        assert_eq!(upstream.hits(id), 2);
    }
}

#[tokio::test]
async fn an_answer_of_the_upstream_ends_staleness_whatever_it_says() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with_cache(&upstream, "final_ttl = \"30ms\"\nnot_found_ttl = \"1h\"").await;
    let passed = |id: &str| Reply::passed(id);
    let wrong_id = Reply::passed("another");
    let answers = [
        ("healed", Reply::failed("healed", "STRATEGY_HIT"), (200, "failed")),
        ("gone", Reply::absent(), (404, "signature_not_found")),
        ("another-id", wrong_id, (502, "upstream_id_mismatch")),
    ];
    for (id, reply, (status, word)) in answers {
        upstream.answer(id, [passed(id), broken(), broken(), broken()]);
        eventually(id, async || is_stale(&gateway.get(&format!("/idv/{id}")).await)).await;
        upstream.answer(id, [reply]);
        assert_eq!(gateway.get(&format!("/idv/{id}")).await.gist(), (status, word.to_owned()));
    }
    upstream.answer("gone", [broken()]);
    assert_eq!(gateway.get("/idv/gone").await.status, 404, "nothing stale is left of it");
}

#[tokio::test]
async fn a_stale_answer_grows_older() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::passed("S1"), broken()]);
    let gateway = Gateway::with_cache(&upstream, "final_ttl = \"20ms\"").await;
    for seconds in 1..=2 {
        eventually("age", async || age(&gateway.get("/idv/S1").await) == Some(seconds)).await;
    }
}
