//! The accept loop: a limit on connections, timeouts on each, and an end that loses no request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout_at};

use super::pool::ConnectionPool;
use super::state::ConnectionState;
use super::stream::TimeoutStream;
use super::tls::Tls;
use crate::http::lifecycle::{Lifecycle, Stage};
use crate::http::site::{Site, SiteBody};
use crate::telemetry::metrics::ConnectionMetrics;

/// The largest request head.
const MAX_HEAD: usize = 32 * 1024;

/// What idle connections are given at shutdown for a request that may be on its way.
const GRACE: Duration = Duration::from_secs(1);
/// After an accept that failed, as it does without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What one listener serves, and within which limits.
pub(crate) struct Server {
    /// What answers requests.
    pub site: Site,
    /// With it, every connection starts with a handshake.
    pub tls: Option<Arc<Tls>>,
    /// Connections at once.
    pub max_connections: usize,
    /// The stage of the process at which to stop.
    pub until: Stage,
    /// The stage of the process.
    pub lifecycle: Lifecycle,
    /// At this age, spread by ±20 %, a connection's next answer is its last.
    pub max_age: Duration,
    /// The listener's metrics.
    pub metrics: Arc<ConnectionMetrics>,
}

impl Server {
    /// Serves `listener` until the lifecycle reaches `until`, and then until every connection has ended.
    pub(crate) async fn run(self, listener: TcpListener) {
        let server = Arc::new(self);
        let mut pool = ConnectionPool::new(server.max_connections, Arc::clone(&server.metrics));
        let closing = server.lifecycle.reached(server.until);
        tokio::pin!(closing);
        loop {
            let stream = tokio::select! {
                stream = accept(&listener) => stream,
                () = &mut closing => break,
            };
            let is_closing = tokio::select! {
                () = pool.make_room() => false,
                () = &mut closing => true,
            };
            server.open(stream, &mut pool);
            if is_closing {
                break;
            }
        }
        server.open_waiting(listener, &mut pool);
        let grace = async {
            tokio::select! {
                () = sleep(GRACE) => {}
                () = server.lifecycle.reached(Stage::GivingUp) => {}
            }
        };
        pool.end(grace).await;
    }

    /// Opens the connections of clients that came before the end: closing the listener would reset them.
    fn open_waiting(self: &Arc<Self>, listener: TcpListener, pool: &mut ConnectionPool) {
        let Ok(listener) = listener.into_std() else { return };
        while pool.has_room()
            && let Ok((stream, _)) = listener.accept()
            && let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream))
        {
            self.open(stream, pool);
        }
    }

    fn open(self: &Arc<Self>, stream: TcpStream, pool: &mut ConnectionPool) {
        let (server, state) = (Arc::clone(self), pool.new_state(self.max_age));
        pool.open(Arc::clone(&state), async move { server.serve(stream, state).await });
    }

    async fn serve(&self, stream: TcpStream, state: Arc<ConnectionState>) {
        // Without it the kernel would hold small answers back.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        match &self.tls {
            None => self.exchange(stream, state).await,
            // On the heap, so that connections without TLS have no room for it.
            Some(tls) => Box::pin(self.exchange_over(tls, stream, state)).await,
        }
    }

    async fn exchange_over(&self, tls: &Tls, stream: TcpStream, state: Arc<ConnectionState>) {
        let deadline = state.read_deadline().unwrap_or_else(Instant::now);
        match timeout_at(deadline, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.exchange(stream, state).await,
            Ok(Err(_)) => {}
            Err(_) => state.count_read_timeout(),
        }
    }

    /// Answers requests until the connection ends.
    async fn exchange<S>(&self, stream: S, state: Arc<ConnectionState>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TimeoutStream::new(stream, Arc::clone(&state));
        let (site, lifecycle) = (self.site.clone(), self.lifecycle.clone());
        let responder = Arc::new(Responder { site, lifecycle, state });
        let service = service_fn(move |request| {
            responder.state.answering();
            let responder = Arc::clone(&responder);
            async move { Ok::<_, Infallible>(responder.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            // An operator's connection answers one request.
            .keep_alive(matches!(self.site, Site::Public(_)))
            .half_close(false)
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let _ = connection.await;
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What answers the requests of one connection. It has its own copies: a counter shared by all cores is not cheap.
struct Responder {
    site: Site,
    lifecycle: Lifecycle,
    state: Arc<ConnectionState>,
}

impl Responder {
    /// Answers one request. From SIGTERM on, and at the connection's age, the answer announces that it is the last.
    async fn answer(&self, request: Request<Incoming>) -> Response<SiteBody> {
        let mut answer = self.site.answer(request).await;
        // Requests that have come in on other connections are read before this answer is written: a client that one answer
        // wakes then finds the next ones, too, and is not woken for each of them.
        yield_now().await;
        let is_old = self.state.answered(answer.extensions().get().copied().unwrap_or_default());
        if is_old || self.lifecycle.is_draining() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::telemetry::metrics::{Listener, Metrics};

    fn server(max_age: Duration) -> Server {
        Server {
            site: crate::fuzzing::site(),
            tls: None,
            max_connections: 1,
            until: Stage::Closing,
            lifecycle: Lifecycle::default(),
            max_age,
            metrics: Arc::clone(&Metrics::new(&[], &[]).connections[Listener::Public]),
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_still_read_when_the_grace_is_over_is_read_to_its_end() {
        let server = server(Duration::from_secs(60));
        let mut pool = ConnectionPool::new(1, Arc::clone(&server.metrics));
        let state = pool.new_state(server.max_age);
        // Smaller than the answer.
        let (ours, mut client) = tokio::io::duplex(64);
        pool.open(Arc::clone(&state), async move { server.exchange(ours, state).await });
        client.write_all(b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("it is read");
        let mut answer = vec![0; 8];
        client.read_exact(&mut answer).await.expect("the beginning of an answer");
        let reading = async {
            client.read_to_end(&mut answer).await.expect("the rest");
            String::from_utf8(answer).expect("text")
        };
        let ((), answer) = tokio::join!(pool.end(async {}), reading);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
    }

    #[tokio::test]
    async fn f170_at_its_age_a_connection_announces_its_end_and_no_request_is_lost() {
        let max_age = Duration::from_millis(200);
        let server = server(max_age);
        let state = ConnectionPool::new(1, Arc::clone(&server.metrics)).new_state(max_age);
        let (ours, mut client) = tokio::io::duplex(4096);
        let started = Instant::now();
        let asking = async {
            // The pauses grow past the age: a connection is not closed while it idles.
            for pause in [1, 10, 100, 400, 0] {
                client.write_all(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("it is read");
                let mut answer = [0; 1024];
                let length = client.read(&mut answer).await.expect("an answer");
                let answer = String::from_utf8_lossy(&answer[..length]);
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                if answer.contains("connection: close") {
                    return started.elapsed();
                }
                sleep(Duration::from_millis(pause)).await;
            }
            panic!("the end was never announced");
        };
        let ((), announced) = tokio::join!(server.exchange(ours, state), asking);
        assert!(announced >= max_age.mul_f64(0.8), "announced after {announced:?}");
    }
}
