//! The connections to one server: pooling, and renewal so that DNS changes are seen.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::connector::{Connector, ConnectorService};

/// Below what servers usually keep an idle connection, so that it is mostly us who close it.
const POOL_IDLE: Duration = Duration::from_secs(20);
/// A pool never asks DNS again while its connections are in use, so the whole client is renewed now and then.
const RENEW_AFTER: Duration = Duration::from_secs(600);
/// Renewal times are spread by this share either way, so that regions and replicas do not renew together.
const RENEW_JITTER: f64 = 0.2;
/// The longest response head, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// hyper's client over our connections.
pub(crate) type Client = legacy::Client<ConnectorService, Full<Bytes>>;

/// Two ways to one server.
#[derive(Clone)]
pub(crate) struct Clients {
    /// Keeps connections for later requests.
    pub pooled: Client,
    /// Makes a connection for each request: slower, and never stale.
    pub fresh: Client,
}

/// The connections to one server.
pub(crate) struct Connections {
    connector: Connector,
    renew_after: Duration,
    current: Mutex<(Clients, Instant)>,
}

impl Connections {
    /// Prepares the clients; connects to nothing yet.
    ///
    /// # Errors
    /// The CA file cannot be read, or TLS cannot be set up.
    pub(crate) fn new(ca_file: Option<&Path>) -> io::Result<Self> {
        Ok(Self::over(Connector::new(ca_file)?, RENEW_AFTER))
    }

    fn over(connector: Connector, renew_after: Duration) -> Self {
        let current = Mutex::new((clients(&connector), next_renewal(renew_after)));
        Self { connector, renew_after, current }
    }

    /// What the connections are made with.
    pub(crate) const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The current clients. Those before them end with their last request.
    pub(crate) fn clients(&self) -> Clients {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() >= current.1 {
            *current = (clients(&self.connector), next_renewal(self.renew_after));
        }
        current.0.clone()
    }
}

fn next_renewal(renew_after: Duration) -> Instant {
    let spread = rand::random_range(1.0 - RENEW_JITTER..1.0 + RENEW_JITTER);
    Instant::now() + renew_after.mul_f64(spread)
}

fn clients(connector: &Connector) -> Clients {
    let client = |idle_per_host| {
        legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(idle_per_host)
            .http1_max_buf_size(MAX_HEAD)
            .build(connector.service())
    };
    Clients { pooled: client(usize::MAX), fresh: client(0) }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::connector::tls;
    use super::super::dns::tests::{Names, resolver};
    use super::super::exchange;
    use super::*;

    /// A server that answers everything with its name, over connections that stay open.
    async fn server(address: &str, name: &'static str) -> SocketAddr {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        address
    }

    /// With the default period this takes ten minutes; the test does not show that the gateway uses it.
    #[tokio::test]
    async fn f059_all_traffic_follows_a_moved_name_although_connections_are_kept() {
        let old = server("127.0.0.1:0", "old").await;
        let new = server(&format!("127.0.0.2:{}", old.port()), "new").await;
        let names = Arc::new(Mutex::new(Names::Say(old.ip())));
        let connector = Connector::over(resolver(&names, &Arc::default()), tls(None).unwrap());
        let connections = Connections::over(connector, Duration::from_millis(300));
        let uri = format!("http://upstream.test:{}/", old.port()).parse().unwrap();
        let ask = async || {
            let request = exchange::post(&uri, Bytes::new());
            let answer = exchange::send(&connections.clients().pooled, request, RENEW_AFTER).await;
            String::from_utf8(answer.ok().expect("it answers").body).unwrap()
        };
        assert_eq!(ask().await, "old");
        *names.lock().unwrap() = Names::Say(new.ip());
        // A steady load keeps the old connection in use, so that nothing but renewal can end it.
        let moved = async {
            while ask().await == "old" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), moved).await.expect("it moves");
        for _ in 0..100 {
            assert_eq!(ask().await, "new");
        }
    }
}
