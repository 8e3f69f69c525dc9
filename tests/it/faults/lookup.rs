//! Scans of many ids: bounds for those who ask for everything.

use futures_util::future::join_all;
use serde_json::json;

use super::rows::{Row, row};
use super::trial::Trial;
use crate::support::gateway::{OPEN, caller, region};
use crate::support::process::Served;
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, bodies, eventually};

pub fn rows() -> Vec<Row> {
    vec![row(
        82,
        format!(
            "scans of {HELD_BACK} ids that the upstream holds back, {RATED} ids by a caller of 20 requests a second, \
                 {LARGE} results of {} kB over a cache of 4 MiB",
            LARGE_BYTES / 1000
        ),
        "at most 64 upstream calls at once, 429 beyond the rate, memory bounded; a popular id stays in the cache",
    )]
}

/// Header and value that prove a caller, whose name is its key.
fn bearer(key: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {key}"))
}

/// Ids of the scans of row 82: held back by the upstream, within a caller's rate, and with large results.
const HELD_BACK: usize = 300;
const RATED: usize = 200;
const LARGE: usize = 600;
/// Bytes of a large result.
const LARGE_BYTES: usize = 20_000;
/// What a region takes at once by default; the rest of a scan queues in the gateway.
const CONCURRENCY: usize = 64;

#[tokio::test]
async fn f082_a_scan_meets_the_limit_of_concurrency() {
    let trial = Trial::patient(&["my"], "").await;
    trial.passes("F082-HOT");
    assert_eq!(trial.ask("F082-HOT").await.status, 200);
    let gate = Gate::default();
    let ids: Vec<String> = (0..HELD_BACK).map(|n| format!("F082-{n:04}")).collect();
    for id in &ids {
        trial.upstream().answer(id, [Reply::absent().gated(&gate)]);
    }
    let mut crowds = Vec::new();
    for id in &ids {
        crowds.push((id, trial.crowd(id, 1).await));
    }
    trial.gateway.wait_for_fills(HELD_BACK).await;
    eventually("as many calls as may be", async || trial.upstream().result_hits() == 1 + CONCURRENCY).await;
    assert!(trial.ask("F082-HOT").await.is_hit(), "what is known is served meanwhile");
    assert_eq!(trial.upstream().result_hits(), 1 + CONCURRENCY);
    gate.open();
    for (id, crowd) in crowds {
        let answers = trial.answers(id, crowd).await;
        assert_eq!(answers[0].gist(), (404, "signature_not_found".to_owned()));
    }
    assert_eq!((trial.upstream().result_hits(), trial.upstream().hits("F082-HOT")), (1 + HELD_BACK, 1));
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f082_a_scan_meets_the_callers_rate() {
    let callers = [caller("scanner", &[], "requests_per_second = 20"), caller("steady", &[], "")].concat();
    let trial = Trial::with(&["my"], &callers).await;
    trial.passes("F082-HOT");
    let (scanner, steady) = (bearer("scanner"), bearer("steady"));
    let mut refused = 0;
    for n in 0..RATED {
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
    assert_eq!(trial.upstream().result_hits(), RATED - refused + 1, "a refused request costs no call");
    trial.invariants_hold().await;
}

/// The process takes no more for hundreds of large results than for the few that it may keep.
#[tokio::test]
async fn f082_a_scan_of_large_results_does_not_grow_the_process() {
    let upstream = Upstream::start().await;
    upstream.pass("F082-HOT");
    for n in 0..LARGE {
        upstream.answer_by(&format!("F082-{n:04}"), || {
            let data = json!({ "idvResult": "PASS", "docDetail": { "ocrInfo": { "front": { "address": "x".repeat(LARGE_BYTES) } } } });
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
    scan(0..LARGE / 4).await;
    let before = served.metric("process_resident_memory_bytes").await;
    scan(LARGE / 4..LARGE).await;
    let grown = served.metric("process_resident_memory_bytes").await - before;
    assert!(grown < (LARGE * LARGE_BYTES / 2) as f64, "{grown} bytes more");
    assert!(served.metric("idv_cache_bytes").await <= 4_194_304.0);
    assert_eq!(upstream.hits("F082-HOT"), 1, "what is read again and again is kept");
    assert_eq!(served.stop().await.code, Some(0));
}
