//! Clients that send what is no request of ours, or no request at all.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::trial::Trial;
use crate::support::client::parse;
use crate::support::{Answer, within};

/// What comes back for these bytes: how many answers, and the first of them.
async fn said_to(trial: &Trial, bytes: &[u8]) -> (usize, Option<Answer>) {
    let back = trial.gateway.raw(bytes).await;
    (back.windows(9).filter(|window| *window == b"HTTP/1.1 ").count(), parse(&back))
}

/// A head with this request line and these further lines, the last on its connection.
fn head(line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n")
}

/// Nobody was asked for anything, the next caller is served, and the invariants hold.
async fn nothing_came_of_it(trial: &Trial) {
    assert_eq!(trial.upstream().received().len(), 0, "{:?}", trial.upstream().received());
    trial.passes("NEXT");
    assert_eq!(trial.ask("NEXT").await.gist(), (200, "passed".to_owned()));
    assert_eq!(trial.gateway.metric("idv_panics_total").await, 0.0);
    trial.invariants_hold().await;
}

/// A head ends at 32 KiB, so what is said to an id of 1 MB is that the head is too large.
#[tokio::test]
async fn f112_an_id_that_is_none() {
    let trial = Trial::start().await;
    for id in ["", &"a".repeat(65), &"a".repeat(30_000)] {
        assert_eq!(trial.ask(id).await.gist(), (400, "invalid_signature_id".to_owned()), "{id:.80}");
    }
    for length in [100_000, 1_000_000] {
        let (count, answer) =
            said_to(&trial, head(&format!("GET /idv/{}", "a".repeat(length)), "").as_bytes()).await;
        // The server may reset the connection of somebody who is still sending.
        assert!(answer.is_none_or(|answer| [414, 431].contains(&answer.status)), "{length}");
        assert!(count <= 1);
    }
    nothing_came_of_it(&trial).await;
}

#[tokio::test]
async fn f114_targets_that_lead_elsewhere() {
    let trial = Trial::start().await;
    for (target, status, code) in [
        ("/idv/../admin", 400, "invalid_signature_id"),
        ("/idv/../metrics", 400, "invalid_signature_id"),
        ("/idv/%2e%2e/metrics", 400, "invalid_signature_id"),
        ("/idv/x\\..\\metrics", 400, "invalid_signature_id"),
        ("/idv/./x", 400, "invalid_signature_id"),
        ("//idv//x", 404, "route_not_found"),
        ("//idv/x", 404, "route_not_found"),
        ("/idv\\x", 404, "route_not_found"),
        ("/metrics", 404, "route_not_found"),
        ("/livez", 404, "route_not_found"),
        ("/config", 404, "route_not_found"),
        ("/", 404, "route_not_found"),
        ("*", 404, "route_not_found"),
        ("http://h/idv/x", 400, "bad_request"),
        ("http://127.0.0.1:8081/metrics", 400, "bad_request"),
    ] {
        let (count, answer) = said_to(&trial, head(&format!("GET {target}"), "").as_bytes()).await;
        let answer = answer.unwrap_or_else(|| panic!("no answer to {target}"));
        assert_eq!((answer.gist(), count), ((status, code.to_owned()), 1), "{target}");
    }
    for target in ["\\idv\\x", "idv/x", "?x", ""] {
        let (count, answer) = said_to(&trial, head(&format!("GET {target}"), "").as_bytes()).await;
        assert_eq!((answer.map(|answer| answer.status), count), (Some(400), 1), "{target}");
    }
    nothing_came_of_it(&trial).await;
}

