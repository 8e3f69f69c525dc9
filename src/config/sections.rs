//! The sections that are one table of plain settings: server, request, drain, cache, media, telemetry.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::files;
use super::otlp;
use super::reader::{Section, Setting};
use super::settings::{Cache, Drain, LogFormat, Media, Request, Server, Telemetry, Tls, Wait};
use super::suggest;
use super::url::is_host_name;
use super::value::{Raw, address, boolean, bytes, duration, show_duration, text, texts, whole};

/// `server.listen` where none is given.
pub(super) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// `server.admin_listen` where none is given.
pub(super) const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);
/// `server.max_connections` where none is given.
pub(super) const MAX_CONNECTIONS: u32 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(8);
const DISCOVERY_WAIT: Duration = Duration::from_millis(300);
const FILL_TIMEOUT: Duration = Duration::from_secs(15);
const DRAIN_DELAY: Duration = Duration::from_secs(5);
const DRAIN_DEADLINE: Duration = Duration::from_secs(20);

const MAX_TIMEOUT: Duration = Duration::from_secs(600);
const MAX_DRAIN: Duration = Duration::from_secs(3600);
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
const SHORTEST: Duration = Duration::from_millis(1);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=MAX_TIMEOUT;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The default `[cache]`.
pub(super) const CACHE: Cache = Cache {
    max_bytes: 256 << 20,
    final_ttl: Duration::from_secs(6 * 3600),
    incomplete_ttl: Duration::from_secs(60),
    pending_ttl: Duration::from_secs(2),
    pending_ttl_max: Duration::from_secs(30),
    not_found_ttl: Duration::from_secs(10),
    stale_max: Duration::from_secs(24 * 3600),
};

/// The default `[request]`.
pub(super) const REQUEST: Request =
    Request { timeout: TIMEOUT, discovery_wait: DISCOVERY_WAIT, fill_timeout: FILL_TIMEOUT };

/// The default `[wait]`.
pub(super) const WAIT: Wait = Wait { max: Duration::from_secs(30), max_waiters: 10_000 };

/// The default `[drain]`.
pub(super) const DRAIN: Drain = Drain { delay: DRAIN_DELAY, deadline: DRAIN_DEADLINE };

/// The server, and where it listens: others ask that even if the rest is wrong.
pub(super) fn server(root: &mut Section<'_>) -> (Option<SocketAddr>, Option<Server>) {
    let mut section = root.subsection_or_empty("server");
    let listen = section.read("listen", address).or(LISTEN);
    let admin_listen = section.read("admin_listen", address).or(ADMIN_LISTEN);
    let max_connections = section.read("max_connections", whole(1..=1_000_000)).or(MAX_CONNECTIONS);
    let allowed_hosts = section.list("allowed_hosts", texts, host_name).or(Vec::new());
    let tls = tls(&mut section);
    if let (Some(listen), Some(admin)) = (listen, admin_listen)
        && collide(listen, admin)
    {
        section.mistake("admin_listen", "is taken by server.listen; give it another port");
    }
    section.finish();
    let server = |listen| {
        let max_connections = usize::try_from(max_connections?).ok()?;
        let (admin_listen, allowed_hosts) = (admin_listen?, allowed_hosts?);
        Some(Server { listen, admin_listen, max_connections, allowed_hosts, tls: tls? })
    };
    (listen, listen.and_then(server))
}

fn host_name(text: &str) -> Result<String, String> {
    if is_host_name(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected a host name without a port, such as \"gateway.example\"".to_owned())
}

pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_host
}

fn tls(server: &mut Section<'_>) -> Option<Option<Tls>> {
    let mut section = match server.subsection("tls") {
        Setting::Absent => return Some(None),
        Setting::Wrong => return None,
        Setting::Given(section) => section,
    };
    let cert_file =
        section.required("cert_file", files::readable, "name a PEM file with the certificate chain");
    let key_file =
        section.required("key_file", files::readable, "name a PEM file with the certificate's key");
    let client_ca_file = section.read("client_ca_file", files::readable).optional();
    section.finish();
    Some(Some(Tls { cert_file: cert_file?, key_file: key_file?, client_ca_file: client_ca_file? }))
}

