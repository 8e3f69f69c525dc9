//! The second tier: where it is, and its keys, which are read again when their file changes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{self, Config, EncryptionKeys};
use crate::reload::Reloader;
use crate::remote::{Client, Servers, Topology, Vault};
use crate::telemetry::metrics::{Metrics, ReloadMetrics};

/// The client of the second tier, if there is one.
pub(super) fn client(config: &Config, metrics: &Metrics) -> io::Result<Option<Arc<Client>>> {
    let Some(remote) = &config.remote else { return Ok(None) };
    let named = |error| io::Error::other(format!("remote: {error}"));
    let servers = remote.servers()?;
    let topology = match servers.topology {
        config::Topology::Single => Topology::Single,
        config::Topology::Cluster => Topology::Cluster,
        config::Topology::Sentinel { master } => Topology::Sentinel { master },
    };
    let servers = Servers::new(topology, &servers.urls, remote.ca_file.as_deref()).map_err(named)?;
    let vaults = vaults(&remote.encryption_keys()?);
    Ok(Some(Arc::new(Client::new(servers, vaults, Arc::clone(&metrics.remote)))))
}

/// Its encryption keys, watched on disk.
pub(super) fn reloader(
    config: &Config,
    client: Option<Arc<Client>>,
    reloads: &Arc<ReloadMetrics>,
) -> Option<Reloader> {
    let (remote, client) = (config.remote.clone()?, client?);
    let used = Mutex::new(remote.encryption_keys().ok());
    let reload = move || {
        let keys = remote.encryption_keys()?;
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !used.as_ref().is_some_and(|used| are_same(used, &keys));
        if is_new {
            client.replace_vaults(vaults(&keys));
            *used = Some(keys);
        }
        Ok(is_new)
    };
    Some(Reloader::new("keys of the second tier", &["remote.encryption_key_file"], reloads, reload))
}

/// The current key first: it encrypts.
fn vaults(keys: &EncryptionKeys) -> Vec<Vault> {
    let previous = keys.previous.iter();
    std::iter::once(&keys.current).chain(previous).map(|key| Vault::new(key)).collect()
}

fn are_same(one: &EncryptionKeys, other: &EncryptionKeys) -> bool {
    *one.current == *other.current && one.previous.as_deref() == other.previous.as_deref()
}