/// The HTTP parser drops a fragment before our code sees the target: what is left is the id, and only that.
#[tokio::test]
async fn f114_a_fragment_says_nothing() {
    let trial = Trial::start().await;
    trial.passes("F114");
    let (count, answer) = said_to(&trial, head("GET /idv/F114#/../../metrics", "").as_bytes()).await;
    let answer = answer.expect("an answer");
    assert!(count == 1 && (answer.status == 400 || answer.json()["signatureId"] == "F114"), "{answer:?}");
    let (_, answer) = said_to(&trial, head("GET /metrics#/idv/F114", "").as_bytes()).await;
    assert!([400, 404].contains(&answer.expect("an answer").status));
    trial.ask("F114").await;
    assert_eq!(trial.upstream().result_hits(), 1);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f115_line_breaks_where_none_may_be() {
    let trial = Trial::start().await;
    for line in ["GET /idv/x\r\nX-Evil: y", "GET /idv/x\nX-Evil: y", "GET /idv/x\rX-Evil: y", "GET /idv/x\0"]
    {
        let (count, answer) = said_to(&trial, head(line, "").as_bytes()).await;
        assert_eq!((answer.map(|answer| answer.status), count), (Some(400), 1), "{line:?}");
    }
    for value in ["a\rX-Evil: 1", "a\0b", "a\r\r\nX-Evil: 1"] {
        for name in ["X-Request-Id", "X-Other"] {
            let (count, answer) =
                said_to(&trial, head("GET /idv/x", &format!("{name}: {value}\r\n")).as_bytes()).await;
            assert_eq!((answer.map(|answer| answer.status), count), (Some(400), 1), "{name}: {value:?}");
        }
    }
    let answer = trial.ask("x%0d%0aX-Evil:%201").await;
    assert_eq!(answer.gist(), (400, "invalid_signature_id".to_owned()));
    for given in
        ["a%0d%0aX-Evil: 1", "a\\r\\nX-Evil: 1", "a X-Evil", "a\u{85}X-Evil", "\",\"level\":\"X-Evil"]
    {
        let answer = trial.send("GET", "a.b", "", &[("X-Request-Id", given)]).await;
        let id = answer.header("x-request-id").expect("an id of its own");
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_eq!(answer.header("x-evil"), None);
    }
    // A line may end without CR: what follows is a header of the request, and nothing of the answer.
    let (count, answer) =
        said_to(&trial, head("GET /idv/a.b", "X-Request-Id: a\nX-Evil: 1\r\n").as_bytes()).await;
    let answer = answer.expect("an answer");
    assert_eq!((count, answer.header("x-evil")), (1, None));
    trial.says_nowhere("X-Evil").await;
    nothing_came_of_it(&trial).await;
}

/// Two lengths that agree are one, as RFC 9112 has it: the parser folds them. That of a body is refused for the body.
#[tokio::test]
async fn f116_headers_given_twice() {
    let trial = Trial::start().await;
    for (twice, code) in [
        ("Host: localhost\r\n", Some("bad_request")),
        ("Host: other\r\n", Some("bad_request")),
        ("Content-Length: 0\r\nContent-Length: 5\r\n", None),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", None),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Some("bad_request")),
        ("Authorization: Bearer a\r\nAuthorization: Bearer a\r\n", Some("bad_request")),
        ("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", Some("bad_request")),
    ] {
        let request = format!(
            "GET /idv/x HTTP/1.1\r\nHost: localhost\r\n{twice}\r\nhelloGET /idv/y HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        let (count, answer) = said_to(&trial, request.as_bytes()).await;
        let answer = answer.unwrap_or_else(|| panic!("no answer to {twice}"));
        assert_eq!((answer.status, count), (400, 1), "{twice}");
        assert_eq!(answer.header("connection"), Some("close"), "{twice}");
        if let Some(code) = code {
            assert_eq!(answer.code(), code, "{twice}");
        }
    }
    nothing_came_of_it(&trial).await;
}

#[tokio::test]
async fn f118_a_body_on_get() {
    let trial = Trial::start().await;
    for framing in ["Content-Length: 1", "Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
        let (count, answer) = said_to(
            &trial,
            format!("GET /idv/x HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\nx").as_bytes(),
        )
        .await;
        let answer = answer.unwrap_or_else(|| panic!("no answer to {framing}"));
        assert_eq!((answer.gist(), count), ((400, "bad_request".to_owned()), 1), "{framing}");
        assert_eq!(answer.header("connection"), Some("close"), "{framing}");
    }
    let taken = send_without_end(
        &trial,
        b"GET /idv/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n",
    )
    .await;
    assert!(taken < MUCH, "{taken} bytes of a body were taken");
    nothing_came_of_it(&trial).await;
}

/// More than the kernel's buffers of both sides hold.
const MUCH: usize = 64 << 20;

/// Sends a head and then a body for as long as anybody takes it. Returns how much that was.
async fn send_without_end(trial: &Trial, head: &[u8]) -> usize {
    let mut stream = TcpStream::connect(trial.gateway.public).await.expect("a connection");
    stream.write_all(head).await.expect("the head is read");
    let (piece, mut taken) = (vec![b'x'; 1 << 16], 0);
    while taken < MUCH {
        match within("room to send, or the end", stream.write(&piece)).await {
            Ok(written) => taken += written,
            Err(_) => break,
        }
    }
    taken
}

#[tokio::test]
async fn f119_a_head_that_is_too_much() {
    let trial = Trial::start().await;
    let many: String = (0..101).map(|n| format!("X-{n}: v\r\n")).collect();
    let (count, answer) = said_to(&trial, head("GET /idv/x", &many).as_bytes()).await;
    assert!(answer.is_some_and(|answer| [400, 431].contains(&answer.status)) && count == 1);
    let large = format!("X-Large: {}\r\n", "v".repeat(1 << 20));
    let (count, answer) = said_to(&trial, head("GET /idv/x", &large).as_bytes()).await;
    assert!(answer.is_none_or(|answer| [400, 431].contains(&answer.status)) && count <= 1);
    nothing_came_of_it(&trial).await;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn f125_other_protocols() {
    let trial = Trial::start().await;
    let (_, answer) = said_to(&trial, &[PREFACE, &frame(4, 0, 0, b"")].concat()).await;
    assert!(answer.is_none_or(|answer| answer.status == 400));
    trial.passes("F125");
    for protocol in ["h2c", "websocket", "TLS/1.0"] {
        let headers = [
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", protocol),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let answer = trial.send("GET", "F125", "", &headers).await;
        assert_eq!(answer.gist(), (200, "passed".to_owned()), "{protocol}: a request like any other");
        assert_eq!(answer.header("upgrade"), None);
    }
    assert_eq!(trial.upstream().hits("F125"), 1);
    trial.invariants_hold().await;
}

/// HTTP/2 is not spoken here: whatever its frames try, the connection ends with the preface, and nothing of it is done.
#[tokio::test]
async fn f126_floods_of_another_protocol() {
    let trial = Trial::start().await;
    // `:method: GET`, `:scheme: http`, `:path: /`.
    let request = [0x82, 0x86, 0x84];
    let streams = || (0..2000_u32).map(|n| n * 2 + 1);
    let floods = [
        streams().flat_map(|n| [frame(1, 5, n, &request), frame(3, 0, n, &[0, 0, 0, 8])].concat()).collect(),
        streams().flat_map(|n| [frame(1, 5, n, &request), frame(8, 0, n, &[0, 0, 0, 0])].concat()).collect(),
        [frame(1, 0, 1, &request), frame(9, 0, 1, &[0; 1000]).repeat(2000)].concat(),
        [frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]), streams().flat_map(|n| frame(1, 5, n, &request)).collect()]
            .concat(),
        frame(4, 0, 0, b"").repeat(10_000),
        frame(6, 0, 0, &[0; 8]).repeat(10_000),
    ];
    for (n, flood) in floods.into_iter().enumerate() {
        let flood: Vec<u8> = flood;
        let (count, answer) = said_to(&trial, &[PREFACE, &frame(4, 0, 0, b""), &flood].concat()).await;
        assert!(count <= 1 && answer.is_none_or(|answer| answer.status == 400), "flood {n}");
    }
    nothing_came_of_it(&trial).await;
}

#[tokio::test]
async fn f128_no_http_and_methods_of_proxies() {
    let trial = Trial::start().await;
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\xff\r\n\r\n";
    for junk in [
        &hello[..],
        b"\0\0\0\0\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"\xff\xf4\xff\xfd\x06\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n\r\n",
    ] {
        let (count, answer) = said_to(&trial, junk).await;
        assert!(count <= 1 && answer.is_none_or(|answer| answer.status == 400), "{junk:?}");
    }
    let trace = trial.send("TRACE", "F128", "", &[("Cookie", "secret")]).await;
    assert_eq!(
        (trace.gist(), trace.header("allow")),
        ((405, "method_not_allowed".to_owned()), Some("GET, HEAD, DELETE"))
    );
    assert!(!trace.text().contains("secret"), "nothing is echoed");
    for target in ["h:443", "127.0.0.1:8081", "/idv/x"] {
        let (count, answer) =
            said_to(&trial, format!("CONNECT {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        let answer = answer.unwrap_or_else(|| panic!("no answer to CONNECT {target}"));
        assert_eq!((answer.gist(), count), ((400, "bad_request".to_owned()), 1), "{target}");
        assert_eq!(answer.header("connection"), Some("close"), "{target}");
    }
    nothing_came_of_it(&trial).await;
}
