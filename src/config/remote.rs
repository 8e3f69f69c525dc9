//! `[remote]` and `[callbacks]`: the servers of the second tier, the keys that encrypt it, and the listener for callbacks.
//! URLs and keys are secrets: no message quotes one.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::reader::Section;
use super::secret::{self, certificates, parsed_file, secrets};
use super::sections::collide;
use super::url::is_host_name;
use super::value::{Parsed, Raw, address, boolean};
use crate::files::{self, invalid};
use crate::settings::{Callbacks, RedisServers, Remote, Server, Topology};

const FORMS: &str = "expected redis://host:port, rediss://host:port (TLS), redis+cluster://host:port,host:port or \
                     redis+sentinel://host:port,host:port/master-name";

/// A key of the second tier's encryption.
pub type EncryptionKey = Zeroizing<[u8; 32]>;

impl Remote {
    /// The servers that `url` or `url_file` names now.
    ///
    /// # Errors
    /// The file cannot be read, or holds no such URL.
    pub fn servers(&self) -> io::Result<RedisServers> {
        servers(self.url.read()?.expose_secret()).map_err(invalid)
    }

    /// The keys in `encryption_key_file` now, one or two: the first encrypts, all decrypt.
    ///
    /// # Errors
    /// The file cannot be read, or holds no such keys.
    pub fn encryption_keys(&self) -> io::Result<Vec<EncryptionKey>> {
        encryption_keys(&files::read(&self.encryption_key_file)?)
    }
}

impl Callbacks {
    /// The keys that callbacks may carry now.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key.
    pub fn read_keys(&self) -> io::Result<Vec<SecretString>> {
        secrets(&files::read(&self.key_file)?)
    }
}

pub(super) fn remote(section: &mut Section<'_>) -> Remote {
    let url = secret::either(section, ["url_file", "url"], |url| servers(url.expose_secret()).map(drop));
    let keys = |raw: &Raw| parsed_file(raw, encryption_keys);
    let keys = section.required("encryption_key_file", keys, "name a file with 32 random bytes in base64");
    Remote {
        url,
        encryption_key_file: keys.unwrap_or_default(),
        ca_file: section.read("ca_file", certificates),
        share_tokens: section.read("share_tokens", boolean).unwrap_or(false),
    }
}

pub(super) fn callbacks(section: &mut Section<'_>, server: &Server) -> Callbacks {
    let listen = section.required("listen", address, "write an address such as \"0.0.0.0:8082\"");
    let keys = |raw: &Raw| parsed_file(raw, secrets);
    let keys = section.required("key_file", keys, "name a file with one key a line");
    for (key, taken) in [("server.listen", server.listen), ("server.admin_listen", server.admin_listen)] {
        if listen.is_some_and(|listen| collide(listen, taken)) {
            let message = format!("is taken by {key}; give it another port");
            section.notes().conflict("callbacks.listen", key, &message);
        }
    }
    Callbacks { listen: listen.unwrap_or(server.listen), key_file: keys.unwrap_or_default() }
}

/// One key, or the current and the previous one.
fn encryption_keys(content: &[u8]) -> io::Result<Vec<EncryptionKey>> {
    let mut keys = secrets(content)?.iter().map(encryption_key).collect::<io::Result<Vec<_>>>()?;
    if keys.len() > 2 {
        return Err(invalid("expected one or two lines: the current and the previous key"));
    }
    // What the previous key sealed is removed when there is something newer, which would be what was just written.
    keys.dedup();
    Ok(keys)
}

fn encryption_key(line: &SecretString) -> io::Result<EncryptionKey> {
    let bytes = STANDARD.decode(line.expose_secret()).map(Zeroizing::new).unwrap_or_default();
    let key = <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new);
    key.map_err(|_| invalid("expected 32 bytes in base64, as `openssl rand -base64 32` writes them"))
}

