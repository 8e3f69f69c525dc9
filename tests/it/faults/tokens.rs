//! Token requests that hang or are refused.

use std::time::Duration;

use serde_json::json;

use super::rows::{Row, row};
use super::trial::Trial;
use crate::support::client::{NO_CACHE, gist, pass};
use crate::support::gateway::region;
use crate::support::{Reply, Upstream, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            66,
            format!("the token endpoint hangs while a token of {} s lives", LIFE.as_secs()),
            "no caller is affected; a warning and a metric",
        ),
        row(
            71,
            "\"Signature error\" (wrong secret)",
            "502 `upstream_auth`, a log line without the secret, outcome `auth`",
        ),
        row(
            174,
            format!("{} times another replica's new token ends ours", BURST + 2),
            "a refresh for each of the first three; then 503 with Retry-After, and the endpoint is left alone",
        ),
    ]
}

async fn refreshes(trial: &Trial, outcome: &str) -> f64 {
    let region = trial.regions[0].0;
    let series = format!("idv_token_refreshes_total{{region=\"{region}\",outcome=\"{outcome}\"}}");
    trial.gateway.metric(&series).await
}

/// How long the token of row 66 lives. It is renewed early, and it takes two attempts of 500 ms to know that a renewal hangs.
const LIFE: Duration = Duration::from_secs(8);

#[tokio::test]
async fn f066_the_token_endpoint_hangs_while_the_old_token_lives() {
    let upstream = Upstream::start().await;
    let region = region("my", &upstream) + "attempt_timeout = \"500ms\"\n";
    let trial = Trial::over(vec![("my", upstream, region)], "").await;
    trial.upstream().answer_tokens([Reply::token_living(1, LIFE), Reply::Stall(vec![])]);
    trial.passes("F066");
    eventually("a failed refresh", async || {
        let answer = trial.send("GET", "F066", "", NO_CACHE).await;
        assert_eq!((answer.gist(), &answer.json()["stale"]), (pass(), &json!(false)));
        refreshes(&trial, "failed").await >= 1.0
    })
    .await;
    assert!(trial.has_logged(&["WARN", "token refresh failed", "Unavailable", "timeout"]).await);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f071_a_signature_error() {
    let trial = Trial::with(&["f071"], "").await;
    trial.upstream().answer_tokens([Reply::refusal("PARAMETER_ERROR", "Signature error")]);
    assert_eq!(trial.ask("F071").await.gist(), gist(502, "upstream_auth"));
    assert!(trial.has_logged(&["WARN", "token refresh failed", "f071", "Auth", "PARAMETER_ERROR"]).await);
    let counted = |outcome: &str| {
        format!("idv_upstream_requests_total{{region=\"f071\",operation=\"token\",outcome=\"{outcome}\"}}")
    };
    let (auth, error) =
        (trial.gateway.metric(&counted("auth")).await, trial.gateway.metric(&counted("error")).await);
    assert_eq!((auth, error), (1.0, 0.0), "what is refused is our keys");
    trial.invariants_hold().await;
}

/// How many refreshes refusals may cause at once.
const BURST: usize = 3;

#[tokio::test]
async fn f174_refreshes_that_refusals_cause_are_limited() {
    let trial = Trial::with(&["f174"], "").await;
    let ended = || Reply::refusal("IAM_FAILED", "Token not found or expired");
    for n in 0..BURST {
        let id = format!("F174{n}");
        trial.truly_passes(&id);
        trial.upstream().answer(&id, [ended(), Reply::passed(&id)]);
        assert_eq!(trial.ask(&id).await.gist(), pass());
    }
    trial.upstream().answer("F174", [ended()]);
    for _ in 0..2 {
        let answer = trial.ask("F174").await;
        assert_eq!(answer.gist(), gist(503, "upstream_unavailable"));
        let seconds: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
        assert!((5..=10).contains(&seconds), "{seconds}");
    }
    assert_eq!(
        trial.upstream().token_hits(),
        1 + BURST,
        "the first token, and one for each refusal of the burst"
    );
    assert_eq!((refreshes(&trial, "limited").await, refreshes(&trial, "failed").await), (2.0, 0.0));
    trial.invariants_hold().await;
}
