//! One TOML file and the variables `IDV__…` become a typed [`Config`], or every mistake at once.
//!
//! A `Config` that exists is right: bounds, relations and named files have been checked, so nothing after
//! this asks again. Knows nothing of what the settings are used for, and opens no socket.

mod auth;
mod callers;
mod env;
mod files;
mod masked;
mod mistake;
mod otlp;
mod reader;
mod regions;
mod remote;
mod sections;
mod settings;
mod suggest;
mod url;
mod value;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use toml::{Table, Value};

use crate::domain::region::RegionName;

use self::reader::{Notes, Section};

pub use self::files::Secret;
pub use self::mistake::{Mistake, Mistakes};
pub use self::otlp::{Otlp, OtlpEndpoint};
pub use self::remote::{EncryptionKeys, RedisServers, Topology};
pub use self::settings::{
    Auth, Cache, Callbacks, Caller, Config, Drain, Jwks, Jwt, LogFormat, Media, Region, Remote, Request,
    Server, Telemetry, Tls, Wait,
};

/// Sections that are read and checked, and refused all the same until what they set exists.
const PLANNED: [&str; 2] = ["remote", "callbacks"];
const NOT_YET: &str = "this version does not have it yet; remove it";

/// Reads the configuration from a file and the variables of this process.
///
/// # Errors
/// Every mistake in them.
pub fn load(path: &Path) -> Result<Config, Mistakes> {
    let text = read_text(path)?;
    let (env, mistakes) = env::of_process();
    read(&path.display().to_string(), &text, &env, mistakes)
}

/// Reads the configuration from the text of a file and these variables. The files it names are looked at.
///
/// # Errors
/// Every mistake in them; `file` is the name they are told with.
pub fn parse(file: &str, text: &str, env: &[(String, String)]) -> Result<Config, Mistakes> {
    read(file, text, env, Vec::new())
}

fn read(file: &str, text: &str, env: &[(String, String)], earlier: Vec<Mistake>) -> Result<Config, Mistakes> {
    let mut table = parse_toml(file, text)?;
    let (variables, misfits) = env::overlay(&mut table, env);
    let notes = Notes::new(variables, earlier.into_iter().chain(misfits).collect());
    let config = config(Section::root(table, &notes), env);
    let mistakes = notes.into_mistakes();
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        Some(_) | None => Err(Mistakes { file: file.to_owned(), mistakes }),
    }
}

/// Reads every section, wrong or not, so that no mistake hides another.
fn config(mut root: Section<'_>, env: &[(String, String)]) -> Option<Config> {
    for planned in PLANNED {
        root.refuse(planned, NOT_YET);
    }
    let (listen, server) = sections::server(&mut root);
    let request = sections::request(&mut root);
    let wait = sections::wait(&mut root);
    let drain = sections::drain(&mut root);
    let regions::Found { regions, names } = regions::regions(&mut root, request.as_ref());
    let auth = auth::auth(&mut root, listen);
    let callers = callers::callers(&mut root, names.as_deref());
    if let (Some(auth), Some(callers)) = (&auth, &callers) {
        auth::refuse_locked_door(&root, auth, callers);
    }
    let cache = sections::cache(&mut root);
    let media = sections::media(&mut root);
    let remote = remote::remote(&mut root);
    let callbacks = remote::callbacks(&mut root, server.as_ref());
    let telemetry = sections::telemetry(&mut root, env);
    root.finish();
    Some(Config {
        server: server?,
        request: request?,
        wait: wait?,
        drain: drain?,
        regions: regions?,
        auth: auth?,
        callers: callers?,
        cache: cache?,
        media: media?,
        remote: remote?,
        callbacks: callbacks?,
        telemetry: telemetry?,
    })
}

fn read_text(path: &Path) -> Result<String, Mistakes> {
    let file = path.display().to_string();
    fs::read_to_string(path)
        .map_err(|error| Mistakes::of_file(&file, format!("the configuration file cannot be read: {error}")))
}

