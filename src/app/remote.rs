//! The second tier: its servers and its encryption keys, read again when their files change.

use std::io;
use std::sync::Arc;

use crate::config::{Config, EncryptionKey};
use crate::files::{self, Content};
use crate::reload::Reloader;
use crate::remote::{Client, Servers, Vault};
use crate::settings::{self, RedisServers};
use crate::telemetry::metrics::{Metrics, ReloadMetrics};

/// What the files of the client hold now.
struct Sources {
    servers: (RedisServers, Option<Content>),
    keys: Vec<EncryptionKey>,
}

/// The client of the second tier, if there is one.
pub(super) fn client(config: &Config, metrics: &Metrics) -> io::Result<Option<Arc<Client>>> {
    let Some(remote) = &config.remote else { return Ok(None) };
    let sources = Sources::read(remote)?;
    let client = Client::new(sources.servers()?, sources.vaults(), Arc::clone(&metrics.remote));
    Ok(Some(Arc::new(client)))
}

/// Its servers, if there is one.
pub(super) fn servers(config: &Config) -> io::Result<Option<Servers>> {
    config.remote.as_ref().map(|remote| Sources::read(remote)?.servers()).transpose()
}

/// Its files, watched on disk.
pub(super) fn reloader(
    config: &Config,
    client: Option<Arc<Client>>,
    reloads: &Arc<ReloadMetrics>,
) -> Option<Reloader> {
    let (remote, client) = (config.remote.clone()?, client?);
    let url_file = remote.url.file().map(|_| "remote.url_file");
    let ca_file = remote.ca_file.as_ref().map(|_| "remote.ca_file");
    let files: Vec<&str> =
        [url_file, ca_file, Some("remote.encryption_key_file")].into_iter().flatten().collect();
    let mut used = Sources::read(&remote).ok();
    let reload = move || {
        let sources = Sources::read(&remote)?;
        let used_servers = used.as_ref().is_some_and(|used| used.servers == sources.servers);
        let used_keys = used.as_ref().is_some_and(|used| used.keys == sources.keys);
        if !used_servers {
            client.replace_servers(sources.servers()?);
        }
        if !used_keys {
            client.replace_vaults(sources.vaults());
        }
        used = Some(sources);
        Ok(!used_servers || !used_keys)
    };
    Some(Reloader::new("second tier", &files, reloads, reload))
}

impl Sources {
    fn read(remote: &settings::Remote) -> io::Result<Self> {
        let ca = remote.ca_file.as_deref().map(files::read).transpose()?;
        Ok(Self { servers: (remote.servers()?, ca), keys: remote.encryption_keys()? })
    }

    fn servers(&self) -> io::Result<Servers> {
        let (servers, ca) = &self.servers;
        let servers = Servers::new(servers, ca.as_ref().map(|ca| ca.as_slice()));
        servers.map_err(|error| io::Error::other(format!("remote: {error}")))
    }

    fn vaults(&self) -> Vec<Vault> {
        self.keys.iter().map(|key| Vault::new(key)).collect()
    }
}
