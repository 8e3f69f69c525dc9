//! The issuer's keys in use: read from a file, or fetched when a token needs them, and never lost when a fetch fails.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::keys::KeySet;
use crate::files;
use crate::net::JwksEndpoint;
use crate::settings::{Jwks, Jwt};
use crate::telemetry::metrics::JwksMetrics;

/// The least time between two fetches of the key set: an unknown key id is the caller's text.
const MIN_GAP: Duration = Duration::from_secs(10);
/// The same while there is no key at all.
const MIN_GAP_WITHOUT_KEYS: Duration = Duration::from_secs(1);
/// A key set older than this is fetched again at its next use, so that a withdrawn key stops working.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Where the issuer's public keys are.
enum Source {
    /// An endpoint, asked when needed.
    Endpoint(Box<JwksEndpoint>),
    /// A file, followed on disk.
    File(PathBuf),
}

/// The keys in use, and where newer ones come from.
pub(super) struct IssuerKeys {
    source: Source,
    keys: ArcSwap<KeySet>,
    fetches: Mutex<Fetches>,
    /// Whether the last fetch failed.
    is_away: AtomicBool,
    metrics: Arc<JwksMetrics>,
}

/// When the endpoint was asked, and when it answered with keys.
#[derive(Default)]
struct Fetches {
    tried: Option<Instant>,
    succeeded: Option<Instant>,
}

impl IssuerKeys {
    /// No keys yet.
    ///
    /// # Errors
    /// The endpoint's certificate authorities cannot be read.
    pub(super) fn new(settings: &Jwt, metrics: Arc<JwksMetrics>) -> io::Result<Self> {
        let source = match &settings.jwks {
            Jwks::File(path) => Source::File(path.clone()),
            Jwks::Url(url) => Source::Endpoint(Box::new(JwksEndpoint::new(
                url,
                settings.jwks_ca_file.as_deref(),
                settings.jwks_token_file.clone(),
            )?)),
        };
        let (keys, fetches, is_away) = Default::default();
        Ok(Self { source, keys, fetches, is_away, metrics })
    }

    /// Reads the key file, if there is one. Returns whether its keys have changed.
    pub(super) fn reload_file(&self) -> io::Result<bool> {
        let Source::File(path) = &self.source else { return Ok(false) };
        let keys = KeySet::read(&files::read(path)?).ok_or_else(|| {
            files::invalid(format!("{} holds no RS256, ES256 or EdDSA key that can be used", path.display()))
        })?;
        let are_new = **self.keys.load() != keys;
        self.replace(keys);
        Ok(are_new)
    }

    /// The keys in use.
    pub(super) fn known(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// Whether the issuer could not be asked when it was last tried.
    pub(super) fn is_issuer_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// When a token that cannot be judged now is worth sending again: after the next fetch.
    pub(super) fn retry_after(&self) -> Duration {
        gap(&self.keys.load())
    }

    /// The keys after a fetch for a request that came at `asked`; no fetch if there was one since then, or a moment
    /// before.
    pub(super) async fn fetched(self: &Arc<Self>, asked: Instant) -> Arc<KeySet> {
        if matches!(self.source, Source::Endpoint(_)) {
            // In a task of its own: callers who hang up neither end a fetch nor make the next caller start another.
            let _ = tokio::spawn(Arc::clone(self).fetch(asked)).await;
        }
        self.known()
    }

    /// Starts a fetch if the keys in use are old. Nobody waits for it: a key that we have is good until then.
    pub(super) fn refresh_if_old(self: &Arc<Self>, asked: Instant) {
        let is_endpoint = matches!(self.source, Source::Endpoint(_));
        let is_due = |fetches: &Fetches| fetches.is_due(&self.keys.load(), asked);
        if is_endpoint && self.fetches.try_lock().is_ok_and(|fetches| is_due(&fetches)) {
            tokio::spawn(Arc::clone(self).fetch(asked));
        }
    }

    async fn fetch(self: Arc<Self>, asked: Instant) {
        let Source::Endpoint(endpoint) = &self.source else { return };
        let mut fetches = self.fetches.lock().await;
        if fetches.tried.is_some_and(|at| at >= asked || at.elapsed() < gap(&self.keys.load())) {
            return;
        }
        let keys = endpoint.fetch().await.and_then(|body| KeySet::read(&body));
        fetches.tried = Some(Instant::now());
        self.note(keys.is_some());
        if let Some(keys) = keys {
            fetches.succeeded = fetches.tried;
            self.replace(keys);
        }
    }

    fn replace(&self, keys: KeySet) {
        self.metrics.keys.set(keys.len() as i64);
        self.keys.store(Arc::new(keys));
    }

    /// Counts a fetch, and logs when fetches begin to fail and when they succeed again.
    fn note(&self, succeeded: bool) {
        self.metrics.refreshed(succeeded);
        match (succeeded, self.is_away.swap(!succeeded, Ordering::Relaxed)) {
            (false, false) => tracing::warn!(
                keys = self.keys.load().len(),
                "cannot fetch the key set of auth.jwt.jwks_url; the keys in use stay in use"
            ),
            (true, true) => tracing::info!("the key set of auth.jwt.jwks_url can be fetched again"),
            (false, true) | (true, false) => {}
        }
    }
}

impl Fetches {
    /// Whether the keys in use are old, and the endpoint may be asked for newer ones.
    fn is_due(&self, keys: &KeySet, now: Instant) -> bool {
        let longer_ago = |at: Option<Instant>, age| at.is_none_or(|at| now.duration_since(at) > age);
        longer_ago(self.succeeded, MAX_AGE) && longer_ago(self.tried, gap(keys))
    }
}

/// The least time between two fetches.
fn gap(keys: &KeySet) -> Duration {
    if keys.is_empty() { MIN_GAP_WITHOUT_KEYS } else { MIN_GAP }
}
