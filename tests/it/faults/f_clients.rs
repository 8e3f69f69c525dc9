//! Clients that take their time, or go without a word.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::trial::Trial;
use crate::support::client::{Asked, Connection};
use crate::support::gateway::{OPEN, region};
use crate::support::process::Served;
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, bodies, within};

/// A client's time to send a head, as promised; and how late a loaded machine may notice.
const HEAD_TIME: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(3);

fn check_head_time(began: Instant) {
    let took = began.elapsed();
    assert!(took < HEAD_TIME + SLACK, "given up too late: {took:?}");
    assert!(took > HEAD_TIME - Duration::from_millis(500), "given up too early: {took:?}");
}

/// At its first request, and at one after that.
#[tokio::test]
async fn f120_a_head_byte_by_byte() {
    let trial = Trial::start().await;
    trial.passes("F120");
    let slow = async |answered: usize| {
        let mut connection = trial.gateway.connect().await;
        for _ in 0..answered {
            connection.ask("GET", "/idv/F120", &[]).await;
            assert_eq!(connection.answer().await.map(|answer| answer.status), Some(200));
        }
        let (began, head) =
            (Instant::now(), b"GET /idv/F120 HTTP/1.1\r\nX-Slow: xxxxxxxxxxxxxxxxxxxx\r\n\r\n");
        for byte in head {
            let sent = connection.stream().write_all(&[*byte]).await;
            if sent.is_err() || began.elapsed() > HEAD_TIME + SLACK {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        check_head_time(began);
        assert_eq!(connection.closed().await, b"", "nothing was asked");
    };
    tokio::join!(slow(0), slow(1));
    trial.ask("F120").await;
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f121_silence() {
    let trial = Trial::start().await;
    let began = Instant::now();
    let mut silent = trial.gateway.connect().await;
    assert_eq!(silent.closed().await, b"");
    check_head_time(began);
    trial.passes("F121");
    assert_eq!(trial.ask("F121").await.status, 200);
    trial.invariants_hold().await;
}

/// Those beyond the cap wait in the kernel's queue, and come in as others go. That idle connections are closed after 75
/// seconds is tested where that time is kept, `http::timed`.
#[tokio::test]
async fn f122_more_connections_than_may_be() {
    const CAP: usize = 200;
    let trial = Trial::with(&["my"], &format!("[server]\nmax_connections = {CAP}\n")).await;
    trial.passes("F122");
    let mut idle = Vec::new();
    while idle.len() < CAP {
        let mut connection = trial.gateway.connect().await;
        connection.ask("GET", "/idv/F122", &[]).await;
        if let Some(answer) = connection.answer().await {
            assert_eq!(answer.status, 200);
            idle.push(connection);
        }
    }
    let beyond = Connection::open(trial.gateway.public);
    let mut beyond = within("a place in the queue", beyond).await;
    beyond.ask("GET", "/idv/F122", &[]).await;
    let waits = timeout(Duration::from_millis(200), beyond.answer()).await;
    assert!(waits.is_err(), "beyond the cap nobody is served: {waits:?}");
    idle[0].ask("GET", "/idv/F122", &[]).await;
    assert_eq!(idle[0].answer().await.map(|answer| answer.status), Some(200), "who is in is served");
    idle.truncate(CAP - 2);
    assert_eq!(beyond.answer().await.map(|answer| answer.status), Some(200), "a place is free again");
    trial.ask("F122").await;
    assert_eq!(trial.upstream().hits("F122"), 1);
    trial.invariants_hold().await;
}

/// A thousand, where a listener takes ten thousand unless told otherwise: what one costs is what counts.
#[tokio::test]
async fn f122_what_an_idle_connection_costs() {
    const IDLE: usize = 1000;
    let upstream = Upstream::start().await;
    upstream.answer("F122", [Reply::json(bodies::passed("F122"))]);
    let served = Served::with(&[OPEN, &region("my", &upstream)]).await;
    served.get("/idv/F122").await;
    let resident = async || served.metric("process_resident_memory_bytes").await;
    let before = resident().await;
    let mut idle = Vec::new();
    while idle.len() < IDLE {
        idle.extend(join_all((0..50).map(|_| kept(&served))).await);
    }
    let each = (resident().await - before) / IDLE as f64;
    assert!(each < 65_536.0, "{each} bytes each");
    assert_eq!(served.get("/idv/F122").await.status, 200);
    assert_eq!(upstream.hits("F122"), 1);
    drop(idle);
    assert_eq!(served.stop().await.code, Some(0));
}

/// A connection on which one request was answered.
async fn kept(served: &Served) -> Connection {
    let mut connection = Connection::open(served.public).await;
    connection.ask("GET", "/idv/F122", &[]).await;
    assert_eq!(connection.answer().await.map(|answer| answer.status), Some(200));
    connection
}

/// It is soon read no more, and holds up nobody; that its time is up after 30 seconds is tested where that time is
/// kept, `http::timed`. Once it is gone its place is free.
#[tokio::test]
async fn f123_a_client_that_reads_nothing() {
    /// More than the kernel's buffers of both sides take of requests, once nobody reads them.
    const ENOUGH: usize = 64 << 20;
    let trial = Trial::with(&["my"], "[server]\nmax_connections = 2\n").await;
    trial.passes("F123");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream =
        within("a connection", socket.connect(trial.gateway.public)).await.expect("a connection");
    let requests = "GET /idv/F123 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let mut sent = 0;
    while let Ok(written) = timeout(Duration::from_secs(1), stream.write(requests.as_bytes())).await {
        sent += written.expect("the connection stands");
        assert!(sent < ENOUGH, "the gateway makes answers that nobody reads");
    }
    assert_eq!(trial.ask("F123").await.status, 200, "others are served");
    drop(stream);
    let both = async || {
        let mut two = [trial.gateway.connect().await, trial.gateway.connect().await];
        for connection in &mut two {
            connection.ask("GET", "/idv/F123", &[]).await;
        }
        let [one, other] = &mut two;
        let (one, other) = tokio::join!(one.answer(), other.answer());
        [one, other].into_iter().flatten().all(|answer| answer.status == 200)
    };
    assert!(both().await, "its place is free");
    assert_eq!(trial.upstream().hits("F123"), 1);
    trial.invariants_hold().await;
}

/// Two thousand of them, of which the first wait for an answer when they go, and all the others do not even that.
#[tokio::test]
async fn f131_callers_who_go_at_once() {
    const IDS: usize = 40;
    let trial = Trial::patient(&["my"], "[server]\nmax_connections = 60\n").await;
    let gate = Gate::default();
    let ids: Vec<String> = (0..IDS).map(|n| format!("F131-{n:02}")).collect();
    for id in &ids {
        trial.truly_passes(id);
        trial.upstream().answer(id, [Reply::json(bodies::passed(id)).gated(&gate)]);
    }
    for id in &ids {
        Asked::get(trial.gateway.public, &format!("/idv/{id}"), &[]).await.hang_up().await;
    }
    assert_eq!(trial.gateway.fills().await, IDS as f64);
    for n in 0..2000 {
        let mut stream =
            within("a connection", TcpStream::connect(trial.gateway.public)).await.expect("a connection");
        let target = &ids[n % IDS];
        let request = format!("GET /idv/{target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the kernel takes it");
        if n % 2 == 0 {
            stream.set_zero_linger().expect("a socket can be reset");
        }
        drop(stream);
    }
    assert_eq!(trial.gateway.fills().await, IDS as f64, "nobody's going starts or ends a fill");
    gate.open();
    trial.gateway.wait_for_fills(0).await;
    let asked = join_all(ids.iter().map(|id| trial.ask(id))).await;
    assert!(asked.iter().all(|answer| answer.status == 200), "every connection's place is free");
    assert_eq!(trial.upstream().result_hits(), IDS);
    assert_eq!(trial.gateway.metric("idv_panics_total").await, 0.0);
    trial.invariants_hold().await;
}
