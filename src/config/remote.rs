//! `[remote]` and `[callbacks]`: the servers of the second tier, the keys that encrypt it, and the listener for callbacks.
//! URLs and keys are secrets: no message quotes one.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::files::{self, Secret};
use super::reader::{Section, Setting};
use super::sections::collide;
use super::settings::{Callbacks, Remote, Server};
use super::url::is_host_name;
use super::value::{Raw, address, boolean, text};

const FORMS: &str = "expected redis://host:port, rediss://host:port (TLS), redis+cluster://host:port,host:port or \
                     redis+sentinel://host:port,host:port/master-name";

/// The Valkey or Redis servers that a URL names. No `Debug`: the URLs may hold a password.
#[derive(Clone)]
pub struct RedisServers {
    /// How the servers work together.
    pub topology: Topology,
    /// One `redis://` or `rediss://` URL per server, with the user, password and database of the setting.
    pub urls: Vec<SecretString>,
}

/// How the servers work together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
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

/// The keys of the second tier's encryption. No `Debug`.
#[derive(Clone)]
pub struct EncryptionKeys {
    /// Encrypts and decrypts.
    pub current: Zeroizing<[u8; 32]>,
    /// Decrypts only.
    pub previous: Option<Zeroizing<[u8; 32]>>,
}

impl Remote {
    /// The servers that `url` or `url_file` names now.
    ///
    /// # Errors
    /// The file cannot be read any more, or holds no such URL.
    pub fn servers(&self) -> io::Result<RedisServers> {
        servers(self.url.read()?.expose_secret()).map_err(io::Error::other)
    }

    /// The keys in `encryption_key_file` now.
    ///
    /// # Errors
    /// The file cannot be read any more, or holds no such keys.
    pub fn encryption_keys(&self) -> io::Result<EncryptionKeys> {
        let lines = files::lines(&self.encryption_key_file)?;
        let [current, previous @ ..] = lines.as_slice() else { return Err(io::Error::other("is empty")) };
        if previous.len() > 1 {
            return Err(io::Error::other("expected one or two lines, the current and the previous key"));
        }
        let previous = previous.first().map(encryption_key).transpose()?;
        Ok(EncryptionKeys { current: encryption_key(current)?, previous })
    }
}

fn encryption_key(line: &SecretString) -> io::Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    // The decoder asks for room for a whole number of its groups.
    let mut decoded = Zeroizing::new([0; 66]);
    match STANDARD.decode_slice(line.expose_secret(), decoded.as_mut_slice()) {
        Ok(32) => key.copy_from_slice(&decoded[..32]),
        Ok(_) | Err(_) => {
            return Err(io::Error::other(
                "expected 32 bytes in base64, as `openssl rand -base64 32` writes them",
            ));
        }
    }
    Ok(key)
}

pub(super) fn remote(root: &mut Section<'_>) -> Option<Option<Remote>> {
    let mut section = match root.subsection("remote") {
        Setting::Absent => return Some(None),
        Setting::Wrong => return None,
        Setting::Given(section) => section,
    };
    let inline = section.read("url", |raw| {
        let url = text(raw)?;
        servers(&url)?;
        Ok(Secret::Inline(SecretString::from(url)))
    });
    let file = section.read("url_file", url_file);
    let url = section.one_of(("url_file", file), ("url", inline));
    let encryption_key_file = section.required(
        "encryption_key_file",
        files::readable,
        "name a file with 32 random bytes in base64",
    );
    let ca_file = section.read("ca_file", files::readable).optional();
    let share_tokens = section.read("share_tokens", boolean).or(false);
    let remote = (|| {
        let (url, encryption_key_file) = (url?, encryption_key_file?);
        Some(Remote { url, encryption_key_file, ca_file: ca_file?, share_tokens: share_tokens? })
    })();
    if let Some(Err(error)) = remote.as_ref().map(Remote::encryption_keys) {
        section.mistake("encryption_key_file", &error.to_string());
    }
    section.finish();
    remote.map(Some)
}

fn url_file(raw: &Raw<'_>) -> Result<Secret, String> {
    let file = Secret::File(files::secret(raw)?);
    servers(file.read().map_err(|error| error.to_string())?.expose_secret())?;
    Ok(file)
}

