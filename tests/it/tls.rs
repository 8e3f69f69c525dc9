//! TLS on the public listener: who gets in, what a client that misbehaves costs, and certificates that change.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::gateway::{self, Gateway, OPEN};
use crate::support::process::{self, Scratch, Served, text};
use crate::support::tls::{self, Client};
use crate::support::{Upstream, eventually, within};

/// `[server.tls]` with files in `scratch`, which hold the server's certificate and its key.
fn files_in(scratch: &Scratch) -> String {
    install(scratch, "server");
    tls::files(text(&scratch.path("cert.pem")), text(&scratch.path("key.pem")), None)
}

fn install(scratch: &Scratch, certificate: &str) {
    scratch.write("key.pem", &tls::pem(&format!("{certificate}-key")));
    scratch.write("cert.pem", &tls::pem(certificate));
}

async fn start(section: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::passing("S1").await;
    let gateway = Gateway::with(&[section, OPEN, &gateway::region("my", &upstream)]).await;
    (gateway, upstream)
}

#[tokio::test]
async fn https_answers_as_http_does() {
    let (gateway, _upstream) = start(&tls::section("server", "server-key", None)).await;
    let connection = Client::new(None).open(gateway.public).await.unwrap();
    assert_eq!(connection.stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert_eq!(connection.server_certificate(), tls::certificate("server"));
    let answer = connection.last("/idv/S1").await.unwrap();
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert_eq!(gateway.admin("/livez").await.status, 200, "the admin listener stays as it is");
}

#[tokio::test]
async fn with_a_client_authority_only_its_callers_are_heard() {
    let (gateway, upstream) = start(&tls::section("server", "server-key", Some("authority"))).await;
    for shown in [None, Some("strange-client"), Some("server")] {
        let answer = Client::new(shown).get(gateway.public, "/idv/S1").await;
        assert!(answer.is_err(), "a client that shows {shown:?} is refused: {answer:?}");
    }
    assert_eq!(upstream.hits("S1"), 0);
    let answer = Client::new(Some("client")).get(gateway.public, "/idv/S1").await.unwrap();
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
}

#[tokio::test]
async fn a_client_certificate_is_no_key() {
    let upstream = Upstream::passing("S1").await;
    let caller = format!("[[callers]]\nname = \"a\"\nkey_sha256 = \"{}\"\n", "ab".repeat(32));
    let tls = tls::section("server", "server-key", Some("authority"));
    let gateway = Gateway::with(&[&tls, &caller, &gateway::region("my", &upstream)]).await;
    let answer = Client::new(Some("client")).get(gateway.public, "/idv/S1").await.unwrap();
    assert_eq!(answer.gist(), (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn what_is_no_handshake_is_closed_without_an_answer() {
    let (gateway, upstream) = start(&tls::section("server", "server-key", None)).await;
    let no_handshakes: [&[u8]; 4] = [
        b"GET /idv/S1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0; 64],
        b"\x16\x03\x01\x00\x05junk!",
        b"SSH-2.0-client\r\n",
    ];
    for bytes in no_handshakes {
        let began = Instant::now();
        let said = gateway.raw(bytes).await;
        assert!(!said.starts_with(b"HTTP/"), "{:?}", String::from_utf8_lossy(&said));
        assert!(began.elapsed() < Duration::from_secs(4), "junk is closed at once");
    }
    assert_eq!(upstream.hits("S1"), 0);
    let answer = Client::new(None).get(gateway.public, "/idv/S1").await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_ended_and_holds_up_nobody() {
    let (gateway, _upstream) = start(&tls::section("server", "server-key", None)).await;
    let began = Instant::now();
    let mut silent = Vec::new();
    for hello in [b"".as_slice(), b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = TcpStream::connect(gateway.public).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, hello).await.unwrap();
        silent.push(stream);
    }
    let answer = Client::new(None).get(gateway.public, "/idv/S1").await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(began.elapsed() < Duration::from_secs(4), "nobody waits for a silent client");
    for mut stream in silent {
        let end = async { stream.read_to_end(&mut Vec::new()).await };
        let _ = within("the end of a silent connection", end).await;
    }
    assert!((4..12).contains(&began.elapsed().as_secs()), "ended after {:?}", began.elapsed());
}

/// At the limit a connection that waits for its first request makes room; the one after its handshake is such a one.
#[tokio::test]
async fn connections_are_limited_from_before_the_handshake() {
    let tls = format!("[server]\nmax_connections = 1\n{}", tls::section("server", "server-key", None));
    let (gateway, _upstream) = start(&tls).await;
    let client = Client::new(None);
    let silent = TcpStream::connect(gateway.public).await.unwrap();
    let open = client.open(gateway.public).await.unwrap();
    assert_eq!(client.get(gateway.public, "/idv/S1").await.unwrap().status, 200);
    assert!(open.last("/idv/S1").await.is_err(), "it was closed for the one that was answered");
    let closed = gateway.metric("idv_connections_closed_total{listener=\"public\",reason=\"limit\"}").await;
    assert_eq!(closed, 2.0);
    drop(silent);
}

#[tokio::test]
async fn a_new_certificate_is_shown_within_seconds_without_a_signal() {
    let scratch = Scratch::new();
    let (gateway, _upstream) = start(&files_in(&scratch)).await;
    let client = Client::new(None);
    assert_eq!(client.sees(gateway.public).await.unwrap(), tls::certificate("server"));
    let open = client.open(gateway.public).await.unwrap();
    install(&scratch, "renewed");
    let changed = Instant::now();
    eventually("the new certificate", async || {
        client.sees(gateway.public).await.unwrap() == tls::certificate("renewed")
    })
    .await;
    assert!(changed.elapsed() < Duration::from_secs(15), "it took {:?}", changed.elapsed());
    eventually("the count", async || gateway.metric("idv_reloads_total{outcome=\"used\"}").await == 1.0)
        .await;
    drop(open);
}

#[tokio::test]
async fn the_certificates_end_is_a_metric_and_follows_its_files() {
    const ENDS: &str = "idv_certificate_expiry_timestamp_seconds";
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    install(&scratch, "upstream-expired");
    let tls = tls::files(text(&scratch.path("cert.pem")), text(&scratch.path("key.pem")), None);
    let served = Served::with(&[&tls, OPEN, &gateway::region("my", &upstream)]).await;
    assert_eq!(served.metric(ENDS).await, 978_307_200.0, "2001-01-01");
    scratch.write("cert.pem", "no certificate");
    served.process.signal("HUP");
    served.process.says("cannot reload").await;
    assert_eq!(served.metric(ENDS).await, 978_307_200.0, "what is in use counts");
    install(&scratch, "renewed");
    served.process.signal("HUP");
    eventually("2100-01-01", async || served.metric(ENDS).await == 4_102_444_800.0).await;

    let gateway = Gateway::with(&[OPEN, &gateway::region("my", &upstream)]).await;
    assert_eq!(gateway.metric(ENDS).await, 0.0, "without TLS there is none");
}

#[tokio::test]
async fn at_sighup_a_new_certificate_is_shown_and_open_connections_go_on() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    let served = Served::with(&[&files_in(&scratch), OPEN, &gateway::region("my", &upstream)]).await;
    let client = Client::new(None);
    let open = client.open(served.public).await.unwrap();
    install(&scratch, "renewed");
    served.process.signal("HUP");
    eventually("the new certificate", async || {
        client.sees(served.public).await.unwrap() == tls::certificate("renewed")
    })
    .await;
    assert_eq!(open.last("/idv/S1").await.unwrap().status, 200);
    served.process.says("\"reloaded\"").await;
}

#[tokio::test]
async fn a_broken_new_certificate_keeps_the_old_one_and_says_so() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    let served = Served::with(&[&files_in(&scratch), OPEN, &gateway::region("my", &upstream)]).await;
    let client = Client::new(None);
    let stranger = tls::pem("strange-client");
    let broken = ["", "-----BEGIN CERTIFICATE-----\n", "no certificate", stranger.as_str()];
    for (n, content) in broken.into_iter().enumerate() {
        scratch.write("cert.pem", content);
        served.process.signal("HUP");
        let refused = async || served.metric("idv_reloads_total{outcome=\"refused\"}").await;
        eventually("the refusal", async || refused().await > n as f64).await;
        assert_eq!(client.sees(served.public).await.unwrap(), tls::certificate("server"), "{content:?}");
    }
    assert_eq!(served.metric("idv_reloads_total{outcome=\"used\"}").await, 0.0);
    served.process.says("cannot reload").await;
    let log = served.process.stdout();
    let line = log.lines().find(|line| line.contains("cannot reload")).expect("a refusal is logged");
    assert!(line.contains("server.tls.cert_file") && line.contains("ERROR"), "{line}");
    install(&scratch, "renewed");
    served.process.signal("HUP");
    eventually("the new certificate", async || {
        client.sees(served.public).await.unwrap() == tls::certificate("renewed")
    })
    .await;
}

#[tokio::test]
async fn an_authority_of_callers_that_has_ended_is_not_taken_into_use() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    let authority = scratch.write("callers.pem", &tls::pem("callers"));
    let server = ["server", "server-key"].map(tls::fixture);
    let section = tls::files(text(&server[0]), text(&server[1]), Some(text(&authority)));
    let served = Served::with(&[&section, OPEN, &gateway::region("my", &upstream)]).await;
    let both = tls::pem("callers") + &tls::pem("expired-callers");
    for content in [tls::pem("expired-callers"), both] {
        let refused = async || served.metric("idv_reloads_total{outcome=\"refused\"}").await;
        let before = refused().await;
        scratch.write("callers.pem", &content);
        served.process.signal("HUP");
        eventually("the refusal", async || refused().await > before).await;
        let answer = Client::new(Some("caller")).get(served.public, "/idv/S1").await;
        assert_eq!(answer.unwrap().status, 200, "the good authority stays in use");
    }
    served.process.says("server.tls.client_ca_file: an authority in it ended at 2001-01-01").await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused_at_the_start() {
    let scratch = Scratch::new();
    let none = scratch.write("none.pem", "no certificate\n");
    let half = scratch.write("half.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let cut = scratch.write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let fixtures = ["server", "server-key", "renewed-key", "expired-callers"].map(tls::fixture);
    let [server, server_key, other_key, ended] = fixtures.each_ref().map(|path| text(path));
    let [none, half, cut] = [&none, &half, &cut].map(|path| text(path));
    let table = [
        (tls::files(none, server_key, None), "server.tls.cert_file"),
        (tls::files(half, server_key, None), "server.tls.cert_file"),
        (tls::files(cut, server_key, None), "cut.pem: holds PEM that is cut short"),
        (tls::files("/nonexistent", server_key, None), "server.tls.cert_file"),
        (tls::files(server, none, None), "server.tls.key_file"),
        (tls::files(server, server, None), "server.tls.key_file"),
        (tls::files(server, other_key, None), "server.tls.key_file: is not the key of the certificate"),
        (tls::files(server, "/nonexistent", None), "server.tls.key_file"),
        (tls::files(server, server_key, Some(none)), "server.tls.client_ca_file"),
        (tls::files(server, server_key, Some(half)), "server.tls.client_ca_file"),
        (tls::files(server, server_key, Some(ended)), "server.tls.client_ca_file"),
    ];
    for (tls, key) in table {
        let region = gateway::region_at("my", "http://127.0.0.1:9");
        let addresses = "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n";
        let config = scratch.write("gateway.toml", &format!("{addresses}{tls}{OPEN}{region}"));
        for command in ["serve", "check-config"] {
            let ended = process::run(&[command, "--config", text(&config)]).await;
            assert_eq!(ended.code, Some(78), "{command}, {tls}: {ended:?}");
            assert!(ended.stderr.contains(key), "{command}, {tls}: {ended:?}");
        }
    }
}
