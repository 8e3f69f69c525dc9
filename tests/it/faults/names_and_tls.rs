//! Names that lead nowhere, and servers that are not who they should be.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::rows::{Row, row};
use super::trial::Trial;
use super::upstream::region_elsewhere;
use crate::support::client::{gist, pass};
use crate::support::front::Front;
use crate::support::gateway::{region, region_at};
use crate::support::{Reply, Upstream, tls};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            58,
            "a host name that does not resolve, or whose resolution hangs",
            "the last good address, or 503 within 2 s; cached results are served",
        ),
        row(
            59,
            "a host name moves to another address",
            "all traffic follows it within the lifetime of a client",
        ),
        row(
            60,
            "the certificate is expired, of another name or of an unknown authority; TLS 1.0; no TLS",
            "503 `upstream_unavailable`, never plain HTTP; neither token nor id is sent",
        ),
        row(61, "the certificate is renewed while it runs (same authority)", "no error"),
        row(62, "the TLS handshake never ends", "bounded by the connect timeout"),
    ]
}

/// No name server knows `.invalid`; one that fails or hangs over it is no less of a fault. What fails once an address is
/// known is tried beside the resolver, as is row 59.
#[tokio::test]
async fn f058_a_name_does_not_resolve() {
    let (my, ph, th) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
    let nowhere = "http://nowhere.invalid";
    let regions = [
        region("my", &my),
        format!("{}token_url = \"{}\"\n", region_at("ph", nowhere), ph.base_url()),
        format!("{}token_url = \"{nowhere}\"\n", region("th", &th)),
    ];
    let [in_my, in_ph, in_th] = regions;
    let regions = vec![("my", my, in_my), ("ph", ph, in_ph), ("th", th, in_th)];
    let mut trial = Trial::over(regions, "[request]\ntimeout = \"8s\"\n").await;
    trial.timeout = Duration::from_secs(2);
    trial.passes("F058");
    assert_eq!(trial.send("GET", "F058", "?region=my", &[]).await.gist(), pass());
    for region in ["ph", "th"] {
        let answer = trial.send("GET", "F058-X", &format!("?region={region}"), &[]).await;
        assert_eq!(answer.gist(), gist(503, "upstream_unavailable"), "{region}");
        assert!(answer.header("retry-after").is_some(), "{region}");
    }
    assert_eq!(trial.ask("F058-X").await.gist(), (503, "region_undetermined".to_owned()));
    let cached = trial.ask("F058").await;
    assert_eq!(cached.gist(), pass());
    assert!(cached.header("cache-status").is_some_and(|status| status.contains("; hit")), "{cached:?}");
    trial.invariants_hold().await;
}

/// A region `my` as in production: no plain http. Everything of it is at one address.
fn production(address: SocketAddr) -> String {
    region_at("my", &format!("https://{address}")).replace("allow_http = true\n", "") + &trusted()
}

fn trusted() -> String {
    format!("ca_file = \"{}\"\n", tls::fixture("authority").display())
}

/// A server that answers a client's greeting with TLS 1.0, the only version it knows.
async fn tls_1_0() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut greeting = [0; 4096];
            let _ = stream.read(&mut greeting).await;
            // ServerHello: version, random, no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
            let hello = [&[3, 1][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
            let message = [&[2, 0, 0, hello.len() as u8], &hello[..]].concat();
            let record = [&[22, 3, 1, 0, message.len() as u8], &message[..]].concat();
            let _ = stream.write_all(&record).await;
            let _ = stream.read(&mut greeting).await;
        }
    });
    (address, task)
}

