//! How a running gateway ends, and what does not end it.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::client::Connection;
use crate::support::gateway::{OPEN, region, sha256};
use crate::support::process::{Finished, Served, text};
use crate::support::upstream::Gate;
use crate::support::{Answer, Reply, Upstream, eventually};

fn drain(delay: &str, deadline: &str) -> String {
    format!("[drain]\ndelay = \"{delay}\"\ndeadline = \"{deadline}\"\n")
}

async fn served(upstream: &Upstream, delay: &str, deadline: &str) -> Served {
    Served::with(&[OPEN, &region("my", upstream), &drain(delay, deadline)]).await
}

async fn not_ready(served: &Served) {
    eventually("no readiness", async || served.admin("/readyz").await.status == 503).await;
}

async fn closed_to_newcomers(served: &Served) {
    eventually("a closed door", async || TcpStream::connect(served.public).await.is_err()).await;
}

async fn get(connection: &mut Connection, target: &str) -> Answer {
    connection.ask("GET", target, &[]).await;
    connection.answer().await.expect("an answer")
}

async fn ended(served: &mut Served) -> Finished {
    served.process.exit().await
}

#[tokio::test]
async fn asked_to_stop_it_is_not_ready_at_once_serves_on_closes_the_door_and_finishes() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.pass("S1");
    upstream.answer("S2", [Reply::passed("S2").gated(&gate)]);
    let mut served = served(&upstream, "2s", "20s").await;
    let mut idle = Connection::open(served.public).await;
    assert_eq!(get(&mut idle, "/idv/S1").await.status, 200);
    let mut kept = Connection::open(served.public).await;
    assert_eq!(get(&mut kept, "/idv/S1").await.header("connection"), None);
    let mut under_way = Connection::open(served.public).await;
    under_way.ask("GET", "/idv/S2", &[]).await;
    upstream.wait_for_hits("S2", 1).await;

    served.process.signal("TERM");
    not_ready(&served).await;
    assert_eq!(served.get("/readyz").await.status, 503, "the public listener says so, too");
    assert_eq!(served.get("/idv/S1").await.status, 200, "newcomers are served during the delay");
    let last = get(&mut kept, "/idv/S1").await;
    assert_eq!((last.status, last.header("connection")), (200, Some("close")), "so are kept ones, once more");
    assert!(kept.closed().await.is_empty(), "and that was announced");

    closed_to_newcomers(&served).await;
    assert!(idle.closed().await.is_empty(), "an idle connection is closed without an answer");
    assert_eq!(served.admin("/livez").await.status, 200, "the admin listener answers to the end");
    assert!(served.process.is_running(), "a request is under way");

    gate.open();
    let answer = under_way.answer().await.expect("an answer");
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(ended(&mut served).await.code, Some(0));
}

#[tokio::test]
async fn an_interrupt_is_as_good_as_a_termination() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.answer("S1", [Reply::passed("S1").gated(&gate)]);
    let mut served = served(&upstream, "0s", "20s").await;
    let mut under_way = Connection::open(served.public).await;
    under_way.ask("GET", "/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    served.process.signal("INT");
    closed_to_newcomers(&served).await;
    gate.open();
    assert_eq!(under_way.answer().await.expect("an answer").status, 200);
    assert_eq!(ended(&mut served).await.code, Some(0));
}

#[tokio::test]
async fn a_connection_that_never_asked_anything_holds_up_nothing() {
    let upstream = Upstream::start().await;
    let mut served = served(&upstream, "0s", "60s").await;
    let mut silent = Connection::open(served.public).await;
    // Connections are accepted in order, so the first one is in hand once the second is answered.
    assert_eq!(served.get("/idv/S1").await.status, 404);
    let asked = Instant::now();
    served.process.signal("TERM");
    assert_eq!(ended(&mut served).await.code, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(4), "its five seconds for a head were waited for");
    silent.closed().await;
}

#[tokio::test]
async fn half_a_head_holds_the_end_up_no_longer_than_the_deadline() {
    let upstream = Upstream::start().await;
    let mut served = served(&upstream, "0s", "1s").await;
    let mut half = Connection::open(served.public).await;
    half.send(b"GET /idv/S1 HTTP/1.1\r\nHost: lo").await;
    assert_eq!(served.get("/idv/S1").await.status, 404);
    let asked = Instant::now();
    served.process.signal("TERM");
    let finished = ended(&mut served).await;
    assert!(asked.elapsed() < Duration::from_secs(4), "its five seconds for a head were waited for");
    assert_eq!(finished.code, Some(1), "the deadline came before the end");
    half.closed().await;
}

