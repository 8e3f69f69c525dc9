//! The sections about the gateway itself: server, request, wait, drain, cache, media, telemetry.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Table;

use super::mistake::hint;
use super::otlp;
use super::reader::Section;
use super::secret::{certificates, parsed_file, private_key};
use super::url::is_host_name;
use super::value::{Parsed, Raw, address, boolean, bytes, duration, text, texts, whole};
use crate::files::invalid;
use crate::settings::{Cache, Drain, LogFormat, Media, Request, Server, Telemetry, Tls, Wait, duration_text};

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// `server.admin_listen` where none is given.
pub(super) const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);
const TIMEOUT: Duration = Duration::from_secs(8);
const FILL_TIMEOUT: Duration = Duration::from_secs(15);
const DISCOVERY_WAIT: Duration = Duration::from_millis(300);

const MAX_TIMEOUT: Duration = Duration::from_secs(600);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=MAX_TIMEOUT;
const WAITS: RangeInclusive<Duration> = Duration::ZERO..=MAX_TIMEOUT;
const MAX_DRAIN: Duration = Duration::from_secs(3600);
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// The fewest bytes of an audit key: whoever guesses the key can test guesses of ids.
const MIN_AUDIT_KEY: usize = 16;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn server(section: &mut Section<'_>) -> Server {
    let server = Server {
        listen: section.read("listen", address).unwrap_or(LISTEN),
        admin_listen: section.read("admin_listen", address).unwrap_or(ADMIN_LISTEN),
        max_connections: section.read("max_connections", whole(1..=1_000_000)).unwrap_or(10_000) as usize,
        allowed_hosts: section.list("allowed_hosts", texts, host_name).unwrap_or_default(),
        tls: section.optional("tls", tls),
    };
    if collide(server.listen, server.admin_listen) {
        let message = "is taken by server.listen; give it another port";
        section.notes().conflict("server.admin_listen", "server.listen", message);
    }
    server
}

/// Whether two listeners want the same port of one address.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_host
}

fn host_name(text: &str) -> Parsed<String> {
    if is_host_name(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected a host name without a port, such as \"gateway.example\"".to_owned())
}

fn tls(section: &mut Section<'_>) -> Tls {
    let cert = section.required("cert_file", certificates, "name a PEM file with the certificate chain");
    let key = section.required("key_file", private_key, "name a PEM file with the certificate's key");
    Tls {
        cert_file: cert.unwrap_or_default(),
        key_file: key.unwrap_or_default(),
        client_ca_file: section.read("client_ca_file", certificates),
    }
}

pub(super) fn request(section: &mut Section<'_>) -> Request {
    let timeout = section.read("timeout", duration(TIMEOUTS));
    let fill_timeout = section.read("fill_timeout", duration(TIMEOUTS));
    let longest = timeout.unwrap_or(TIMEOUT.min(fill_timeout.unwrap_or(FILL_TIMEOUT)));
    let request = Request {
        timeout: longest,
        discovery_wait: section
            .read("discovery_wait", duration(WAITS))
            .unwrap_or(DISCOVERY_WAIT.min(longest)),
        fill_timeout: fill_timeout.unwrap_or(FILL_TIMEOUT.max(longest)),
    };
    let (timeout, fill_timeout) =
        (("request.timeout", request.timeout), ("request.fill_timeout", request.fill_timeout));
    section.notes().at_most(timeout, fill_timeout);
    section.notes().at_most(("request.discovery_wait", request.discovery_wait), timeout);
    request
}

pub(super) fn wait(section: &mut Section<'_>) -> Wait {
    Wait {
        max: section.read("max", duration(WAITS)).unwrap_or(Duration::from_secs(30)),
        max_waiters: section.read("max_waiters", whole(1..=1_000_000)).unwrap_or(10_000) as usize,
    }
}

pub(super) fn drain(section: &mut Section<'_>) -> Drain {
    let deadline = section.read("deadline", duration(*TIMEOUTS.start()..=MAX_DRAIN));
    let deadline = deadline.unwrap_or(Duration::from_secs(20));
    let delay = section.read("delay", duration(Duration::ZERO..=MAX_DRAIN));
    let delay = delay.unwrap_or(Duration::from_secs(5).min(deadline / 2));
    if delay >= deadline {
        let deadline = duration_text(deadline);
        let message = format!("must be shorter than drain.deadline ({deadline}), which includes it");
        section.notes().conflict("drain.delay", "drain.deadline", &message);
    }
    Drain { delay, deadline }
}

