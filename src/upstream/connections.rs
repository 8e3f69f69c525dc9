//! The client of one region: TLS, pooling, name resolution, and renewal so that DNS changes are seen.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Below what servers usually keep an idle connection, so that it is mostly us who close it.
const POOL_IDLE: Duration = Duration::from_secs(20);
/// A pool never asks DNS again while its connections are in use, so the whole client is renewed now and then.
const RENEW_AFTER: Duration = Duration::from_secs(600);
/// Renewal times are spread by this share either way, so that regions and replicas do not renew together.
const RENEW_JITTER: f64 = 0.2;
/// What a name look-up may take if there is a last good answer to use instead; otherwise the connect timeout bounds it.
const DNS_PATIENCE: Duration = Duration::from_millis(400);

/// Two ways to one region.
#[derive(Clone)]
pub(super) struct Clients {
    /// Keeps connections for later requests; one of them may be closed just as it is taken.
    pub(super) pooled: Client,
    /// Makes a connection for each request: slower, and never stale.
    pub(super) fresh: Client,
}

/// The connections to one region.
pub(super) struct Connections {
    tls: ClientConfig,
    allow_http: bool,
    resolver: Resolver,
    current: Mutex<(Clients, Instant)>,
}

impl Connections {
    /// Prepares a client; connects to nothing yet.
    ///
    /// # Errors
    /// The CA file cannot be read, or TLS cannot be set up.
    pub(super) fn new(ca_file: Option<&Path>, allow_http: bool) -> io::Result<Self> {
        let tls = tls(ca_file)?;
        let resolver = Resolver::default();
        let current = Mutex::new((clients(&tls, allow_http, &resolver)?, next_renewal()));
        Ok(Self { tls, allow_http, resolver, current })
    }

    /// The current clients. Those before them end with their last request.
    pub(super) fn clients(&self) -> Clients {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() >= current.1 {
            // They were built once from the same parts; should that fail now, the old ones still work.
            if let Ok(clients) = clients(&self.tls, self.allow_http, &self.resolver) {
                current.0 = clients;
            }
            current.1 = next_renewal();
        }
        current.0.clone()
    }
}

fn next_renewal() -> Instant {
    let spread = rand::random_range(1.0 - RENEW_JITTER..1.0 + RENEW_JITTER);
    Instant::now() + RENEW_AFTER.mul_f64(spread)
}

fn clients(tls: &ClientConfig, allow_http: bool, resolver: &Resolver) -> io::Result<Clients> {
    let client = |pooled_per_host| client(tls, allow_http, resolver, pooled_per_host);
    Ok(Clients { pooled: client(usize::MAX)?, fresh: client(0)? })
}

fn client(
    tls: &ClientConfig,
    allow_http: bool,
    resolver: &Resolver,
    pooled_per_host: usize,
) -> io::Result<Client> {
    Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .https_only(!allow_http)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(pooled_per_host)
        .dns_resolver(Arc::new(resolver.clone()))
        .build()
        .map_err(|error| io::Error::other(error.without_url()))
}

fn tls(ca_file: Option<&Path>) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        let bundled = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(io::Error::other)? {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        if roots.len() == bundled {
            return Err(io::Error::other("the CA file holds no certificate in PEM form"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth())
}

/// The system's resolver, with the last good answer kept for when it fails or hangs.
#[derive(Clone, Default)]
struct Resolver {
    /// A region has one or two host names, so this stays small.
    last_good: Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let last_good = Arc::clone(&self.last_good);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let known = last_good.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned();
            let addresses = match known {
                None => look_up(&host).await?,
                Some(known) => match tokio::time::timeout(DNS_PATIENCE, look_up(&host)).await {
                    Ok(Ok(addresses)) => addresses,
                    Ok(Err(_)) | Err(_) => known,
                },
            };
            last_good.lock().unwrap_or_else(PoisonError::into_inner).insert(host, addresses.clone());
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn look_up(host: &str) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}
