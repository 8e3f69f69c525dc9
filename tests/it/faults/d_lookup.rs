//! Many callers and many ids: one call for those who ask for the same, bounds for those who ask for everything.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::trial::Trial;
use crate::support::gateway::{OPEN, caller, region};
use crate::support::process::Served;
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, bodies, eventually};

/// Header and value that prove a caller, whose name is its key.
fn bearer(key: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {key}"))
}

/// A trial whose upstream passes `id` once the gate is opened.
async fn held_back(id: &str, more: &str) -> (Trial, Gate) {
    let (trial, gate) = (Trial::patient(&["my"], more).await, Gate::default());
    trial.truly_passes(id);
    trial.upstream().answer(id, [Reply::json(bodies::passed(id)).gated(&gate)]);
    (trial, gate)
}

#[tokio::test]
async fn f077_a_thousand_misses_of_one_id_at_once() {
    let (trial, gate) = held_back("F077", "").await;
    let crowd = trial.crowd("F077", 1000).await;
    assert_eq!(trial.gateway.fills().await, 1.0);
    gate.open();
    let answers = trial.answers("F077", crowd).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    assert_eq!((trial.upstream().hits("F077"), trial.upstream().token_hits()), (1, 1));
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f078_the_first_caller_hangs_up() {
    let (trial, gate) = held_back("F078", "").await;
    let first = trial.crowd("F078", 1).await;
    trial.upstream().wait_for_hits("F078", 1).await;
    let others = trial.crowd("F078", 3).await;
    for first in first {
        first.hang_up().await;
    }
    assert_eq!(trial.gateway.fills().await, 1.0, "the fill is nobody's own");
    gate.open();
    for answer in trial.answers("F078", others).await {
        assert_eq!(answer.gist(), (200, "passed".to_owned()));
        assert_eq!(answer.header("cache-status"), Some("idv-gateway; fwd=miss; stored; collapsed"));
    }
    assert_eq!(trial.upstream().hits("F078"), 1);
    trial.invariants_hold().await;
}

/// The first three hundred lead and join one fill; the next fifty lead one each, since the id is forgotten between.
#[tokio::test]
async fn f079_callers_hang_up_one_after_the_other() {
    let (trial, gate) = held_back("F079", "").await;
    for _ in 0..300 {
        trial.gateway.ask("/idv/F079", &[]).await.hang_up().await;
    }
    assert_eq!(trial.gateway.fills().await, 1.0);
    for _ in 0..50 {
        assert_eq!(trial.send("DELETE", "F079", "", &[]).await.status, 204);
        trial.gateway.ask("/idv/F079", &[]).await.hang_up().await;
    }
    assert_eq!(trial.gateway.fills().await, 51.0);
    gate.open();
    trial.gateway.wait_for_fills(0).await;
    assert!(trial.ask("F079").await.is_hit(), "the value landed");
    assert_eq!(trial.upstream().hits("F079"), 51);
    assert_eq!(trial.gateway.metric("idv_panics_total").await, 0.0);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f081_a_caller_with_less_time_than_the_fill() {
    let request = "[request]\ntimeout = \"100ms\"\nfill_timeout = \"30s\"\n";
    let (trial, gate) = held_back("F081", request).await;
    let late = trial.ask("F081").await;
    assert_eq!(late.gist(), (504, "upstream_timeout".to_owned()));
    assert_eq!(late.json()["retryable"], true);
    assert_eq!(trial.gateway.fills().await, 1.0, "the fill goes on");
    gate.open();
    trial.gateway.wait_for_fills(0).await;
    assert!(trial.ask("F081").await.is_hit());
    assert_eq!(trial.upstream().hits("F081"), 1);
    trial.invariants_hold().await;
}

/// A region takes 64 requests at once unless told otherwise; the rest of a scan queues in the gateway.
#[tokio::test]
async fn f082_a_scan_meets_the_limit_of_concurrency() {
    const SCANNED: usize = 300;
    let trial = Trial::patient(&["my"], "").await;
    trial.passes("F082-HOT");
    assert_eq!(trial.ask("F082-HOT").await.status, 200);
    let gate = Gate::default();
    let ids: Vec<String> = (0..SCANNED).map(|n| format!("F082-{n:04}")).collect();
    for id in &ids {
        trial.upstream().answer(id, [Reply::json(bodies::not_exist()).gated(&gate)]);
    }
    let mut crowds = Vec::new();
    for id in &ids {
        crowds.push((id, trial.crowd(id, 1).await));
    }
    assert_eq!(trial.gateway.fills().await, SCANNED as f64);
    eventually("as many calls as may be", async || trial.upstream().result_hits() == 1 + 64).await;
    assert!(trial.ask("F082-HOT").await.is_hit(), "what is known is served meanwhile");
    assert_eq!(trial.upstream().result_hits(), 1 + 64);
    gate.open();
    for (id, crowd) in crowds {
        let answers = trial.answers(id, crowd).await;
        assert_eq!(answers[0].gist(), (404, "signature_not_found".to_owned()));
    }
    assert_eq!((trial.upstream().result_hits(), trial.upstream().hits("F082-HOT")), (1 + SCANNED, 1));
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f082_a_scan_meets_the_callers_rate() {
    let callers = [caller("scanner", &[], "requests_per_second = 20"), caller("steady", &[], "")].concat();
    let trial = Trial::with(&["my"], &callers).await;
    trial.passes("F082-HOT");
    let (scanner, steady) = (bearer("scanner"), bearer("steady"));
    let mut refused = 0;
    for n in 0..200 {
        let answer = trial.send("GET", &format!("F082-{n:04}"), "", &[(scanner.0, &scanner.1)]).await;
        if answer.status == 404 {
            continue;
        }
        refused += 1;
        assert_eq!(answer.gist(), (429, "rate_limited".to_owned()));
        let hot = trial.send("GET", "F082-HOT", "", &[(steady.0, &steady.1)]).await;
        assert_eq!(hot.gist(), (200, "passed".to_owned()), "others are served");
    }
    assert!(refused > 0);
    assert_eq!(trial.upstream().result_hits(), 200 - refused + 1, "a refused request costs no call");
    trial.invariants_hold().await;
}

/// The process takes no more for hundreds of results of 20 kB than for the few that it may keep.
#[tokio::test]
async fn f082_a_scan_of_large_results_does_not_grow_the_process() {
    const SCANNED: usize = 600;
    const LARGE: usize = 20_000;
    let upstream = Upstream::start().await;
    upstream.answer("F082-HOT", [Reply::json(bodies::passed("F082-HOT"))]);
    for n in 0..SCANNED {
        upstream.answer_by(&format!("F082-{n:04}"), || {
            let data = json!({ "idvResult": "PASS", "docDetail": { "ocrInfo": { "front": { "address": "x".repeat(LARGE) } } } });
            Reply::json(bodies::success(data))
        });
    }
    let served = Served::with(&[OPEN, "[cache]\nmax_bytes = \"4MiB\"\n", &region("my", &upstream)]).await;
    served.get("/idv/F082-HOT").await;
    let scan = async |ids: std::ops::Range<usize>| {
        let targets: Vec<String> = ids.map(|n| format!("/idv/F082-{n:04}?view=decision")).collect();
        for targets in targets.chunks(20) {
            let answers = join_all(targets.iter().map(|target| served.get(target))).await;
            assert!(answers.iter().all(|answer| answer.status == 200));
            assert!(served.get("/idv/F082-HOT").await.is_hit());
        }
    };
    scan(0..SCANNED / 4).await;
    let before = served.metric("process_resident_memory_bytes").await;
    scan(SCANNED / 4..SCANNED).await;
    let grown = served.metric("process_resident_memory_bytes").await - before;
    assert!(grown < (SCANNED * LARGE / 2) as f64, "{grown} bytes more");
    assert!(served.metric("idv_cache_bytes").await <= 4_194_304.0);
    assert_eq!(upstream.hits("F082-HOT"), 1, "what is read again and again is kept");
    assert_eq!(served.stop().await.code, Some(0));
}

/// Its life of a minute is spread by a tenth either way, as every life is.
#[tokio::test]
async fn f084_incomplete_and_then_passed() {
    let incomplete = || Reply::json(bodies::verdict("F084", json!("INCOMPLETE"), json!("CARD_NOT_FOUND")));
    let trial = Trial::start().await;
    trial.upstream().answer("F084", [incomplete()]);
    assert_eq!(trial.ask("F084").await.gist(), (200, "incomplete".to_owned()));
    let kept = trial.ask("F084").await;
    assert!(kept.ttl().is_some_and(|ttl| (0..=66).contains(&ttl)), "{kept:?}");
    trial.invariants_hold().await;

    let trial = Trial::with(&["my"], "[cache]\nincomplete_ttl = \"150ms\"\n").await;
    trial.truly_passes("F084");
    trial.upstream().answer("F084", [incomplete(), Reply::json(bodies::passed("F084"))]);
    assert_eq!(trial.ask("F084").await.gist(), (200, "incomplete".to_owned()));
    eventually("the revision", async || trial.ask("F084").await.gist().1 == "passed").await;
    assert_eq!(trial.upstream().hits("F084"), 2);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f085_links_past_their_end() {
    let until = |end: u64| {
        let mut body = bodies::passed("F085");
        body["data"]["faceDetail"]["faceImageFar"] =
            json!(format!("https://media.example/F085?Expires={end}"));
        Reply::json(body)
    };
    let callers = [caller("decision", &[], ""), caller("media", &["media"], "")].concat();
    let trial = Trial::with(&["my"], &format!("[cache]\npending_ttl = \"100ms\"\n{callers}")).await;
    trial.truly_passes("F085");
    trial.upstream().answer("F085", [until(1_000_000_000), until(4_000_000_000)]);
    let (decision, media) = (bearer("decision"), bearer("media"));
    let ask = async |(name, value): &(&str, String)| trial.send("GET", "F085", "", &[(name, value)]).await;
    ask(&decision).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    for _ in 0..5 {
        assert!(ask(&decision).await.is_hit(), "the decision has no links");
    }
    assert_eq!(trial.upstream().hits("F085"), 1);
    let renewed = ask(&media).await;
    assert_eq!(renewed.json()["media"].as_array().map(Vec::len), Some(2));
    for caller in [&media, &decision, &media] {
        assert!(ask(caller).await.is_hit());
    }
    assert_eq!(trial.upstream().hits("F085"), 2);
    trial.invariants_hold().await;
}
