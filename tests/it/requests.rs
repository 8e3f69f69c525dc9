//! Requests as they come from strangers: malformed, doubled, smuggled, slow, endless.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::support::client::{Connection, parse, raw, request};
use crate::support::gateway::{caller, region};
use crate::support::{Answer, Gateway, Reply, Upstream, within};

/// A request line of any bytes, and the least of a head.
fn get(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"].concat()
}

/// How many answers there are in what a connection brought.
fn count_answers(bytes: &[u8]) -> usize {
    bytes.windows(9).filter(|window| window == b"HTTP/1.1 ").count()
}

#[tokio::test]
async fn a_path_that_holds_no_id_costs_no_upstream_call() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let long = "a".repeat(65);
    let cases = [
        "",
        "%61",
        "a%62",
        "%",
        "a%",
        "%00",
        "%2e%2e",
        "%2F",
        "a/b",
        "a/",
        "/a",
        "..",
        ".",
        "../livez",
        "a.b",
        "a~b",
        "a;b",
        "a:b",
        "a@b",
        "a+b",
        "a,b",
        "a=b",
        "a&b",
        "a'b",
        "a!b",
        "*",
        "(a)",
        "\u{e4}",
        "\u{ff41}",
        "a\u{200b}",
        &long,
    ];
    for id in cases {
        let bytes = gateway.raw(&get(format!("/idv/{id}").as_bytes())).await;
        let answer = parse(&bytes).unwrap_or_else(|| panic!("no answer to {id:?}"));
        assert_eq!((answer.status, answer.code()), (400, "invalid_signature_id".to_owned()), "{id:?}");
    }
    // What is no request target at all does not get as far as our form of an error.
    for id in [&b"a\0b"[..], b"\xff", b"\xc3", b"a\x7fb", b"a\tb", b"a b", b"a\rb", b"a\nb"] {
        let bytes = gateway.raw(&get(&[b"/idv/", id].concat())).await;
        let answer = parse(&bytes).unwrap_or_else(|| panic!("no answer to {id:?}"));
        assert_eq!((answer.status, count_answers(&bytes)), (400, 1), "{id:?}");
    }
    for (length, status) in [(20_000, 400), (1_000_000, 414)] {
        let bytes = gateway.raw(&get(format!("/idv/{}", "a".repeat(length)).as_bytes())).await;
        // The server may reset the connection of somebody who is still sending.
        assert!(parse(&bytes).is_none_or(|answer| [status, 431].contains(&answer.status)), "{length}");
    }
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
}

#[tokio::test]
async fn every_id_of_the_pattern_is_asked_for_as_it_is() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let long = "Z".repeat(64);
    for id in ["a", "0", "-", "_", "f302f5d2454a85c2", "AZaz09_-", &long] {
        assert_eq!(gateway.get(&format!("/idv/{id}")).await.gist(), (404, "signature_not_found".to_owned()));
        assert_eq!(upstream.hits(id), 1, "{id}");
    }
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for (query, code) in [
        ("colour=red", "bad_request"),
        ("view=full", "bad_request"),
        ("view=", "bad_request"),
        ("view", "bad_request"),
        ("View=decision", "bad_request"),
        ("view=decision&view=decision", "bad_request"),
        ("view=decision&view=full", "bad_request"),
        ("region=my&region=my", "bad_request"),
        ("region=my&region=ph", "bad_request"),
        ("region=my&colour=red", "bad_request"),
        ("region=my&", "bad_request"),
        ("&", "bad_request"),
        ("=", "bad_request"),
        ("region=my;view=decision", "unknown_region"),
        ("region=xx", "unknown_region"),
        ("region=", "unknown_region"),
        ("region=MY", "unknown_region"),
        ("region=%6dy", "unknown_region"),
    ] {
        assert_eq!(gateway.get(&format!("/idv/x?{query}")).await.gist(), (400, code.to_owned()), "{query}");
    }
    assert!(upstream.received().is_empty());
    for query in ["", "region=my", "view=decision", "view=decision&region=my"] {
        assert_eq!(gateway.get(&format!("/idv/x?{query}")).await.status, 404, "{query}");
    }
}