/// The position is told, the text around it not: it may be a key.
fn parse_toml(file: &str, text: &str) -> Result<Table, Mistakes> {
    text.parse::<Table>().map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| text.floor_char_boundary(span.start))];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // Of a number that is too large the message would show the digits.
        let shown = error.message();
        let message = if shown.contains('`') && shown.starts_with("invalid") {
            "a value that is too large; write text in quotes".to_owned()
        } else {
            shown.replace('\n', ", ")
        };
        Mistakes::of_file(file, format!("line {line}, column {column}: not TOML: {message}"))
    })
}

/// Where the admin listener is, for `healthcheck`: `IDV__SERVER__ADMIN_LISTEN`, else the file's, else the
/// default.
/// Nothing else of the file needs to be right. An address of every interface becomes loopback.
///
/// # Errors
/// The variable or the file's `server.admin_listen` is no address, or the file is no TOML.
pub fn admin_address_from_env(config_path: Option<&Path>) -> Result<SocketAddr, Mistakes> {
    admin_address(config_path, &env::of_process().0)
}

fn admin_address(config_path: Option<&Path>, env: &[(String, String)]) -> Result<SocketAddr, Mistakes> {
    const VARIABLE: &str = "IDV__SERVER__ADMIN_LISTEN";
    let given = env.iter().find(|(name, _)| name.eq_ignore_ascii_case(VARIABLE));
    let (file, key, value) = match (given, config_path) {
        (Some((_, value)), _) => (String::new(), VARIABLE, Some(Value::from(value.as_str()))),
        (None, None) => (String::new(), "", None),
        (None, Some(path)) => {
            let file = path.display().to_string();
            let table = parse_toml(&file, &read_text(path)?)?;
            let value = table.get("server").and_then(|server| server.get("admin_listen")).cloned();
            (file, "server.admin_listen", value)
        }
    };
    let Some(value) = value else { return Ok(sections::ADMIN_LISTEN) };
    let address = value::address(&value::Raw { value: &value, from_env: false });
    let mistake = |message| Mistakes { file, mistakes: vec![Mistake { key: key.to_owned(), message }] };
    address.map(reachable).map_err(mistake)
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

/// The configuration of `demo`: three regions of the sandbox at `sandbox`, nobody has to prove anything.
/// The caller sees to it that `listen` is loopback.
pub fn embedded_demo(listen: SocketAddr, admin_listen: SocketAddr, sandbox: SocketAddr) -> Config {
    let region = |name: &str| {
        let base_url = format!("http://{sandbox}/{name}");
        let key = |value: &str| Secret::Inline(SecretString::from(value));
        Some(Region {
            name: RegionName::parse(name)?,
            token_url: base_url.clone(),
            base_url,
            access_key: key("sandbox-access-key"),
            secret_key: key("sandbox-secret-key"),
            token_period: regions::TOKEN_PERIOD,
            concurrency: regions::CONCURRENCY as usize,
            attempt_timeout: regions::ATTEMPT_TIMEOUT,
            ca_file: None,
            allow_http: true,
        })
    };
    let max_connections = sections::MAX_CONNECTIONS as usize;
    Config {
        server: Server { listen, admin_listen, max_connections, allowed_hosts: Vec::new(), tls: None },
        request: sections::REQUEST,
        wait: sections::WAIT,
        // Nothing balances load over a demo, and who stops it wants the terminal back.
        drain: Drain { delay: Duration::ZERO, ..sections::DRAIN },
        regions: ["my", "ph", "sg"].into_iter().filter_map(region).collect(),
        auth: Auth::None,
        callers: Vec::new(),
        cache: sections::CACHE,
        media: Media::default(),
        remote: None,
        callbacks: None,
        telemetry: Telemetry {
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            audit: true,
            audit_key_file: None,
            otlp: None,
        },
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
