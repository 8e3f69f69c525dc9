//! The accept loop: a cap on connections, our timers on each, and an end that waits for what is under way.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::Service;

use super::lifecycle::{Lifecycle, Stage};
use super::phase::Phase;
use super::timed::Timed;
use super::tls::Tls;

/// A request's head may be this large.
const MAX_HEAD: usize = 32 * 1024;
/// A request may have this many headers.
const MAX_HEADERS: usize = 64;
/// A connection is ended after its current request at this age, spread by ±20 %, so that load balancers spread again.
const MAX_AGE: Duration = Duration::from_secs(600);
/// After an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What bounds one listener.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once; beyond it new ones wait in the kernel's queue.
    pub max_connections: usize,
    /// The stage of the process at which to stop.
    pub until: Stage,
}

/// Serves `router` on `listener` until the lifecycle reaches `limits.until`, and then until every connection ended.
/// With `tls`, every connection starts with a handshake.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    limits: Limits,
    lifecycle: Lifecycle,
) {
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let mut connections = JoinSet::new();
    let closing = lifecycle.reached(limits.until);
    tokio::pin!(closing);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut closing => break,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, router, lifecycle) = (tls.clone(), router.clone(), lifecycle.clone());
        connections.spawn(async move {
            let closing = lifecycle.reached(limits.until);
            match tls {
                None => connection(stream, router, closing).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, router, closing).await;
                    }
                }
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn connection<S>(stream: S, router: Router, closing: impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let phase = Arc::new(Phase::new());
    let timed = Timed::new(stream, Arc::clone(&phase));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        phase.answering();
        let answer = answer(router.clone(), request.map(Body::new));
        let phase = Arc::clone(&phase);
        async move {
            let answer = answer.await;
            phase.answered();
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .half_close(false)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(timed), service);
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

async fn answer(mut router: Router, request: Request) -> Result<axum::response::Response, Infallible> {
    router.call(request).await
}
