//! Connections: accepts, limits, resets and ends them.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Beyond it the listener's backlog waits.
const MOST_CONNECTIONS: usize = 1024;
/// Covers the idle time between two requests as well.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// What open connections are given at shutdown.
const GRACE: Duration = Duration::from_millis(500);
/// After an accept that failed, as it does without file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// An answer that is never sent: its connection ends with a TCP reset instead.
#[derive(Clone, Copy)]
pub(super) struct Reset;

impl IntoResponse for Reset {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}

pub(super) async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, router.clone(), stopped.clone()));
                }
                Err(_) => sleep(PAUSE).await,
            },
        }
    }
    drop((listener, stop));
    // Clients keep idle connections, and faults hang: what has not ended by then is aborted when the set is dropped.
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(GRACE, ended).await;
}

async fn serve_connection(stream: TcpStream, router: Router, mut stopped: watch::Receiver<()>) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = service.call(request);
        async move {
            let Ok(response) = answer.await;
            let is_reset = response.extensions().get::<Reset>().is_some();
            if is_reset { Err(io::Error::from(io::ErrorKind::ConnectionReset)) } else { Ok(response) }
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = stopped.changed() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    // The router never fails, so an error of the service is the reset.
    if ended.is_err_and(|error| error.is_user()) {
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}
