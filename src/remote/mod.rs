//! Valkey or Redis, shared by replicas: sealed values under names that say nothing. What is kept there is the business of
//! those who keep it: `lookup` keeps results, `upstream` keeps tokens.
//!
//! Optional by design: slow, down, wrong, flushed or hostile, it costs a bounded delay and a metric.

mod commands;
mod diagnose;
mod limited;
mod link;
mod news;
mod seal;
mod servers;

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::watch;

use crate::telemetry::metrics::{RemoteMetrics, RemoteOperation, RemoteOutcome};

pub(crate) use commands::{Commands, Reply, TURN};
pub(crate) use diagnose::diagnose;
use link::Link;
pub(crate) use news::Heard;
pub(crate) use seal::{Unreadable, Vault};
pub(crate) use servers::{Servers, Topology};

/// The encryption keys, newest first: the first seals, all open.
pub(crate) type Vaults = Arc<[Vault]>;

/// The shared servers.
pub(crate) struct Client {
    link: Link,
    vaults: watch::Sender<Vaults>,
    metrics: Arc<RemoteMetrics>,
}

impl Client {
    /// A client of the servers, which connects when it is kept.
    pub(crate) fn new(servers: Servers, vaults: Vec<Vault>, metrics: Arc<RemoteMetrics>) -> Self {
        let vaults = watch::Sender::new(Vaults::from(vaults));
        Self { link: Link::new(servers, Arc::clone(&metrics)), vaults, metrics }
    }

    /// The vaults in use, newest first.
    pub(crate) fn vaults(&self) -> Vaults {
        Arc::clone(&self.vaults.borrow())
    }

    /// Uses these vaults from now on.
    pub(crate) fn replace_vaults(&self, vaults: Vec<Vault>) {
        self.vaults.send_replace(vaults.into());
    }

    /// Uses these servers from now on.
    pub(crate) fn replace_servers(&self, servers: Servers) {
        self.link.servers.send_replace(Arc::new(servers));
    }

    /// Whether the servers answered the last command. While they did not, only reads are worth a try.
    pub(crate) fn is_healthy(&self) -> bool {
        self.link.is_healthy()
    }

    /// Sends commands together; one reply for each. `None`: there is none in time, for a reason that is counted.
    pub(crate) async fn send(&self, operation: RemoteOperation, commands: &Commands) -> Option<Vec<Reply>> {
        let replies = self.link.send(operation, &commands.0).await?;
        Some(replies.into_iter().map(Reply::of).collect())
    }

    /// Counts a value that cannot be opened.
    pub(crate) fn count_unreadable(&self) {
        self.metrics.observe(RemoteOperation::Read, RemoteOutcome::Unreadable);
    }

    /// Counts a shared token that the upstream refused.
    pub(crate) fn count_refused_token(&self) {
        self.metrics.observe(RemoteOperation::Token, RemoteOutcome::Refused);
    }

    /// Keeps the connection for as long as it is polled.
    pub(crate) async fn keep(&self) -> Infallible {
        self.link.keep().await
    }
}
