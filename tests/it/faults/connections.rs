//! Connections: certificates that end, foreign hosts, the limit, and how kept connections end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::rows::{Row, row};
use super::trial::Trial;
use crate::support::client::{Connection, parse, raw};
use crate::support::gateway::{OPEN, caller, region};
use crate::support::process::Served;
use crate::support::tls::{self, Client};
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            160,
            "a client certificate expires while its client keeps a session (TLS 1.2 and 1.3)",
            "no session is resumed; refused",
        ),
        row(
            161,
            format!("{} values of `Host` on listeners without authentication", HOSTS.len()),
            "421 for a foreign one",
        ),
        row(
            164,
            format!(
                "{} clients that are silent, erring or idle at a limit of {LIMIT}; 60 silent ones a second",
                LIMIT + 50
            ),
            "new callers and probes are answered within a second; who is being answered stays",
        ),
        row(
            170,
            format!("SIGTERM while {BUSY} kept connections are busy; a connection at its age"),
            "announced by `Connection: close`; no request lost",
        ),
    ]
}

/// The row wants a session resumed after its certificate's end. Here no session is resumed at all, and a full handshake
/// with an expired certificate is refused.
#[tokio::test]
async fn f160_no_session_outlives_a_client_certificate() {
    let trial = Trial::with(&["my"], &tls::section("server", "server-key", Some("callers"))).await;
    let public = trial.gateway.public;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = Client::of(&[version], Some("caller"));
        for handshake in 1..=3 {
            let connection = client.open(public).await.expect("a good certificate");
            assert!(connection.is_new_session(), "{version:?}: handshake {handshake} resumes a session");
            // A server sends its tickets before its answer.
            assert_eq!(connection.last("/idv/F160").await.expect("an answer").status, 404);
        }
        let refused = Client::of(&[version], Some("expired-caller")).get(public, "/idv/F160").await;
        assert!(refused.is_err(), "{version:?}: {refused:?}");
    }
    trial.invariants_hold().await;
}

/// Values of `Host`, and whether they are for a listener without authentication that also allows `idv.example`.
const HOSTS: [(&str, bool); 22] = [
    ("127.0.0.1", true),
    ("127.0.0.1:8080", true),
    ("10.1.2.3:80", true),
    ("[::1]:8080", true),
    ("[2001:db8::1]", true),
    ("localhost", true),
    ("LocalHost:8080", true),
    ("idv.example", true),
    ("IDV.example.:8080", true),
    ("attacker.example", false),
    ("idv.example.attacker.example", false),
    ("attacker-idv.example", false),
    ("127.0.0.1.attacker.example:8080", false),
    ("localhost.attacker.example", false),
    ("localhost@attacker.example", false),
    ("attacker.example@localhost", false),
    ("[127.0.0.1]", false),
    ("[::1]attacker.example", false),
    ("localhost:attacker", false),
    ("127.0.0.1:99999", false),
    ("2001:db8::1", false),
    ("", false),
];

async fn ask(to: SocketAddr, path: &str, host: &str) -> (u16, String) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = parse(&raw(to, head.as_bytes()).await).expect("an answer");
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test]
async fn f161_a_foreign_host_is_misdirected_where_nobody_has_to_authenticate() {
    let trial = Trial::with(&["my"], "[server]\nallowed_hosts = [\"IDV.example\"]\n").await;
    trial.passes("F161");
    trial.ask("F161").await;
    let (public, admin) = (trial.gateway.public, trial.gateway.admin);
    for (host, is_ours) in HOSTS {
        for (to, path, status) in [
            (public, "/idv/F161", 200),
            (public, "/nothing", 404),
            (admin, "/config", 200),
            (admin, "/metrics", 200),
            (admin, "/nothing", 404),
        ] {
            let (got, body) = ask(to, path, host).await;
            assert_eq!(got, if is_ours { status } else { 421 }, "{host:?} {path}: {body}");
            assert_eq!(body.contains("\"misdirected_request\""), !is_ours, "{host:?} {path}: {body}");
        }
        for (to, path) in [(public, "/livez"), (public, "/readyz"), (admin, "/livez"), (admin, "/readyz")] {
            assert_eq!(ask(to, path, host).await.0, 200, "a probe may name any host: {host:?} {path}");
        }
    }
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f161_where_callers_authenticate_any_host_is_served() {
    let trial = Trial::with(&["my"], &caller("somebody", &[], "")).await;
    trial.passes("F161");
    let head = "GET /idv/F161 HTTP/1.1\r\nHost: attacker.example\r\nAuthorization: Bearer somebody\r\n";
    let answer = trial.gateway.raw(format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
    assert_eq!(parse(&answer).expect("an answer").gist(), (200, "passed".to_owned()));
    trial.invariants_hold().await;
}

/// The connection limit of the test with silent and erring clients.
const LIMIT: usize = 200;
/// Busy connections of row 170.
const BUSY: usize = 48;
/// A new caller is answered within this time.
const SOON: Duration = Duration::from_secs(1);
const KEY: [(&str, &str); 1] = [("Authorization", "Bearer somebody")];

/// A gateway with one caller, `somebody`, for this many connections.
async fn with_limit(limit: usize, upstream: &Upstream) -> Served {
    let pieces = [&caller("somebody", &[], ""), &region("my", upstream)];
    Served::with_env(&pieces.map(String::as_str), &[("IDV__SERVER__MAX_CONNECTIONS", &limit.to_string())])
        .await
}

async fn is_answered_soon(served: &Served) {
    let asked = Instant::now();
    assert_eq!(served.get_as("somebody", "/idv/F164").await.status, 200);
    assert!(asked.elapsed() < SOON, "answered after {:?}", asked.elapsed());
}

/// Opens connections and sends `bytes` on each.
async fn open(to: SocketAddr, count: usize, bytes: &[u8]) -> Vec<Connection> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(to).await;
        connection.send(bytes).await;
        connections.push(connection);
    }
    connections
}