pub(super) fn request(root: &mut Section<'_>) -> Option<Request> {
    let mut section = root.subsection_or_empty("request");
    let timeout = section.read("timeout", duration(TIMEOUTS)).optional();
    let discovery_wait = section.read("discovery_wait", duration(Duration::ZERO..=MAX_TIMEOUT)).optional();
    let fill_timeout = section.read("fill_timeout", duration(TIMEOUTS)).optional();
    if let (Some(Some(timeout)), Some(Some(fill))) = (timeout, fill_timeout)
        && timeout > fill
    {
        let fill = show_duration(fill);
        let message = format!("is longer than request.fill_timeout ({fill}); lower it, or raise that");
        section.mistake("timeout", &message);
    }
    let shown =
        timeout.map(|timeout| timeout.unwrap_or(TIMEOUT.min(fill_timeout.flatten().unwrap_or(FILL_TIMEOUT))));
    if let (Some(Some(wait)), Some(timeout)) = (discovery_wait, shown)
        && wait > timeout
    {
        let timeout = show_duration(timeout);
        section.mistake("discovery_wait", &format!("is longer than request.timeout ({timeout}); lower it"));
    }
    section.finish();
    let (timeout, fill_timeout) = (timeout?, fill_timeout?);
    let longest = timeout.unwrap_or(TIMEOUT.min(fill_timeout.unwrap_or(FILL_TIMEOUT)));
    Some(Request {
        timeout: longest,
        discovery_wait: discovery_wait?.unwrap_or(DISCOVERY_WAIT.min(longest)),
        fill_timeout: fill_timeout.unwrap_or(FILL_TIMEOUT.max(timeout.unwrap_or(TIMEOUT))),
    })
}

pub(super) fn wait(root: &mut Section<'_>) -> Option<Wait> {
    let mut section = root.subsection_or_empty("wait");
    let max = section.read("max", duration(Duration::ZERO..=MAX_TIMEOUT)).or(WAIT.max);
    let max_waiters = section.read("max_waiters", whole(1..=1_000_000)).or(10_000);
    section.finish();
    Some(Wait { max: max?, max_waiters: usize::try_from(max_waiters?).ok()? })
}

pub(super) fn drain(root: &mut Section<'_>) -> Option<Drain> {
    let mut section = root.subsection_or_empty("drain");
    let delay = section.read("delay", duration(Duration::ZERO..=MAX_DRAIN)).optional();
    let deadline =
        section.read("deadline", duration(TIMEOUTS.start().to_owned()..=MAX_DRAIN)).or(DRAIN_DEADLINE);
    if let (Some(Some(delay)), Some(deadline)) = (delay, deadline)
        && delay >= deadline
    {
        let deadline = show_duration(deadline);
        section.mistake(
            "delay",
            &format!("must be shorter than drain.deadline ({deadline}), which includes it"),
        );
    }
    section.finish();
    let deadline = deadline?;
    Some(Drain { delay: delay?.unwrap_or(DRAIN_DELAY.min(deadline / 2)), deadline })
}

pub(super) fn cache(root: &mut Section<'_>) -> Option<Cache> {
    let mut section = root.subsection_or_empty("cache");
    let ttl = || duration(SHORTEST..=MAX_TTL);
    let max_bytes = section.read("max_bytes", bytes(1 << 10..=1 << 40)).or(CACHE.max_bytes);
    let final_ttl = section.read("final_ttl", ttl()).optional();
    let incomplete_ttl = section.read("incomplete_ttl", ttl()).optional();
    let pending_ttl = section.read("pending_ttl", ttl()).or(CACHE.pending_ttl);
    let pending_ttl_max = section.read("pending_ttl_max", ttl()).optional();
    if let (Some(least), Some(Some(most))) = (pending_ttl, pending_ttl_max)
        && most < least
    {
        let least = show_duration(least);
        section.mistake("pending_ttl_max", &format!("is shorter than cache.pending_ttl ({least}); raise it"));
    }
    let not_found_ttl = section.read("not_found_ttl", ttl()).or(CACHE.not_found_ttl);
    let stale_max = section.read("stale_max", duration(Duration::ZERO..=MAX_TTL)).or(CACHE.stale_max);
    let longest = final_ttl.map(|ttl| ttl.unwrap_or(CACHE.final_ttl));
    if let (Some(Some(incomplete)), Some(longest)) = (incomplete_ttl, longest)
        && incomplete > longest
    {
        let longest = show_duration(longest);
        let message =
            format!("is longer than cache.final_ttl ({longest}), yet may still be revised; lower it");
        section.mistake("incomplete_ttl", &message);
    }
    section.finish();
    Some(Cache {
        max_bytes: max_bytes?,
        final_ttl: longest?,
        incomplete_ttl: incomplete_ttl?.unwrap_or(CACHE.incomplete_ttl.min(longest?)),
        pending_ttl: pending_ttl?,
        pending_ttl_max: pending_ttl_max?.unwrap_or(CACHE.pending_ttl_max.max(pending_ttl?)),
        not_found_ttl: not_found_ttl?,
        stale_max: stale_max?,
    })
}

