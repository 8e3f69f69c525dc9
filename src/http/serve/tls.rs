//! TLS on the public listener: our certificate, callers' certificates if asked for, both followed on disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::domain::certificate;
use crate::files;
use crate::telemetry::metrics::Metrics;

/// What a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

const CERT_FILE: &str = "server.tls.cert_file";
const KEY_FILE: &str = "server.tls.key_file";
const CLIENT_CA_FILE: &str = "server.tls.client_ca_file";

/// The files that TLS is made of, PEM.
#[derive(Clone)]
pub(crate) struct TlsFiles {
    /// Our certificate and what leads to its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of callers' certificates; if set, a caller without one is refused.
    pub client_ca: Option<PathBuf>,
}

/// TLS for new connections. Those that are open keep what they were opened with.
pub(crate) struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    digest: Mutex<[u8; 32]>,
    metrics: Arc<Metrics>,
}

impl Tls {
    /// TLS from these files.
    ///
    /// # Errors
    /// A file cannot be read or used; the message names its key in the configuration.
    pub(crate) fn new(files: TlsFiles, metrics: Arc<Metrics>) -> io::Result<Arc<Self>> {
        let digest = Mutex::new(digest(&files)?);
        let (config, expiry) = config(&files)?;
        metrics.certificate_expiry.set(expiry);
        Ok(Arc::new(Self { files, config: ArcSwap::from_pointee(config), digest, metrics }))
    }

    /// Reads the files again. Returns whether they hold something else than before.
    ///
    /// # Errors
    /// As [`Self::new`]; what is in use stays in use.
    pub(crate) fn reload(&self) -> io::Result<bool> {
        let now = digest(&self.files)?;
        let mut known = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == now {
            return Ok(false);
        }
        let (config, expiry) = config(&self.files)?;
        self.config.store(Arc::new(config));
        self.metrics.certificate_expiry.set(expiry);
        *known = now;
        Ok(true)
    }

    /// Shakes hands with a client.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(self.config.load_full()).accept(stream);
        tokio::time::timeout(HANDSHAKE, handshake).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// What connections are opened with, and when its certificate ends, in epoch seconds.
fn config(files: &TlsFiles) -> io::Result<(ServerConfig, i64)> {
    let certificates = certificates(CERT_FILE, &files.cert)?;
    let expiry = certificates.first().and_then(|own| certificate::not_after(own));
    let expiry = expiry.ok_or_else(|| named(CERT_FILE, "does not say when it ends"))?.as_second();
    let key = files::read(&files.key).map_err(|error| named(KEY_FILE, error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| named(KEY_FILE, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in self::certificates(CLIENT_CA_FILE, path)? {
                roots.add(authority).map_err(|error| named(CLIENT_CA_FILE, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| named(CLIENT_CA_FILE, error))?)
        }
    };
    let config = builder.with_single_cert(certificates, key);
    let mut config =
        config.map_err(|error| named("server.tls.key_file does not go with server.tls.cert_file", error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, expiry))
}

fn certificates(key: &str, path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let content = files::read(path).map_err(|error| named(key, error))?;
    let parsed = CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>();
    let certificates = parsed.map_err(|error| named(key, error))?;
    if certificates.is_empty() {
        return Err(named(key, "holds no certificate in PEM form"));
    }
    Ok(certificates)
}

fn digest(files: &TlsFiles) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let named_files = [
        (CERT_FILE, Some(&files.cert)),
        (KEY_FILE, Some(&files.key)),
        (CLIENT_CA_FILE, files.client_ca.as_ref()),
    ];
    for (key, path) in named_files {
        let Some(path) = path else { continue };
        let content = files::read(path).map_err(|error| named(key, error))?;
        digest.update(content.len().to_be_bytes());
        digest.update(&content);
    }
    Ok(digest.finalize().into())
}

fn named(key: &str, why: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{key}: {why}"))
}
