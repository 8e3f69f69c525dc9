//! Regions that disagree: two that hold an id, one that was silent, one whose answers are somebody else's.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::rows::{Row, row, shown_by};
use super::trial::Trial;
use crate::support::Answer;
use crate::support::client::{NO_CACHE, gist};
use crate::support::gateway::{caller, region, region_at};
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, bodies, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            150,
            "two regions hold an id; the second answers soon, late, never, or refuses the connection",
            "409 for the first caller too; 409 once it is known; 200 after `discovery_wait`; 200 at once",
        ),
        row(
            151,
            "a region fails twice while another says PASS, then is well and says FAIL",
            "it is asked again; 409, no lasting `passed`",
        ),
        row(
            152,
            "a caller of one region fills an id that another region holds too",
            "a caller of both regions gets 409, and the other region is asked first",
        ),
        row(
            153,
            "DELETE by a caller of one region of a result, a conflict and a not-found mark",
            "what is known of the other region stays",
        ),
        row(
            154,
            "an unasked PASS without an id arrives on a kept connection as a request is written",
            "never served; asked for again over a fresh connection; drift `missing_id`",
        ),
        shown_by(
            156,
            "no-cache while an older fill is under way",
            "answered from a request sent after it arrived",
            ["coalescing::refreshes_join_no_older_fill_and_share_the_next_one"],
        ),
    ]
}

fn failed(id: &str) -> Reply {
    Reply::failed(id, "LIVENESS_ATTACK")
}

async fn conflicts(trial: &Trial) -> f64 {
    let mut sum = 0.0;
    for (name, _) in &trial.regions {
        let series = format!("idv_contract_drift_total{{region=\"{name}\",kind=\"conflict\"}}");
        sum += trial.gateway.metric(&series).await;
    }
    sum
}

/// A patient trial of `my` and `ph`, where a result is held for this long.
async fn holding(discovery_wait: &str) -> Trial {
    let request = "[request]\ntimeout = \"60s\"\nfill_timeout = \"60s\"\n";
    Trial::patient(&["my", "ph"], &format!("{request}discovery_wait = \"{discovery_wait}\"\n")).await
}

