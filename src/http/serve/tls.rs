//! TLS on the public listener: our certificate, and callers' certificates if they are required. The files are watched.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::domain::certificate;
use crate::files::{self, Content};
use crate::settings;
use crate::telemetry::metrics::Metrics;

const CERT_FILE: &str = "server.tls.cert_file";
const KEY_FILE: &str = "server.tls.key_file";
const CLIENT_CA_FILE: &str = "server.tls.client_ca_file";

/// TLS for new connections. Open ones keep what they were opened with.
pub(crate) struct Tls {
    files: settings::Tls,
    config: ArcSwap<ServerConfig>,
    loaded: Mutex<Loaded>,
    metrics: Arc<Metrics>,
}

/// What the files held when they were last taken into use.
struct Loaded {
    contents: Contents,
    /// When our own certificate ends.
    own_end: Timestamp,
    /// When the first authority of callers' certificates ends.
    client_ca_end: Option<Timestamp>,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Content,
    key: Content,
    client_ca: Option<Content>,
}

impl Tls {
    /// TLS from these files.
    ///
    /// # Errors
    /// A file cannot be read or used; the message names its key in the configuration.
    pub(crate) fn new(files: settings::Tls, metrics: Arc<Metrics>) -> io::Result<Arc<Self>> {
        let (config, loaded) = load(read(&files)?)?;
        metrics.certificate_expiry.set(loaded.own_end.as_second());
        let (config, loaded) = (ArcSwap::from_pointee(config), Mutex::new(loaded));
        Ok(Arc::new(Self { files, config, loaded, metrics }))
    }

    /// Reads the files again. Returns whether their contents have changed.
    ///
    /// # Errors
    /// As [`Self::new`], and if an authority in use has ended meanwhile; what is in use stays in use.
    pub(crate) fn reload(&self) -> io::Result<bool> {
        let contents = read(&self.files)?;
        let mut loaded = self.loaded.lock();
        if loaded.contents == contents {
            loaded.client_ca_end.map_or(Ok(()), check_end)?;
            return Ok(false);
        }
        let (config, new) = load(contents)?;
        self.config.store(Arc::new(config));
        self.metrics.certificate_expiry.set(new.own_end.as_second());
        *loaded = new;
        Ok(true)
    }

    /// Completes the handshake with a client.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }
}

fn read(files: &settings::Tls) -> io::Result<Contents> {
    let read = |name, path| files::read(path).map_err(|error| named(name, error));
    Ok(Contents {
        cert: read(CERT_FILE, &files.cert_file)?,
        key: read(KEY_FILE, &files.key_file)?,
        client_ca: files.client_ca_file.as_deref().map(|path| read(CLIENT_CA_FILE, path)).transpose()?,
    })
}

fn load(contents: Contents) -> io::Result<(ServerConfig, Loaded)> {
    let certificates = certificates(CERT_FILE, &contents.cert)?;
    let own_end = certificates.first().and_then(|own| certificate::not_after(own));
    let own_end = own_end.ok_or_else(|| named(CERT_FILE, "the certificate does not say when it ends"))?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| named(KEY_FILE, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let (builder, client_ca_end) = match &contents.client_ca {
        None => (builder.with_no_client_auth(), None),
        Some(authorities) => {
            let (roots, end) = client_authorities(authorities)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            let verifier = verifier.map_err(|error| named(CLIENT_CA_FILE, error))?;
            (builder.with_client_cert_verifier(verifier), Some(end))
        }
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(unusable_key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if client_ca_end.is_some() {
        // A resumed session would not look at the client's certificate again, which may have ended.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok((config, Loaded { contents, own_end, client_ca_end }))
}

fn unusable_key(error: rustls::Error) -> io::Error {
    if !matches!(error, rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) {
        return named(KEY_FILE, error);
    }
    named(
        KEY_FILE,
        "is not the key of the certificate in server.tls.cert_file; name two that belong together",
    )
}

/// The authorities of callers' certificates, and when the first of them ends.
fn client_authorities(pem: &[u8]) -> io::Result<(RootCertStore, Timestamp)> {
    let (mut roots, mut first_end) = (RootCertStore::empty(), Timestamp::MAX);
    for authority in certificates(CLIENT_CA_FILE, pem)? {
        let end = certificate::not_after(&authority);
        let end = end.ok_or_else(|| named(CLIENT_CA_FILE, "an authority does not say when it ends"))?;
        check_end(end)?;
        first_end = first_end.min(end);
        roots.add(authority).map_err(|error| named(CLIENT_CA_FILE, error))?;
    }
    Ok((roots, first_end))
}

/// The library does not look at the end of an authority.
fn check_end(end: Timestamp) -> io::Result<()> {
    if end <= Timestamp::now() {
        return Err(named(CLIENT_CA_FILE, format_args!("an authority in it ended at {end}; replace it")));
    }
    Ok(())
}

fn certificates(key: &str, pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    files::certificates(pem).map_err(|error| named(key, error))
}

fn named(key: &str, why: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{key}: {why}"))
}
