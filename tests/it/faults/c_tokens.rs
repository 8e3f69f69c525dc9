//! Tokens that expire, are refused or cannot be had.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::trial::Trial;
use crate::support::bodies::{http_date, refusal, token_until};
use crate::support::client::{NO_CACHE, gist, pass};
use crate::support::gateway::region;
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, bodies, eventually};

pub(super) fn iam_failed() -> Reply {
    Reply::json(refusal("IAM_FAILED", "Token not found or expired"))
}

/// The tokens that the requests for `id` carried.
pub(super) fn tokens_carried(upstream: &Upstream, id: &str) -> Vec<String> {
    let requests = upstream.requests(id);
    requests.iter().map(|request| request.header("x-access-token").unwrap_or("none").to_owned()).collect()
}

/// Regions with plenty of time, for what waits at a gate.
async fn patient(names: &[&'static str]) -> Trial {
    let mut regions = Vec::new();
    for name in names {
        let upstream = Upstream::start().await;
        let toml = region(name, &upstream) + "attempt_timeout = \"15s\"\n";
        regions.push((*name, upstream, toml));
    }
    let mut trial = Trial::over(regions, "[request]\ntimeout = \"20s\"\nfill_timeout = \"30s\"").await;
    trial.timeout = Duration::from_secs(20);
    trial
}

async fn refreshes(trial: &Trial, outcome: &str) -> f64 {
    let region = trial.regions[0].0;
    let series = format!("idv_token_refreshes_total{{region=\"{region}\",outcome=\"{outcome}\"}}");
    trial.gateway.metric(&series).await
}

/// What backing off from one second allows in this time, at one call or more for each.
fn most_refreshes(since: Instant) -> usize {
    (since.elapsed().as_secs_f64() + 1.0).log2().ceil() as usize
}

/// At most two hundred callers at once, for the sake of the machine's sockets; the first hundred all find no token.
#[tokio::test]
async fn f063_five_hundred_callers_at_cold_start() {
    let trial = patient(&["my", "ph"]).await;
    let gate = Gate::default();
    for (_, upstream) in &trial.regions {
        upstream.answer_tokens([Reply::json(bodies::token(1)).gated(&gate)]);
    }
    let ids: Vec<String> = (0..500).map(|n| format!("F063-{n:03}")).collect();
    ids.iter().for_each(|id| trial.passes(id));
    let ask_all = stream::iter(ids.iter().map(|id| trial.ask(id))).buffered(200).collect::<Vec<_>>();
    let open = async {
        eventually("many fills", async || trial.gateway.fills().await >= 200.0).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(ask_all, open);
    assert!(answers.iter().all(|answer| answer.gist() == pass()));
    assert_eq!((trial.region("my").token_hits(), trial.region("ph").token_hits()), (1, 1));
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f064_a_token_expires_while_it_is_used() {
    let trial = Trial::start().await;
    trial.truly_passes("F064");
    trial.upstream().answer("F064", [iam_failed(), Reply::json(bodies::passed("F064"))]);
    assert_eq!(trial.ask("F064").await.gist(), pass());
    assert_eq!(tokens_carried(trial.upstream(), "F064"), ["test-token-1", "test-token-2"]);
    assert_eq!(trial.upstream().token_hits(), 2);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f065_a_token_is_revoked_while_many_use_it() {
    let trial = patient(&["my"]).await;
    let gate = Gate::default();
    let ids: Vec<String> = (0..60).map(|n| format!("F065-{n:02}")).collect();
    for id in &ids {
        trial.truly_passes(id);
        trial.upstream().answer(id, [iam_failed().gated(&gate), Reply::json(bodies::passed(id))]);
    }
    let refuse = async {
        for id in &ids {
            trial.upstream().wait_for_hits(id, 1).await;
        }
        // A few first: the token is replaced. The other refusals come when there is a newer one already.
        gate.let_through(5);
        eventually("a newer token in use", async || trial.upstream().result_hits() >= 60 + 5).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(join_all(ids.iter().map(|id| trial.ask(id))), refuse);
    assert!(answers.iter().all(|answer| answer.gist() == pass()));
    assert_eq!(trial.upstream().token_hits(), 2, "one at the start, one for all the refusals");
    trial.invariants_hold().await;
}

/// A good token that lives this long, by the upstream's own clock.
fn token_living(number: usize, life: Duration) -> Reply {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    let end = now.as_millisecond() + i64::try_from(life.as_millis()).unwrap();
    Reply::json(token_until(number, end)).header("date", &http_date(now))
}

/// Its early refresh fails; callers see nothing of it.
async fn is_refreshed_in_vain(life: Duration, fault: Reply) {
    let upstream = Upstream::start().await;
    let region = region("my", &upstream) + "attempt_timeout = \"500ms\"\n";
    let trial = Trial::over(vec![("my", upstream, region)], "").await;
    trial.upstream().answer_tokens([token_living(1, life), fault]);
    trial.passes("F066");
    eventually("a failed refresh", async || {
        let answer = trial.send("GET", "F066", "", NO_CACHE).await;
        assert_eq!((answer.gist(), &answer.json()["stale"]), (pass(), &json!(false)));
        tokio::time::sleep(Duration::from_millis(50)).await;
        refreshes(&trial, "failed").await >= 1.0
    })
    .await;
    assert!(trial.has_logged(&["WARN", "token refresh failed", "Unavailable"]).await);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f066_the_token_endpoint_fails_or_hangs_while_the_old_token_lives() {
    let fails = is_refreshed_in_vain(Duration::from_secs(5), Reply::text(500, "<html>down</html>"));
    // It takes two attempts to know that it hangs.
    let hangs = is_refreshed_in_vain(Duration::from_secs(8), Reply::Stall(vec![]));
    tokio::join!(fails, hangs);
}

/// That the pause between refreshes grows to a minute and no more is shown beside it.
#[tokio::test]
async fn f067_the_token_endpoint_is_down_and_no_token_is_valid() {
    let trial = Trial::start().await;
    trial.passes("F067-KEPT");
    assert_eq!(trial.ask("F067-KEPT").await.gist(), pass());
    trial.upstream().answer("F067", [iam_failed()]);
    trial.upstream().answer_tokens([Reply::text(500, "<html>down</html>")]);
    let started = Instant::now();
    let answer = trial.ask("F067").await;
    assert_eq!(answer.gist(), gist(503, "upstream_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let answers = join_all((0..50).map(|_| trial.ask("F067"))).await;
    assert!(answers.iter().all(|answer| answer.gist() == gist(503, "upstream_unavailable")));
    let most = 1 + 2 * (1 + most_refreshes(started));
    assert!(trial.upstream().token_hits() <= most, "{} of {most} token calls", trial.upstream().token_hits());
    assert!(trial.upstream().hits("F067") <= 51, "an attempt refused is not repeated without another token");
    trial.passes("F067-OTHER");
    assert_eq!(trial.ask("F067-OTHER").await.gist(), pass(), "one id's refusal costs nobody else the token");
    let told = async || trial.ask("F067").await.header("retry-after") == Some("2");
    eventually("the next pause, twice as long", told).await;
    assert_eq!(trial.ask("F067-KEPT").await.gist(), pass(), "what is in memory needs no token");
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f069_a_timestamp_error() {
    for skew in [600, -600] {
        let trial = Trial::start().await;
        let there = Timestamp::now() + SignedDuration::from_secs(skew);
        let wrong_time = Reply::json(refusal("PARAMETER_ERROR", "Timestamp error"));
        let token = Reply::json(token_until(1, there.as_millisecond() + 3_600_000));
        let replies = [wrong_time, token].map(|reply| reply.header("date", &http_date(there)));
        trial.upstream().answer_tokens(replies);
        trial.passes("F069");
        assert_eq!(trial.ask("F069").await.gist(), pass());
        let sent = trial.upstream().token_requests();
        let timestamps = sent.iter().map(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            (body["timestamp"].as_i64().unwrap() - Timestamp::now().as_millisecond()) / 1000
        });
        let ahead: Vec<i64> = timestamps.collect();
        let auth = "idv_upstream_requests_total{region=\"my\",operation=\"token\",outcome=\"auth\"}";
        assert_eq!(trial.gateway.metric(auth).await, 0.0, "a wrong clock is no wrong key");
        assert_eq!(ahead.len(), 2, "one corrected try");
        assert!(ahead[0].abs() <= 5 && (ahead[1] - skew).abs() <= 5, "{ahead:?} for {skew}");
        let shown = trial.gateway.metric("idv_clock_skew_seconds{region=\"my\"}").await;
        assert!((shown - skew as f64).abs() <= 3.0, "{shown} for {skew}");
        trial.invariants_hold().await;

        // A clock that stays wrong is corrected once, and not again and again.
        let trial = Trial::start().await;
        let wrong_time = Reply::json(refusal("PARAMETER_ERROR", "Timestamp error"));
        trial.upstream().answer_tokens([wrong_time.header("date", &http_date(there))]);
        assert_eq!(trial.ask("F069").await.gist(), gist(502, "upstream_auth"));
        assert_eq!(trial.upstream().token_hits(), 2);
        trial.invariants_hold().await;
    }
}

#[tokio::test]
async fn f071_a_signature_error() {
    let trial = Trial::with(&["f071"], "").await;
    trial.upstream().answer_tokens([Reply::json(refusal("PARAMETER_ERROR", "Signature error"))]);
    let started = Instant::now();
    let answer = trial.ask("F071").await;
    assert_eq!(answer.gist(), gist(502, "upstream_auth"));
    assert_eq!(answer.json()["upstream"]["code"], "PARAMETER_ERROR");
    assert_eq!(answer.json()["retryable"], false);
    let answers = join_all((0..50).map(|_| trial.ask("F071"))).await;
    assert!(answers.iter().all(|answer| answer.gist() == gist(502, "upstream_auth")));
    let most = 1 + most_refreshes(started);
    assert!(trial.upstream().token_hits() <= most, "{} of {most} token calls", trial.upstream().token_hits());
    assert_eq!(trial.upstream().result_hits(), 0);
    assert!(trial.has_logged(&["WARN", "token refresh failed", "f071", "Auth", "PARAMETER_ERROR"]).await);
    let counted = |outcome: &str| {
        format!("idv_upstream_requests_total{{region=\"f071\",operation=\"token\",outcome=\"{outcome}\"}}")
    };
    let (auth, error) =
        (trial.gateway.metric(&counted("auth")).await, trial.gateway.metric(&counted("error")).await);
    assert!(auth >= 1.0 && error == 0.0, "what is refused is our keys: {auth} auth, {error} error");
    trial.invariants_hold().await;
}
