//! Section G, the process and what surrounds it: its configuration, its environment, its two listeners, a long churn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::trial::{Trial, generated};
use crate::support::gateway::{OPEN, region, region_at};
use crate::support::process::{Scratch, Served, free_address, run, text};
use crate::support::{Gateway, Reply, Upstream, bodies, eventually, tls};

/// A region with everything right.
const GOOD: &str = "[[regions]]\nname = \"my\"\naccess_key = \"a\"\nsecret_key = \"s\"\nbase_url = \"https://one.example\"\n";

/// A configuration and the key that its one complaint names. Of the row, a lifetime above that of media is none of them:
/// media have an end of their own, so what is refused is a result that would be kept longer than any may be.
const MISTAKES: [(&str, &str, &str); 5] = [
    ("an unknown key", "[cache]\nmax_byte = 1\n", "cache.max_byte"),
    (
        "no URL",
        "[[regions]]\nname = \"x\"\naccess_key = \"a\"\nsecret_key = \"s\"\nbase_url = \"upstream\"\n",
        "regions[1].base_url",
    ),
    (
        "plain http",
        "[[regions]]\nname = \"x\"\naccess_key = \"a\"\nsecret_key = \"s\"\nbase_url = \"http://two.example\"\n",
        "regions[1].base_url",
    ),
    (
        "one host twice",
        "[[regions]]\nname = \"x\"\naccess_key = \"a\"\nsecret_key = \"s\"\nbase_url = \"https://one.example\"\n",
        "regions[1].base_url",
    ),
    ("a life too long", "[cache]\nfinal_ttl = \"9000h\"\n", "cache.final_ttl"),
];

#[tokio::test]
async fn f141_a_mistake_in_the_configuration_is_told_in_one_line_and_nothing_starts() {
    let scratch = Scratch::new();
    for (mistake, piece, key) in MISTAKES {
        let config = scratch.write("gateway.toml", &format!("{OPEN}{GOOD}{piece}"));
        let finished = run(&["serve", "--config", text(&config)]).await;
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(78), ""), "{mistake}");
        assert_eq!(finished.stderr.lines().count(), 1, "{mistake}: {}", finished.stderr);
        assert!(finished.stderr.contains(&format!(": {key}: ")), "{mistake}: {}", finished.stderr);
    }
}

/// Ends TLS before an upstream, with the test certificate for 127.0.0.1.
async fn behind_tls(upstream: &Upstream) -> (String, JoinSet<()>) {
    let certificate = CertificateDer::from_pem_file(tls::fixture("upstream")).expect("a test certificate");
    let key = PrivateKeyDer::from_pem_file(tls::fixture("upstream-key")).expect("a test key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a key of its certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("https://{}", listener.local_addr().expect("bound"));
    let plain = upstream.address;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(plain).await.expect("the upstream accepts");
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
            });
        }
    });
    (url, tasks)
}

/// The row wants an image from scratch: here the process is told of roots that are not there, and has none of the
/// environment it was started in.
#[tokio::test]
async fn f143_tls_to_an_upstream_needs_no_roots_of_the_system() {
    let upstream = Upstream::start().await;
    upstream.answer("S1", [Reply::json(bodies::passed("S1"))]);
    let (url, _tls) = behind_tls(&upstream).await;
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
fn misfortune(id: &str, verdict: &serde_json::Value, kind: usize) -> Reply {
    match kind % 12 {
        0 => Reply::Reset,
        1 => Reply::Http(500, Vec::new(), b"<html>AMINAH CONTOH</html>".to_vec()),
        2 => Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"code\":\"SUCC".to_vec()),
        3 => Reply::json(bodies::refusal("ERROR", "an error")),
        4 => Reply::Stall(b"HTTP/1.1 200 OK\r\n".to_vec()),
        5 => Reply::json(bodies::passed(&format!("{id}-other"))),
        6 => Reply::json(bodies::pending(id)),
        7 => Reply::json(verdict.clone()).after(Duration::from_millis(30)),
        8 => Reply::json(verdict.clone()).then_close(),
        9..12 => Reply::json(verdict.clone()),
        _ => unreachable!("twelve kinds"),
    }
}

/// The row wants a day: `bench/soak` runs as long as it is told to, against the release build and the sandbox. Here some
/// hundred requests with misfortunes in an order that is the same in every run.
#[tokio::test]
async fn f145_a_churn_with_every_misfortune_at_random_breaks_no_invariant() {
    const IDS: usize = 60;
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
            misfortune(&id_of, &verdict, kinds[asked.fetch_add(1, Ordering::Relaxed) % kinds.len()])
        });
    }
    let workers = (0..6).map(|worker| {
        let (trial, kinds) = (&trial, &kinds);
        async move {
            for turn in 0..50 {
                let id = kinds[worker * 50 + turn] % IDS;
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
    upstream.answer("S1", [Reply::json(bodies::passed("S1"))]);
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let mut variables = names.map(|name| (name, url.as_str())).to_vec();
    variables.extend([("NO_PROXY", ""), ("no_proxy", "")]);
    let served = Served::with_env(&[OPEN, &region("my", &upstream)], &variables).await;
    assert_eq!(served.get("/idv/S1").await.gist(), (200, "passed".to_owned()));
    assert_eq!(served.stop().await.code, Some(0));
    let met = tokio::time::timeout(Duration::from_millis(1), proxy.accept()).await;
    assert!(met.is_err(), "somebody came to the proxy");
}

/// Of the row, the shared second tier is not covered: there is none yet.
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
    upstream.answer("S1", [Reply::json(bodies::passed("S1"))]);
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

#[tokio::test]
async fn f149_neither_listener_has_anything_of_the_other() {
    let trial = Trial::start().await;
    trial.passes("S1");
    let admin = [
        "/metrics",
        "/livez",
        "/readyz",
        "/config",
        "/openapi.yaml",
        "/docs",
        "/status",
        "/assets/base.css",
        "/",
    ];
    for path in admin.into_iter().chain(["/admin"]) {
        let answer = trial.gateway.get(path).await;
        assert_eq!(answer.gist(), (404, "route_not_found".to_owned()), "{path}");
    }
    for method in ["GET", "DELETE"] {
        let answer = crate::support::client::request(trial.gateway.admin, method, "/idv/S1", &[]).await;
        assert_eq!(answer.gist(), (404, "route_not_found".to_owned()), "{method}");
    }
    assert_eq!(trial.upstream().result_hits(), 0);
    assert_eq!(trial.ask("S1").await.status, 200);
    trial.invariants_hold().await;
}
