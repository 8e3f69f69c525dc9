//! The upstream answers badly, in bytes: bodies that are no JSON, cut, endless or odd, and odd HTTP around them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::trial::{Trial, generated};
use crate::support::upstream::Flow;
use crate::support::{Reply, Upstream, bodies, eventually};

const MALFORMED: (u16, &str) = (502, "upstream_malformed");

/// Asks for `id`, which is answered with `reply`, and holds the answer to `expected`.
async fn comes_to(trial: &Trial, id: &str, reply: Reply, expected: (u16, &str)) {
    trial.upstream().answer(id, [reply]);
    let answer = trial.ask(id).await;
    assert_eq!(answer.gist(), (expected.0, expected.1.to_owned()), "{id}");
    assert!(!answer.text().contains("html"), "{}", answer.text());
}

/// The bytes of a 200 with these header lines and this body.
fn answer_bytes(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn f023_a_bare_word() {
    let trial = Trial::start().await;
    let body = bodies::passed("F023").to_string().replacen("\"PASS\"", "PASS", 1);
    comes_to(&trial, "F023", Reply::text(200, &body), MALFORMED).await;
    assert_eq!(trial.upstream().hits("F023"), 1);
    assert_eq!(trial.gateway.metric("idv_panics_total").await, 0.0);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f024_fewer_bytes_than_promised() {
    let trial = Trial::start().await;
    let body = bodies::passed("F024").to_string();
    let length = format!("content-length: {}\r\n", body.len());
    let cut = Reply::Bytes(answer_bytes(&length, &body.as_bytes()[..body.len() / 2]));
    comes_to(&trial, "F024", cut.clone(), MALFORMED).await;
    assert_eq!(trial.upstream().hits("F024"), 2, "one retry");
    trial.truly_passes("F024");
    trial.upstream().answer("F024", [cut, Reply::text(200, &body)]);
    assert_eq!(trial.ask("F024").await.gist(), (200, "passed".to_owned()));
    trial.invariants_hold().await;
}

/// Where the end of the connection is the end of the body, only the JSON shows that something is missing.
#[tokio::test]
async fn f025_cut_where_nothing_tells() {
    let trial = Trial::start().await;
    for (n, share) in [10, 50, 90, 99].into_iter().enumerate() {
        let id = format!("F025-{n}");
        let body = bodies::passed(&id).to_string();
        let cut = &body.as_bytes()[..body.len() * share / 100];
        comes_to(&trial, &id, Reply::Bytes(answer_bytes("connection: close\r\n", cut)), MALFORMED).await;
        let calls = trial.upstream().hits(&id);
        trial.truly_passes(&id);
        let whole = Reply::Bytes(answer_bytes("connection: close\r\n", body.as_bytes()));
        comes_to(&trial, &id, whole, (200, "passed")).await;
        assert_eq!(trial.upstream().hits(&id), calls + 1, "the cut answer was not kept");
    }
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f027_characters_that_nobody_sees() {
    const MARKS: &str = "F027WORD\u{0}\u{7f}\u{9b}\u{2028}\u{2029}\u{200f}\u{202e}\u{2066}";
    let trial = Trial::start().await;
    let mut body = bodies::verdict("F027", json!("FAIL"), json!(MARKS));
    let name = format!("AMINAH CONTOH {MARKS}");
    body["data"]["docDetail"]["ocrInfo"]["front"]["name"] = json!(name);
    body["data"]["docDetail"]["ocrInfo"]["front"][MARKS] = json!(MARKS);
    body["data"]["docDetail"]["docType"]["front"] = json!(MARKS);
    body["transactionId"] = json!(MARKS);
    trial.upstream().answer("F027", [Reply::json(body)]);
    let answer = trial.ask("F027").await;
    assert_eq!(answer.gist(), (200, "failed".to_owned()));
    let json = answer.json();
    assert_eq!(json["identity"]["name"], name, "nothing is lost");
    assert_eq!(json["identity"]["fields"]["front"][MARKS], MARKS);
    assert_eq!(json["checks"]["document"]["type"]["front"], MARKS);
    assert_eq!(json["upstream"]["errorCode"], MARKS);
    assert_eq!(json["upstream"]["transactionId"], Value::Null, "that is no transaction id");
    for mark in MARKS.chars().filter(|mark| !mark.is_ascii_alphanumeric()) {
        assert!(!answer.text().contains(mark), "{mark:?} is in the answer as it is");
        let escaped = format!("\\u{:04x}", u32::from(mark));
        assert!(answer.text().contains(&escaped), "{escaped} is not in the answer");
    }
    trial.says_nowhere("F027WORD").await;
    trial.invariants_hold().await;
}

/// What the upstream could send is what the sockets between hold, beside the 1 MiB that is read.
#[tokio::test]
async fn f029_an_endless_body() {
    let trial = Trial::start().await;
    let flow = Flow::default();
    let piece = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let head = answer_bytes("transfer-encoding: chunked\r\n", b"");
    comes_to(&trial, "F029", Reply::Endless(head, piece, flow.clone()), MALFORMED).await;
    assert_eq!(trial.upstream().hits("F029"), 1);
    eventually("the end of the connection", async || flow.is_cut()).await;
    assert!((1 << 20..1 << 26).contains(&flow.taken()), "{} bytes", flow.taken());
    trial.passes("F029-NEXT");
    assert_eq!(trial.ask("F029-NEXT").await.gist(), (200, "passed".to_owned()));
    trial.invariants_hold().await;
}

/// Waiting for the body would end in a timeout, which has another code.
#[tokio::test]
async fn f030_a_length_of_10_gb() {
    let trial = Trial::start().await;
    let endless = Reply::Stall(answer_bytes("content-length: 10000000000\r\n", b""));
    comes_to(&trial, "F030", endless, MALFORMED).await;
    assert_eq!(trial.upstream().hits("F030"), 1);
    assert_eq!(trial.ended("malformed").await, 1.0);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f032_json_called_text() {
    let trial = Trial::start().await;
    trial.truly_passes("F032");
    let body = bodies::passed("F032").to_string().into_bytes();
    let plain = Reply::Http(200, vec![("content-type", "text/plain".into())], body);
    comes_to(&trial, "F032", plain, (200, "passed")).await;
    assert_eq!(trial.drift("unknown_value").await, 1.0);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f033_a_login_page() {
    let trial = Trial::start().await;
    let page = b"<!doctype html><title>Log in</title><p>AMINAH CONTOH".to_vec();
    let page = Reply::Http(200, vec![("content-type", "text/html; charset=utf-8".into())], page);
    comes_to(&trial, "F033", page, MALFORMED).await;
    assert_eq!(trial.upstream().hits("F033"), 1);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f034_odd_statuses() {
    let trial = Trial::start().await;
    for status in ["204 No Content", "304 Not Modified", "101 Switching Protocols"] {
        let id = format!("F034-{}", &status[..3]);
        let bare = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
        trial.upstream().answer(&id, [Reply::Bytes(bare.into_bytes())]);
        assert_eq!(trial.ask(&id).await.status, 502, "{status}");
    }
    for status in ["100 Continue", "102 Processing", "103 Early Hints"] {
        let id = format!("F034-{}", &status[..3]);
        let body = bodies::passed(&id).to_string();
        let length = format!("content-length: {}\r\nconnection: close\r\n", body.len());
        let early = format!("HTTP/1.1 {status}\r\nlink: </a>\r\n\r\n");
        let bytes = [early.as_bytes(), &answer_bytes(&length, body.as_bytes())].concat();
        trial.truly_passes(&id);
        comes_to(&trial, &id, Reply::Bytes(bytes), (200, "passed")).await;
    }
    trial.invariants_hold().await;
}

/// A redirect that is followed to the address of cloud metadata would come to "cannot be reached", or to a timeout.
#[tokio::test]
async fn f035_redirects() {
    let other = Upstream::start().await;
    other.answer("F035", [Reply::json(bodies::passed("F035"))]);
    let trial = Trial::start().await;
    let places = [other.base_url(), "http://169.254.169.254/latest/meta-data/".to_owned()];
    let redirects = [301, 302, 303, 307, 308].map(|status| places.clone().map(|place| (status, place)));
    for (n, (status, place)) in redirects.into_iter().flatten().enumerate() {
        let redirect = Reply::text(status, "").header("location", &place);
        comes_to(&trial, &format!("F035-{n}"), redirect, MALFORMED).await;
        assert_eq!(trial.upstream().hits(&format!("F035-{n}")), 1);
    }
    assert_eq!(other.connections(), 0, "the other host was not even connected to");
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f035_a_redirect_of_the_token_request() {
    let other = Upstream::start().await;
    let trial = Trial::start().await;
    trial.upstream().answer_tokens([Reply::text(307, "").header("location", &other.base_url())]);
    assert_eq!(trial.ask("F035").await.gist(), (503, "upstream_unavailable".to_owned()));
    assert_eq!(other.connections(), 0, "the other host was not even connected to");
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f036_refused_without_a_word() {
    for status in [401, 403] {
        let refused = Reply::Http(status, Vec::new(), Vec::new());
        let trial = Trial::start().await;
        comes_to(&trial, "F036", refused.clone(), (502, "upstream_auth")).await;
        assert_eq!((trial.upstream().hits("F036"), trial.upstream().token_hits()), (2, 2), "one replay");
        trial.invariants_hold().await;

        let trial = Trial::start().await;
        trial.truly_passes("F036");
        trial.upstream().answer("F036", [refused, Reply::json(bodies::passed("F036"))]);
        assert_eq!(trial.ask("F036").await.gist(), (200, "passed".to_owned()));
        assert_eq!((trial.upstream().hits("F036"), trial.upstream().token_hits()), (2, 2));
        let tokens: Vec<_> = trial.upstream().received();
        let tokens: Vec<_> = tokens.iter().filter_map(|request| request.header("x-access-token")).collect();
        assert_eq!(tokens, ["test-token-1", "test-token-2"]);
        trial.invariants_hold().await;
    }
}

/// Numbers of any size and precision, and words where a number should be. A bare `NaN` is no JSON at all.
#[tokio::test]
async fn f039_scores_that_are_none() {
    let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?";
    let word = prop_oneof![
        Just("NaN".to_owned()),
        Just("-inf".to_owned()),
        Just("Infinity".to_owned()),
        Just("1e400".to_owned()),
        "[a-z0-9.]{1,8}",
    ];
    let texts = prop_oneof![number, word.prop_map(|word| format!("\"{word}\""))];
    let odd = ["1e400", "-1e400", "\"NaN\"", "100", "100.0000001"].map(str::to_owned);
    let cases: Vec<String> = odd.into_iter().chain(generated(48, texts)).collect();

    let trial = Trial::start().await;
    let mut dropped = 0.0;
    for (n, score) in cases.iter().enumerate() {
        let id = format!("F039-{n:02}");
        trial.truly_passes(&id);
        let body = bodies::passed(&id).to_string();
        let body = body.replace("\"faceLivenessScore\":99", &format!("\"faceLivenessScore\":{score}"));
        trial.upstream().answer(&id, [Reply::text(200, &body)]);
        let answer = trial.ask(&id).await;
        assert_eq!(answer.gist(), (200, "passed".to_owned()), "{score}");
        let expected: Option<f64> = score.trim_matches('"').parse().ok();
        let expected = expected.filter(|score| (0.0..=100.0).contains(score));
        let shown = answer.json()["checks"]["face"]["livenessScore"].as_f64();
        assert_eq!(shown, expected, "{score}");
        dropped += f64::from(u8::from(shown.is_none()));
    }
    assert!(dropped > 3.0 && dropped < cases.len() as f64);
    assert_eq!(trial.drift("unknown_value").await, dropped);

    let bare = bodies::passed("F039-BARE").to_string().replace("Score\":99", "Score\":NaN");
    comes_to(&trial, "F039-BARE", Reply::text(200, &bare), MALFORMED).await;
    trial.invariants_hold().await;
}