#[tokio::test]
async fn half_a_head_that_is_completed_in_time_is_still_answered() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let mut served = served(&upstream, "0s", "20s").await;
    let mut half = Connection::open(served.public).await;
    half.send(b"GET /idv/S1 HTTP/1.1\r\nHost: lo").await;
    assert_eq!(served.get("/idv/S2").await.status, 404);
    served.process.signal("TERM");
    closed_to_newcomers(&served).await;
    half.send(b"calhost\r\n\r\n").await;
    let answer = half.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(ended(&mut served).await.code, Some(0));
}

#[tokio::test]
async fn a_request_that_hangs_is_told_so_before_the_hard_stop() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::passed("S1").gated(&Gate::default())]);
    let mut served = served(&upstream, "0s", "2s").await;
    let mut hanging = Connection::open(served.public).await;
    hanging.ask("GET", "/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    served.process.signal("TERM");
    let answer = hanging.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.code().as_str()), (503, "shutting_down"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(ended(&mut served).await.code, Some(0), "everybody was answered");
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let upstream = Upstream::start().await;
        let mut served = served(&upstream, "30s", "60s").await;
        served.process.signal(first);
        not_ready(&served).await;
        let asked = Instant::now();
        served.process.signal(second);
        assert_eq!(ended(&mut served).await.code, Some(1), "{first}, {second}");
        assert!(asked.elapsed() < Duration::from_secs(10), "the drain was waited for");
    }
}

fn caller(hash_file: &std::path::Path) -> String {
    format!("[[callers]]\nname = \"a\"\nkey_sha256_file = \"{}\"\n", text(hash_file))
}

#[tokio::test]
async fn a_hangup_reads_key_files_again_and_stops_nothing() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let scratch = crate::support::process::Scratch::new();
    let file = scratch.write("keys", &sha256("key-0"));
    let served = Served::with(&[&region("my", &upstream), &caller(&file)]).await;
    assert_eq!(served.get_as("key-0", "/idv/S1").await.status, 200);

    let started = Instant::now();
    for n in 1..=4 {
        scratch.write("keys", &sha256(&format!("key-{n}")));
        served.process.signal("HUP");
        let key = format!("key-{n}");
        eventually("the new key", async || served.get_as(&key, "/idv/S1").await.status == 200).await;
        let old = served.get_as(&format!("key-{}", n - 1), "/idv/S1").await;
        assert_eq!(old.code(), "unauthenticated");
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "four rounds of the usual look at files were waited for"
    );

    scratch.write("keys", "not a hash\n");
    served.process.signal("HUP");
    served.process.says("cannot reload").await;
    assert_eq!(served.get_as("key-4", "/idv/S1").await.status, 200, "what was in use stays in use");
    let finished = served.stop().await;
    assert_eq!(finished.code, Some(0));
    assert!(!finished.stdout.contains("not a hash"), "{}", finished.stdout);
}

#[tokio::test]
async fn a_broken_pipe_ends_nothing() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let mut served = Served::unread(&[OPEN, &region("my", &upstream)]).await;
    served.process.signal("PIPE");
    served.process.close_stdout();
    let mut connection = Connection::open(served.public).await;
    for _ in 0..100 {
        assert_eq!(get(&mut connection, "/idv/S1").await.status, 200);
    }
    assert!(served.process.is_running());
    assert_eq!(served.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_standard_output_that_nobody_reads_blocks_no_answer_and_not_the_end() {
    let upstream = Upstream::start().await;
    let served = Served::unread(&[OPEN, &region("my", &upstream)]).await;
    let mut connection = Connection::open(served.public).await;
    let batch = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    while served.metric("idv_log_lines_dropped_total").await == 0.0 {
        connection.send(batch.as_bytes()).await;
        for _ in 0..100 {
            assert_eq!(connection.answer().await.expect("an answer").status, 404);
        }
    }
    drop(connection);
    assert_eq!(served.stop().await.code, Some(0));
}
