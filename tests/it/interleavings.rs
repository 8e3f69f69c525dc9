//! Reads, refreshes, purges and hang-ups of few ids in any order, on several threads: what holds for one at a time
//! holds for all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;

use crate::support::client::NO_CACHE;
use crate::support::gateway::{OPEN, region};
use crate::support::{Answer, Dice, Gateway, Reply, Upstream, bodies, client};

const IDS: [&str; 4] = ["S1", "S2", "S3", "S4"];
/// Numbers the upstream's requests: every answer carries the number of its request.
type Clock = Arc<AtomicU64>;

/// Answers `id` with a numbered result, late by a random time; sometimes with a failure or "does not exist".
fn script(upstream: &Upstream, id: &'static str, clock: &Clock, dice: &Dice, is_rough: bool) {
    let (clock, dice) = (Arc::clone(clock), dice.clone());
    upstream.answer_by(id, move || {
        let number = clock.fetch_add(1, Ordering::SeqCst) + 1;
        let mut body = match dice.roll(0..20) {
            0 if is_rough => bodies::refusal("PARAMETER_ERROR", "no"),
            1 if is_rough => bodies::not_exist(),
            2..8 => bodies::pending(id),
            _ => bodies::passed(id),
        };
        body["transactionId"] = format!("request-{number}").into();
        Reply::json(body).after(Duration::from_micros(dice.roll(0..6000)))
    });
}

/// The number of the upstream's request that an answer is from.
fn number(answer: &Answer) -> u64 {
    let body = answer.json();
    let id = body["upstream"]["transactionId"].as_str().and_then(|id| id.strip_prefix("request-"));
    id.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no number: {answer:?}"))
}

/// Nothing in an answer for `id` is of another id.
fn check_is_about(id: &str, answer: &Answer) {
    let text = answer.text();
    for other in IDS.iter().filter(|other| **other != id) {
        assert!(!text.contains(other), "{id} is answered with something of {other}: {text}");
    }
    if answer.status == 200 {
        assert_eq!(answer.json()["signatureId"], id);
    }
}

/// One caller: does one of the four things to one of the ids, again and again.
async fn call(public: std::net::SocketAddr, clock: Clock, dice: Dice) {
    for _ in 0..60 {
        let id = IDS[dice.roll(0..IDS.len() as u64) as usize];
        let target = format!("/idv/{id}");
        match dice.roll(0..10) {
            0 => client::Asked::get(public, &target, &[]).await.leave(),
            1 => {
                let asked_before = clock.load(Ordering::SeqCst);
                assert_eq!(client::request(public, "DELETE", &target, &[]).await.status, 204);
                let answer = client::request(public, "GET", &target, &[]).await;
                check_is_about(id, &answer);
                let is_new = answer.status != 200 || number(&answer) > asked_before;
                assert!(is_new, "purged after request {asked_before}, answered with {}", number(&answer));
            }
            n => {
                let headers = if n < 4 { NO_CACHE } else { &[] };
                let answer = client::request(public, "GET", &target, headers).await;
                check_is_about(id, &answer);
                assert!([200, 404, 502].contains(&answer.status), "{answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_order_of_reads_refreshes_purges_and_hang_ups_mixes_revives_or_leaks() {
    let upstream = Upstream::start().await;
    let (clock, dice) = (Clock::default(), Dice::new());
    for id in IDS {
        script(&upstream, id, &clock, &dice, true);
    }
    let cache = "[cache]\nfinal_ttl = \"20ms\"\nincomplete_ttl = \"20ms\"\npending_ttl = \"10ms\"\nnot_found_ttl = \"10ms\"\n";
    let gateway = Gateway::with(&[OPEN, cache, &region("my", &upstream)]).await;
    let callers = (0..16).map(|_| tokio::spawn(call(gateway.public, Arc::clone(&clock), dice.clone())));
    for caller in join_all(callers).await {
        caller.expect("what a caller checks holds");
    }
    gateway.wait_for_fills(0).await;
    assert_eq!(gateway.metric("idv_panics_total").await, 0.0);
    for id in IDS {
        script(&upstream, id, &clock, &dice, false);
        let asked_before = clock.load(Ordering::SeqCst);
        let answer = gateway.send("GET", &format!("/idv/{id}"), NO_CACHE).await;
        assert!(
            answer.status == 200 && number(&answer) > asked_before,
            "no flight is left to join: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_caller_reads_never_goes_back_in_time() {
    let upstream = Upstream::start().await;
    let (clock, dice) = (Clock::default(), Dice::new());
    for id in IDS {
        script(&upstream, id, &clock, &dice, false);
    }
    let cache = "[cache]\nfinal_ttl = \"20ms\"\nincomplete_ttl = \"20ms\"\npending_ttl = \"5ms\"\n";
    let gateway = Gateway::with(&[OPEN, cache, &region("my", &upstream)]).await;
    let public = gateway.public;
    let callers = (0..16).map(|n| {
        let dice = dice.clone();
        tokio::spawn(async move {
            let (id, mut last) = (IDS[n % IDS.len()], 0);
            for _ in 0..60 {
                let headers = if dice.roll(0..5) == 0 { NO_CACHE } else { &[] };
                let answer = client::request(public, "GET", &format!("/idv/{id}"), headers).await;
                let seen = number(&answer);
                assert!(seen >= last, "{id}: {seen} after {last}");
                last = seen;
            }
        })
    });
    for caller in join_all(callers).await {
        caller.expect("what a caller checks holds");
    }
}
