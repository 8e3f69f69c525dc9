//! Where the public keys of callers' tokens are fetched from. Not the vendor: it lives here because reqwest does.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::zeroize::Zeroizing;

use super::attempt::{self, Answer};
use super::connections::Connections;
use crate::domain::failure::Kind;
use crate::files;

/// What one fetch may take: callers with a key we do not know yet wait for it.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// A JWKS endpoint.
pub(crate) struct JwksEndpoint {
    url: Url,
    connections: Connections,
    /// Holds a bearer token to send; read before each request, as Kubernetes renews it.
    token_file: Option<PathBuf>,
}

impl JwksEndpoint {
    /// Prepares a client; connects to nothing yet.
    ///
    /// # Errors
    /// The URL is none, or the CA file cannot be read.
    pub(crate) fn new(url: &str, ca_file: Option<&Path>, token_file: Option<PathBuf>) -> io::Result<Self> {
        let url = Url::parse(url).map_err(io::Error::other)?;
        // Configuration allows plain http to this machine only.
        let connections = Connections::new(ca_file, url.scheme() == "http")
            .map_err(|error| io::Error::other(format!("jwks_ca_file: {error}")))?;
        Ok(Self { url, connections, token_file })
    }

    /// Fetches the key set, as JSON text.
    ///
    /// # Errors
    /// No whole answer with HTTP 200 came.
    pub(crate) async fn fetch(&self) -> Result<Vec<u8>, Kind> {
        let mut request = self.connections.clients().fresh.get(self.url.clone());
        if let Some(token) = self.token().await? {
            request = request.header(AUTHORIZATION, token);
        }
        let Answer { status, body, .. } = attempt::send(request, TIME_LIMIT).await?;
        if status.is_success() { Ok(body) } else { Err(Kind::Refused) }
    }

    async fn token(&self) -> Result<Option<HeaderValue>, Kind> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let content = files::read_within(TIME_LIMIT, path.clone()).await.map_err(|_| Kind::Auth)?;
        let token = str::from_utf8(&content).map_err(|_| Kind::Auth)?;
        let header = Zeroizing::new(format!("Bearer {}", token.trim()));
        let mut value = HeaderValue::from_str(&header).map_err(|_| Kind::Auth)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}