pub(super) fn media(root: &mut Section<'_>) -> Option<Media> {
    let mut section = root.subsection_or_empty("media");
    let allowed_hosts = section.list("allowed_hosts", texts, host_pattern).or(Vec::new());
    section.finish();
    Some(Media { allowed_hosts: allowed_hosts? })
}

fn host_pattern(text: &str) -> Result<String, String> {
    if is_host_name(text.strip_prefix("*.").unwrap_or(text)) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected a host such as \"cdn.example\" or \"*.cdn.example\"; leave the list out to allow any"
        .to_owned())
}

pub(super) fn telemetry(root: &mut Section<'_>, env: &[(String, String)]) -> Option<Telemetry> {
    let mut section = root.subsection_or_empty("telemetry");
    let log = section.read("log", log_filter).or("info".to_owned());
    let log_format = section.read("log_format", log_format).or(LogFormat::Json);
    let audit = section.read("audit", boolean).or(true);
    let audit_key_file = section.read("audit_key_file", files::readable).optional();
    let otlp = otlp::otlp(&mut section, env);
    section.finish();
    Some(Telemetry {
        log: log?,
        log_format: log_format?,
        audit: audit?,
        audit_key_file: audit_key_file?,
        otlp: otlp?,
    })
}

fn log_format(raw: &Raw<'_>) -> Result<LogFormat, String> {
    match raw.text()? {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("expected json or text".to_owned()),
    }
}

