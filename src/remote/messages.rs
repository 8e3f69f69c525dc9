//! Messages between replicas, encrypted like everything else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};

use super::client::{Client, Vaults, outcome};
use super::commands::Commands;
use super::seal::Vault;
use crate::telemetry::metrics::{RemoteOperation, RemoteOutcome};

/// How long it may take to subscribe, or to get the reply to a ping.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often a ping is sent.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The pause before another subscription.
const PAUSE: Duration = Duration::from_secs(1);

/// What was received from other replicas.
pub(crate) enum Received {
    /// Messages are received from now on; earlier ones may have been missed.
    Subscribed,
    /// The subscription works. Messages may have been lost all the same.
    Heartbeat,
    /// A message that a replica has sent. It may have been sent before.
    Message(Vec<u8>),
}

impl Client {
    /// Sends a message to every replica, this one included. `None`: it was not sent.
    pub(crate) async fn publish(&self, message: &[u8]) -> Option<()> {
        // Replicas that do not have the new key yet listen on the old one's channel.
        for vault in self.vaults().iter() {
            let (channel, mut commands) = (channel(vault), Commands::default());
            commands.publish(&channel, &vault.seal(&channel, message));
            self.send(RemoteOperation::Publish, &commands).await?;
        }
        Some(())
    }

    /// Passes on what replicas send, for as long as it is polled. A subscription that breaks is made again.
    pub(crate) async fn receive(&self, to: mpsc::Sender<Received>) {
        let mut attempt = 0;
        while !to.is_closed() {
            let outcome = self.subscription(attempt, &to).await;
            self.metrics.observe(RemoteOperation::Subscribe, outcome);
            attempt += 1;
            sleep(PAUSE).await;
        }
    }

    /// One subscription, until it breaks. Returns how it ended.
    async fn subscription(&self, attempt: usize, to: &mpsc::Sender<Received>) -> RemoteOutcome {
        let (mut servers, mut keys) = (self.servers.subscribe(), self.vaults.subscribe());
        let (current, vaults) = (Arc::clone(&servers.borrow_and_update()), self.vaults());
        let channels: Vec<String> = vaults.iter().map(channel).collect();
        let subscribe = async {
            let mut connection = current.subscribe(attempt).await?;
            connection.subscribe(&channels).await?;
            Ok(connection.split())
        };
        let (mut sink, mut messages) = match timeout(TIMEOUT, subscribe).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return outcome(&error),
            Err(_) => return RemoteOutcome::Timeout,
        };
        self.metrics.observe(RemoteOperation::Subscribe, RemoteOutcome::Ok);
        let mut heartbeat = interval(HEARTBEAT);
        let mut received = Some(Received::Subscribed);
        loop {
            // A flood on the channel makes every replica subscribe again, and read what it has missed.
            if received.take().is_some_and(|received| to.try_send(received).is_err()) {
                return RemoteOutcome::Timeout;
            }
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return RemoteOutcome::Unavailable };
                    received = open(&vaults, message.get_channel_name(), message.get_payload_bytes());
                }
                _ = heartbeat.tick() => {
                    if !matches!(timeout(TIMEOUT, sink.ping::<()>()).await, Ok(Ok(()))) {
                        return RemoteOutcome::Timeout;
                    }
                    received = Some(Received::Heartbeat);
                }
                _ = servers.changed() => return RemoteOutcome::Ok,
                _ = keys.changed() => return RemoteOutcome::Ok,
            }
        }
    }
}

/// A message, if a replica of ours sealed it.
fn open(vaults: &Vaults, name: &str, sealed: &[u8]) -> Option<Received> {
    let vault = vaults.iter().find(|vault| channel(vault) == name)?;
    vault.open(name, sealed).ok()?.map(Received::Message)
}

fn channel(vault: &Vault) -> String {
    format!("idv:{}:messages", vault.name("channel of messages"))
}
