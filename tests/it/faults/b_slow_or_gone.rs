//! An upstream that is slow or gone: connections that hang, break, are refused or lead nowhere.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};

use super::trial::Trial;
use crate::support::client::{gist, pass};
use crate::support::front::Front;
use crate::support::gateway::region_at;
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, bodies};

const RETRIES: &str = "idv_upstream_retries_total{region=\"my\"}";

/// A region `my` whose get-result is at `url`; its tokens come from `upstream`.
pub(super) fn region_elsewhere(url: &str, upstream: &Upstream, attempt_timeout: &str) -> String {
    let region = region_at("my", url);
    format!("{region}token_url = \"{}\"\nattempt_timeout = \"{attempt_timeout}\"\n", upstream.base_url())
}

/// A whole answer that passes `id`, as head and body.
fn answer_bytes(id: &str) -> (Vec<u8>, Vec<u8>) {
    let body = bodies::passed(id).to_string().into_bytes();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head.into_bytes(), body)
}

/// With times ten times as short; that four and eight seconds are what it does by itself is read from `/config`.
#[tokio::test]
async fn f041_it_accepts_and_never_answers() {
    let trial = Trial::start().await;
    trial.upstream().answer("F041", [Reply::Stall(vec![])]);
    let asked = Instant::now();
    assert_eq!(trial.ask("F041").await.gist(), gist(504, "upstream_timeout"));
    assert!(asked.elapsed() >= Duration::from_millis(800), "two whole attempts");
    assert_eq!(trial.upstream().hits("F041"), 2);
    assert_eq!(trial.ended("timeout").await, 2.0);
    trial.invariants_hold().await;

    let upstream = Upstream::start().await;
    let region = region_at("my", &upstream.base_url());
    let defaults = Trial::over(vec![("my", upstream, region)], "[request]\n").await;
    let config = defaults.gateway.admin("/config").await.json();
    assert_eq!(config["regions"][0]["attempt_timeout"], json!("4s"));
    assert_eq!(config["request"]["timeout"], json!("8s"));
    defaults.invariants_hold().await;
}

#[tokio::test]
async fn f042_the_head_comes_at_once_and_the_body_byte_by_byte() {
    let trial = Trial::start().await;
    let (head, body) = answer_bytes("F042");
    let drip = Reply::Drip(body, Duration::from_millis(20));
    trial.upstream().answer("F042", [Reply::Then(Box::new(Reply::Raw(head)), Box::new(drip))]);
    assert_eq!(trial.ask("F042").await.gist(), gist(504, "upstream_timeout"));
    assert_eq!(trial.ended("timeout").await, 2.0);
    trial.invariants_hold().await;
}

/// The fastest of five, since the machine that runs this may be busy.
#[tokio::test]
async fn f043_connections_are_refused() {
    let upstream = Upstream::start().await;
    // Bound but not listening: connections are refused, and nobody else gets the port.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    let region = region_elsewhere(&url, &upstream, "1s");
    let trial = Trial::over(vec![("my", upstream, region)], "").await;
    let mut fastest = Duration::MAX;
    for n in 0..5 {
        let asked = Instant::now();
        let answer = trial.ask(&format!("F043-{n}")).await;
        fastest = fastest.min(asked.elapsed());
        assert_eq!(answer.gist(), gist(503, "upstream_unavailable"));
        assert!(answer.header("retry-after").is_some());
        assert_eq!(trial.gateway.metric(RETRIES).await, f64::from(n + 1), "one retry each");
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    trial.invariants_hold().await;
}

/// An address where connections are neither accepted nor refused: its queue is full, and what more comes is dropped.
async fn black_hole() -> (Vec<TcpStream>, tokio::net::TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut queue = Vec::new();
    let one_more = || TcpStream::connect(listener.local_addr().unwrap());
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), one_more()).await {
        queue.push(stream.unwrap());
    }
    (queue, listener)
}

