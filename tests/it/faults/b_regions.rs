//! Regions that are slow, down, wrong about an id, or failing for a while: routing, what memory may still say, and how
//! much a sick region is asked.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

use super::trial::Trial;
use crate::support::client::{NO_CACHE, gist, pass};
use crate::support::gateway::region;
use crate::support::{Answer, Reply, Upstream, bodies, eventually};

fn region_of(answer: &Answer) -> String {
    answer.json()["region"].as_str().unwrap_or_default().to_owned()
}

/// Half as slow as the row says. All of the quick region's answers come before the first of the slow one's.
#[tokio::test]
async fn f049_one_region_is_slow() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    let slow = region("my", &my) + "concurrency = 20\n";
    let quick = region("ph", &ph);
    let trial = Trial::over(vec![("my", my, slow), ("ph", ph, quick)], "").await;
    let ids = |region: &str| -> Vec<String> { (0..20).map(|n| format!("F049-{region}-{n:02}")).collect() };
    for id in ids("my") {
        trial.truly_passes(&id);
        let reply = Reply::json(bodies::passed(&id)).after(Duration::from_millis(1500));
        trial.upstream().answer(&id, [reply]);
    }
    ids("ph").iter().for_each(|id| trial.passes_in("ph", id));
    let ask_all = async |region: &str| {
        let query = format!("?region={region}");
        let ask = async |id: &String| {
            let answer = trial.send("GET", id, &query, &[]).await;
            assert_eq!(answer.gist(), pass(), "{id}");
            Instant::now()
        };
        join_all(ids(region).iter().map(ask)).await
    };
    let quick = async {
        for id in ids("my") {
            trial.region("my").wait_for_hits(&id, 1).await;
        }
        ask_all("ph").await
    };
    let (slow, quick) = tokio::join!(ask_all("my"), quick);
    assert!(quick.iter().max() < slow.iter().min(), "they wait for the slow region");
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f050_one_region_is_down_and_the_id_is_unknown() {
    let trial = Trial::with(&["my", "ph"], "").await;
    trial.region("ph").answer("F050", [Reply::Reset]);
    for _ in 0..3 {
        let answer = trial.ask("F050").await;
        assert_eq!(answer.gist(), gist(503, "region_undetermined"));
        assert!(answer.header("retry-after").is_some());
        assert!(!answer.cache_status().contains("hit"), "{}", answer.cache_status());
    }
    assert_eq!(trial.region("ph").hits("F050"), 6, "asked anew each time");
    trial.passes_in("ph", "F050");
    assert_eq!(trial.ask("F050").await.gist(), pass());
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f051_no_region_knows_the_id() {
    let trial = Trial::with(&["my", "ph"], "").await;
    assert_eq!(trial.ask("F051").await.gist(), gist(404, "signature_not_found"));
    let again = trial.ask("F051").await;
    assert_eq!(again.gist(), gist(404, "signature_not_found"));
    assert!(again.ttl().is_some_and(|ttl| (5..=11).contains(&ttl)), "{}", again.cache_status());
    assert_eq!((trial.region("my").hits("F051"), trial.region("ph").hits("F051")), (1, 1));
    trial.invariants_hold().await;
}

/// With a memory of half a second instead of ten.
#[tokio::test]
async fn f052_an_id_exists_a_moment_later() {
    let trial = Trial::with(&["my", "ph"], "[cache]\nnot_found_ttl = \"500ms\"").await;
    assert_eq!(trial.ask("F052").await.gist(), gist(404, "signature_not_found"));
    trial.passes_in("ph", "F052");
    eventually("the end of the memory", async || trial.ask("F052").await.gist() == pass()).await;
    trial.invariants_hold().await;

    let trial = Trial::with(&["my", "ph"], "").await;
    assert_eq!(trial.ask("F052").await.gist(), gist(404, "signature_not_found"));
    trial.passes_in("ph", "F052");
    assert_eq!(trial.ask("F052").await.gist(), gist(404, "signature_not_found"), "from memory");
    assert_eq!(trial.send("GET", "F052", "", NO_CACHE).await.gist(), pass());
    assert_eq!(trial.ask("F052").await.gist(), pass());
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f054_an_id_moves_to_another_region() {
    let trial = Trial::with(&["my", "sg"], "[cache]\nnot_found_ttl = \"1ms\"").await;
    trial.passes_in("my", "F054");
    assert_eq!(region_of(&trial.ask("F054").await), "my");
    let at_rest = async || trial.gateway.fills().await == 0.0;
    eventually("what sg says", at_rest).await;
    trial.region("my").answer("F054", [Reply::json(bodies::not_exist())]);
    trial.passes_in("sg", "F054");
    let moved = trial.send("GET", "F054", "", NO_CACHE).await;
    assert_eq!((moved.gist(), region_of(&moved)), (pass(), "sg".to_owned()));
    let hits = (trial.region("my").hits("F054"), trial.region("sg").hits("F054"));
    assert_eq!(hits, (2, 2), "the learned region, then the others");
    assert_eq!(region_of(&trial.send("GET", "F054", "", NO_CACHE).await), "sg");
    assert_eq!(trial.region("my").hits("F054"), 2, "the old region is forgotten");
    trial.invariants_hold().await;
}

/// With a hard maximum of two seconds instead of a day.
#[tokio::test]
async fn f055_everything_is_down_and_a_final_result_is_past_its_time() {
    let settings = "[cache]\nfinal_ttl = \"200ms\"\nstale_max = \"2s\"";
    let trial = Trial::with(&["my", "ph"], settings).await;
    trial.passes("F055");
    let fresh = trial.ask("F055").await;
    assert_eq!((fresh.gist(), fresh.json()["stale"].as_bool()), (pass(), Some(false)));
    eventually("what ph says", async || trial.region("ph").hits("F055") == 1).await;
    trial.regions.iter().for_each(|(_, upstream)| upstream.answer("F055", [Reply::Reset]));
    eventually("a stale answer", async || {
        let answer = trial.ask("F055").await;
        assert_eq!(answer.gist(), pass());
        answer.json()["stale"] == true
    })
    .await;
    eventually("the hard maximum", async || {
        let answer = trial.ask("F055").await;
        assert!(answer.status == 503 || answer.json()["stale"] == true, "{answer:?}");
        answer.status == 503
    })
    .await;
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f056_everything_is_down_and_a_result_is_pending() {
    let timed_out = (504, "upstream_timeout".to_owned());
    for (fault, expected) in
        [(Reply::Reset, gist(503, "upstream_unavailable")), (Reply::Stall(vec![]), timed_out)]
    {
        let trial = Trial::with(&["my"], "[cache]\npending_ttl = \"200ms\"").await;
        trial.upstream().answer("F056", [Reply::json(bodies::pending("F056")), fault]);
        assert_eq!(trial.ask("F056").await.gist(), (200, "pending".to_owned()));
        let mut answer = trial.ask("F056").await;
        eventually("the end of the pending answer", async || {
            answer = trial.ask("F056").await;
            answer.status != 200
        })
        .await;
        assert_eq!(answer.gist(), expected);
        assert_eq!(trial.ask("F056").await.gist(), expected, "no stale pending");
        trial.invariants_hold().await;
    }
}

/// Seconds instead of five minutes; that the pause between probes grows to twenty seconds and no more, whatever the time,
/// is shown beside the breaker.
#[tokio::test]
async fn f057_half_of_all_calls_fail_for_a_while() {
    const CALLS: usize = 400;
    let trial = Trial::start().await;
    let ids: Vec<String> = (0..CALLS).map(|n| format!("F057-{n:03}")).collect();
    for (n, id) in ids.iter().enumerate() {
        trial.passes(id);
        if n % 2 == 0 {
            trial.upstream().answer(id, [Reply::text(500, "{}")]);
        }
    }
    let started = Instant::now();
    let answers: Vec<_> = stream::iter(ids.iter().map(|id| trial.ask(id))).buffered(10).collect().await;
    let retries = trial.gateway.metric("idv_upstream_retries_total{region=\"my\"}").await;
    let earned = CALLS as f64 * 0.1 + started.elapsed().as_secs_f64() * 3.0;
    assert!(retries <= 30.0 + earned + 1.0, "{retries} second attempts");
    assert!(trial.upstream().result_hits() as f64 <= CALLS as f64 + retries);
    assert!(
        answers.iter().any(|answer| answer.gist() == gist(503, "upstream_unavailable")),
        "it is throttled"
    );
    assert_eq!(trial.gateway.metric("idv_breaker_state{region=\"my\"}").await, 2.0);

    ids.iter().for_each(|id| trial.passes(id));
    let healed = Instant::now();
    eventually("an open throttle", async || trial.ask(&ids[0]).await.gist() == pass()).await;
    assert!(healed.elapsed() < Duration::from_secs(30));
    let answers: Vec<_> = stream::iter(ids.iter().map(|id| trial.ask(id))).buffered(10).collect().await;
    assert!(answers.iter().all(|answer| answer.gist() == pass()));
    assert_eq!(trial.gateway.metric("idv_breaker_state{region=\"my\"}").await, 0.0);
    trial.invariants_hold().await;
}
