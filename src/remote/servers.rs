//! The Valkey or Redis servers: one, a cluster, or those that sentinels know.

use std::io;
use std::path::Path;
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, RedisResult,
    TlsCertificates, TlsMode, Value,
};
use secrecy::{ExposeSecret, SecretString};

use crate::files;

/// How long one connection may take to be made.
const CONNECT: Duration = Duration::from_millis(250);

/// How the servers work together.
#[derive(Clone)]
pub(crate) enum Topology {
    /// One server, or one address in front of several.
    Single,
    /// A cluster; the URLs are the nodes to start from.
    Cluster,
    /// Sentinels, which know where the master is.
    Sentinel {
        /// The name of the master.
        master: String,
    },
}

/// Where the servers are. The URLs may hold a password, so it has no `Debug`.
pub(crate) struct Servers {
    topology: Topology,
    nodes: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
}

/// A connection to the servers, shared by all who ask.
#[derive(Clone)]
pub(super) enum Connection {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

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
    /// The servers at these URLs. With a CA file, TLS trusts the authorities in it, and no others.
    ///
    /// # Errors
    /// A URL is none, or the file cannot be read.
    pub(crate) fn new(topology: Topology, urls: &[SecretString], ca_file: Option<&Path>) -> io::Result<Self> {
        let nodes = urls.iter().map(|url| url.expose_secret().into_connection_info());
        let nodes = nodes.collect::<RedisResult<Vec<_>>>().map_err(|_| not_a_url())?;
        let certificates = ca_file.map(certificates).transpose()?;
        let servers = Self { topology, nodes, certificates };
        // What cannot be used is found at the start, and not when it is needed.
        servers.nodes.iter().try_for_each(|node| servers.client(node.clone()).map(drop)).map_err(unusable)?;
        Ok(servers)
    }

    /// Connects for commands.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        if matches!(self.topology, Topology::Cluster) {
            return self.cluster()?.get_async_connection().await.map(Connection::Cluster);
        }
        // A connection that breaks is made anew at once, and only once: the link counts what fails, and limits the time.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None);
        ConnectionManager::new_with_config(self.one(0).await?, config).await.map(Connection::One)
    }

    /// Connects for messages; of a cluster, to one node after the other with each `attempt`.
    pub(super) async fn subscribe(&self, attempt: usize) -> RedisResult<PubSub> {
        self.one(attempt).await?.get_async_pubsub().await
    }

    async fn one(&self, attempt: usize) -> RedisResult<Client> {
        match &self.topology {
            Topology::Single | Topology::Cluster => {
                self.client(self.nodes[attempt % self.nodes.len()].clone())
            }
            Topology::Sentinel { master } => {
                // Sentinels often have the servers' password, and often none.
                match self.sentinels(master, true)?.async_get_client().await {
                    Ok(client) => Ok(client),
                    Err(_) => self.sentinels(master, false)?.async_get_client().await,
                }
            }
        }
    }

    fn client(&self, node: ConnectionInfo) -> RedisResult<Client> {
        match &self.certificates {
            Some(certificates) if is_tls(&node) => Client::build_with_tls(node, certificates.clone()),
            _ => Client::open(node),
        }
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

fn certificates(path: &Path) -> io::Result<TlsCertificates> {
    Ok(TlsCertificates { client_tls: None, root_cert: Some(files::read(path)?.to_vec()) })
}

fn not_a_url() -> io::Error {
    io::Error::other("a URL of the servers cannot be used")
}

/// The error without its text, which may hold a URL.
fn unusable(error: RedisError) -> io::Error {
    io::Error::other(format!("cannot be used: {}", error.category()))
}