pub(super) fn cache(section: &mut Section<'_>) -> Cache {
    let ttl = || duration(Duration::from_millis(1)..=MAX_TTL);
    let seconds = Duration::from_secs;
    let final_ttl = section.read("final_ttl", ttl()).unwrap_or(seconds(6 * 3600));
    let pending_ttl = section.read("pending_ttl", ttl()).unwrap_or(seconds(2));
    let stale_max = section.read("stale_max", duration(Duration::ZERO..=MAX_TTL));
    let cache = Cache {
        max_bytes: section.read("max_bytes", bytes(1 << 10..=1 << 40)).unwrap_or(256 << 20),
        final_ttl,
        incomplete_ttl: section.read("incomplete_ttl", ttl()).unwrap_or(seconds(60).min(final_ttl)),
        pending_ttl,
        pending_ttl_max: section.read("pending_ttl_max", ttl()).unwrap_or(seconds(30).max(pending_ttl)),
        not_found_ttl: section.read("not_found_ttl", ttl()).unwrap_or(seconds(10)),
        stale_max: stale_max.unwrap_or(seconds(24 * 3600)),
    };
    let notes = section.notes();
    notes.at_most(("cache.incomplete_ttl", cache.incomplete_ttl), ("cache.final_ttl", final_ttl));
    notes.at_most(("cache.pending_ttl", pending_ttl), ("cache.pending_ttl_max", cache.pending_ttl_max));
    cache
}

pub(super) fn media(section: &mut Section<'_>) -> Media {
    Media { allowed_hosts: section.list("allowed_hosts", texts, host_pattern).unwrap_or_default() }
}

fn host_pattern(text: &str) -> Parsed<String> {
    if is_host_name(text.strip_prefix("*.").unwrap_or(text)) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected a host such as \"cdn.example\" or \"*.cdn.example\"; leave the list out to allow any"
        .to_owned())
}

/// `standard`: the standard variables of OpenTelemetry.
pub(super) fn telemetry(section: &mut Section<'_>, standard: Table) -> Telemetry {
    Telemetry {
        log: section.read("log", log_filter).unwrap_or_else(|| "info".to_owned()),
        log_format: section.read("log_format", log_format).unwrap_or(LogFormat::Json),
        audit: section.read("audit", boolean).unwrap_or(true),
        audit_key_file: section.read("audit_key_file", |raw| parsed_file(raw, audit_key)),
        otlp: otlp::otlp(section, standard),
    }
}

fn audit_key(content: &[u8]) -> io::Result<()> {
    if content.len() >= MIN_AUDIT_KEY {
        return Ok(());
    }
    let message = "holds fewer than 16 bytes; write 32 random ones, as `openssl rand -base64 32` does";
    Err(invalid(message))
}

fn log_format(raw: &Raw) -> Parsed<LogFormat> {
    match raw.text()? {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("expected json or text".to_owned()),
    }
}

/// A level, or directives `target=level` separated by commas, with a bare level among them for the rest.
fn log_filter(raw: &Raw) -> Parsed<String> {
    let filter = text(raw)?;
    for directive in filter.split(',').map(str::trim) {
        let (target, level) = directive.split_once('=').unwrap_or(("all", directive));
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            return Err(format!("expected a level, alone or after =; {}", hint(level, &LEVELS)));
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
        assert_eq!(config.server.allowed_hosts.len(), 0);
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
            ("[request]\ntimeout = 5", "request.timeout", "\"5s\""),
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
            ("[cache]\npending_ttl_max = \"1s\"", "cache.pending_ttl", "cache.pending_ttl_max (1s)"),
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
            ("[telemetry]\notlp_endpoint = \"collector:4318\"", "telemetry.otlp_endpoint", "starts with"),
            ("[telemetry]\notlp_endpoint = \"http://a/?b\"", "telemetry.otlp_endpoint", "query"),
            ("[wait]\nmax = \"11m\"", "wait.max", "from 0s to 10m"),
            ("[wait]\nmax_waiters = 0", "wait.max_waiters", "from 1 to"),
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
