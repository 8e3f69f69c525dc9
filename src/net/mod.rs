//! Everything that talks to other servers: names, connections, TLS, and one HTTP exchange.
//!
//! Calls of the vendor go over hyper's client and connections of ours. Two promises need the connection itself, which
//! reqwest does not show: an attempt ends at its byte limit, heads, 1xx answers and framing included; and a final result
//! without an id is believed only from a connection that has carried nothing else. Key sets and traces go over reqwest.

mod connections;
mod connector;
mod diagnosis;
mod dns;
mod exchange;
mod plain;
pub(crate) mod retry_after;
mod stream;
#[cfg(test)]
mod tests;

use std::io;

use hyper::Uri;
use url::Url;

pub(crate) use connections::{Client, Connections};
pub(crate) use connector::{CONNECT_TIMEOUT, Connector, Host, dial};
pub(crate) use diagnosis::{Check, Finding, Problem, Trial};
pub(crate) use exchange::{Answer, Broken, post, send};
pub(crate) use plain::{JwksEndpoint, collector_client};

/// A URL as the client takes it: with an ASCII host, without a fragment.
///
/// # Errors
/// It is not a URL.
pub(crate) fn uri(url: &str) -> io::Result<Uri> {
    let url = Url::parse(url).map_err(io::Error::other)?;
    url.as_str().parse().map_err(io::Error::other)
}