#[tokio::test]
async fn after_a_request_with_a_body_nothing_on_the_connection_is_answered() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let smuggled = "GET /idv/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let chunked = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    for method in ["GET", "HEAD", "DELETE"] {
        for (framing, body) in [
            (format!("Content-Length: {}", smuggled.len()), smuggled.to_owned()),
            ("Content-Length: 1".to_owned(), format!("x{smuggled}")),
            ("Transfer-Encoding: chunked".to_owned(), chunked.clone()),
            ("Transfer-Encoding: chunked".to_owned(), format!("0\r\n\r\n{smuggled}")),
            ("Content-Length: 6\r\nTransfer-Encoding: chunked".to_owned(), format!("0\r\n\r\nX{smuggled}")),
            ("Transfer-Encoding: chunked\r\nContent-Length: 6".to_owned(), format!("0\r\n\r\n{smuggled}")),
        ] {
            let text = format!(
                "{method} /idv/first HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{body}{smuggled}"
            );
            let bytes = gateway.raw(text.as_bytes()).await;
            let answer = parse(&bytes).unwrap_or_else(|| panic!("no answer to {method} with {framing}"));
            assert_eq!(answer.status, 400, "{method} with {framing}: {answer:?}");
            assert_eq!(answer.header("connection"), Some("close"), "{method} with {framing}");
            assert_eq!(count_answers(&bytes), 1, "{method} with {framing}");
            assert!(method == "HEAD" || answer.code() == "bad_request", "{answer:?}");
        }
    }
    for framing in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
    ] {
        let text =
            format!("GET /idv/first HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}");
        let bytes = gateway.raw(text.as_bytes()).await;
        assert_eq!(parse(&bytes).map(|answer| answer.status), Some(400), "{framing}");
        assert_eq!(count_answers(&bytes), 1, "{framing}");
    }
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
    let empty = [("Content-Length", "0")];
    assert_eq!(gateway.send("GET", "/idv/x", &empty).await.status, 404, "no body is no body");
}

