//! Clients that keep connections open, or hang up without a word.

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::rows::{Row, row};
use super::trial::Trial;
use crate::support::client::{Asked, Connection};
use crate::support::gateway::{OPEN, region};
use crate::support::process::Served;
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, within};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            122,
            format!("{IDLE} idle connections"),
            "served; an idle one takes less than 64 KiB (at the limit: row 164)",
        ),
        row(
            131,
            format!("{GONE} callers hang up right after their request for one of {IDS} ids"),
            "one call for each id, gauges back at zero",
        ),
    ]
}

/// Idle connections of row 122, whose memory is measured.
const IDLE: usize = 1000;

#[tokio::test]
async fn f122_what_an_idle_connection_costs() {
    let upstream = Upstream::start().await;
    upstream.pass("F122");
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

/// The callers of row 131 and the ids they ask for.
const GONE: usize = 2000;
const IDS: usize = 40;

/// One caller of each id hangs up when the gateway works on its request, all others right after sending.
#[tokio::test]
async fn f131_callers_who_go_at_once() {
    let trial = Trial::patient(&["my"], "[server]\nmax_connections = 60\n").await;
    let gate = Gate::default();
    let ids: Vec<String> = (0..IDS).map(|n| format!("F131-{n:02}")).collect();
    for id in &ids {
        trial.truly_passes(id);
        trial.upstream().answer(id, [Reply::passed(id).gated(&gate)]);
    }
    for (n, id) in ids.iter().enumerate() {
        let caller = Asked::get(trial.gateway.public, &format!("/idv/{id}"), &[]).await;
        trial.gateway.wait_for_fills(n + 1).await;
        caller.hang_up().await;
    }
    for n in 0..GONE {
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
