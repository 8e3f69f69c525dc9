//! The process comes and goes: a kill, a rolling restart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::rows::{Row, row};
use crate::support::client::{self, Connection};
use crate::support::gateway::{OPEN, region};
use crate::support::process::Served;
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            134,
            "SIGKILL while a request is under way",
            "it starts again on its ports; no file is left behind",
        ),
        row(136, "a rolling restart of two instances behind a balancer, under load", "no failed request"),
    ]
}

fn drain(delay: &str) -> String {
    format!("[drain]\ndelay = \"{delay}\"\ndeadline = \"20s\"\n")
}

#[tokio::test]
async fn f134_a_killed_gateway_starts_again_on_its_ports_and_has_left_no_file_behind() {
    let upstream = Upstream::passing("S1").await;
    upstream.answer("S2", [Reply::passed("S2").gated(&Gate::default())]);
    let mut served = Served::with(&[OPEN, &region("my", &upstream)]).await;
    let mut under_way = Connection::open(served.public).await;
    under_way.ask("GET", "/idv/S2", &[]).await;
    upstream.wait_for_hits("S2", 1).await;
    assert_eq!(served.get("/idv/S1").await.status, 200);
    served.process.signal("KILL");
    assert_eq!(served.process.exit().await.code, None);
    assert_eq!(served.files().len(), 1, "its configuration is all there is: {:?}", served.files());
    served.restart().await;
    assert_eq!(served.get("/idv/S1").await.gist(), (200, "passed".to_owned()));
    assert_eq!(upstream.hits("S1"), 2);
    assert_eq!(served.stop().await.code, Some(0));
}

#[tokio::test]
async fn f136_a_rolling_restart_behind_a_balancer_fails_no_request() {
    let upstream = Upstream::start().await;
    for n in 0..IDS {
        upstream.pass(&format!("S{n}"));
    }
    let pieces = [OPEN, &region("my", &upstream), &drain("1s")];
    let mut instances = [Served::with(&pieces).await, Served::with(&pieces).await];
    let balancer = Balancer::start(instances.each_ref().map(|served| (served.public, served.admin))).await;
    balancer.both_are_ready().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for n in 0..4 {
        clients.spawn(load(balancer.address, n % 2 == 0, Arc::clone(&stop)));
    }
    for instance in &mut instances {
        instance.process.signal("TERM");
        assert_eq!(instance.process.exit().await.code, Some(0));
        instance.restart().await;
        balancer.both_are_ready().await;
    }
    // The new ones have their share too.
    let before = balancer.connections.load(Ordering::Relaxed);
    eventually("more requests", async || balancer.connections.load(Ordering::Relaxed) > before + 20).await;
    stop.store(true, Ordering::Relaxed);
    let answered: usize = clients.join_all().await.into_iter().sum();
    assert!(answered > 100, "{answered} requests are no load");
    for instance in instances {
        assert_eq!(instance.stop().await.code, Some(0));
    }
}

const IDS: usize = 20;

/// Asks until told to stop, on a connection for each request or on one that is kept. Returns how often it was answered.
async fn load(to: SocketAddr, keeps: bool, stop: Arc<AtomicBool>) -> usize {
    let mut answered = 0;
    let mut connection = Connection::open(to).await;
    while !stop.load(Ordering::Relaxed) {
        let target = format!("/idv/S{}", answered % IDS);
        let headers: &[(&str, &str)] = if keeps { &[] } else { &[("Connection", "close")] };
        connection.ask("GET", &target, headers).await;
        let answer = match connection.answer().await {
            // A kept connection may be closed while nothing is under way; every client then opens another.
            None if keeps => {
                connection = Connection::open(to).await;
                connection.ask("GET", &target, headers).await;
                connection.answer().await
            }
            answer => answer,
        };
        let answer = answer.unwrap_or_else(|| panic!("request {answered} was not answered"));
        assert_eq!(answer.gist(), (200, "passed".to_owned()));
        answered += 1;
        if answer.header("connection") == Some("close") || !keeps {
            connection = Connection::open(to).await;
        }
        sleep(Duration::from_millis(5)).await;
    }
    answered
}

/// A balancer as small as can be: new connections go in turn to those that say they are ready, bytes go through.
struct Balancer {
    address: SocketAddr,
    ready: Arc<[AtomicBool; 2]>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    async fn start(instances: [(SocketAddr, SocketAddr); 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let ready = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let (checked, connections) = (Arc::clone(&ready), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                for (n, (_, admin)) in instances.iter().enumerate() {
                    checked[n].store(says_ready(*admin).await, Ordering::Relaxed);
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        let (chosen, counted) = (Arc::clone(&ready), Arc::clone(&connections));
        tasks.spawn(async move {
            let mut forwarded = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.expect("a connection");
                let turn = counted.fetch_add(1, Ordering::Relaxed);
                let picked = (0..2).map(|n| (turn + n) % 2).find(|n| chosen[*n].load(Ordering::Relaxed));
                let (public, _) = instances[picked.expect("one of two is ready")];
                forwarded.spawn(async move {
                    let Ok(mut instance) = TcpStream::connect(public).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut instance).await;
                });
                while forwarded.try_join_next().is_some() {}
            }
        });
        Self { address, ready, connections, _tasks: tasks }
    }

    async fn both_are_ready(&self) {
        eventually("two ready instances", async || {
            self.ready.iter().all(|ready| ready.load(Ordering::Relaxed))
        })
        .await;
    }
}

/// Whether an instance says that it is ready; one that is gone does not.
async fn says_ready(admin: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(admin).await else { return false };
    let asked =
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n").await;
    let mut bytes = Vec::new();
    asked.is_ok()
        && stream.read_to_end(&mut bytes).await.is_ok()
        && client::parse(&bytes).is_some_and(|answer| answer.status == 200)
}
