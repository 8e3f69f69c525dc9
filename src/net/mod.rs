//! Everything that talks to other servers: names, connections, TLS, and one HTTP exchange.
//!
//! Calls of the vendor go over hyper's connections, which are kept here. Two promises need the connection itself, which
//! reqwest does not show: an attempt ends at its byte limit, heads, 1xx answers and framing included; and a final result
//! without an id is believed only from a connection that has carried nothing else. Key sets and traces go over reqwest.

mod connector;
mod diagnosis;
mod dns;
mod endpoint;
mod exchange;
mod plain;
pub(crate) mod retry_after;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use connector::{CONNECT_TIMEOUT, Connector, Host, dial};
pub(crate) use diagnosis::{Check, Finding, Problem, Trial};
pub(crate) use endpoint::{Endpoint, Over};
pub(crate) use exchange::{Answer, Broken};
pub(crate) use plain::{JwksEndpoint, collector_client};
pub(crate) use stream::{Watch, Watched};