/// Whoever is not trusted is told neither a token request nor an id, encrypted or not.
async fn is_not_trusted(what: &str, upstream: Upstream, region: String) {
    let trial = Trial::over(vec![("my", upstream, region)], "").await;
    trial.passes("F060");
    let answer = trial.ask("F060").await;
    assert_eq!(answer.gist(), gist(503, "upstream_unavailable"), "{what}");
    assert!(answer.header("retry-after").is_some(), "{what}");
    assert_eq!(trial.upstream().result_hits(), 0, "{what}");
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f060_the_certificate_is_expired_of_another_name_or_of_an_unknown_authority() {
    for certificate in ["upstream-expired", "upstream-elsewhere", "upstream-strange"] {
        let upstream = Upstream::start().await;
        let front = Front::tls(&upstream, certificate).await;
        is_not_trusted(certificate, upstream, production(front.address)).await;
        assert!(front.connections() >= 1, "{certificate}");
        assert_eq!(front.handshakes(), 0, "{certificate}");
        // With a token in hand.
        let upstream = Upstream::start().await;
        let front = Front::tls(&upstream, certificate).await;
        let region = region_elsewhere(&format!("https://{}", front.address), &upstream, "1s") + &trusted();
        is_not_trusted(certificate, upstream, region).await;
        assert_eq!((front.connections(), front.handshakes()), (2, 0), "{certificate}");
    }
    // And without the authority's file, the good one is as unknown as any.
    let upstream = Upstream::start().await;
    let front = Front::tls(&upstream, "upstream").await;
    let region = production(front.address).replace(&trusted(), "");
    is_not_trusted("no ca_file", upstream, region).await;
}

#[tokio::test]
async fn f060_the_server_speaks_tls_1_0_or_no_tls_at_all() {
    let (address, server) = tls_1_0().await;
    is_not_trusted("TLS 1.0", Upstream::start().await, production(address)).await;
    server.abort();
    let upstream = Upstream::start().await;
    let region = production(upstream.address);
    // It waits for the end of a request that it cannot read, so that the handshake ends where connecting does.
    let settings = "[request]\ntimeout = \"4s\"\nfill_timeout = \"5s\"";
    let mut trial = Trial::over(vec![("my", upstream, region)], settings).await;
    trial.timeout = Duration::from_secs(4);
    assert_eq!(trial.ask("F060").await.gist(), gist(503, "upstream_unavailable"));
    assert!(trial.upstream().connections() >= 1);
    assert!(trial.upstream().received().is_empty(), "no request that it could read");
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f061_the_certificate_is_renewed_while_it_runs() {
    let upstream = Upstream::start().await;
    let front = Front::tls(&upstream, "upstream").await;
    let region = production(front.address);
    let trial = Trial::over(vec![("my", upstream, region)], "").await;
    let mut asked = 0;
    let mut ask = async |then_close: bool| {
        asked += 1;
        let id = format!("F061-{asked:02}");
        trial.truly_passes(&id);
        let reply = Reply::passed(&id);
        trial.upstream().answer(&id, [if then_close { reply.then_close() } else { reply }]);
        assert_eq!(trial.ask(&id).await.gist(), pass(), "{id}");
    };
    for _ in 0..5 {
        ask(false).await;
    }
    let before = front.handshakes();
    assert_eq!(before, 2, "one for the token, one that is kept");
    front.show("upstream-renewed");
    for _ in 0..5 {
        ask(false).await;
    }
    assert_eq!(front.handshakes(), before, "what is open stays open");
    for _ in 0..10 {
        ask(true).await;
    }
    assert!(front.handshakes() >= before + 9, "{}", front.handshakes());
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f062_the_handshake_never_ends() {
    // Its queue takes connections, and nobody takes them from there.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::start().await;
    let url = format!("https://{}", silent.local_addr().unwrap());
    let region = region_elsewhere(&url, &upstream, "4s");
    let settings = "[request]\ntimeout = \"4s\"\nfill_timeout = \"5s\"";
    let mut trial = Trial::over(vec![("my", upstream, region)], settings).await;
    trial.timeout = Duration::from_secs(4);
    let asked = Instant::now();
    // No 504: it ends where connecting may take no longer, and not where the attempt or the caller may not.
    assert_eq!(trial.ask("F062").await.gist(), gist(503, "upstream_unavailable"));
    assert!(asked.elapsed() >= Duration::from_millis(1900), "{:?}", asked.elapsed());
    trial.invariants_hold().await;
}
