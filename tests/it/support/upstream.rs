//! A scripted upstream: real bytes on a real socket, told per id what to answer, counting what it is asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::bodies;

const TOKEN_PATH: &str = "/openapi/auth/ticket/v1/generate-token";
const RESULT_PATH: &str = "/intl/openapi/identity-risk/idvs-h5/ekyc/v1/get-result";

/// What to answer one request with.
#[derive(Clone)]
pub enum Reply {
    /// A whole answer: status, further headers, body.
    Http(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes as they are, then the connection is closed.
    Bytes(Vec<u8>),
    /// These bytes as they are, then silence until the client goes.
    Stall(Vec<u8>),
    /// The connection is reset.
    Reset,
    /// What follows, after this long.
    After(Duration, Box<Reply>),
    /// What follows, once the gate has been opened for it.
    Gated(Gate, Box<Reply>),
    /// What follows, and then the connection is closed without a word of it in the answer.
    ThenClose(Box<Reply>),
    /// These bytes as they are, and the connection goes on.
    Raw(Vec<u8>),
    /// These bytes as they are, then the connection is reset.
    RawThenReset(Vec<u8>),
    /// What follows, and then the connection is closed, this long after the answer.
    ThenCloseAfter(Box<Reply>, Duration),
    /// These bytes one by one, with this pause before each.
    Drip(Vec<u8>, Duration),
    /// These bytes, then a piece over and over, until the client goes or 10 GB are through.
    Endless(Vec<u8>, Vec<u8>, Flow),
}

impl Reply {
    /// HTTP 200 with a JSON body.
    pub fn json(body: Value) -> Self {
        Self::text(200, &body.to_string())
    }

    /// A JSON text with any status.
    pub fn text(status: u16, body: &str) -> Self {
        Self::Http(status, vec![("content-type", "application/json".to_owned())], body.as_bytes().to_vec())
    }

    /// `id` has passed.
    pub fn passed(id: &str) -> Self {
        Self::json(bodies::passed(id))
    }

    /// `id` has failed for a reason.
    pub fn failed(id: &str, reason: &str) -> Self {
        Self::json(bodies::failed(id, reason))
    }

    /// `id` has no verdict yet.
    pub fn pending(id: &str) -> Self {
        Self::json(bodies::pending(id))
    }

    /// The id does not exist.
    pub fn absent() -> Self {
        Self::json(bodies::not_exist())
    }

    /// An envelope with another code.
    pub fn refusal(code: &str, message: &str) -> Self {
        Self::json(bodies::refusal(code, message))
    }

    /// A good token, good for an hour.
    pub fn token(number: usize) -> Self {
        Self::json(bodies::token(number))
    }

    /// A good token whose life, by the upstream's own clock, is this long.
    pub fn token_living(number: usize, life: Duration) -> Self {
        let now = Timestamp::from_second(Timestamp::now().as_second()).expect("now is a time");
        let end = now.as_millisecond() + i64::try_from(life.as_millis()).expect("a short life");
        Self::json(bodies::token_until(number, end)).header("date", &bodies::http_date(now))
    }

    /// The same answer with one more header.
    pub fn header(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Http(status, mut headers, body) => {
                headers.push((name, value.to_owned()));
                Self::Http(status, headers, body)
            }
            other => other,
        }
    }

    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }

    pub fn gated(self, gate: &Gate) -> Self {
        Self::Gated(gate.clone(), Box::new(self))
    }

    pub fn then_close(self) -> Self {
        Self::ThenClose(Box::new(self))
    }

    pub fn then_close_after(self, delay: Duration) -> Self {
        Self::ThenCloseAfter(Box::new(self), delay)
    }
}

/// Holds answers back until it is opened.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.add_permits(1 << 20);
    }

    /// Lets `n` answers through.
    pub fn let_through(&self, n: usize) {
        self.0.add_permits(n);
    }
}

