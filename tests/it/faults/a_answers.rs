//! The upstream answers badly, in whole answers: HTTP statuses, codes and headers.

use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::trial::{Trial, generated};
use crate::support::{Answer, Reply, bodies, eventually};

/// Scripts `count` ids of this row with the same replies, and asks for all of them at once.
async fn ask_many(trial: &Trial, row: &str, count: usize, reply: &Reply) -> Vec<Answer> {
    let ids: Vec<String> = (0..count).map(|n| format!("{row}-{n:02}")).collect();
    for id in &ids {
        trial.upstream().answer(id, [reply.clone()]);
    }
    join_all(ids.iter().map(|id| trial.ask(id))).await
}

fn is_retryable(answer: &Answer) -> bool {
    answer.json()["retryable"].as_bool().expect("a problem says whether it is retryable")
}

/// When to come back, in seconds.
fn told(answer: &Answer) -> u64 {
    answer.header("retry-after").expect("told when to come back").parse().expect("seconds")
}

/// Failures of this kind are retried once, shown as 502, kept by nobody, and in number trip the breaker.
async fn is_a_failing_server(row: &str, reply: Reply) {
    let trial = Trial::start().await;
    let id = format!("{row}-ONE");
    trial.upstream().answer(&id, [reply.clone()]);
    for calls in [2, 4] {
        let answer = trial.ask(&id).await;
        assert_eq!(answer.gist(), (502, "upstream_error".to_owned()));
        assert!(is_retryable(&answer));
        assert!(!answer.text().contains("html"), "{}", answer.text());
        assert_eq!(trial.upstream().hits(&id), calls, "one retry each time, and nothing kept");
    }
    assert_eq!(trial.gateway.metric("idv_breaker_state{region=\"my\"}").await, 0.0);
    ask_many(&trial, row, 24, &reply).await;
    let calls = trial.upstream().result_hits();
    let refused = trial.ask(&id).await;
    assert_eq!(trial.gateway.metric("idv_breaker_state{region=\"my\"}").await, 2.0);
    assert_eq!(refused.gist(), (503, "upstream_unavailable".to_owned()));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(trial.upstream().result_hits(), calls);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f001_http_500_once() {
    let trial = Trial::start().await;
    trial.truly_passes("A1");
    trial.upstream().answer("A1", [Reply::text(500, "{}"), Reply::json(bodies::passed("A1"))]);
    assert_eq!(trial.ask("A1").await.gist(), (200, "passed".to_owned()));
    assert_eq!(trial.upstream().hits("A1"), 2);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f002_http_500_always() {
    is_a_failing_server("F002", Reply::text(500, "{}")).await;
}

#[tokio::test]
async fn f003_http_502_and_503_with_an_html_page() {
    for status in [502, 503] {
        let page = b"<html><h1>Bad gateway for AMINAH CONTOH</h1></html>".to_vec();
        is_a_failing_server("F003", Reply::Http(status, vec![("content-type", "text/html".into())], page))
            .await;
    }
}

/// The region is left alone for as long as it asks, and asked again then.
async fn is_a_busy_region(row: &str, busy: &Reply, pause: u64) {
    let trial = Trial::start().await;
    let (first, second) = (format!("{row}-A"), format!("{row}-B"));
    trial.upstream().answer(&first, [busy.clone()]);
    trial.passes(&second);
    let answer = trial.ask(&first).await;
    assert_eq!(answer.gist(), (503, "upstream_busy".to_owned()));
    assert_eq!(told(&answer), pause);
    assert!(is_retryable(&answer));
    let paused = trial.ask(&second).await;
    assert_eq!(paused.gist(), (503, "upstream_busy".to_owned()), "the whole region pauses");
    assert!((pause - 3..=pause).contains(&told(&paused)), "{} of {pause} s", told(&paused));
    assert_eq!((trial.upstream().hits(&first), trial.upstream().hits(&second)), (1, 0), "no retry");
    assert_eq!(trial.gateway.metric("idv_breaker_state{region=\"my\"}").await, 0.0);
    trial.invariants_hold().await;
}

/// That a pause ends is shown with one of a second; that seven seconds are seven by what callers are told.
#[tokio::test]
async fn f004_http_429_with_retry_after() {
    let busy = Reply::text(429, "{}").header("retry-after", "7");
    is_a_busy_region("F004", &busy, 7).await;
    let trial = Trial::start().await;
    trial.truly_passes("F004");
    let busy = Reply::text(429, "{}").header("retry-after", "1");
    trial.upstream().answer("F004", [busy, Reply::json(bodies::passed("F004"))]);
    assert_eq!(trial.ask("F004").await.gist(), (503, "upstream_busy".to_owned()));
    let passes = async || trial.ask("F004").await.gist() == (200, "passed".to_owned());
    eventually("the end of the pause", passes).await;
    assert_eq!(trial.upstream().hits("F004"), 2);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f005_service_busy() {
    for code in ["SERVICE_BUSY", "RETRY_LATER"] {
        let busy = Reply::json(bodies::refusal(code, "busy"));
        is_a_busy_region("F005", &busy, 5).await;
        is_a_busy_region("F005", &busy.header("retry-after", "12s"), 12).await;
    }
}

/// Every value meets a region of its own, since each pauses one. Garbage of every kind: see also the property test
/// beside the parser.
#[tokio::test]
async fn f006_retry_after_of_every_kind() {
    const REGIONS: [&str; 32] = [
        "r00", "r01", "r02", "r03", "r04", "r05", "r06", "r07", "r08", "r09", "r10", "r11", "r12", "r13",
        "r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27",
        "r28", "r29", "r30", "r31",
    ];
    let in_30_s = jiff::Timestamp::now() + Duration::from_secs(30);
    let mut cases: Vec<(String, std::ops::RangeInclusive<u64>)> = vec![
        ("-1".to_owned(), 1..=1),
        ("0".to_owned(), 1..=1),
        ("99999999".to_owned(), 60..=60),
        ("99999999999999999999999".to_owned(), 60..=60),
        (in_30_s.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(), 20..=30),
        ("Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 1..=1),
        ("soon".to_owned(), 5..=5),
        (String::new(), 5..=5),
    ];
    let seconds = any::<i32>().prop_map(|n| (n.to_string(), i64::from(n).clamp(1, 60).unsigned_abs()));
    cases.extend(generated(12, seconds).into_iter().map(|(text, n)| (text, n..=n)));
    cases.extend(generated(12, "[ -~]{0,24}").into_iter().map(|text| (text, 1..=60)));

    let trial = Trial::with(&REGIONS, "").await;
    for (region, (value, expected)) in REGIONS.into_iter().zip(&cases) {
        trial.region(region).answer("F006", [Reply::text(429, "{}").header("retry-after", value)]);
        let answer = trial.send("GET", "F006", &format!("?region={region}"), &[]).await;
        assert_eq!(answer.gist(), (503, "upstream_busy".to_owned()), "{value:?}");
        assert!(expected.contains(&told(&answer)), "{value:?} became {}", told(&answer));
    }
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f007_code_error() {
    let error = Reply::json(bodies::refusal("ERROR", "Server error"));
    let trial = Trial::start().await;
    trial.upstream().answer("F007", [error.clone()]);
    let answer = trial.ask("F007").await.json();
    assert_eq!(answer["upstream"], json!({ "code": "ERROR", "transactionId": "b6d722f7e9f553ae" }));
    trial.invariants_hold().await;
    is_a_failing_server("F007", error).await;
}

/// One request and no retry, a 502 that nobody should repeat, and what the upstream said if we know the word.
async fn is_refused(trial: &Trial, id: &str, upstream_code: &str, code: &str, shown: Value) {
    trial.upstream().answer(id, [Reply::json(bodies::refusal(upstream_code, "AMINAH CONTOH"))]);
    let answer = trial.ask(id).await;
    assert_eq!(answer.gist(), (502, code.to_owned()), "{upstream_code}");
    assert!(!is_retryable(&answer), "{upstream_code}");
    assert_eq!(answer.json()["upstream"], shown);
    assert_eq!(trial.upstream().hits(id), 1, "{upstream_code}");
}

#[tokio::test]
async fn f008_an_unknown_code() {
    let trial = Trial::start().await;
    let shown = json!({ "transactionId": "b6d722f7e9f553ae" });
    is_refused(&trial, "F008", "FOO_BAR_CODE", "upstream_error", shown).await;
    assert_eq!(trial.drift("unknown_code").await, 1.0);
    assert_eq!(trial.ended("error").await, 1.0);
    trial.says_nowhere("FOO_BAR_CODE").await;
    trial.invariants_hold().await;
}

/// The metric to raise an alert from is `idv_upstream_requests_total{outcome="account"}`.
#[tokio::test]
async fn f009_the_account_is_empty_or_disabled() {
    let trial = Trial::start().await;
    let codes = ["INSUFFICIENT_BALANCE", "ACCOUNT_DISABLED", "OVER_QUERY_LIMIT", "SERVICE_DISABLED"];
    for (n, code) in codes.into_iter().enumerate() {
        let shown = json!({ "code": code, "transactionId": "b6d722f7e9f553ae" });
        is_refused(&trial, &format!("F009-{n}"), code, "upstream_account", shown).await;
    }
    assert_eq!(trial.ended("account").await, 4.0);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f010_the_request_is_refused() {
    let trial = Trial::start().await;
    for (n, code) in ["PARAMETER_ERROR", "EMPTY_PARAMETER_ERROR", "CLIENT_ERROR"].into_iter().enumerate() {
        let shown = json!({ "code": code, "transactionId": "b6d722f7e9f553ae" });
        is_refused(&trial, &format!("F010-{n}"), code, "upstream_error", shown).await;
    }
    trial.invariants_hold().await;
}