#[tokio::test]
async fn f150_the_second_holder_answers_while_the_first_is_held() {
    let trial = holding("30s").await;
    let gate = Gate::default();
    trial.passes_in("my", "F150");
    trial.region("ph").answer("F150", [failed("F150").gated(&gate)]);
    let open = async {
        trial.region("my").wait_for_hits("F150", 1).await;
        trial.region("ph").wait_for_hits("F150", 1).await;
        gate.open();
    };
    let (first, second, ()) = tokio::join!(trial.ask("F150"), trial.ask("F150"), open);
    for answer in [first, second, trial.ask("F150").await] {
        assert_eq!(answer.gist(), gist(409, "ambiguous_signature"));
    }
    assert_eq!(conflicts(&trial).await, 1.0);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f150_the_second_holder_answers_too_late() {
    let trial = holding("300ms").await;
    let gate = Gate::default();
    trial.passes_in("my", "F150");
    trial.region("ph").answer("F150", [failed("F150").gated(&gate)]);
    let asked = Instant::now();
    assert_eq!(trial.ask("F150").await.gist(), gist(200, "passed"));
    assert!(asked.elapsed() >= Duration::from_millis(300), "held for {:?}", asked.elapsed());
    gate.open();
    eventually("the conflict", async || conflicts(&trial).await == 1.0).await;
    assert_eq!(trial.ask("F150").await.gist(), gist(409, "ambiguous_signature"));
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f150_the_second_region_refuses_the_connection() {
    let my = Upstream::start().await;
    let regions = [region("my", &my), region_at("ph", "http://127.0.0.1:9")];
    let request = "[request]\ntimeout = \"60s\"\nfill_timeout = \"60s\"\ndiscovery_wait = \"30s\"\n";
    let [of_my, of_ph] = regions;
    let unused = Upstream::start().await;
    let trial = Trial::over(vec![("my", my, of_my), ("ph", unused, of_ph)], request).await;
    trial.passes_in("my", "F150");
    assert_eq!(
        trial.ask("F150").await.gist(),
        gist(200, "passed"),
        "it is not held for the region that is away"
    );
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f151_a_region_that_was_silent_is_asked_again() {
    let trial = Trial::with(&["my", "ph"], "").await;
    trial.passes_in("my", "F151");
    let error = || Reply::refusal("ERROR", "");
    trial.region("ph").answer("F151", [error(), error(), failed("F151")]);
    assert_eq!(trial.ask("F151").await.gist(), gist(200, "passed"));
    eventually("the other region's answer", async || {
        trial.ask("F151").await.gist() == gist(409, "ambiguous_signature")
    })
    .await;
    assert_eq!((trial.region("my").hits("F151"), trial.region("ph").hits("F151")), (1, 3));
    assert_eq!(conflicts(&trial).await, 1.0);
    trial.invariants_hold().await;
}

fn both_callers() -> String {
    let scopes = ["purge", "refresh"];
    [
        caller("only-my", &scopes, "regions = [\"my\"]"),
        caller("only-ph", &scopes, "regions = [\"ph\"]"),
        caller("both", &scopes, ""),
    ]
    .concat()
}

async fn send_as(trial: &Trial, key: &str, method: &str, id: &str) -> Answer {
    trial.send(method, id, "", &[("Authorization", &format!("Bearer {key}"))]).await
}

#[tokio::test]
async fn f152_a_caller_of_both_regions_does_not_get_what_one_of_them_filled() {
    let trial = Trial::with(&["my", "ph"], &both_callers()).await;
    trial.passes_in("my", "F152");
    trial.region("ph").answer("F152", [failed("F152")]);
    assert_eq!(send_as(&trial, "only-my", "GET", "F152").await.gist(), gist(200, "passed"));
    assert_eq!(trial.region("ph").hits("F152"), 0);
    assert_eq!(send_as(&trial, "both", "GET", "F152").await.gist(), gist(409, "ambiguous_signature"));
    assert_eq!(send_as(&trial, "only-my", "GET", "F152").await.gist(), gist(200, "passed"));
    assert_eq!(send_as(&trial, "only-ph", "GET", "F152").await.gist(), gist(200, "failed"));
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f153_what_is_known_of_another_region_is_not_forgotten() {
    let long = "[cache]\nnot_found_ttl = \"1h\"\n";
    let trial = Trial::with(&["my", "ph"], &format!("{long}{}", both_callers())).await;
    let hits = |id: &str| (trial.region("my").hits(id), trial.region("ph").hits(id));
    // A result and the learned region.
    trial.passes_in("ph", "F153-RESULT");
    assert_eq!(send_as(&trial, "both", "GET", "F153-RESULT").await.status, 200);
    assert_eq!(send_as(&trial, "only-my", "DELETE", "F153-RESULT").await.status, 204);
    assert!(send_as(&trial, "only-ph", "GET", "F153-RESULT").await.is_hit());
    assert_eq!(hits("F153-RESULT"), (1, 1));
    // Not-found marks.
    assert_eq!(send_as(&trial, "both", "GET", "F153-ABSENT").await.status, 404);
    assert_eq!(send_as(&trial, "only-my", "DELETE", "F153-ABSENT").await.status, 204);
    assert!(send_as(&trial, "only-ph", "GET", "F153-ABSENT").await.is_hit());
    assert_eq!(send_as(&trial, "both", "GET", "F153-ABSENT").await.status, 404);
    assert_eq!(hits("F153-ABSENT"), (2, 1), "only the region of the DELETE is asked again");
    // A conflict mark: the other region is still known to hold the id, so the two meet again.
    trial.passes_in("my", "F153-TWICE");
    trial.region("ph").answer("F153-TWICE", [failed("F153-TWICE")]);
    eventually("the conflict", async || send_as(&trial, "both", "GET", "F153-TWICE").await.status == 409)
        .await;
    assert_eq!(send_as(&trial, "only-my", "DELETE", "F153-TWICE").await.status, 204);
    let again = send_as(&trial, "both", "GET", "F153-TWICE").await;
    assert_eq!(again.gist(), gist(409, "ambiguous_signature"), "ph still holds it, and my says so again");
    trial.invariants_hold().await;
}

/// The bytes of an answer of the upstream.
fn wire(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn f154_an_unasked_answer_without_an_id_is_never_served() {
    let trial = Trial::start().await;
    let stray = bodies::success(json!({ "idvResult": "PASS", "errorCode": "SUCCESS" }));
    trial.passes("F154-KEPT");
    trial.ask("F154-KEPT").await;
    let both = [wire(&stray), wire(&bodies::failed("F154", "STRATEGY_HIT"))].concat();
    trial.upstream().answer("F154", [Reply::Raw(both), failed("F154")]);
    let answer = trial.ask("F154").await;
    assert_eq!(answer.gist(), gist(200, "failed"));
    assert_eq!(trial.upstream().hits("F154"), 2);
    trial.passes("F154-AGAIN");
    trial.ask("F154-AGAIN").await;
    let unknown = bodies::success(
        json!({ "idvResult": "REVIEW", "docDetail": { "ocrInfo": { "front": { "name": "STRAY" } } } }),
    );
    let both = [wire(&unknown), wire(&bodies::failed("F154-REVIEW", "STRATEGY_HIT"))].concat();
    trial.upstream().answer("F154-REVIEW", [Reply::Raw(both), failed("F154-REVIEW")]);
    assert_eq!(trial.ask("F154-REVIEW").await.gist(), gist(200, "failed"));
    let missing = "idv_contract_drift_total{region=\"my\",kind=\"missing_id\"}";
    assert_eq!(trial.gateway.metric(missing).await, 2.0);
    // An upstream that never gives the id is believed over a connection that carried nothing else.
    trial.truly_passes("F154-BARE");
    trial.upstream().answer("F154-BARE", [Reply::json(stray)]);
    assert_eq!(trial.ask("F154-BARE").await.gist(), gist(200, "passed"));
    assert_eq!(trial.send("GET", "F154-BARE", "", NO_CACHE).await.gist(), gist(200, "passed"));
    trial.invariants_hold().await;
}
