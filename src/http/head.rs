//! The checks of a request's head that come before everything else.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Method, Version};

use super::code::Code;
use super::error::ApiError;

/// The most headers of a request. Checked here, because with a limit of its own hyper prepares a list of that length for
/// every request; beyond its usual 100 it answers 431.
const MAX_HEADERS: usize = 64;

/// Refuses an ambiguous head, and one of too many headers. Nothing more is read from its connection.
pub(super) fn check_framing(head: &Parts) -> Result<(), ApiError> {
    // Most heads repeat no header: then there is nothing to count.
    let has_repeats = head.headers.len() > head.headers.keys_len();
    let is_repeated = |name| has_repeats && head.headers.get_all(name).iter().count() > 1;
    let is_without_host = head.version == Version::HTTP_11 && !head.headers.contains_key(HOST);
    let complaint = if head.uri.scheme().is_some() || head.method == Method::CONNECT {
        "Send the path alone as the request target: this is not a proxy."
    } else if is_without_host || is_repeated(HOST) {
        "Send one Host header."
    } else if is_repeated(AUTHORIZATION) {
        "Send one Authorization header."
    } else if head.headers.len() > MAX_HEADERS {
        "Send at most 64 headers."
    } else {
        return Ok(());
    };
    Err(ApiError::new(Code::BadRequest, complaint).closing())
}

/// Refuses a method that is not in `allow`, whatever the body, and then a body. Nothing more is read from the
/// connection of a request with a body.
pub(super) fn check_method(head: &Parts, allow: &'static str, is_bodyless: bool) -> Result<(), ApiError> {
    let refusal = if !allow.split([',', ' ']).any(|method| method == head.method.as_str()) {
        ApiError::method_not_allowed(allow)
    } else if !is_bodyless {
        ApiError::new(Code::BadRequest, "This route takes no body.")
    } else {
        return Ok(());
    };
    Err(if is_bodyless { refusal } else { refusal.closing() })
}

/// The `Host` values of a listener without authentication. Others are refused: a web page can make a browser
/// send requests to this address under a name of its own that resolves to it (DNS rebinding).
pub(crate) struct TrustedHosts(Vec<String>);

impl TrustedHosts {
    /// IP addresses, `localhost` and these names.
    pub(crate) fn new(names: &[String]) -> Self {
        Self(names.to_vec())
    }

    /// Refuses a request to another host. One without `Host`, in HTTP/1.0, comes from no browser.
    pub(super) fn check(&self, head: &Parts) -> Result<(), ApiError> {
        match head.headers.get(HOST) {
            Some(host) if !host.to_str().is_ok_and(|host| self.contains(host)) => Err(ApiError::new(
                Code::MisdirectedRequest,
                "This listener has no such host; add its name to server.allowed_hosts.",
            )),
            _ => Ok(()),
        }
    }

    fn contains(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let (name, port) = host.split_at(authority.host().len());
        if !port.is_empty() && port.strip_prefix(':').is_none_or(|port| port.parse::<u16>().is_err()) {
            return false;
        }
        let is_address = match name.strip_prefix('[') {
            Some(name) => name.strip_suffix(']').is_some_and(|name| name.parse::<Ipv6Addr>().is_ok()),
            None => name.parse::<Ipv4Addr>().is_ok(),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        is_address
            || name.eq_ignore_ascii_case("localhost")
            || self.0.iter().any(|known| name.eq_ignore_ascii_case(known))
    }
}