#[tokio::test]
async fn f164_at_the_limit_silent_and_erring_clients_make_room_for_callers() {
    let upstream = Upstream::start().await;
    upstream.pass("F164");
    let served = with_limit(LIMIT, &upstream).await;
    let mut kept = Connection::open(served.public).await;
    for bytes in [
        "",
        "GET /idv/F164 HTTP/1.1\r\nHost: localhost",
        "GET /idv/F164 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        kept.ask("GET", "/idv/F164", &KEY).await;
        assert_eq!(kept.answer().await.expect("a caller's connection is kept").status, 200);
        let crowd = open(served.public, LIMIT + 50, bytes.as_bytes()).await;
        is_answered_soon(&served).await;
        drop(crowd);
    }
    assert_eq!(served.metric("idv_connections_max{listener=\"public\"}").await, LIMIT as f64);
    assert!(served.metric("idv_connections{listener=\"public\"}").await <= LIMIT as f64);
    assert!(served.metric("idv_connections_closed_total{listener=\"public\",reason=\"limit\"}").await > 50.0);
    let log = served.stop().await.stdout;
    assert_eq!(log.matches("limit reached: for each new connection").count(), 1, "{log}");
}

#[tokio::test]
async fn f164_at_the_limit_an_idle_caller_makes_room_and_one_who_is_being_answered_does_not() {
    let upstream = Upstream::start().await;
    let gate = Gate::default();
    upstream.pass("F164");
    upstream.answer("SLOW", [Reply::passed("SLOW").gated(&gate)]);
    let served = with_limit(3, &upstream).await;
    let mut busy = Connection::open(served.public).await;
    busy.ask("GET", "/idv/SLOW", &KEY).await;
    upstream.wait_for_hits("SLOW", 1).await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open(served.public).await;
        connection.ask("GET", "/idv/F164", &KEY).await;
        assert_eq!(connection.answer().await.expect("an answer").status, 200);
        idle.push(connection);
        // How long each has idled is known to the millisecond.
        sleep(Duration::from_millis(2)).await;
    }
    is_answered_soon(&served).await;
    assert_eq!(idle[0].closed().await, b"", "the one that has idled longest");
    idle[1].ask("GET", "/idv/F164", &KEY).await;
    assert_eq!(idle[1].answer().await.expect("the other one is kept").status, 200);
    gate.open();
    assert_eq!(busy.answer().await.expect("an answer").gist(), (200, "passed".to_owned()));
}

#[tokio::test]
async fn f164_sixty_silent_connections_a_second_do_not_keep_the_probes_out() {
    let trial = Trial::start().await;
    let (mut silent, started) = (Vec::new(), Instant::now());
    for second in 1..=8 {
        silent.extend(open(trial.gateway.admin, 60, b"").await);
        let asked = Instant::now();
        assert_eq!(trial.gateway.admin("/readyz").await.status, 200);
        assert!(asked.elapsed() < SOON, "answered after {:?}", asked.elapsed());
        sleep_until(started + Duration::from_secs(second)).await;
    }
    drop(silent);
    trial.invariants_hold().await;
}

/// Asks on one connection without a pause until an answer announces the end. Returns how many answers there were; every
/// request has one.
async fn keep_busy(public: SocketAddr) -> usize {
    let mut connection = Connection::open(public).await;
    for answers in 1.. {
        connection.ask("GET", "/idv/F170", &[]).await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("no answer to request {answers}"));
        assert_eq!(answer.status, 200);
        if answer.header("connection") == Some("close") {
            assert_eq!(connection.closed().await, b"");
            return answers;
        }
    }
    0
}

#[tokio::test]
async fn f170_the_end_of_busy_connections_is_announced_and_no_request_is_lost() {
    let upstream = Upstream::start().await;
    upstream.pass("F170");
    for delay in ["0s", "1s"] {
        let drain = format!("[drain]\ndelay = \"{delay}\"\ndeadline = \"20s\"\n");
        let mut served = Served::with(&[OPEN, &region("my", &upstream), &drain]).await;
        let mut clients = JoinSet::new();
        for _ in 0..BUSY {
            clients.spawn(keep_busy(served.public));
        }
        eventually("some load", async || served.metric("idv_lookups_total{outcome=\"hit\"}").await > 1000.0)
            .await;
        served.process.signal("TERM");
        assert!(clients.join_all().await.into_iter().sum::<usize>() > 1000);
        assert_eq!(served.process.exit().await.code, Some(0));
    }
}