/// What has come of an endless answer.
#[derive(Clone, Default)]
pub struct Flow(Arc<(AtomicU64, AtomicBool)>);

impl Flow {
    /// How many bytes the client's side has taken.
    pub fn taken(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Whether the client has gone.
    pub fn is_cut(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A scripted upstream, stopped when dropped.
pub struct Upstream {
    pub address: SocketAddr,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

type Maker = Box<dyn Fn() -> Reply + Send>;

struct Script {
    results: Mutex<HashMap<String, Vec<Reply>>>,
    makers: Mutex<HashMap<String, Maker>>,
    tokens: Mutex<Vec<Reply>>,
    received: watch::Sender<Vec<Received>>,
    connections: AtomicUsize,
}

impl Upstream {
    /// Starts one that gives tokens, and knows no id.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let script = Arc::new(Script {
            results: Mutex::default(),
            makers: Mutex::default(),
            tokens: Mutex::default(),
            received: watch::Sender::new(Vec::new()),
            connections: AtomicUsize::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&script)));
        Self { address, script, task }
    }

    /// Starts one where `id` has passed.
    pub async fn passing(id: &str) -> Self {
        let upstream = Self::start().await;
        upstream.pass(id);
        upstream
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers `id` with these replies in order; the last one for good.
    pub fn answer(&self, id: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut replies: Vec<Reply> = replies.into_iter().collect();
        replies.reverse();
        self.script.results.lock().unwrap().insert(id.to_owned(), replies);
    }

    /// Answers `id` with a pass, from now on.
    pub fn pass(&self, id: &str) {
        self.answer(id, [Reply::passed(id)]);
    }

    /// Answers token requests with these replies in order, the last one for good; with none, gives good tokens.
    pub fn answer_tokens(&self, replies: impl IntoIterator<Item = Reply>) {
        let mut replies: Vec<Reply> = replies.into_iter().collect();
        replies.reverse();
        *self.script.tokens.lock().unwrap() = replies;
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.script.received.borrow().clone()
    }

    /// How often `id` was asked for.
    pub fn hits(&self, id: &str) -> usize {
        count_hits(&self.script.received.borrow(), id)
    }

    /// How often any id was asked for.
    pub fn result_hits(&self) -> usize {
        self.script.received.borrow().iter().filter(|request| request.path.ends_with(RESULT_PATH)).count()
    }

    /// How often a token was asked for.
    pub fn token_hits(&self) -> usize {
        self.script.received.borrow().iter().filter(|request| request.path.ends_with(TOKEN_PATH)).count()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.script.connections.load(Ordering::Relaxed)
    }

    /// The requests for `id`.
    pub fn requests(&self, id: &str) -> Vec<Received> {
        let body = json!({ "signatureId": id }).to_string();
        let is_for_id = |r: &Received| r.path.ends_with(RESULT_PATH) && r.body == body;
        self.received().into_iter().filter(is_for_id).collect()
    }

    /// The token requests.
    pub fn token_requests(&self) -> Vec<Received> {
        self.received().into_iter().filter(|request| request.path.ends_with(TOKEN_PATH)).collect()
    }

    /// Waits until `id` was asked for `n` times.
    pub async fn wait_for_hits(&self, id: &str, n: usize) {
        let mut received = self.script.received.subscribe();
        let reached = received.wait_for(|received| count_hits(received, id) >= n);
        super::within(&format!("request {n} for {id}"), reached).await.expect("the upstream runs");
    }

    /// Waits until a token was asked for `n` times.
    pub async fn wait_for_token_hits(&self, n: usize) {
        let mut received = self.script.received.subscribe();
        let tokens =
            |received: &Vec<Received>| received.iter().filter(|r| r.path.ends_with(TOKEN_PATH)).count();
        let reached = received.wait_for(|received| tokens(received) >= n);
        super::within(&format!("token request {n}"), reached).await.expect("the upstream runs");
    }

    /// Answers `id` with what `make` gives at each request, whatever else it was told.
    pub fn answer_by(&self, id: &str, make: impl Fn() -> Reply + Send + 'static) {
        self.script.makers.lock().unwrap().insert(id.to_owned(), Box::new(make));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn count_hits(received: &[Received], id: &str) -> usize {
    let body = json!({ "signatureId": id }).to_string();
    received.iter().filter(|request| request.path.ends_with(RESULT_PATH) && request.body == body).count()
}

/// Connections are children of the accepting task, so that an upstream that is dropped is gone.
async fn accept(listener: TcpListener, script: Arc<Script>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                script.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve(stream, Arc::clone(&script)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let reply = script.reply_to(&request);
        script.received.send_modify(|received| received.push(request));
        if !send(&mut stream, reply).await {
            return;
        }
    }
}

impl Script {
    fn reply_to(&self, request: &Received) -> Reply {
        if request.path.ends_with(TOKEN_PATH) {
            let next = next(&mut self.tokens.lock().unwrap());
            return next.unwrap_or_else(|| Reply::token(self.count(TOKEN_PATH) + 1));
        }
        if !request.path.ends_with(RESULT_PATH) {
            return Reply::Http(
                404,
                vec![("content-type", "text/html".to_owned())],
                b"<html>404</html>".to_vec(),
            );
        }
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let id = body["signatureId"].as_str().unwrap_or_default();
        if let Some(make) = self.makers.lock().unwrap().get(id) {
            return make();
        }
        let next = self.results.lock().unwrap().get_mut(id).and_then(next);
        next.unwrap_or_else(Reply::absent)
    }

    fn count(&self, path: &str) -> usize {
        self.received.borrow().iter().filter(|request| request.path.ends_with(path)).count()
    }
}

fn next(replies: &mut Vec<Reply>) -> Option<Reply> {
    if replies.len() > 1 { replies.pop() } else { replies.last().cloned() }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some((request, length)) = parse_request(buffer) {
            buffer.drain(..length);
            return Some(request);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse_request(bytes: &[u8]) -> Option<(Received, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end - 4]).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap_or(0));
    let body = bytes.get(end..end + length)?;
    let body = String::from_utf8_lossy(body).into_owned();
    Some((Received { method, path, headers, body }, end + length))
}

/// Sends a reply. Returns whether the connection goes on.
async fn send(stream: &mut TcpStream, reply: Reply) -> bool {
    match reply {
        Reply::Http(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            let whole = [head.as_bytes(), &body].concat();
            stream.write_all(&whole).await.is_ok()
        }
        Reply::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            false
        }
        Reply::Stall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            false
        }
        Reply::Reset => {
            let _ = stream.set_zero_linger();
            false
        }
        Reply::After(delay, reply) => {
            tokio::time::sleep(delay).await;
            Box::pin(send(stream, *reply)).await
        }
        Reply::Gated(gate, reply) => {
            gate.0.acquire().await.expect("a gate is never closed").forget();
            Box::pin(send(stream, *reply)).await
        }
        Reply::ThenClose(reply) => {
            Box::pin(send(stream, *reply)).await;
            false
        }
        Reply::Raw(bytes) => stream.write_all(&bytes).await.is_ok(),
        Reply::RawThenReset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.set_zero_linger();
            false
        }
        Reply::ThenCloseAfter(reply, delay) => {
            Box::pin(send(stream, *reply)).await;
            tokio::time::sleep(delay).await;
            false
        }
        Reply::Drip(bytes, pause) => {
            for byte in bytes {
                tokio::time::sleep(pause).await;
                if stream.write_all(&[byte]).await.is_err() {
                    return false;
                }
            }
            true
        }
        Reply::Endless(head, piece, flow) => {
            let _ = stream.write_all(&head).await;
            while flow.taken() < 10_000_000_000 {
                if stream.write_all(&piece).await.is_err() {
                    flow.0.1.store(true, Ordering::Relaxed);
                    return false;
                }
                flow.0.0.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            false
        }
    }
}