pub(super) fn callbacks(root: &mut Section<'_>, server: Option<&Server>) -> Option<Option<Callbacks>> {
    let mut section = match root.subsection("callbacks") {
        Setting::Absent => return Some(None),
        Setting::Wrong => return None,
        Setting::Given(section) => section,
    };
    let listen = section.required("listen", address, "write an address such as \"0.0.0.0:8082\"");
    let key_file = section.required("key_file", files::key_lines, "name a file with one key a line");
    let taken = |server: &Server| [server.listen, server.admin_listen];
    let taken = server.map(taken).into_iter().flatten();
    if listen.is_some_and(|listen| taken.into_iter().any(|other| collide(listen, other))) {
        section.mistake("listen", "is taken by [server]; give it another port");
    }
    section.finish();
    Some(Some(Callbacks { listen: listen?, key_file: key_file? }))
}

/// Takes a URL apart into one URL for each of its servers.
fn servers(url: &str) -> Result<RedisServers, String> {
    let (scheme, rest) = url.split_once("://").ok_or(FORMS)?;
    if rest.contains(['?', '#']) {
        return Err("a query or fragment is not allowed here; end the URL before it".to_owned());
    }
    let (scheme, form) = scheme.split_once('+').unwrap_or((scheme, ""));
    if !matches!(scheme, "redis" | "rediss") {
        return Err(FORMS.to_owned());
    }
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, _)| rest.split_at(user.len() + 1));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (topology, database) = topology(form, path)?;
    let hosts: Vec<&str> =
        if topology == Topology::Single { vec![hosts] } else { hosts.split(',').collect() };
    let server = |host: &str| format!("{scheme}://{user}{host}/{database}");
    let urls: Vec<SecretString> = hosts.into_iter().map(|host| SecretString::from(server(host))).collect();
    let is_good = |url: &SecretString| {
        Url::parse(url.expose_secret()).is_ok_and(|url| match url.host() {
            Some(Host::Domain(name)) => is_host_name(name),
            host => host.is_some(),
        })
    };
    if urls.iter().all(is_good) { Ok(RedisServers { topology, urls }) } else { Err(FORMS.to_owned()) }
}

/// What the end of the scheme and the path mean together, and the database.
fn topology(form: &str, path: &str) -> Result<(Topology, String), String> {
    let is_number = path.bytes().all(|byte| byte.is_ascii_digit());
    match (form, path) {
        ("", database) if is_number => Ok((Topology::Single, database.to_owned())),
        ("", _) => Err("expected the number of a database after the host, or nothing".to_owned()),
        ("cluster", "") => Ok((Topology::Cluster, String::new())),
        ("cluster", _) => Err("a cluster has one database; end the URL after the last port".to_owned()),
        ("sentinel", "") => {
            Err("the name of the master is missing: redis+sentinel://…/master-name".to_owned())
        }
        ("sentinel", master) => Ok((Topology::Sentinel { master: master.to_owned() }, String::new())),
        _ => Err(FORMS.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(url: &str) -> (Topology, Vec<String>) {
        let servers = servers(url).unwrap();
        (servers.topology, servers.urls.iter().map(|url| url.expose_secret().to_owned()).collect())
    }

    #[test]
    fn a_url_names_one_server_a_cluster_or_sentinels() {
        assert_eq!(
            urls("redis://127.0.0.1:6379"),
            (Topology::Single, vec!["redis://127.0.0.1:6379/".to_owned()])
        );
        assert_eq!(urls("rediss://u:p@h:1/2"), (Topology::Single, vec!["rediss://u:p@h:1/2".to_owned()]));
        let (topology, nodes) = urls("redis+cluster://:p@a:1,b:2");
        assert_eq!(
            (topology, nodes.join(" ")),
            (Topology::Cluster, "redis://:p@a:1/ redis://:p@b:2/".to_owned())
        );
        let (topology, nodes) = urls("redis+sentinel://a:1,[::1]:2/main");
        assert_eq!(topology, Topology::Sentinel { master: "main".to_owned() });
        assert_eq!(nodes, ["redis://a:1/", "redis://[::1]:2/"]);
    }

    #[test]
    fn a_bad_url_is_refused_without_being_quoted() {
        for url in [
            "127.0.0.1:6379",
            "http://hunter2",
            "redis://",
            "redis://a:hunter2",
            "redis://a,b",
            "redis://a/hunter2",
            "redis://a#insecure",
            "redis+cluster://a,/",
            "redis+cluster://a/0",
            "redis+sentinel://a:1",
            "redis+hunter2://a",
        ] {
            let message = servers(url).err().unwrap_or_else(|| panic!("{url} is accepted"));
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