#[tokio::test]
async fn on_any_path_a_request_of_two_lengths_is_the_last_of_its_connection() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for (to, path, next) in
        [(gateway.public, "/nothing", "/idv/smuggled"), (gateway.admin, "/livez", "/config")]
    {
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\n\r\nGET {next} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        let bytes = raw(to, text.as_bytes()).await;
        assert_eq!(count_answers(&bytes), 1, "{path}: {}", String::from_utf8_lossy(&bytes));
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_method_that_the_path_does_not_know_is_told_those_it_does() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&[&caller("somebody", &[], ""), &region("my", &upstream)]).await;
    for method in ["POST", "PUT", "PATCH", "OPTIONS", "QUERY", "TRACE", "PROPFIND", "get", "G", "BREW"] {
        let answer = gateway.send(method, "/idv/x", &[]).await;
        assert_eq!(answer.gist(), (405, "method_not_allowed".to_owned()), "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, DELETE"), "{method}");
    }
    for (path, allow) in [("/idv/x", "GET, HEAD, DELETE"), ("/livez", "GET, HEAD"), ("/readyz", "GET, HEAD")]
    {
        let head = format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody");
        let answer = parse(&gateway.raw(head.as_bytes()).await).expect("an answer");
        assert_eq!(answer.gist(), (405, "method_not_allowed".to_owned()), "{path}, with a body");
        assert_eq!((answer.header("allow"), answer.header("connection")), (Some(allow), Some("close")));
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_head_that_could_be_read_in_two_ways_is_refused() {
    let upstream = Upstream::start().await;
    let keys = [caller("one", &[], ""), caller("two", &[], "")].concat();
    let gateway = Gateway::with(&[&keys, &region("my", &upstream)]).await;
    let key = "Authorization: Bearer one";
    for head in [
        format!("GET /idv/x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n{key}\r\n"),
        format!("GET /idv/x HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n{key}\r\n"),
        format!("GET /idv/x HTTP/1.1\r\n{key}\r\n"),
        format!("GET /idv/x HTTP/1.1\r\nHost: localhost\r\n{key}\r\n{key}\r\n"),
        format!("GET /idv/x HTTP/1.1\r\nHost: localhost\r\n{key}\r\nAuthorization: Bearer two\r\n"),
        format!("GET http://a/idv/x HTTP/1.1\r\nHost: localhost\r\n{key}\r\n"),
        format!("GET http://b/idv/x HTTP/1.1\r\nHost: localhost\r\n{key}\r\n"),
        format!("GET HTTPS://a/idv/x HTTP/1.1\r\nHost: localhost\r\n{key}\r\n"),
        format!("CONNECT a:443 HTTP/1.1\r\nHost: localhost\r\n{key}\r\n"),
        format!("CONNECT /idv/x HTTP/1.1\r\nHost: localhost\r\n{key}\r\n"),
        format!("GET /nothing HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n{key}\r\n"),
        format!("GET http://a/ HTTP/1.1\r\nHost: localhost\r\n{key}\r\n"),
    ] {
        let bytes = gateway.raw(format!("{head}\r\n").as_bytes()).await;
        let answer = parse(&bytes).unwrap_or_else(|| panic!("no answer to {head}"));
        assert_eq!((answer.status, answer.code()), (400, "bad_request".to_owned()), "{head}");
        assert_eq!(answer.header("connection"), Some("close"), "{head}");
    }
    assert!(upstream.received().is_empty());
    let old = gateway.raw(format!("GET /idv/x HTTP/1.0\r\n{key}\r\n\r\n").as_bytes()).await;
    assert!(old.starts_with(b"HTTP/1.0 404 "), "HTTP/1.0 needs no Host: {:?}", String::from_utf8_lossy(&old));
}

#[tokio::test]
async fn what_is_no_http_at_all_is_refused_and_closed() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let many: String = (0..101).map(|n| format!("X-{n}: v\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "v".repeat(1 << 20));
    for text in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "GET /idv/x\r\n\r\n".to_owned(),
        "GET  /idv/x  HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /idv/x HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET idv/x HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /idv/x HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n".to_owned(),
        "GET /idv/x HTTP/1.1\r\nHost: localhost\r\nNo colon\r\n\r\n".to_owned(),
        "GET /idv/x HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\0b\r\n\r\n".to_owned(),
        "GET /idv/x HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\rb\r\n\r\n".to_owned(),
        format!("GET /idv/x HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        format!("GET /idv/x HTTP/1.1\r\nHost: localhost\r\n{large}\r\n"),
    ] {
        let bytes = gateway.raw(text.as_bytes()).await;
        let status = parse(&bytes).map(|answer| answer.status);
        assert!(status.is_none_or(|status| [400, 414, 431, 505].contains(&status)), "{status:?}: {text:.80}");
        assert!(count_answers(&bytes) <= 1, "{text:.80}");
    }
    assert!(upstream.received().is_empty());
    assert_eq!(gateway.get("/idv/x").await.status, 404, "and the next one is served");
}

#[tokio::test]
async fn an_upgrade_is_not_taken_up() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for protocol in ["h2c", "websocket"] {
        let headers = [("Upgrade", protocol), ("HTTP2-Settings", "AAMAAABkAAQAAP__")];
        assert_eq!(gateway.send("GET", "/idv/x", &headers).await.status, 404, "{protocol}");
    }
}

#[tokio::test]
async fn a_path_belongs_to_one_listener() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let not_found = (404, "route_not_found".to_owned());
    let admin = ["/metrics", "/openapi.yaml", "/config", "/docs", "/", "/status", "/assets/base.css"];
    for path in
        admin.into_iter().chain(["/idv", "/IDV/x", "//idv/x", "//idv//x", "/idvx", "/x/idv/x", "/.env"])
    {
        assert_eq!(gateway.get(path).await.gist(), not_found, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        for method in ["GET", "HEAD"] {
            let answer = gateway.send(method, path, &[]).await;
            assert_eq!((answer.status, answer.text()), (200, ""), "a load balancer finds {path} here, too");
            assert_eq!(answer.header("content-length"), Some("0"), "{method} {path}");
        }
    }
    for path in ["/idv/x", "/idv/", "/callbacks/my", "/livez/", "/livez/x", "/LIVEZ", "//livez", "/livez%2F"]
    {
        assert_eq!(gateway.admin(path).await.gist(), not_found, "{path}");
    }
    let star = request(gateway.public, "OPTIONS", "*", &[]).await;
    assert_eq!(star.status, 404);
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_usable_request_id_is_kept_and_any_other_replaced() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let long = "x".repeat(64);
    for id in ["a", "checkout-7f3a91", "A.b_c-9", &long] {
        let answer = gateway.send("GET", "/idv/x", &[("X-Request-Id", id)]).await;
        assert_eq!(answer.header("x-request-id"), Some(id));
        assert_eq!(answer.json()["requestId"], id);
    }
    let (too_long, huge) = ("x".repeat(65), "x".repeat(8192));
    let mut replacements = BTreeSet::new();
    for id in ["", "a b", "a/b", "a%0d%0aSet-Cookie:x", "a\u{e4}", "{\"a\"}", "a,b", &too_long, &huge] {
        let answer = gateway.send("GET", "/idv/x", &[("X-Request-Id", id)]).await;
        replacements.insert(new_request_id(&answer, id));
    }
    let twice = [("X-Request-Id", "one"), ("X-Request-Id", "two")];
    replacements.insert(new_request_id(&gateway.send("GET", "/idv/x", &twice).await, "one"));
    let split = [("X-Request-Id", "a\r\nSet-Cookie: evil=1\r\nX-Other: b")];
    let answer = gateway.send("GET", "/idv/x", &split).await;
    assert_eq!((answer.header("x-request-id"), answer.header("set-cookie")), (Some("a"), None));
    replacements.insert(new_request_id(&gateway.get("/idv/x").await, ""));
    assert_eq!(replacements.len(), 11, "every request has its own");
}

/// The request id that the gateway made up, in header and body.
fn new_request_id(answer: &Answer, given: &str) -> String {
    let id = answer.header("x-request-id").expect("every answer has a request id");
    assert!((1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_ne!(id, given);
    assert_eq!(answer.json()["requestId"], id);
    id.to_owned()
}

#[tokio::test]
async fn no_answer_may_be_stored_and_every_one_has_a_request_id() {
    let upstream = Upstream::start().await;
    upstream.pass("passed");
    upstream.answer("broken", [Reply::text(200, "<html>")]);
    let gateway = Gateway::over(&upstream).await;
    for method in ["GET", "HEAD", "DELETE", "POST", "TRACE"] {
        for target in ["/idv/passed", "/idv/broken", "/idv/none", "/idv/a.b", "/idv/x?y", "/nothing", "/idv/"]
        {
            check_common_headers(&gateway.send(method, target, &[]).await, target);
        }
        for target in [
            "/",
            "/docs",
            "/status",
            "/assets/x",
            "/livez",
            "/readyz",
            "/metrics",
            "/openapi.yaml",
            "/config",
            "/nothing",
        ] {
            check_common_headers(&request(gateway.admin, method, target, &[]).await, target);
        }
    }
}

fn check_common_headers(answer: &Answer, target: &str) {
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{target}: {answer:?}");
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{target}: {answer:?}");
    assert!(
        answer.status < 400 || answer.header("content-type") == Some("application/problem+json"),
        "{target}"
    );
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let upstream = Upstream::start().await;
    upstream.pass("passed");
    upstream.answer("pending", [Reply::pending("pending")]);
    let gateway = Gateway::over(&upstream).await;
    let mut connection = gateway.connect().await;
    for target in ["/idv/passed", "/idv/pending", "/idv/none", "/idv/a.b", "/idv/x?y=z", "/nothing"] {
        let id = [("X-Request-Id", "the-same")];
        connection.ask("HEAD", target, &id).await;
        let head = connection.answer_to_head().await.expect("an answer to HEAD");
        connection.ask("GET", target, &id).await;
        let get = connection.answer().await.expect("an answer to GET");
        assert_eq!(head.status, get.status, "{target}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{target}");
        assert_eq!(lasting_headers(&head), lasting_headers(&get), "{target}");
    }
    assert_eq!(upstream.hits("passed"), 1, "HEAD fills the cache for GET");
}

/// The headers that two answers to the same question share.
fn lasting_headers(answer: &Answer) -> Vec<&(String, String)> {
    let passing = ["date", "cache-status"];
    answer.headers.iter().filter(|(name, _)| !passing.contains(&name.as_str())).collect()
}

#[tokio::test]
async fn a_connection_serves_request_after_request_and_pipelined_ones_in_order() {
    let upstream = Upstream::start().await;
    for id in ["first", "second", "third"] {
        upstream.answer(id, [Reply::passed(id).after(Duration::from_millis(20))]);
    }
    let gateway = Gateway::over(&upstream).await;
    let mut connection = gateway.connect().await;
    for id in ["first", "second"] {
        connection.ask("GET", &format!("/idv/{id}"), &[]).await;
        assert_eq!(connection.answer().await.expect("an answer").json()["signatureId"], id);
    }
    let targets = ["/idv/third", "/idv/first", "/idv/a.b", "/nothing", "/idv/second"];
    let heads: String =
        targets.map(|target| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).concat();
    connection.send(heads.as_bytes()).await;
    let mut said = Vec::new();
    for _ in targets {
        let body = connection.answer().await.expect("every pipelined request is answered").json();
        said.push(body["signatureId"].as_str().or(body["code"].as_str()).unwrap_or_default().to_owned());
    }
    assert_eq!(said, ["third", "first", "invalid_signature_id", "route_not_found", "second"]);
}

/// A client's time to send a head, as promised; and how late a loaded machine may notice.
const HEAD_TIME: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_client_that_does_not_finish_a_head_is_dropped_and_an_idle_one_is_kept() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let silent = async {
        let mut connection = gateway.connect().await;
        let opened = Instant::now();
        assert_eq!(connection.closed().await, b"", "nothing was asked");
        check_head_time(opened);
    };
    let slow = async {
        let mut stream = TcpStream::connect(gateway.public).await.expect("a connection");
        drip(&mut stream, Instant::now()).await;
    };
    let slow_later = async {
        let mut connection = gateway.connect().await;
        connection.ask("GET", "/idv/x", &[]).await;
        assert!(connection.answer().await.is_some());
        sleep(Duration::from_millis(500)).await;
        drip(connection.stream(), Instant::now()).await;
    };
    let idle = async {
        let mut connection = gateway.connect().await;
        for then_idle in [HEAD_TIME + Duration::from_secs(1), Duration::ZERO] {
            connection.ask("GET", "/idv/x", &[]).await;
            assert_eq!(connection.answer().await.expect("a kept connection serves").status, 404);
            sleep(then_idle).await;
        }
    };
    let line_ends = async {
        let mut connection = gateway.connect().await;
        connection.ask("GET", "/idv/x", &[]).await;
        assert!(connection.answer().await.is_some());
        connection.send(b"\r\n").await;
        sleep(HEAD_TIME + Duration::from_secs(1)).await;
        connection.ask("GET", "/idv/x", &[]).await;
        let answer = connection.answer().await.expect("line ends after an answer begin no head");
        assert_eq!(answer.status, 404);
    };
    tokio::join!(silent, slow, slow_later, idle, line_ends);
}

#[tokio::test]
async fn after_an_error_that_takes_no_rights_a_connection_idles_for_five_seconds_only() {
    let upstream = Upstream::start().await;
    upstream.pass("x");
    let gateway = Gateway::with(&[&caller("somebody", &[], ""), &region("my", &upstream)]).await;
    let key = ("Authorization", "Bearer somebody");
    let stays = [
        ("GET", "/idv/x", &[key][..], 200),
        ("GET", "/idv/y", &[key], 404),
        ("DELETE", "/idv/x", &[key], 403),
    ];
    let ends = [
        ("GET", "/idv/a.b", &[key][..], 400),
        ("GET", "/idv/x", &[], 401),
        ("POST", "/idv/x", &[key], 405),
        ("GET", "/nothing", &[key], 404),
    ];
    let answered = async |(method, target, headers, status): (&str, &str, &[(&str, &str)], u16)| {
        let mut connection = gateway.connect().await;
        connection.ask(method, target, headers).await;
        assert_eq!(connection.answer().await.map(|answer| answer.status), Some(status), "{method} {target}");
        connection
    };
    let stay = futures_util::future::join_all(stays.map(async |case| {
        let mut connection = answered(case).await;
        sleep(HEAD_TIME + Duration::from_secs(2)).await;
        connection.ask("GET", "/idv/x", &[key]).await;
        assert!(connection.answer().await.is_some(), "{case:?}");
    }));
    let end = futures_util::future::join_all(ends.map(async |case| {
        let (mut connection, began) = (answered(case).await, Instant::now());
        assert_eq!(connection.closed().await, b"", "{case:?}");
        check_head_time(began);
    }));
    tokio::join!(stay, end);
    let idle = gateway.metric("idv_connections_closed_total{listener=\"public\",reason=\"idle\"}").await;
    assert_eq!(idle, 4.0);
}

#[tokio::test]
async fn a_head_of_32_kib_is_read_and_a_larger_one_is_not() {
    const LIMIT: usize = 32 * 1024;
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for (size, status) in [(LIMIT, 404), (LIMIT + 1, 431), (LIMIT + 4096, 431), (2 * LIMIT, 431)] {
        let fixed = "GET /idv/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Padding: ";
        let padding = "x".repeat(size - fixed.len() - 4);
        let answer = gateway.raw(format!("{fixed}{padding}\r\n\r\n").as_bytes()).await;
        // The server may reset the connection of somebody who is still sending.
        let got = parse(&answer).map(|answer| answer.status);
        assert!(got == Some(status) || got.is_none() && size > LIMIT, "{size}: {got:?}");
    }
}

#[tokio::test]
async fn a_head_of_64_headers_is_read_and_one_of_more_is_not() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for (headers, status) in [(64, 404), (65, 400), (100, 400), (101, 431)] {
        let more: String = (2..headers).map(|n| format!("X-{n}: 1\r\n")).collect();
        let head = format!("GET /idv/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        let answer = parse(&gateway.raw(head.as_bytes()).await).expect("an answer");
        assert_eq!(answer.status, status, "{headers}");
    }
}

/// Sends a head byte by byte, from its first byte at `began`, until the server has enough of it.
async fn drip(stream: &mut TcpStream, began: Instant) {
    let head = format!("GET /idv/x HTTP/1.1\r\nHost: localhost\r\nX-Slow: {}\r\n\r\n", "x".repeat(1000));
    for byte in head.bytes() {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    check_head_time(began);
}

fn check_head_time(began: Instant) {
    let took = began.elapsed();
    assert!(took > HEAD_TIME - Duration::from_millis(500), "given up too early: {took:?}");
    assert!(took < HEAD_TIME + SLACK, "given up too late: {took:?}");
}

#[tokio::test]
async fn a_client_that_never_reads_is_soon_read_no_more_and_harms_nobody() {
    /// More than the kernel buffers of both sides take of requests, once nobody reads them.
    const ENOUGH: usize = 64 << 20;
    let upstream = Upstream::start().await;
    upstream.pass("x");
    let gateway = Gateway::over(&upstream).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = within("a connection", socket.connect(gateway.public)).await.expect("a connection");
    let requests = "GET /idv/x HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let mut sent = 0;
    while let Ok(written) = timeout(Duration::from_secs(1), stream.write(requests.as_bytes())).await {
        sent += written.expect("the connection stands");
        assert!(sent < ENOUGH, "the gateway makes answers that nobody reads");
    }
    assert_eq!(gateway.get("/idv/x").await.status, 200, "others are served");
    assert_eq!(upstream.hits("x"), 1);
}

#[tokio::test]
async fn connections_left_behind_at_the_admin_listener_do_not_keep_the_probes_out() {
    let gateway = Gateway::over(&Upstream::start().await).await;
    // One more than it has places for.
    for _ in 0..257 {
        let mut connection = Connection::open(gateway.admin).await;
        connection.ask("GET", "/livez", &[]).await;
        let answer = connection.answer().await.expect("a probe is answered");
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert!(connection.closed().await.is_empty(), "nothing follows");
    }
}
