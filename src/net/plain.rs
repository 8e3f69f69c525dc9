//! The clients of the key set of callers' tokens and of the collector of traces: plain exchanges, over reqwest.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Url};
use secrecy::zeroize::Zeroizing;

use super::connector::{CONNECT_TIMEOUT, tls};
use super::dns::Resolver;
use super::exchange::AGENT;
use super::stream::MAX_BODY;
use crate::files;

/// What one fetch may take: callers with an unknown key wait for it.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// A JWKS endpoint.
pub(crate) struct JwksEndpoint {
    url: Url,
    client: Client,
    /// Holds a bearer token to send; read before each request, as Kubernetes renews it.
    token_file: Option<PathBuf>,
}

impl JwksEndpoint {
    /// Prepares a client; connects to nothing yet.
    ///
    /// # Errors
    /// It is not a URL, or the CA file cannot be read.
    pub(crate) fn new(url: &str, ca_file: Option<&Path>, token_file: Option<PathBuf>) -> io::Result<Self> {
        let url = Url::parse(url).map_err(io::Error::other)?;
        let client = client(ca_file).map_err(|error| io::Error::other(format!("jwks_ca_file: {error}")))?;
        Ok(Self { url, client, token_file })
    }

    /// Fetches the key set, as JSON text. `None`: no whole answer with HTTP 200 came.
    pub(crate) async fn fetch(&self) -> Option<Vec<u8>> {
        let mut request = self.client.get(self.url.clone()).timeout(TIME_LIMIT);
        if let Some(file) = &self.token_file {
            request = request.header(AUTHORIZATION, authorization(file).await?);
        }
        let mut response = request.send().await.ok().filter(|response| response.status().is_success())?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            if body.len() + chunk.len() > MAX_BODY {
                return None;
            }
            body.extend_from_slice(&chunk);
        }
        Some(body)
    }
}

/// The header that carries the token in a file.
async fn authorization(token_file: &Path) -> Option<HeaderValue> {
    let content = files::read_within(TIME_LIMIT, token_file.to_owned()).await.ok()?;
    let header = Zeroizing::new([b"Bearer ", content.trim_ascii()].concat());
    let mut value = HeaderValue::from_bytes(&header).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A client for the collector of traces; connects to nothing yet.
///
/// # Errors
/// The CA file cannot be read, or TLS cannot be set up.
pub(crate) fn collector_client(ca_file: Option<&Path>) -> io::Result<Client> {
    let name = "the collector's certificate authorities (OTEL_EXPORTER_OTLP_…CERTIFICATE)";
    client(ca_file).map_err(|error| io::Error::other(format!("{name}: {error}")))
}

/// It makes a connection for each request: they are seconds apart, and a server that has moved is found again.
fn client(ca_file: Option<&Path>) -> io::Result<Client> {
    Client::builder()
        .tls_backend_preconfigured(tls(ca_file)?)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(Resolver::of_the_system()))
        .build()
        .map_err(|error| io::Error::other(error.without_url()))
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.addresses(name.as_str()).await?;
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(JwksEndpoint: std::fmt::Debug, std::fmt::Display);
