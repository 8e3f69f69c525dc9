//! Addresses of host names, with the last good answer kept for when the lookup fails or hangs.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What a lookup may take if there is a last good answer to use instead.
const DNS_TIMEOUT: Duration = Duration::from_millis(400);
/// What it may take if there is none: two of them, one for each attempt, and the pause between end within two seconds.
const FIRST_DNS_TIMEOUT: Duration = Duration::from_millis(900);
/// Lookups at once. One that hangs keeps a thread until the system gives up, even if no request waits for it any more.
pub(super) const MAX_LOOKUPS: usize = 8;

/// Finds the addresses of a host name.
type Lookup = dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync;

#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Arc<Lookup>,
    permits: Arc<Semaphore>,
    /// A region has one or two host names, so this stays small.
    last_good: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
}

impl Resolver {
    /// Asks the system.
    pub(super) fn of_the_system() -> Self {
        Self::over(|host| Box::pin(ask_the_system(host)))
    }

    pub(super) fn over(
        lookup: impl Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Self { lookup: Arc::new(lookup), permits, last_good: Arc::default() }
    }

    pub(super) async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let known = self.last_good.lock().get(host).cloned();
        let limit = if known.is_some() { DNS_TIMEOUT } else { FIRST_DNS_TIMEOUT };
        match (timeout(limit, self.look_up(host)).await, known) {
            (Ok(Ok(addresses)), _) => {
                let mut last_good = self.last_good.lock();
                last_good.insert(host.to_owned(), addresses.clone());
                Ok(addresses)
            }
            (_, Some(known)) => Ok(known),
            (Ok(Err(error)), None) => Err(error),
            (Err(_), None) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// In a task of its own, so that its permit is held until the lookup ends, even if nobody waits for it any more.
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        let lookup = (self.lookup)(host.to_owned());
        let task = tokio::spawn(async move {
            let found = lookup.await;
            drop(permit);
            found
        });
        task.await.map_err(io::Error::other)?
    }
}

async fn ask_the_system(host: String) -> io::Result<Vec<IpAddr>> {
    let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect();
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
}
