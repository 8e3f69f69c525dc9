//! One URL of a server, and the connections to it: kept for later requests, and renewed so that DNS changes are seen.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use super::connector::{Connector, Host};
use super::exchange::{AGENT, Answer, Broken};
use super::stream::{Meter, Stream};
use crate::domain::failure::Kind;

/// Below what servers usually keep an idle connection, so that hardly one ends just as it is taken.
const MAX_IDLE: Duration = Duration::from_secs(20);
/// A name is not looked up while its connections are in use, so each of them has an end.
const RENEW_AFTER: Duration = Duration::from_secs(600);
/// Renewal times are spread by this share either way, so that regions and replicas do not renew together.
const RENEW_JITTER: f64 = 0.2;
/// The longest response head, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// A request that posts bytes.
pub(crate) type Post = Request<Full<Bytes>>;

/// What a request goes over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// A connection that was kept, if there is one. It is kept again.
    Kept,
    /// A new connection, for this request alone: slower, and never stale.
    Fresh,
}

/// One URL of a server.
pub(crate) struct Endpoint {
    /// The URL as the client takes it: with an ASCII host, without a fragment.
    pub(crate) uri: Uri,
    /// The server.
    pub(crate) host: Host,
    /// What the connections are made with.
    pub(crate) connector: Connector,
    /// For the header of that name.
    host_header: HeaderValue,
    renew_after: Duration,
    max_idle: Duration,
    idle: Arc<Mutex<Idle>>,
}

/// Kept connections.
#[derive(Default)]
struct Idle {
    /// The one that was used last at the end.
    connections: VecDeque<Connection>,
    /// A task ends those whose time is over.
    is_watched: bool,
}

/// A connection, which carries one request at a time. It ends when it is dropped.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    meter: Arc<Meter>,
    /// From then on it is not kept.
    renew_at: Instant,
    /// When it is given up unless it is used.
    idle_until: Instant,
}

/// What reads and writes a connection; gone once the connection has ended. Whoever asks polls it: a task of its own would wake
/// and be woken for every step of a request.
struct Driver(Option<Box<http1::Connection<Stream, Full<Bytes>>>>);

impl Driver {
    /// Reads and writes until `step` is done.
    async fn until<T>(&mut self, step: impl Future<Output = T>) -> T {
        let mut step = pin!(step);
        let next = poll_fn(|cx| {
            let done = step.as_mut().poll(cx);
            if done.is_ready() {
                return done;
            }
            let connection = self.0.as_mut();
            if connection.is_some_and(|connection| Pin::new(&mut **connection).poll(cx).is_ready()) {
                self.0 = None;
            }
            step.as_mut().poll(cx)
        });
        next.await
    }
}

impl Endpoint {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// It is not a URL.
    pub(crate) fn new(url: &str, connector: Connector) -> io::Result<Self> {
        Self::with_ages(RENEW_AFTER, MAX_IDLE, url, connector)
    }

    pub(super) fn with_ages(
        renew_after: Duration,
        max_idle: Duration,
        url: &str,
        connector: Connector,
    ) -> io::Result<Self> {
        let url = Url::parse(url).map_err(io::Error::other)?;
        let uri: Uri = url.as_str().parse().map_err(io::Error::other)?;
        let host = Host::of(&uri);
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host_header = HeaderValue::from_str(authority).map_err(io::Error::other)?;
        Ok(Self { uri, host, connector, host_header, renew_after, max_idle, idle: Arc::default() })
    }

    /// A request that posts JSON.
    pub(crate) fn post(&self, json: Bytes) -> Post {
        let mut request = Request::new(Full::new(json));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
        let headers = request.headers_mut();
        headers.insert(HOST, self.host_header.clone());
        headers.insert(USER_AGENT, AGENT);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }

    /// Sends a request and reads the whole answer within `time_limit`.
    ///
    /// # Errors
    /// No whole answer came.
    pub(crate) async fn send(
        &self,
        request: Post,
        over: Over,
        time_limit: Duration,
    ) -> Result<Answer, Broken> {
        let timed_out = Broken { kind: Kind::Timeout, is_stale: false };
        timeout(time_limit, self.exchange(request, over)).await.unwrap_or(Err(timed_out))
    }

    async fn exchange(&self, request: Post, over: Over) -> Result<Answer, Broken> {
        let (mut connection, response) = self.begin(request, over).await?;
        let (head, body) = response.into_parts();
        let mut answer = Answer::of(&head, connection.meter.count_answer());
        connection.driver.until(answer.read(body)).await?;
        connection.meter.end_answer();
        if over == Over::Kept {
            self.keep(connection);
        }
        Ok(answer)
    }

    /// Sends a request and waits for the head of the answer.
    async fn begin(&self, mut request: Post, over: Over) -> Result<(Connection, Response<Incoming>), Broken> {
        loop {
            let mut connection = self.connection(over).await?;
            match connection.driver.until(connection.sender.try_send_request(request)).await {
                Ok(response) => return Ok((connection, response)),
                Err(mut error) => match error.take_message() {
                    // The server closed it before anything was sent.
                    Some(unsent) if connection.meter.is_used() => request = unsent,
                    _ => return Err(Broken::before_the_answer(error.error(), &connection.meter)),
                },
            }
        }
    }

    async fn connection(&self, over: Over) -> Result<Connection, Broken> {
        while over == Over::Kept
            && let Some(mut kept) = self.take()
        {
            if kept.driver.until(kept.sender.ready()).await.is_ok() {
                return Ok(kept);
            }
        }
        // On the heap: most requests go over a kept connection, and should not be larger for the others.
        Box::pin(self.connect()).await
    }

    async fn connect(&self) -> Result<Connection, Broken> {
        let (stream, meter) = self.connector.connect(&self.host).await?;
        let handshake = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(stream);
        let (sender, connection) =
            handshake.await.map_err(|error| Broken::before_the_answer(&error, &meter))?;
        let driver = Driver(Some(Box::new(connection)));
        let spread = rand::random_range(1.0 - RENEW_JITTER..1.0 + RENEW_JITTER);
        let now = Instant::now();
        Ok(Connection {
            sender,
            driver,
            meter,
            renew_at: now + self.renew_after.mul_f64(spread),
            idle_until: now,
        })
    }

    /// The kept connection that was used last, unless even that is idle for too long.
    fn take(&self) -> Option<Connection> {
        let last = self.idle.lock().connections.pop_back();
        last.filter(|connection| Instant::now() < connection.idle_until)
    }

    fn keep(&self, mut connection: Connection) {
        let now = Instant::now();
        if now >= connection.renew_at {
            return;
        }
        connection.idle_until = now + self.max_idle;
        let mut idle = self.idle.lock();
        if !std::mem::replace(&mut idle.is_watched, true) {
            tokio::spawn(end_idle(Arc::downgrade(&self.idle), connection.idle_until));
        }
        idle.connections.push_back(connection);
    }
}

/// Ends kept connections that are not used in time, the first of them at `end`, until there are none.
async fn end_idle(idle: Weak<Mutex<Idle>>, mut end: Instant) {
    loop {
        sleep_until(end).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = idle.lock();
        let now = Instant::now();
        while idle.connections.front().is_some_and(|oldest| oldest.idle_until <= now) {
            idle.connections.pop_front();
        }
        let Some(oldest) = idle.connections.front() else {
            idle.is_watched = false;
            return;
        };
        end = oldest.idle_until;
    }
}
