//! One connection to a server, step by step: its addresses, TCP, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::Scheme;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dns::Resolver;
use super::stream::{Meter, Stream, Watched};
use crate::domain::failure::Kind;
use crate::files;

/// What a connection may take: the name, the address and the handshake.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What connections are made with.
#[derive(Clone)]
pub(crate) struct Connector {
    resolver: Resolver,
    tls: TlsConnector,
}

/// The other end of a connection.
#[derive(PartialEq, Eq)]
pub(crate) struct Host {
    /// A name, or an address without brackets.
    pub name: String,
    pub port: u16,
    pub is_https: bool,
}

/// There is no connection; the kind says which step failed.
pub(super) struct NotConnected(pub(super) Kind);

impl Host {
    pub(crate) fn of(uri: &Uri) -> Self {
        let name = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        Self { name, port, is_https }
    }

    /// Whether it is an address, so that there is nothing to look up.
    pub(crate) fn is_address(&self) -> bool {
        self.name.parse::<IpAddr>().is_ok()
    }
}

impl Connector {
    /// Trusts the bundled authorities, and those of `ca_file`.
    ///
    /// # Errors
    /// The CA file cannot be read, or TLS cannot be set up.
    pub(crate) fn new(ca_file: Option<&Path>) -> io::Result<Self> {
        Ok(Self::over(Resolver::of_the_system(), tls(ca_file)?))
    }

    /// Trusts the authorities in `pem`, and no others; without any, the bundled ones.
    ///
    /// # Errors
    /// There is no certificate in `pem`, or TLS cannot be set up.
    pub(crate) fn trusting(pem: Option<&[u8]>) -> io::Result<Self> {
        let roots = pem.map_or_else(|| Ok(bundled()), |pem| with_authorities(RootCertStore::empty(), pem))?;
        Ok(Self::over(Resolver::of_the_system(), config(roots)?))
    }

    pub(super) fn over(resolver: Resolver, tls: ClientConfig) -> Self {
        Self { resolver, tls: TlsConnector::from(Arc::new(tls)) }
    }

    /// A connection, and what it has carried.
    pub(super) async fn connect(&self, host: &Host) -> Result<(Stream, Arc<Meter>), NotConnected> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let addresses = step(Kind::Dns, deadline, self.addresses(host)).await?;
        let tcp = step(Kind::Connect, deadline, dial(&addresses)).await?;
        let meter = Arc::default();
        let tcp = TokioIo::new(Watched::new(tcp, Arc::clone(&meter)));
        if !host.is_https {
            return Ok((tcp.into(), meter));
        }
        let tls = step(Kind::Tls, deadline, self.secure(host, TokioIo::new(tcp))).await?;
        Ok((tls.into(), meter))
    }

    /// The addresses of a host.
    pub(crate) async fn addresses(&self, host: &Host) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.name.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, host.port)]);
        }
        let found = self.resolver.addresses(&host.name).await?;
        Ok(found.into_iter().map(|address| SocketAddr::new(address, host.port)).collect())
    }

    /// A TLS session with the host over that stream.
    pub(crate) async fn secure<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        host: &Host,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let name = ServerName::try_from(host.name.clone()).map_err(io::Error::other)?;
        self.tls.connect(name, stream).await
    }
}

/// Connects to the first address that accepts; each gets its share of the time.
pub(crate) async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let share = CONNECT_TIMEOUT / addresses.len().try_into().unwrap_or(u32::MAX).max(1);
    let mut failure = io::Error::from(io::ErrorKind::TimedOut);
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return stream.set_nodelay(true).map(|()| stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

async fn step<T>(
    kind: Kind,
    deadline: Instant,
    step: impl Future<Output = io::Result<T>>,
) -> Result<T, NotConnected> {
    timeout_at(deadline, step)
        .await
        .map_or(Err(NotConnected(kind)), |done| done.map_err(|_| NotConnected(kind)))
}

pub(super) fn tls(ca_file: Option<&Path>) -> io::Result<ClientConfig> {
    let roots =
        ca_file.map_or_else(|| Ok(bundled()), |path| with_authorities(bundled(), &files::read(path)?))?;
    config(roots)
}

fn bundled() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn with_authorities(mut roots: RootCertStore, pem: &[u8]) -> io::Result<RootCertStore> {
    let named = |error| io::Error::other(format!("the CA file: {error}"));
    for certificate in files::certificates(pem).map_err(named)? {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    Ok(roots)
}

fn config(roots: RootCertStore) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth())
}
