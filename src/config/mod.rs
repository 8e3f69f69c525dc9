//! One TOML file and the variables `IDV__…` become a typed [`Config`], or every mistake at once.
//!
//! A `Config` that exists is valid: bounds, relations and named files have been checked, so nothing after this checks
//! again. Knows nothing of what the settings are used for, and opens no socket.

mod auth;
mod callers;
mod env;
mod mistake;
mod otlp;
mod reader;
mod regions;
mod remote;
mod secret;
mod sections;
mod source;
mod url;
mod value;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use serde::Serialize;
use toml::Table;

use self::reader::{Notes, Section};
use crate::files;
use crate::settings::{
    Auth, Cache, Callbacks, Caller, Drain, Media, Region, Remote, Request, Server, Telemetry, Wait,
};

pub use self::mistake::{Mistake, Mistakes, Place};
pub use self::remote::EncryptionKey;
pub use self::secret::{secret, secrets};

/// A configuration without a mistake. No `Debug`: it holds secrets; [`Config::masked`] shows it.
#[derive(Clone, Serialize)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[request]`
    pub request: Request,
    /// `[wait]`
    pub wait: Wait,
    /// `[drain]`
    pub drain: Drain,
    /// `[[regions]]`, in probing order: 1 to 64.
    pub regions: Vec<Region>,
    /// `[auth]`
    pub auth: Auth,
    /// `[[callers]]`
    pub callers: Vec<Caller>,
    /// `[cache]`
    pub cache: Cache,
    /// `[media]`
    pub media: Media,
    /// `[remote]`
    pub remote: Option<Remote>,
    /// `[callbacks]`
    pub callbacks: Option<Callbacks>,
    /// `[telemetry]`
    pub telemetry: Telemetry,
}

impl Config {
    /// The effective configuration as JSON, with the keys of the file. Secrets and hashes of keys are `***`, and so are
    /// the queries of URLs.
    pub fn masked(&self) -> String {
        serde_json::to_string_pretty(self).expect("settings have text keys and UTF-8 paths")
    }
}

/// Reads the configuration from a file and the variables of this process.
///
/// # Errors
/// Every mistake in them.
pub fn load(path: &Path) -> Result<Config, Mistakes> {
    let text = read_text(path)?;
    let (env, mistakes) = env::of_process();
    read(&path.display().to_string(), &text, &env, mistakes)
}

/// Reads the configuration from the text of a file and these variables. The files it names are read.
///
/// # Errors
/// Every mistake in them; `file` is the name they are reported with.
pub fn parse(file: &str, text: &str, env: &[(String, String)]) -> Result<Config, Mistakes> {
    read(file, text, env, Vec::new())
}

fn read_text(path: &Path) -> Result<String, Mistakes> {
    let mistake = |message: String| Mistakes::of_file(&path.display().to_string(), None, message);
    let content =
        files::read(path).map_err(|error| mistake(format!("cannot read the configuration: {error}")))?;
    let text = str::from_utf8(&content).map_err(|_| mistake("is not UTF-8 text".to_owned()))?;
    Ok(text.to_owned())
}

fn read(file: &str, text: &str, env: &[(String, String)], earlier: Vec<Mistake>) -> Result<Config, Mistakes> {
    let (mut table, mut origins) = source::parse(file, text)?;
    let misfits = env::overlay(&mut table, &mut origins, env);
    let standard = env::standard(env, &mut origins);
    let notes = Notes::new(origins, earlier.into_iter().chain(misfits).collect());
    let config = Section::root(table, &notes, |root| config(root, standard));
    let mistakes = notes.into_mistakes();
    if mistakes.is_empty() { Ok(config) } else { Err(Mistakes { file: file.to_owned(), mistakes }) }
}

/// Reads every section, wrong or not, so that no mistake hides another.
fn config(root: &mut Section<'_>, standard: Table) -> Config {
    let server = root.section("server", sections::server);
    let request = root.section("request", sections::request);
    let regions = regions::regions(root, &request);
    let auth = root.section("auth", auth::auth);
    let callers = callers::callers(root, &regions);
    auth::refuse_open_or_locked(root, &auth, &server, &callers);
    Config {
        request,
        wait: root.section("wait", sections::wait),
        drain: root.section("drain", sections::drain),
        regions: regions.into_iter().flatten().collect(),
        auth,
        callers,
        cache: root.section("cache", sections::cache),
        media: root.section("media", sections::media),
        remote: root.optional("remote", remote::remote),
        callbacks: root.optional("callbacks", |section| remote::callbacks(section, &server)),
        telemetry: root.section("telemetry", |section| sections::telemetry(section, standard)),
        server,
    }
}

/// Where the admin listener is, for `healthcheck`: `IDV__SERVER__ADMIN_LISTEN`, else the file's, else the default.
/// Nothing else of the file needs to be right. An address of every interface becomes loopback.
///
/// # Errors
/// The variable or the file's `server.admin_listen` is not an address, or the file is not TOML.
pub fn admin_address_from_env(config_path: Option<&Path>) -> Result<SocketAddr, Mistakes> {
    admin_address(config_path, &env::of_process().0)
}

fn admin_address(config_path: Option<&Path>, env: &[(String, String)]) -> Result<SocketAddr, Mistakes> {
    let file = config_path.map(|path| path.display().to_string()).unwrap_or_default();
    let is_given = env.iter().any(|(name, _)| name.eq_ignore_ascii_case("IDV__SERVER__ADMIN_LISTEN"));
    let text = config_path.filter(|_| !is_given).map_or_else(|| Ok(String::new()), read_text)?;
    let (mut table, mut origins) = source::parse(&file, &text)?;
    env::overlay(&mut table, &mut origins, env);
    let server = table.remove("server").and_then(|server| server.as_table().cloned());
    let notes = Notes::new(origins, Vec::new());
    let mut section = Section::unchecked("server", server.unwrap_or_default(), &notes);
    let address = section.read("admin_listen", value::address).unwrap_or(sections::ADMIN_LISTEN);
    let mistakes = notes.into_mistakes();
    if mistakes.is_empty() { Ok(reachable(address)) } else { Err(Mistakes { file, mistakes }) }
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        address.set_ip(if address.is_ipv4() { v4 } else { IpAddr::V6(Ipv6Addr::LOCALHOST) });
    }
    address
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
