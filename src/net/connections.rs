//! The connections to one server: pooling, and renewal so that DNS changes are seen.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
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
    /// What the connections are made with.
    pub(crate) connector: Connector,
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

    pub(super) fn over(connector: Connector, renew_after: Duration) -> Self {
        let current = Mutex::new((clients(&connector), next_renewal(renew_after)));
        Self { connector, renew_after, current }
    }

    /// The current clients. Those before them end with their last request.
    pub(crate) fn clients(&self) -> Clients {
        let mut current = self.current.lock();
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
