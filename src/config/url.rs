//! URLs of upstreams, key sets and collectors, and host names.

use url::{Host, Url};

use super::value::{Parsed, Raw};

/// A URL that paths are added to, without a slash at its end: no query.
pub(super) fn base_url(raw: &Raw) -> Parsed<Url> {
    let url = document_url(raw)?;
    if url.query().is_some() {
        return Err("a query is not allowed here; end the URL before it".to_owned());
    }
    Ok(url)
}

/// A URL of one document, which a query may select.
pub(super) fn document_url(raw: &Raw) -> Parsed<Url> {
    let url = Url::parse(raw.text()?.trim())
        .map_err(|error| format!("expected a URL, such as \"https://api.example\": {error}"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("expected a URL that starts with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user name or password in a URL is not allowed; remove it".to_owned());
    }
    if url.port() == Some(0) {
        return Err("nothing listens on port 0; write the server's port".to_owned());
    }
    if url.fragment().is_some() {
        return Err("a fragment is not allowed here; end the URL before the #".to_owned());
    }
    Ok(url)
}

/// The text of a URL, without the slash at its end.
pub(super) fn show(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Whether the host is this machine, whatever a name server says.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether `host` is a host name of letters, digits, hyphens, underscores and dots.
pub(super) fn is_host_name(host: &str) -> bool {
    let is_label_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_label_byte);
    host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> Result<Url, String> {
        base_url(&Raw { value: &text.into(), from_env: false })
    }

    #[test]
    fn equal_urls_become_equal_text() {
        let forms = [
            ("HTTPS://My-API.advance.ai:443/", "https://my-api.advance.ai"),
            ("http://localhost:80", "http://localhost"),
            ("http://127.0.0.1:8090/my//", "http://127.0.0.1:8090/my"),
            ("https://[0:0:0:0:0:0:0:1]:8443/a", "https://[::1]:8443/a"),
        ];
        for (text, normal) in forms {
            assert_eq!(base(text).map(|url| show(&url)), Ok(normal.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_bad_url_is_refused_with_a_reason() {
        let table = [
            ("api.advance.ai", "expected a URL"),
            ("ftp://api.advance.ai", "https://"),
            ("https://", "empty host"),
            ("https://user:hunter2@host", "password"),
            ("https://hunter2@host", "user name"),
            ("https://host/?a=b", "query"),
            ("https://host#top", "fragment"),
            ("https://host:99999", "port"),
            ("https://host:0", "port 0"),
            ("https://ho st", "invalid international domain name"),
            ("https://1.2.3.256", "IPv4"),
            ("https://[::g]", "IPv6"),
        ];
        for (text, fragment) in table {
            let message = base(text).unwrap_err();
            assert!(message.contains(fragment), "{text}: {message}");
            assert!(!message.contains("hunter2"));
        }
    }

    #[test]
    fn the_url_alone_decides_whether_a_host_is_loopback() {
        let loopback = |text: &str| is_loopback(&base(text).unwrap());
        assert!(
            ["http://localhost", "http://127.3.2.1:1", "http://[::1]/a"].map(loopback).iter().all(|is| *is)
        );
        assert!(!["http://10.0.0.1", "http://localhost.example"].map(loopback).iter().any(|is| *is));
    }
}
