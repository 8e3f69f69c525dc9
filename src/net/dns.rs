//! Addresses of host names, with the last good answer kept for when the lookup fails or hangs.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What a lookup may take if there is a last good answer to use instead.
const DNS_PATIENCE: Duration = Duration::from_millis(400);
/// What it may take if there is none: two of them, one for each attempt, and the pause between end within two seconds.
const FIRST_DNS_PATIENCE: Duration = Duration::from_millis(900);
/// Lookups at once. One that hangs keeps a thread until the system gives up, even if no request waits for it any more.
const MAX_LOOKUPS: usize = 8;

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
        let known = self.last_good.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned();
        let patience = if known.is_some() { DNS_PATIENCE } else { FIRST_DNS_PATIENCE };
        match (timeout(patience, self.look_up(host)).await, known) {
            (Ok(Ok(addresses)), _) => {
                let mut last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
                last_good.insert(host.to_owned(), addresses.clone());
                Ok(addresses)
            }
            (_, Some(known)) => Ok(known),
            (Ok(Err(error)), None) => Err(error),
            (Err(_), None) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// In a task of its own, so that its permit is held until it ends and not until we lose patience.
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

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::Instant;

    use super::*;

    /// A name server that does what it is told.
    #[derive(Clone, Copy)]
    pub(in crate::net) enum Names {
        Say(IpAddr),
        Fail,
        Hang,
    }

    pub(in crate::net) fn resolver(names: &Arc<Mutex<Names>>, asked: &Arc<AtomicUsize>) -> Resolver {
        let (names, asked) = (Arc::clone(names), Arc::clone(asked));
        Resolver::over(move |_| {
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

    #[tokio::test]
    async fn f058_the_last_good_address_serves_while_names_fail_or_hang() {
        let good = IpAddr::from([127, 0, 0, 1]);
        let names = Arc::new(Mutex::new(Names::Say(good)));
        let resolver = resolver(&names, &Arc::default());
        let find = async |host: &str| {
            let started = Instant::now();
            let found = resolver.addresses(host).await;
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
            found.ok()
        };
        assert_eq!(find("known.test").await, Some(vec![good]));
        for broken in [Names::Fail, Names::Hang] {
            *names.lock().unwrap() = broken;
            assert_eq!(find("known.test").await, Some(vec![good]));
            assert_eq!(find("unknown.test").await, None);
        }
        let moved = IpAddr::from([127, 0, 0, 2]);
        *names.lock().unwrap() = Names::Say(moved);
        assert_eq!(find("known.test").await, Some(vec![moved]), "a new answer replaces the old one");
    }

    #[tokio::test]
    async fn f058_lookups_that_hang_take_few_threads() {
        let asked = Arc::default();
        let resolver = resolver(&Arc::new(Mutex::new(Names::Hang)), &asked);
        let lookups = (0..100).map(|_| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.addresses("hangs.test").await })
        });
        for lookup in lookups.collect::<Vec<_>>() {
            assert!(lookup.await.unwrap().is_err());
        }
        assert!(resolver.addresses("hangs.test").await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), MAX_LOOKUPS);
    }
}
