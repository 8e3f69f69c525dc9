//! An upstream that is slow, gone or failing: connections that hang, break or lead nowhere, bodies without end, regions
//! that fail for a while.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use tokio::net::{TcpSocket, TcpStream};

use super::rows::{Row, row};
use super::trial::Trial;
use crate::support::client::{gist, pass};
use crate::support::front::Front;
use crate::support::gateway::{RETRIES, region, region_at};
use crate::support::upstream::{Flow, Gate};
use crate::support::{Reply, Upstream, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        row(29, "a body without end, in chunks of 64 KiB", "cut at 1 MiB, 502, the connection is dropped"),
        row(
            44,
            "connections that are neither accepted nor refused",
            "given up after a second, one retry, 503",
        ),
        row(
            47,
            format!(
                "the upstream closes each kept connection 0 to 2 ms after its answer, {CALLS} calls in {CALLERS} rows"
            ),
            "no caller sees an error",
        ),
        row(
            48,
            format!("{KEPT} kept connections go half-open at once"),
            "the first attempt times out, the second uses a new connection",
        ),
        row(
            49,
            format!("one region answers after {} ms", SLOW.as_millis()),
            "another region's answers do not wait for it",
        ),
        row(
            55,
            "every region is down, a final result is past its time",
            "200 with stale=true until `stale_max` (2 s), then 503",
        ),
        row(
            57,
            format!("half of {FAILING} calls fail, then the upstream is well again"),
            "retries within 10 % and 3 a second, the breaker opens; all calls pass within 30 s of the recovery",
        ),
    ]
}

/// A region `my` whose get-result is at `url`; its tokens come from `upstream`.
pub(super) fn region_elsewhere(url: &str, upstream: &Upstream, attempt_timeout: &str) -> String {
    let region = region_at("my", url);
    format!("{region}token_url = \"{}\"\nattempt_timeout = \"{attempt_timeout}\"\n", upstream.base_url())
}

/// The upstream can send what the sockets between hold, and the 1 MiB that is read.
#[tokio::test]
async fn f029_an_endless_body() {
    let trial = Trial::start().await;
    let flow = Flow::default();
    let piece = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    trial.upstream().answer("F029", [Reply::Endless(head.to_vec(), piece, flow.clone())]);
    assert_eq!(trial.ask("F029").await.gist(), gist(502, "upstream_malformed"));
    assert_eq!(trial.upstream().hits("F029"), 1);
    eventually("the end of the connection", async || flow.is_cut()).await;
    assert!((1 << 20..1 << 26).contains(&flow.taken()), "{} bytes", flow.taken());
    trial.passes("F029-NEXT");
    assert_eq!(trial.ask("F029-NEXT").await.gist(), (200, "passed".to_owned()));
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

/// Calls of row 47, and the callers that make them, each about one id over one kept connection: a connection a call would
/// leave the machine without ports.
const CALLS: usize = 3_000;
const CALLERS: usize = 20;

#[tokio::test]
async fn f047_kept_connections_are_closed_just_as_they_are_used() {
    let trial = Trial::start().await;
    let ids: Vec<String> = (0..CALLERS).map(|n| format!("F047-{n:02}")).collect();
    for (n, id) in ids.iter().enumerate() {
        trial.truly_passes(id);
        // At once, or a moment later: just when the connection is taken for the next request.
        let reply = Reply::passed(id);
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

/// How many connections are kept in row 48. A NAT forgets them all at once: a second attempt over another of them would
/// fail like the first.
const KEPT: usize = 4;

#[tokio::test]
async fn f048_kept_connections_are_half_open() {
    let upstream = Upstream::start().await;
    let wire = Front::wire(&upstream).await;
    let region = region_elsewhere(&format!("http://{}", wire.address), &upstream, "400ms");
    let trial = Trial::over(vec![("my", upstream, region)], "").await;
    let gate = Gate::default();
    let kept: Vec<String> = (0..KEPT).map(|n| format!("F048-KEPT-{n}")).collect();
    for id in &kept {
        trial.truly_passes(id);
        trial.upstream().answer(id, [Reply::passed(id).gated(&gate)]);
    }
    let all_at_once = async {
        for id in &kept {
            trial.upstream().wait_for_hits(id, 1).await;
        }
        gate.open();
    };
    let (answers, ()) = tokio::join!(join_all(kept.iter().map(|id| trial.ask(id))), all_at_once);
    assert!(answers.iter().all(|answer| answer.gist() == pass()), "{answers:?}");
    assert_eq!(wire.connections(), KEPT);
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

/// How late the slow region of row 49 answers.
const SLOW: Duration = Duration::from_millis(1500);

/// All of the quick region's answers come before the first of the slow one's.
#[tokio::test]
async fn f049_one_region_is_slow() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    let slow = region("my", &my) + "concurrency = 20\n";
    let quick = region("ph", &ph);
    let trial = Trial::over(vec![("my", my, slow), ("ph", ph, quick)], "").await;
    let ids = |region: &str| -> Vec<String> { (0..20).map(|n| format!("F049-{region}-{n:02}")).collect() };
    for id in ids("my") {
        trial.truly_passes(&id);
        let reply = Reply::passed(&id).after(SLOW);
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

/// The calls of row 57.
const FAILING: usize = 400;

/// That the pause between probes grows to twenty seconds and no more is tested beside the breaker.
#[tokio::test]
async fn f057_half_of_all_calls_fail_for_a_while() {
    let trial = Trial::start().await;
    let ids: Vec<String> = (0..FAILING).map(|n| format!("F057-{n:03}")).collect();
    for (n, id) in ids.iter().enumerate() {
        trial.passes(id);
        if n % 2 == 0 {
            trial.upstream().answer(id, [Reply::text(500, "{}")]);
        }
    }
    let started = Instant::now();
    let answers: Vec<_> = stream::iter(ids.iter().map(|id| trial.ask(id))).buffered(10).collect().await;
    let retries = trial.gateway.metric("idv_upstream_retries_total{region=\"my\"}").await;
    let earned = FAILING as f64 * 0.1 + started.elapsed().as_secs_f64() * 3.0;
    assert!(retries <= 30.0 + earned + 1.0, "{retries} second attempts");
    assert!(trial.upstream().result_hits() as f64 <= FAILING as f64 + retries);
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
