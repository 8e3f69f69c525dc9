//! The client of one region: TLS, pooling, name resolution, and renewal so that DNS changes are seen.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// What a connection may take: the name, the address and the handshake.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Below what servers usually keep an idle connection, so that it is mostly us who close it.
const POOL_IDLE: Duration = Duration::from_secs(20);
/// A pool never asks DNS again while its connections are in use, so the whole client is renewed now and then.
const RENEW_AFTER: Duration = Duration::from_secs(600);
/// Renewal times are spread by this share either way, so that regions and replicas do not renew together.
const RENEW_JITTER: f64 = 0.2;
/// What a name look-up may take if there is a last good answer to use instead.
const DNS_PATIENCE: Duration = Duration::from_millis(400);
/// What it may take if there is none: two of them, one for each attempt, and the pause between end within two seconds.
const FIRST_DNS_PATIENCE: Duration = Duration::from_millis(900);
/// Look-ups at once. One that hangs keeps a thread for as long as the system goes on trying, whoever still waits.
const MAX_LOOK_UPS: usize = 8;

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
    renew_after: Duration,
    current: Mutex<(Clients, Instant)>,
}

impl Connections {
    /// Prepares a client; connects to nothing yet.
    ///
    /// # Errors
    /// The CA file cannot be read, or TLS cannot be set up.
    pub(super) fn new(ca_file: Option<&Path>, allow_http: bool) -> io::Result<Self> {
        Self::with(tls(ca_file)?, allow_http, Resolver::new(|host| Box::pin(look_up(host))), RENEW_AFTER)
    }

    fn with(
        tls: ClientConfig,
        allow_http: bool,
        resolver: Resolver,
        renew_after: Duration,
    ) -> io::Result<Self> {
        let current = Mutex::new((clients(&tls, allow_http, &resolver)?, next_renewal(renew_after)));
        Ok(Self { tls, allow_http, resolver, renew_after, current })
    }

    /// The addresses of a host as requests find them; their ports mean nothing.
    pub(super) async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        self.resolver.clone().addresses(host.to_owned()).await
    }

    /// What connections are secured with.
    pub(super) const fn tls(&self) -> &ClientConfig {
        &self.tls
    }

    /// The current clients. Those before them end with their last request.
    pub(super) fn clients(&self) -> Clients {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() >= current.1 {
            // They were built once from the same parts; should that fail now, the old ones still work.
            if let Ok(clients) = clients(&self.tls, self.allow_http, &self.resolver) {
                current.0 = clients;
            }
            current.1 = next_renewal(self.renew_after);
        }
        current.0.clone()
    }
}

fn next_renewal(renew_after: Duration) -> Instant {
    let spread = rand::random_range(1.0 - RENEW_JITTER..1.0 + RENEW_JITTER);
    Instant::now() + renew_after.mul_f64(spread)
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

/// Finds the addresses of a host name.
type LookUp =
    dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync;

/// A resolver that keeps the last good answer for when the look-up fails or hangs.
#[derive(Clone)]
struct Resolver {
    look_up: Arc<LookUp>,
    places: Arc<Semaphore>,
    /// A region has one or two host names, so this stays small.
    last_good: Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>,
}

impl Resolver {
    fn new(
        look_up: impl Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let places = Arc::new(Semaphore::new(MAX_LOOK_UPS));
        Self { look_up: Arc::new(look_up), places, last_good: Arc::default() }
    }

    async fn addresses(self, host: String) -> io::Result<Vec<SocketAddr>> {
        let known = self.last_good.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned();
        let patience = if known.is_some() { DNS_PATIENCE } else { FIRST_DNS_PATIENCE };
        let found = tokio::time::timeout(patience, self.look_up(host.clone())).await;
        match (found, known) {
            (Ok(Ok(addresses)), _) => {
                let mut last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
                last_good.insert(host, addresses.clone());
                Ok(addresses)
            }
            (_, Some(known)) => Ok(known),
            (Ok(Err(error)), None) => Err(error),
            (Err(_), None) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// In a task of its own, so that its place is taken until it ends and not until we lose patience.
    async fn look_up(&self, host: String) -> io::Result<Vec<SocketAddr>> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
        let look_up = (self.look_up)(host);
        let task = tokio::spawn(async move {
            let found = look_up.await;
            drop(place);
            found
        });
        task.await.map_err(io::Error::other)?
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.clone().addresses(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(addresses.await?.into_iter()) as Addrs) })
    }
}