/// Takes a URL apart into one URL for each of its servers.
fn servers(url: &str) -> Parsed<RedisServers> {
    let (scheme, rest) = url.split_once("://").ok_or(FORMS)?;
    let (scheme, form) = scheme.split_once('+').unwrap_or((scheme, ""));
    if !matches!(scheme, "redis" | "rediss") {
        return Err(FORMS.to_owned());
    }
    if rest.contains(['?', '#']) {
        return Err("a query or fragment is not allowed here; end the URL before it".to_owned());
    }
    let (user, rest) = rest.split_at(rest.rfind('@').map_or(0, |at| at + 1));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (topology, database) = topology(form, path)?;
    let hosts = hosts.split(',');
    let urls: Vec<String> = hosts.map(|host| format!("{scheme}://{user}{host}/{database}")).collect();
    let is_one_server = |url: &String| match Url::parse(url).as_ref().map(|url| (url.host(), url.port())) {
        Ok((None, _) | (_, Some(0))) | Err(_) => false,
        Ok((Some(Host::Domain(name)), _)) => is_host_name(name),
        Ok((Some(Host::Ipv4(_) | Host::Ipv6(_)), _)) => true,
    };
    let count_fits = topology != Topology::Single || urls.len() == 1;
    if count_fits && urls.iter().all(is_one_server) {
        Ok(RedisServers { topology, urls: urls.into_iter().map(Zeroizing::new).collect() })
    } else {
        Err(FORMS.to_owned())
    }
}

/// What the end of the scheme and the path mean together, and the database.
fn topology(form: &str, path: &str) -> Parsed<(Topology, String)> {
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
    use toml::Table;

    use super::super::reader::Notes;
    use super::super::sections::server;
    use super::super::source;
    use super::super::testing::{self, TempFile};
    use super::*;

    fn urls(url: &str) -> (Topology, Vec<String>) {
        let servers = servers(url).unwrap();
        (servers.topology, servers.urls.iter().map(|url| url.to_string()).collect())
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
            "redis://a:0",
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

    #[test]
    fn encryption_keys_are_one_or_two_lines() {
        let key = |byte: u8| STANDARD.encode([byte; 32]);
        let one = encryption_keys(format!("{}\n", key(1)).as_bytes()).ok().unwrap();
        assert!(one.len() == 1 && *one[0] == [1; 32]);
        let twice = encryption_keys(format!("{0}\n{0}\n", key(1)).as_bytes()).ok().unwrap();
        assert_eq!(twice.len(), 1, "one key, given twice");
        let two = encryption_keys(format!("{}\n{}\n", key(2), key(1)).as_bytes()).ok().unwrap();
        assert!(two.len() == 2 && *two[0] == [2; 32] && *two[1] == [1; 32]);
        for bad in [String::new(), "short".to_owned(), key(1) + "\n" + &key(2) + "\n" + &key(3), key(1) + "A"]
        {
            assert!(encryption_keys(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_sections_are_read_and_their_mistakes_named() {
        let key = TempFile::new("encryption-key", &STANDARD.encode([1; 32]));
        let read = |text: &str| {
            let (table, origins) = source::parse("gateway.toml", text).unwrap();
            let notes = Notes::new(origins, Vec::new());
            let server = Section::root(Table::new(), &notes, server);
            Section::root(table, &notes, |root| {
                root.optional("remote", remote);
                root.optional("callbacks", |section| callbacks(section, &server));
            });
            notes.into_mistakes().iter().map(|mistake| testing::key(mistake).to_owned()).collect::<Vec<_>>()
        };
        let path = key.path().display();
        let good = format!(
            "[remote]\nurl = \"redis://127.0.0.1\"\nencryption_key_file = \"{path}\"\n\
             [callbacks]\nlisten = \"127.0.0.1:8082\"\nkey_file = \"{path}\"\n"
        );
        assert!(read(&good).is_empty());
        assert_eq!(read("[remote]"), ["remote.url_file", "remote.encryption_key_file"]);
        assert_eq!(read(&good.replace("redis://", "http://")), ["remote.url"]);
        assert_eq!(read(&good.replace("8082", "8080")), ["callbacks.listen"]);
        assert_eq!(read(&good.replace("8082", "8081")), ["callbacks.listen"]);
        assert_eq!(read("[callbacks]"), ["callbacks.listen", "callbacks.key_file"]);
    }
}
