//! What posts spans to their collector. Not the vendor: it lives here because reqwest does.

use std::io;
use std::path::Path;

use reqwest::Client;

use super::connections::Connections;

/// A client for the collector at `url`; connects to nothing yet. It makes a connection for each batch: they are seconds
/// apart, and a collector that has moved is found again.
///
/// # Errors
/// The CA file cannot be read, or TLS cannot be set up.
pub(crate) fn collector_client(url: &str, ca_file: Option<&Path>) -> io::Result<Client> {
    let connections = Connections::new(ca_file, url.starts_with("http:")).map_err(|error| {
        io::Error::other(format!(
            "the collector's certificate authorities (OTEL_EXPORTER_OTLP_…CERTIFICATE): {error}"
        ))
    })?;
    Ok(connections.clients().fresh)
}