async fn look_up(host: String) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A name server that does what it is told.
    #[derive(Clone, Copy)]
    enum Names {
        Say(SocketAddr),
        Fail,
        Hang,
    }

    fn resolver(names: &Arc<Mutex<Names>>, asked: &Arc<AtomicUsize>) -> Resolver {
        let (names, asked) = (Arc::clone(names), Arc::clone(asked));
        Resolver::new(move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            let names = *names.lock().unwrap();
            Box::pin(async move {
                match names {
                    Names::Say(address) => Ok(vec![address]),
                    Names::Fail => Err(io::ErrorKind::NotFound.into()),
                    Names::Hang => std::future::pending().await,
                }
            })
        })
    }

    /// A server that answers everything with its name, over connections that stay open.
    async fn server(name: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn f058_the_last_good_address_serves_while_names_fail_or_hang() {
        let good = SocketAddr::from(([127, 0, 0, 1], 443));
        let names = Arc::new(Mutex::new(Names::Say(good)));
        let resolver = resolver(&names, &Arc::default());
        let find = async |host: &str| {
            let started = Instant::now();
            let found = resolver.clone().addresses(host.to_owned()).await;
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
            found.ok()
        };
        assert_eq!(find("known.test").await, Some(vec![good]));
        for broken in [Names::Fail, Names::Hang] {
            *names.lock().unwrap() = broken;
            assert_eq!(find("known.test").await, Some(vec![good]));
            assert_eq!(find("unknown.test").await, None);
        }
        let moved = SocketAddr::from(([127, 0, 0, 2], 443));
        *names.lock().unwrap() = Names::Say(moved);
        assert_eq!(
            find("known.test").await,
            Some(vec![moved]),
            "an old answer serves no longer than it must"
        );
    }

    #[tokio::test]
    async fn f058_look_ups_that_hang_take_few_threads() {
        let asked = Arc::default();
        let resolver = resolver(&Arc::new(Mutex::new(Names::Hang)), &asked);
        let many = (0..100).map(|_| tokio::spawn(resolver.clone().addresses("hangs.test".to_owned())));
        for one in many.collect::<Vec<_>>() {
            assert!(one.await.unwrap().is_err());
        }
        assert!(resolver.addresses("hangs.test".to_owned()).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), MAX_LOOK_UPS);
    }

    /// The same with the default period takes ten minutes; what is not shown here is that the gateway uses it.
    #[tokio::test]
    async fn f059_all_traffic_follows_a_moved_name_although_connections_are_kept() {
        let (old, new) = (server("old").await, server("new").await);
        let names = Arc::new(Mutex::new(Names::Say(old)));
        let resolver = resolver(&names, &Arc::default());
        let connections =
            Connections::with(tls(None).unwrap(), true, resolver, Duration::from_millis(300)).unwrap();
        let ask = async || {
            let asked = connections.clients().pooled.get("http://upstream.test/").send().await;
            asked.unwrap().text().await.unwrap()
        };
        assert_eq!(ask().await, "old");
        *names.lock().unwrap() = Names::Say(new);
        // A steady load keeps the old connection in use, so that nothing but renewal can end it.
        let moved = async {
            while ask().await == "old" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), moved).await.expect("it moves");
        for _ in 0..100 {
            assert_eq!(ask().await, "new");
        }
    }
}
