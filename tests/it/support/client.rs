//! A client that sends exactly what it is told to, one request per connection.

use std::net::SocketAddr;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// The headers of a refresh.
pub const NO_CACHE: &[(&str, &str)] = &[("Cache-Control", "no-cache")];

/// The gist of a result that passed.
pub fn pass() -> (u16, String) {
    gist(200, "passed")
}

/// The gist of an answer, to compare with [`Answer::gist`].
pub fn gist(status: u16, word: &str) -> (u16, String) {
    (status, word.to_owned())
}

/// One answer, read to the end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The only header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is given twice: {:?}", self.headers);
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The problem code.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        self.json()["code"].as_str().expect("a problem has a code").to_owned()
    }

    /// `Cache-Status`, or nothing.
    pub fn cache_status(&self) -> &str {
        self.header("cache-status").unwrap_or_default()
    }

    /// How many seconds a cache hit stays fresh, negative if it is stale; `None` if this is no hit.
    pub fn ttl(&self) -> Option<i64> {
        let ttl = self.cache_status().strip_prefix("idv-gateway; hit; ttl=")?;
        ttl.split(';').next()?.parse().ok()
    }

    /// Whether this is a fresh cache hit.
    pub fn is_hit(&self) -> bool {
        self.ttl().is_some_and(|ttl| ttl >= 0)
    }

    /// Status and problem code, or the status word of a verification.
    pub fn gist(&self) -> (u16, String) {
        let key = if self.status == 200 { "status" } else { "code" };
        (self.status, self.json()[key].as_str().unwrap_or_default().to_owned())
    }
}

/// Sends one request and reads the answer until the server closes.
pub async fn request(to: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let bytes = raw(to, head.as_bytes()).await;
    parse(&bytes)
        .unwrap_or_else(|| panic!("no answer to {method} {target}: {:?}", String::from_utf8_lossy(&bytes)))
}

/// Sends bytes and reads all that comes back until the server closes. A reset ends the reading too.
pub async fn raw(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    within("an answer and its end", async {
        let mut stream = TcpStream::connect(to).await.expect("the gateway accepts connections");
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    })
    .await
}

/// One connection that is kept, for whatever a client may do with it.
pub struct Connection {
    stream: TcpStream,
    /// What was received and not read yet.
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(to: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(to)).await;
        Self { stream: stream.expect("the gateway accepts connections"), buffer: Vec::new() }
    }

    /// Sends bytes. Whether anybody reads them is another matter.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = within("room to send", self.stream.write_all(bytes)).await;
    }

    /// Sends a request without a body.
    pub async fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.send(head.as_bytes()).await;
    }

    /// Reads the next answer, which has a body of its `Content-Length`; `None` if the server closes first.
    pub async fn answer(&mut self) -> Option<Answer> {
        self.read_answer(true).await
    }

    /// Reads the next answer to a HEAD request.
    pub async fn answer_to_head(&mut self) -> Option<Answer> {
        self.read_answer(false).await
    }

    /// The socket itself, for a client that sends in its own way.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Waits until the server closes; returns what it sent before.
    pub async fn closed(&mut self) -> Vec<u8> {
        while self.receive().await {}
        std::mem::take(&mut self.buffer)
    }

    async fn read_answer(&mut self, has_body: bool) -> Option<Answer> {
        loop {
            if let Some(mut answer) = parse(&self.buffer) {
                let length = answer.header("content-length").filter(|_| has_body);
                let length = length.map_or(0, |length| length.parse().expect("a length"));
                if answer.body.len() >= length {
                    let head = self.buffer.len() - answer.body.len();
                    self.buffer.drain(..head + length);
                    answer.body.truncate(length);
                    return Some(answer);
                }
            }
            if !self.receive().await {
                return None;
            }
        }
    }

    /// Receives more; false once the server has closed or reset the connection.
    async fn receive(&mut self) -> bool {
        let read = within("an answer or the end", self.stream.read_buf(&mut self.buffer)).await;
        read.is_ok_and(|length| length > 0)
    }
}

/// Reads one answer from bytes.
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(Answer { status, headers, body: bytes[end + 4..].to_vec() })
}

/// A request that is being worked on and whose answer is still to come.
pub struct Asked {
    stream: TcpStream,
    /// What has come of the answer already.
    bytes: Vec<u8>,
}

impl Asked {
    /// Sends a `GET` and returns when the gateway has begun to work on it: on the same connection goes a request
    /// before it that is answered at once, and the gateway reads on before anybody can see that answer.
    pub async fn get(to: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut heads = format!("GET /no-such-route HTTP/1.1\r\nHost: {to}\r\n\r\n");
        heads.push_str(&format!("GET {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n"));
        for (name, value) in headers {
            heads.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(to).await.expect("the gateway accepts connections");
        stream.write_all(format!("{heads}\r\n").as_bytes()).await.expect("the gateway reads");
        let mut bytes = Vec::new();
        let first = async {
            loop {
                let count = stream.read_buf(&mut bytes).await.expect("the gateway answers");
                assert_ne!(count, 0, "the gateway closes after {:?}", String::from_utf8_lossy(&bytes));
                if let Some(end) = end_of_answer(&bytes) {
                    return bytes.split_off(end);
                }
            }
        };
        let bytes = within("the first answer", first).await;
        Self { stream, bytes }
    }

    /// Reads the answer.
    pub async fn answer(mut self) -> Answer {
        let _ = within("an answer", self.stream.read_to_end(&mut self.bytes)).await;
        parse(&self.bytes).unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&self.bytes)))
    }

    /// Hangs up.
    pub fn leave(self) {}

    /// Hangs up, and waits until the gateway has noticed.
    pub async fn hang_up(mut self) {
        let _ = self.stream.shutdown().await;
        let _ = within("the gateway's end", self.stream.read_to_end(&mut self.bytes)).await;
        assert!(self.bytes.is_empty(), "it was answered: {:?}", String::from_utf8_lossy(&self.bytes));
    }
}

/// Reads all of these answers.
pub async fn answers(asked: Vec<Asked>) -> Vec<Answer> {
    join_all(asked.into_iter().map(Asked::answer)).await
}

/// Where the first answer in these bytes ends.
fn end_of_answer(bytes: &[u8]) -> Option<usize> {
    let answer = parse(bytes)?;
    let length: usize = answer.header("content-length").map_or(Ok(0), str::parse).expect("a length");
    let head = bytes.len() - answer.body.len();
    (answer.body.len() >= length).then_some(head + length)
}
