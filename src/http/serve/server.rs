//! The accept loop: a cap on connections, our timers on each, and an end that waits for what is under way.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::state::ConnectionState;
use super::stream::TimeoutStream;
use super::tls::Tls;
use crate::http::lifecycle::{Lifecycle, Stage};
use crate::http::site::Site;

/// A request's head may be this large.
const MAX_HEAD: usize = 32 * 1024;
/// A request may have this many headers.
const MAX_HEADERS: usize = 64;
/// A connection is ended after its current request at this age, spread by ±20 %, so that load balancers spread again.
const MAX_AGE: Duration = Duration::from_secs(600);
/// After an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What one listener serves, and within which bounds.
pub(crate) struct Server {
    /// What answers requests.
    pub site: Site,
    /// With it, every connection starts with a handshake.
    pub tls: Option<Arc<Tls>>,
    /// Connections at once; beyond it new ones wait in the kernel's queue.
    pub max_connections: usize,
    /// The stage of the process at which to stop.
    pub until: Stage,
    /// The stage of the process.
    pub lifecycle: Lifecycle,
}

impl Server {
    /// Serves `listener` until the lifecycle reaches `until`, and then until every connection ended.
    pub(crate) async fn run(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.max_connections));
        let mut connections = JoinSet::new();
        let closing = self.lifecycle.reached(self.until);
        tokio::pin!(closing);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &places) => accepted,
                () = &mut closing => break,
            };
            match accepted {
                Ok((stream, place)) => self.open(stream, place, &mut connections),
                Err(error) => {
                    tracing::warn!(kind = ?error.kind(), "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Who connected before the end is still served: closing the listener would reset them.
        while let Some(Ok((stream, place))) = accept(&listener, &places).now_or_never() {
            self.open(stream, place, &mut connections);
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Serves one connection in a task of its own.
    fn open(&self, stream: TcpStream, place: OwnedSemaphorePermit, connections: &mut JoinSet<()>) {
        let (tls, site, lifecycle, until) =
            (self.tls.clone(), self.site.clone(), self.lifecycle.clone(), self.until);
        connections.spawn(async move {
            let closing = lifecycle.reached(until);
            match tls {
                None => connection(stream, site, closing).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, site, closing).await;
                    }
                }
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn connection<S>(stream: S, site: Site, closing: impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let state = Arc::new(ConnectionState::new());
    let stream = TimeoutStream::new(stream, Arc::clone(&state));
    // An operator's connection answers one request: those that a scraper leaves behind must not keep the probes out.
    let keep_alive = matches!(site, Site::Public(_));
    // Each request holds on to this connection's own copy: counting on one shared by all cores is not cheap.
    let site = Arc::new(site);
    let service = service_fn(move |request| {
        state.answering();
        let (site, state) = (Arc::clone(&site), Arc::clone(&state));
        async move {
            let answer = site.answer(request).await;
            state.answered();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .keep_alive(keep_alive)
        .half_close(false)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let old = tokio::time::sleep(MAX_AGE.mul_f64(rand::random_range(0.8..1.2)));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = closing => {}
        () = old => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
