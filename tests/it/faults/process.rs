//! The process and its environment: no system roots, a proxy, no region that can be reached, many faults in a row.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::rows::{Row, row};
use super::trial::{Trial, generated};
use crate::support::front::Front;
use crate::support::gateway::{OPEN, region, region_at};
use crate::support::process::{Served, free_address, text};
use crate::support::{Gateway, Reply, Upstream, bodies, eventually, tls};

pub fn rows() -> Vec<Row> {
    vec![
        row(143, "no CA roots on the system", "TLS to an upstream works"),
        row(
            145,
            format!("{} requests for {IDS} ids, each with one of twelve faults at random", WORKERS * TURNS),
            "every invariant holds",
        ),
        row(146, "HTTP_PROXY in the environment", "ignored"),
        row(
            147,
            "every region is down at the start, and later",
            "it starts, /readyz and /livez are 200, what is known is served, the rest is 503, half of it within 100 ms",
        ),
    ]
}

/// The process is told of roots that are not there, and has none of the environment it was started in.
#[tokio::test]
async fn f143_tls_to_an_upstream_needs_no_roots_of_the_system() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let front = Front::tls(&upstream, "upstream").await;
    let url = format!("https://{}", front.address);
    let bare = ["env", "-i", "SSL_CERT_FILE=/nonexistent", "SSL_CERT_DIR=/nonexistent"];
    let plain = region_at("my", &url).replace("allow_http = true\n", "");
    let with_authority = format!("{plain}ca_file = \"{}\"\n", text(&tls::fixture("authority")));
    let served = Served::by(&bare, &[OPEN, &with_authority], &[]).await;
    assert_eq!(served.get("/idv/S1").await.gist(), (200, "passed".to_owned()));
    assert_eq!(served.stop().await.code, Some(0));
    // With the roots it carries it starts as well, and does not know this authority.
    let served = Served::by(&bare, &[OPEN, &plain], &[]).await;
    assert_eq!(served.get("/idv/S1").await.gist(), (503, "upstream_unavailable".to_owned()));
    assert_eq!(upstream.hits("S1"), 1);
    assert_eq!(served.stop().await.code, Some(0));
}

/// What happens to one request of the churn.
fn fault(id: &str, verdict: &serde_json::Value, kind: usize) -> Reply {
    match kind % 12 {
        0 => Reply::Reset,
        1 => Reply::Http(500, Vec::new(), b"<html>AMINAH CONTOH</html>".to_vec()),
        2 => Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"code\":\"SUCC".to_vec()),
        3 => Reply::refusal("ERROR", "an error"),
        4 => Reply::Stall(b"HTTP/1.1 200 OK\r\n".to_vec()),
        5 => Reply::passed(&format!("{id}-other")),
        6 => Reply::pending(id),
        7 => Reply::json(verdict.clone()).after(Duration::from_millis(30)),
        8 => Reply::json(verdict.clone()).then_close(),
        9..12 => Reply::json(verdict.clone()),
        _ => unreachable!("twelve kinds"),
    }
}

/// The churn of row 145: workers, requests of each, ids. The order is the same in every run. `bench/soak` does the same for
/// as long as it is told to, against the release build.
const WORKERS: usize = 6;
const TURNS: usize = 50;
const IDS: usize = 60;

#[tokio::test]
async fn f145_many_requests_with_faults_of_every_kind_break_no_invariant() {
    let kinds = Arc::new(generated(4_096, 0_usize..1_000));
    let cache = "[cache]\npending_ttl = \"50ms\"\nfinal_ttl = \"300ms\"\nincomplete_ttl = \"50ms\"\n";
    let trial = Trial::with(&["my"], cache).await;
    let asked = Arc::new(AtomicUsize::new(0));
    for n in 0..IDS {
        let id = format!("churn-{n:03}");
        let verdict = if n % 2 == 0 { bodies::passed(&id) } else { bodies::failed(&id, "SIMILARITY_FAIL") };
        if n % 2 == 0 {
            trial.truly_passes(&id);
        }
        let (kinds, asked, id_of) = (Arc::clone(&kinds), Arc::clone(&asked), id.clone());
        trial.upstream().answer_by(&id, move || {
            fault(&id_of, &verdict, kinds[asked.fetch_add(1, Ordering::Relaxed) % kinds.len()])
        });
    }
    let workers = (0..WORKERS).map(|worker| {
        let (trial, kinds) = (&trial, &kinds);
        async move {
            for turn in 0..TURNS {
                let id = kinds[worker * TURNS + turn] % IDS;
                let status = trial.ask(&format!("churn-{id:03}")).await.status;
                assert!([200, 502, 503, 504].contains(&status), "{status}");
            }
        }
    });
    futures_util::future::join_all(workers).await;
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f146_a_proxy_in_the_environment_sees_nothing() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", proxy.local_addr().expect("bound"));
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let mut variables = names.map(|name| (name, url.as_str())).to_vec();
    variables.extend([("NO_PROXY", ""), ("no_proxy", "")]);
    let served = Served::with_env(&[OPEN, &region("my", &upstream)], &variables).await;
    assert_eq!(served.get("/idv/S1").await.gist(), (200, "passed".to_owned()));
    assert_eq!(served.stop().await.code, Some(0));
    let met = tokio::time::timeout(Duration::from_millis(1), proxy.accept()).await;
    assert!(met.is_err(), "somebody came to the proxy");
}

#[tokio::test]
async fn f147_with_every_region_down_it_starts_is_ready_and_answers_at_once() {
    let regions = ["my", "ph"].map(|name| region_at(name, &format!("http://{}", free_address()))).join("\n");
    let served = Served::with(&[OPEN, &regions]).await;
    for health in ["/livez", "/readyz"] {
        assert_eq!(served.admin(health).await.status, 200, "{health}");
    }
    let mut took = Vec::new();
    for n in 0..30 {
        let began = Instant::now();
        let answer = served.get(&format!("/idv/S{n}")).await;
        took.push(began.elapsed());
        assert_eq!(answer.gist(), (503, "region_undetermined".to_owned()));
        assert!(answer.header("retry-after").is_some());
    }
    // Half of them, so that a busy machine may hold up the others.
    took.sort();
    assert!(took[took.len() / 2] < Duration::from_millis(100), "{took:?}");
    assert_eq!(served.admin("/readyz").await.status, 200, "ready whatever the upstream does");
    assert_eq!(served.stop().await.code, Some(0));
}

#[tokio::test]
async fn f147_with_every_region_gone_later_what_is_known_is_still_served() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/S1").await.status, 200);
    let address = upstream.address;
    drop(upstream);
    eventually("nobody there", async || TcpStream::connect(address).await.is_err()).await;
    for n in 0..10 {
        assert_eq!(gateway.get("/idv/S1").await.gist(), (200, "passed".to_owned()));
        assert_eq!(gateway.get(&format!("/idv/T{n}")).await.gist(), (503, "upstream_unavailable".to_owned()));
    }
    for health in ["/livez", "/readyz"] {
        assert_eq!(gateway.admin(health).await.status, 200, "{health}");
    }
}