#[tokio::test]
async fn f044_connections_lead_into_a_black_hole() {
    let (_queue, hole) = black_hole().await;
    let upstream = Upstream::start().await;
    let url = format!("http://{}", hole.local_addr().unwrap());
    let region = region_elsewhere(&url, &upstream, "4s");
    let mut trial =
        Trial::over(vec![("my", upstream, region)], "[request]\ntimeout = \"4s\"\nfill_timeout = \"5s\"")
            .await;
    trial.timeout = Duration::from_secs(4);
    let asked = Instant::now();
    // No 504: it ends where connecting may take no longer, and not where the attempt or the caller may not.
    assert_eq!(trial.ask("F044").await.gist(), gist(503, "upstream_unavailable"));
    assert!(asked.elapsed() >= Duration::from_millis(1900), "{:?}", asked.elapsed());
    assert_eq!(trial.gateway.metric(RETRIES).await, 1.0);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f045_the_connection_is_reset_after_the_request() {
    let trial = Trial::start().await;
    trial.truly_passes("F045");
    trial.upstream().answer("F045", [Reply::Reset, Reply::json(bodies::passed("F045"))]);
    assert_eq!(trial.ask("F045").await.gist(), pass());
    assert_eq!((trial.upstream().hits("F045"), trial.gateway.metric(RETRIES).await), (2, 1.0));
    trial.invariants_hold().await;
}

/// Twenty callers, each with one id: as many ids as calls would only make the test slow. Their connections are kept: twice
/// as many sockets would wait for their end, and a new one may be given the port of one of them.
#[tokio::test]
async fn f047_kept_connections_are_closed_just_as_they_are_used() {
    const CALLS: usize = 10_000;
    let trial = Trial::start().await;
    let ids: Vec<String> = (0..20).map(|n| format!("F047-{n:02}")).collect();
    for (n, id) in ids.iter().enumerate() {
        trial.truly_passes(id);
        // At once, or a moment later: just when the connection is taken for the next request.
        let reply = Reply::json(bodies::passed(id));
        let delay = Duration::from_millis(n as u64 % 3);
        let reply = if delay.is_zero() { reply.then_close() } else { reply.then_close_after(delay) };
        trial.upstream().answer(id, [reply]);
    }
    let refresh = async |id: &String| {
        let mut connection = trial.gateway.connect().await;
        for n in 0..CALLS / ids.len() {
            assert_eq!(trial.refresh_over(&mut connection, id).await.gist(), pass(), "call {n} for {id}");
        }
    };
    join_all(ids.iter().map(refresh)).await;
    assert!(trial.upstream().connections() >= CALLS / 2, "{}", trial.upstream().connections());
    assert_eq!(trial.gateway.metric("idv_breaker_state{region=\"my\"}").await, 0.0);
    trial.invariants_hold().await;
}

/// All kept connections go dead at once, as they do when a NAT forgets them: a second attempt over another of them would
/// fail like the first.
#[tokio::test]
async fn f048_kept_connections_are_half_open() {
    let upstream = Upstream::start().await;
    let wire = Front::wire(&upstream).await;
    let region = region_elsewhere(&format!("http://{}", wire.address), &upstream, "400ms");
    let trial = Trial::over(vec![("my", upstream, region)], "").await;
    let gate = Gate::default();
    let kept: Vec<String> = (0..4).map(|n| format!("F048-KEPT-{n}")).collect();
    for id in &kept {
        trial.truly_passes(id);
        trial.upstream().answer(id, [Reply::json(bodies::passed(id)).gated(&gate)]);
    }
    let all_at_once = async {
        for id in &kept {
            trial.upstream().wait_for_hits(id, 1).await;
        }
        gate.open();
    };
    let (answers, ()) = tokio::join!(join_all(kept.iter().map(|id| trial.ask(id))), all_at_once);
    assert!(answers.iter().all(|answer| answer.gist() == pass()), "{answers:?}");
    assert_eq!(wire.connections(), 4);
    wire.go_dead();
    for n in 0..3 {
        let id = format!("F048-{n}");
        trial.passes(&id);
        let asked = Instant::now();
        assert_eq!(trial.ask(&id).await.gist(), pass(), "{id}");
        assert!(asked.elapsed() >= Duration::from_millis(400), "the first attempt times out");
        assert_eq!(trial.upstream().hits(&id), 1, "{id}");
        assert_eq!(trial.gateway.metric(RETRIES).await, f64::from(n + 1));
    }
    trial.invariants_hold().await;
}
