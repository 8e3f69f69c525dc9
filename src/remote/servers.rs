//! The Valkey or Redis servers: one, a cluster, or those that sentinels know.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisResult,
    TlsCertificates, TlsMode, Value,
};
use tokio::time::timeout;

use super::limited::{Io, Limited, Limits, Speaks};
use crate::net::{Connector, Host, Watched, dial};
use crate::settings::{RedisServers, Topology};

/// How long one connection may take to be made.
const CONNECT: Duration = Duration::from_millis(250);

/// Where the servers are. The URLs may hold a password, so it has no `Debug`.
pub(crate) struct Servers {
    topology: Topology,
    nodes: Vec<ConnectionInfo>,
    connector: Connector,
    /// For those whose connections the `redis` crate makes.
    certificates: Option<TlsCertificates>,
}

/// A connection to the servers, shared by all who ask.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// What carries a connection's bytes: it has to run, and ends when the connection breaks.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Connection {
    /// Sends commands together, and gives their replies.
    pub(super) async fn send(&mut self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let count = commands.len();
        let replies = match self {
            Self::One(connection) => connection.req_packed_commands(commands, 0, count).await?,
            Self::Cluster(connection) => connection.req_packed_commands(commands, 0, count).await?,
        };
        replies.into_iter().map(Value::extract_error).collect()
    }
}

impl Servers {
    /// The servers of the setting. TLS trusts the authorities in `ca`, and no others; without any, the bundled ones.
    ///
    /// # Errors
    /// One of the URLs is not valid, or there is no certificate in `ca`.
    pub(crate) fn new(servers: &RedisServers, ca: Option<&[u8]>) -> io::Result<Self> {
        let nodes = servers.urls.iter().map(|url| url.as_str().into_connection_info());
        let nodes = nodes.collect::<RedisResult<Vec<_>>>().map_err(|_| not_a_url())?;
        let certificates = ca.map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca.to_vec()) });
        let topology = servers.topology.clone();
        Ok(Self { topology, nodes, connector: Connector::trusting(ca)?, certificates })
    }

    /// Connects for commands.
    pub(super) async fn connect(&self) -> RedisResult<(Connection, Driver)> {
        if matches!(self.topology, Topology::Cluster) {
            let connection = self.cluster()?.get_async_connection().await?;
            return Ok((Connection::Cluster(connection), Box::pin(pending())));
        }
        let node = self.node(0).await?;
        let stream = self.open(&node, Speaks::WhenAsked).await?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connected = MultiplexedConnection::new_with_config(node.redis_settings(), stream, config).await;
        connected.map(|(connection, driver)| (Connection::One(connection), Box::pin(driver) as Driver))
    }

    /// Connects for messages; of a cluster, to one node after the other with each `attempt`.
    pub(super) async fn subscribe(&self, attempt: usize) -> RedisResult<PubSub> {
        let node = self.node(attempt).await?;
        let stream = self.open(&node, Speaks::Freely).await?;
        PubSub::new(node.redis_settings(), stream).await
    }

    async fn node(&self, attempt: usize) -> RedisResult<ConnectionInfo> {
        let client = match &self.topology {
            Topology::Single | Topology::Cluster => {
                return Ok(self.nodes[attempt % self.nodes.len()].clone());
            }
            // Sentinels often have the servers' password, and often none.
            Topology::Sentinel { master } => match self.sentinels(master, true)?.async_get_client().await {
                Ok(client) => client,
                Err(_) => self.sentinels(master, false)?.async_get_client().await?,
            },
        };
        Ok(client.get_connection_info().clone())
    }

    async fn open(&self, node: &ConnectionInfo, speaks: Speaks) -> RedisResult<Limited> {
        let open = async {
            let host = host(node)?;
            let tcp = dial(&self.connector.addresses(&host).await?).await?;
            let stream: Box<dyn Io> = if host.is_https {
                Box::new(self.connector.secure(&host, tcp).await?)
            } else {
                Box::new(tcp)
            };
            Ok(Watched::new(stream, Limits::new(speaks)))
        };
        timeout(CONNECT, open).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    fn cluster(&self) -> RedisResult<ClusterClient> {
        let mut builder = ClusterClient::builder(self.nodes.clone())
            .retries(1)
            .connection_timeout(CONNECT)
            .response_timeout(CONNECT);
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        builder.build()
    }

    fn sentinels(&self, master: &str, with_password: bool) -> RedisResult<SentinelClient> {
        let addresses = self.nodes.iter().map(|node| node.addr().clone());
        let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?;
        let node = &self.nodes[0];
        if let Some(username) = node.redis_settings().username() {
            builder = builder.set_client_to_redis_username(username);
            if with_password {
                builder = builder.set_client_to_sentinel_username(username);
            }
        }
        if let Some(password) = node.redis_settings().password() {
            builder = builder.set_client_to_redis_password(password);
            if with_password {
                builder = builder.set_client_to_sentinel_password(password);
            }
        }
        if is_tls(node) {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = &self.certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        builder.build()
    }
}

fn is_tls(node: &ConnectionInfo) -> bool {
    matches!(node.addr(), ConnectionAddr::TcpTls { .. })
}

fn host(node: &ConnectionInfo) -> RedisResult<Host> {
    let (name, port) = match node.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host, *port),
        ConnectionAddr::Unix(_) | _ => return Err(not_a_url().into()),
    };
    Ok(Host { name: name.clone(), port, is_https: is_tls(node) })
}

fn not_a_url() -> io::Error {
    io::Error::other("a URL of the servers cannot be used")
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(Servers: std::fmt::Debug, std::fmt::Display);
