//! URLs of upstreams and key sets: http or https, a host, perhaps a port and a path. Nothing that could hold
//! a password, so that a URL may be shown. Written one way, so that equal URLs are equal text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::value::Raw;

/// A URL in its one normal form: lower-case scheme and host, no default port, no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Url {
    https: bool,
    host: String,
    port: Option<u16>,
    /// Path and query, `""` or starting with a slash or a question mark.
    path: String,
}

impl Url {
    pub(super) const fn is_https(&self) -> bool {
        self.https
    }

    /// Whether the host is this machine, whatever a name server says.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    fn parse(text: &str, query_allowed: bool) -> Result<Self, String> {
        let (scheme, rest) =
            text.split_once("://").ok_or("expected a URL, such as \"https://api.example\"")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("expected a URL that starts with https://".to_owned()),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a user name or password in a URL is not allowed; remove all up to the @".to_owned());
        }
        let (host, port) = split_port(authority)?;
        let port = port.filter(|port| *port != if https { 443 } else { 80 });
        Ok(Self { https, host: normal_host(host)?, port, path: normal_path(path, query_allowed)? })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// A URL that paths are added to: no query.
pub(super) fn base_url(raw: &Raw<'_>) -> Result<Url, String> {
    Url::parse(raw.text()?, false)
}

/// A URL of one document: a query may select it.
pub(super) fn document_url(raw: &Raw<'_>) -> Result<Url, String> {
    Url::parse(raw.text()?, true)
}

/// Whether `host` is a host name of letters, digits, hyphens and dots.
pub(super) fn is_host_name(host: &str) -> bool {
    let is_label_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_label_byte);
    host.len() <= 253 && host.split('.').all(is_label)
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let after_brackets = authority.rfind(']').unwrap_or(0);
    let Some(colon) = authority[after_brackets..].find(':').map(|colon| colon + after_brackets) else {
        return Ok((authority, None));
    };
    let port = authority[colon + 1..].parse().ok().filter(|port: &u16| *port != 0);
    let port = port.ok_or("expected a port from 1 to 65535 after the host")?;
    Ok((&authority[..colon], Some(port)))
}

fn normal_host(host: &str) -> Result<String, String> {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address = address.parse::<Ipv6Addr>();
        return address
            .map(|address| format!("[{address}]"))
            .map_err(|_| "the host is no IPv6 address".to_owned());
    }
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    // A host that ends in a number is read as an IPv4 address by every client, in more ways than this one.
    let ends_in_number =
        host.rsplit('.').next().is_some_and(|label| label.starts_with(|c: char| c.is_ascii_digit()));
    let is_address = host.parse::<Ipv4Addr>().is_ok();
    if !is_host_name(host) || ends_in_number && !is_address {
        return Err("the host is neither a name of letters, digits and hyphens nor an IP address".to_owned());
    }
    Ok(host.to_ascii_lowercase())
}

fn normal_path(path: &str, query_allowed: bool) -> Result<String, String> {
    if path.contains('#') || (path.contains('?') && !query_allowed) {
        return Err("a query or fragment is not allowed here; end the URL before it".to_owned());
    }
    let is_url_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"/?-._~!$&'()*+,;=:@%".contains(&byte);
    // To a client, an encoded dot is a dot.
    let is_dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    let (before_query, _) = path.split_once('?').unwrap_or((path, ""));
    if !path.bytes().all(is_url_byte) || before_query.split('/').any(is_dots) {
        return Err("the path holds `.`, `..` or a character that no URL has".to_owned());
    }
    Ok(path.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_urls_become_equal_text() {
        let forms = [
            ("HTTPS://My-API.advance.ai:443/", "https://my-api.advance.ai"),
            ("http://localhost:80", "http://localhost"),
            ("http://127.0.0.1:9100/my//", "http://127.0.0.1:9100/my"),
            ("https://[0:0:0:0:0:0:0:1]:8443/a", "https://[::1]:8443/a"),
        ];
        for (text, normal) in forms {
            assert_eq!(Url::parse(text, false).map(|url| url.to_string()), Ok(normal.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_bad_url_is_refused_with_a_reason() {
        let table = [
            ("api.advance.ai", "expected a URL"),
            ("ftp://api.advance.ai", "https://"),
            ("https://", "host is missing"),
            ("https://:8443", "host is missing"),
            ("https://user:hunter2@host", "password"),
            ("https://host/?a=b", "query"),
            ("https://host#top", "fragment"),
            ("https://host:0", "port"),
            ("https://host:99999", "port"),
            ("https://ho st", "host"),
            ("https://127.1", "host"),
            ("https://0x7f.0x1", "host"),
            ("https://a..b", "host"),
            ("https://[::g]", "IPv6"),
            ("https://[::1", "host"),
            ("https://::1]", "host"),
            ("https://host/a/../b", "path"),
            ("https://host/a/%2E%2e/b", "path"),
            ("https://host/a b", "path"),
            ("https://h\u{f6}st", "host"),
        ];
        for (text, fragment) in table {
            let message = Url::parse(text, false).unwrap_err();
            assert!(message.contains(fragment), "{text}: {message}");
            assert!(!message.contains("hunter2"));
        }
    }

    #[test]
    fn loopback_is_told_by_the_url_alone() {
        let loopback = |text| Url::parse(text, true).unwrap().is_loopback();
        assert!(
            ["http://localhost", "http://127.3.2.1:1", "http://[::1]/a?b=c"]
                .map(loopback)
                .iter()
                .all(|is| *is)
        );
        assert!(!["http://10.0.0.1", "http://localhost.example"].map(loopback).iter().any(|is| *is));
    }
}