/// A level, or directives `target=level` separated by commas, a bare level among them for the rest.
fn log_filter(raw: &Raw<'_>) -> Result<String, String> {
    let filter = text(raw)?;
    for directive in filter.split(',').map(str::trim) {
        let (target, level) = directive.split_once('=').unwrap_or(("all", directive));
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            return Err(format!("expected a level after = or alone; {}", suggest::hint(level, &LEVELS)));
        }
        let is_target_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte);
        if target.is_empty() || !target.bytes().all(is_target_byte) {
            return Err("expected target=level, such as idv_gateway::upstream=debug".to_owned());
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{expect_mistakes, given};
    use super::*;

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let config = given("").unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.server.admin_listen.to_string(), "127.0.0.1:8081");
        assert_eq!((config.server.max_connections, config.server.tls), (10_000, None));
        assert_eq!((config.server.allowed_hosts.len(), config.wait), (0, WAIT));
        assert_eq!((config.request, config.drain, config.cache), (REQUEST, DRAIN, CACHE));
        assert!(
            config.telemetry.audit && config.telemetry.log == "info" && config.media.allowed_hosts.is_empty()
        );
    }

    #[test]
    fn what_is_unset_makes_way_for_what_is_set() {
        let request = |text| given(text).unwrap().request;
        let seconds = Duration::from_secs;
        assert_eq!(request("[request]\ntimeout = \"20s\"").fill_timeout, seconds(20));
        let short = given("[request]\nfill_timeout = \"3s\"").unwrap();
        assert_eq!((short.request.timeout, short.regions[0].attempt_timeout), (seconds(3), seconds(3)));
        assert_eq!(given("[drain]\ndeadline = \"2s\"").unwrap().drain.delay, seconds(1));
        assert_eq!(given("[cache]\nfinal_ttl = \"5s\"").unwrap().cache.incomplete_ttl, seconds(5));
        assert_eq!(request("[request]\ntimeout = \"100ms\"").discovery_wait, Duration::from_millis(100));
        assert_eq!(given("[cache]\npending_ttl = \"1m\"").unwrap().cache.pending_ttl_max, seconds(60));
        assert_eq!(given("[drain]\ndelay = \"0s\"").unwrap().drain.delay, Duration::ZERO);
    }

    #[test]
    fn bad_values_are_named() {
        expect_mistakes(&[
            ("[server]\nlisten = \"localhost:80\"", "server.listen", "IP address and a port"),
            ("[server]\nlisten = 8080", "server.listen", "expected text in quotes, found a whole number"),
            ("[server]\nlisten = \"0.0.0.0:8081\"", "server.admin_listen", "taken by server.listen"),
            ("[server]\nmax_connections = 0", "server.max_connections", "from 1 to"),
            ("[server]\nmax_connections = \"9\"", "server.max_connections", "without quotes"),
            ("[server]\nport = 1", "server.port", "unknown key"),
            ("[server.tls]\ncert_file = \"/nonexistent\"", "server.tls.cert_file", "No such file"),
            ("[server.tls]", "server.tls.key_file", "missing"),
            ("[request]\ntimeout = 5", "request.timeout", "write \"5s\""),
            (
                "[request]\ntimeout = \"20s\"\nfill_timeout = \"10s\"",
                "request.timeout",
                "longer than request.fill_timeout (10s)",
            ),
            ("[request]\ntimeout = \"0s\"", "request.timeout", "from 10ms to 10m"),
            ("[request]\ndiscovery_wait = \"9s\"", "request.discovery_wait", "request.timeout (8s)"),
            ("[server]\nallowed_hosts = [\"a.example:80\"]", "server.allowed_hosts[0]", "without a port"),
            ("[drain]\ndelay = \"20s\"", "drain.delay", "shorter than drain.deadline (20s)"),
            ("[cache]\nmax_bytes = \"lots\"", "cache.max_bytes", "256MiB"),
            ("[cache]\npending_ttl = \"0s\"", "cache.pending_ttl", "from 1ms"),
            ("[cache]\npending_ttl_max = \"1s\"", "cache.pending_ttl_max", "cache.pending_ttl (2s)"),
            ("[cache]\nfinal_ttl = \"721h\"", "cache.final_ttl", "to 720h"),
            ("[cache]\nincomplete_ttl = \"7h\"", "cache.incomplete_ttl", "cache.final_ttl (6h)"),
            ("[cache]\nfinal = \"7h\"", "cache.final", "unknown key"),
            (
                "[media]\nallowed_hosts = [\"*.ok.example\", \"*\"]",
                "media.allowed_hosts[1]",
                "leave the list out",
            ),
            ("[media]\nallowed_hosts = \"cdn.example\"", "media.allowed_hosts", "list"),
            ("[telemetry]\nlog = \"inof\"", "telemetry.log", "did you mean `info`?"),
            ("[telemetry]\nlog = \"hyper=\"", "telemetry.log", "known are off"),
            ("[telemetry]\nlog = \"=info\"", "telemetry.log", "target=level"),
            ("[telemetry]\nlog_format = \"xml\"", "telemetry.log_format", "json or text"),
            ("[telemetry]\naudit = \"yes\"", "telemetry.audit", "true or false"),
            ("[telemetry]\notlp_endpoint = \"collector:4318\"", "telemetry.otlp_endpoint", "expected a URL"),
            ("[telemetry]\notlp_endpoint = \"http://a/?b\"", "telemetry.otlp_endpoint", "query"),
            ("[wait]\nmax = \"30s\"", "wait", "does not have"),
            ("[remote]\nurl = \"redis://127.0.0.1\"", "remote", "does not have"),
            ("[callbacks]\nlisten = \"0.0.0.0:8082\"", "callbacks", "does not have"),
            ("servr = 1", "servr", "did you mean `server`?"),
            ("server = 1", "server", "write [server]"),
        ]);
    }

    #[test]
    fn filters_and_hosts_of_the_usual_forms_are_taken() {
        for log in ["off", "INFO", "warn,idv_gateway::upstream=debug", "idv_gateway=trace, hyper=off"] {
            assert_eq!(given(&format!("[telemetry]\nlog = \"{log}\"")).unwrap().telemetry.log, log);
        }
        let media = given("[media]\nallowed_hosts = [\"CDN.example\", \"*.advance.ai\"]").unwrap().media;
        assert_eq!(media.allowed_hosts, ["cdn.example", "*.advance.ai"]);
        assert!(given("[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"").is_ok());
    }
}
