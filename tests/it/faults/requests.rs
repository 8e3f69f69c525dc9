//! Requests that lead elsewhere or never end, and callers who try everything.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rows::{Row, row};
use super::trial::Trial;
use crate::support::client::{parse, pass};
use crate::support::gateway::caller;
use crate::support::{Answer, within};

pub fn rows() -> Vec<Row> {
    vec![
        row(114, "a fragment in the request target", "it is dropped or refused, and leads nowhere"),
        row(
            118,
            format!("GET with a body that does not end, up to {} MiB", MUCH >> 20),
            "400 and close; it is not read",
        ),
        row(
            130,
            format!("{GUESSES} ids tried by one caller, limited to 30 a second"),
            "429 beyond the rate; an id of another region cannot be told from one that does not exist",
        ),
    ]
}

/// What comes back for these bytes: how many answers, and the first of them.
async fn said_to(trial: &Trial, bytes: &[u8]) -> (usize, Option<Answer>) {
    let back = trial.gateway.raw(bytes).await;
    (back.windows(9).filter(|window| *window == b"HTTP/1.1 ").count(), parse(&back))
}

/// A head with this request line, the last on its connection.
fn head(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// The HTTP parser drops a fragment before our code sees the target: what is left is the id, and only that.
#[tokio::test]
async fn f114_a_fragment_says_nothing() {
    let trial = Trial::start().await;
    trial.passes("F114");
    let (count, answer) = said_to(&trial, head("GET /idv/F114#/../../metrics").as_bytes()).await;
    let answer = answer.expect("an answer");
    assert!(count == 1 && (answer.status == 400 || answer.json()["signatureId"] == "F114"), "{answer:?}");
    let (_, answer) = said_to(&trial, head("GET /metrics#/idv/F114").as_bytes()).await;
    assert!([400, 404].contains(&answer.expect("an answer").status));
    trial.ask("F114").await;
    assert_eq!(trial.upstream().result_hits(), 1);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f118_a_get_with_an_endless_body() {
    let trial = Trial::start().await;
    let mut stream = TcpStream::connect(trial.gateway.public).await.expect("a connection");
    let head = b"GET /idv/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n";
    stream.write_all(head).await.expect("the head is read");
    let mut status = [0; 12];
    within("an answer before the body", stream.read_exact(&mut status)).await.expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 400");
    let taken = send_without_end(stream).await;
    assert!(taken < MUCH, "{taken} bytes of a body were taken");
    trial.passes("F118");
    assert_eq!(trial.ask("F118").await.gist(), pass());
    assert_eq!(trial.upstream().result_hits(), 1);
    trial.invariants_hold().await;
}

/// More bytes than the kernel's buffers of both sides hold.
const MUCH: usize = 64 << 20;

/// Sends a body for as long as it is taken. Returns how much that was.
async fn send_without_end(mut stream: TcpStream) -> usize {
    let (piece, mut taken) = (vec![b'x'; 1 << 16], 0);
    while taken < MUCH {
        match within("room to send, or the end", stream.write(&piece)).await {
            Ok(written) => taken += written,
            Err(_) => break,
        }
    }
    taken
}

/// Everything an answer says but its date.
fn said(answer: &Answer) -> (u16, Vec<&(String, String)>, &[u8]) {
    (answer.status, answer.headers.iter().filter(|(name, _)| name != "date").collect(), &answer.body)
}

/// The ids that are tried in row 130, at thirty a second.
const GUESSES: usize = 300;

#[tokio::test]
async fn f130_trying_every_id() {
    let callers =
        [caller("prober", &[], "regions = [\"my\"]\nrequests_per_second = 30"), caller("both", &[], "")];
    let trial = Trial::with(&["my", "ph"], &callers.concat()).await;
    trial.passes("F130-MINE");
    trial.truly_passes("F130-THEIRS");
    trial.region("ph").pass("F130-THEIRS");
    let ask = async |key: &str, id: &str| {
        let headers = [("Authorization", &*format!("Bearer {key}")), ("X-Request-Id", "the-same")];
        trial.send("GET", id, "", &headers).await
    };
    for id in ["F130-MINE", "F130-THEIRS", "F130-NOBODYS"] {
        let expected = if id == "F130-NOBODYS" { 404 } else { 200 };
        assert_eq!(ask("both", id).await.status, expected, "{id}");
    }
    for asked in 0..2 {
        let theirs = ask("prober", "F130-THEIRS").await;
        assert_eq!(theirs.gist(), (404, "signature_not_found".to_owned()), "{asked}");
        let nobodys = ask("prober", "F130-NOBODYS").await;
        let but_cache = |answer: &Answer| {
            let (status, headers, body) = said(answer);
            let headers: Vec<_> =
                headers.into_iter().filter(|(name, _)| name != "cache-status").cloned().collect();
            (status, headers, body.to_vec())
        };
        assert_eq!(but_cache(&theirs), but_cache(&nobodys), "{asked}");
    }
    assert_eq!(ask("prober", "F130-MINE").await.gist(), (200, "passed".to_owned()));
    let before = trial.upstream().result_hits();
    let mut refused = 0;
    for n in 0..GUESSES {
        let answer = ask("prober", &format!("F130-{n:03}")).await;
        if answer.status == 404 {
            // The invariants want a 404 to be every region's.
            assert_eq!(ask("both", &format!("F130-{n:03}")).await.status, 404);
            continue;
        }
        refused += 1;
        assert_eq!(answer.gist(), (429, "rate_limited".to_owned()));
        assert!(answer.header("retry-after").is_some());
    }
    assert!(refused > 0);
    assert_eq!(trial.upstream().result_hits() - before, GUESSES - refused, "a refused request costs no call");
    assert_eq!(trial.gateway.metric("idv_rate_limited_total{caller=\"prober\"}").await, refused as f64);
    trial.invariants_hold().await;
}
