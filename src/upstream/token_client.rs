//! Fetching one token: the vendor's clock, its refusals, and what else can be tried.
//!
//! Source: the vendor's Token Authentication API.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::envelope::{self, AuthHint, Refusal, Success};
use super::retry;
use super::settings::{Keys, RegionSettings};
use super::token_messages::{self, life};
use super::wire;
use crate::domain::drift::{Drift, DriftKind};
use crate::domain::failure::{Fault, Kind};
use crate::domain::region::RegionName;
use crate::net::{Answer, Broken, Endpoint, Over};
use crate::telemetry::metrics::{Operation, RegionMetrics, UpstreamOutcome};
use crate::telemetry::traces::Span;

/// The longest token taken, in bytes. The vendor's own have some hundreds; one that no server takes in a header would
/// hold its place until its life is over.
const MAX_TOKEN: usize = 8 << 10;

/// A token as it came.
pub(super) struct FetchedToken {
    /// Its value, for the header.
    pub(super) value: HeaderValue,
    /// How long it lives from now on.
    pub(super) life: Duration,
    /// Whether another replica had asked for it.
    pub(super) is_shared: bool,
}

/// Fetches the tokens of one region.
pub(super) struct TokenClient {
    /// For logs.
    region: RegionName,
    /// Where tokens are asked for.
    pub(super) endpoint: Endpoint,
    period: Duration,
    time_limit: Duration,
    metrics: Arc<RegionMetrics>,
    state: Mutex<State>,
}

struct State {
    keys: Keys,
    /// The keys before the last rotation: the vendor may learn of new ones later than we do.
    previous: Option<Keys>,
    /// What to add to our clock for the vendor's timestamp, in milliseconds; learned when it complains.
    correction: i64,
    /// The vendor's clock minus ours, in seconds, by the `Date` of its last answer that had one.
    skew: Option<i64>,
}

impl TokenClient {
    /// A client that asks at `endpoint`.
    pub(super) fn new(settings: &RegionSettings, endpoint: Endpoint) -> Self {
        let keys = settings.keys.clone();
        Self {
            region: settings.region.name.clone(),
            endpoint,
            period: settings.region.token_period,
            time_limit: settings.region.attempt_timeout,
            metrics: Arc::clone(&settings.metrics),
            state: Mutex::new(State { keys, previous: None, correction: 0, skew: None }),
        }
    }

    /// What stands for the account.
    pub(super) fn account(&self) -> String {
        let hash = Sha256::digest(self.state.lock().keys.access.expose_secret());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the account's access key is this one.
    pub(super) fn has_access_key(&self, access: &SecretString) -> bool {
        self.state.lock().keys.access.expose_secret() == access.expose_secret()
    }

    /// Uses `keys` from now on. Returns whether they are others than before.
    pub(super) fn rotate(&self, keys: Keys) -> bool {
        let mut state = self.state.lock();
        let same = state.keys.access.expose_secret() == keys.access.expose_secret()
            && state.keys.secret.expose_secret() == keys.secret.expose_secret();
        if same {
            return false;
        }
        state.previous = Some(std::mem::replace(&mut state.keys, keys));
        true
    }

    /// Fetches a token: its value for the header, and its lifetime.
    ///
    /// # Errors
    /// The token endpoint cannot be reached, or refuses.
    pub(super) async fn fetch(&self, span: &Span) -> Result<FetchedToken, Fault> {
        let result = self.fetch_with_corrections(span).await.map_err(fault);
        match &result {
            Ok(FetchedToken { life, .. }) => {
                let expiry = Timestamp::now().as_second() as f64 + life.as_secs_f64();
                self.metrics.token_expiry.set(expiry);
                self.metrics.token_refreshes_ok.inc();
            }
            Err(failure) => {
                self.metrics.token_refreshes_failed.inc();
                let code = failure.said.as_ref().and_then(|said| said.code);
                let cause = failure.cause.map(<&str>::from);
                tracing::warn!(region = %self.region, kind = ?failure.kind, cause, code, "token refresh failed");
            }
        }
        result
    }

    /// Fetches a token as [`Self::fetch`] does, only to see how that goes: how long it would live.
    pub(super) async fn try_out(&self) -> Result<Duration, Refusal> {
        self.fetch_with_corrections(&Span::none()).await.map(|fetched| fetched.life)
    }

    /// The vendor's clock minus ours, in seconds, if an answer had a `Date`.
    pub(super) fn skew(&self) -> Option<i64> {
        self.state.lock().skew
    }

    /// Counts a refresh that was not made because refused tokens had caused too many.
    pub(super) fn count_limited(&self) {
        self.metrics.token_refreshes_limited.inc();
    }

    /// What a fetch that panicked comes to. What it panicked with may hold a key, so it is not looked at.
    pub(super) fn panicked(&self) -> Fault {
        self.metrics.panics.inc();
        self.metrics.token_refreshes_failed.inc();
        Fault::new(Kind::Internal)
    }

    /// One try; one more with the learned clock, one more with the keys before the last rotation, where that can help.
    async fn fetch_with_corrections(&self, span: &Span) -> Result<FetchedToken, Refusal> {
        let keys = self.state.lock().keys.clone();
        let mut refusal = match self.request_twice(&keys, span).await {
            Ok(token) => return Ok(token),
            Err(refusal) => refusal,
        };
        if refusal.hint == Some(AuthHint::Timestamp) && self.learn_clock(refusal.date) {
            refusal = match self.request(&keys, span).await {
                Ok(token) => return Ok(token),
                Err(refusal) => refusal,
            };
        }
        let previous = self.state.lock().previous.clone();
        if let Some(previous) = previous.filter(|_| is_about_keys(refusal.fault.kind))
            && let Ok(token) = self.request(&previous, span).await
        {
            return Ok(token);
        }
        Err(refusal)
    }

    /// One request, repeated once if it failed in a way that a second one may not.
    async fn request_twice(&self, keys: &Keys, span: &Span) -> Result<FetchedToken, Refusal> {
        match self.request(keys, span).await {
            Err(refusal) if refusal.fault.kind.is_region_fault() => {
                tokio::time::sleep(retry::pause(rand::random())).await;
                self.request(keys, span).await
            }
            result => result,
        }
    }

    async fn request(&self, keys: &Keys, span: &Span) -> Result<FetchedToken, Refusal> {
        let span = span.attempt(Operation::Token);
        let started = Instant::now();
        let timestamp = Timestamp::now().as_millisecond() + self.state.lock().correction;
        let body = token_messages::request(keys, timestamp, self.period);
        // Tokens are asked for so rarely that a kept connection would only be a stale one.
        let request = self.endpoint.post(body);
        let answer = self.endpoint.send(request, Over::Fresh, self.time_limit).await;
        let result = self.read(answer);
        let outcome = result.as_ref().err().map_or(UpstreamOutcome::Ok, outcome);
        self.metrics.operations[Operation::Token].observe(outcome, started.elapsed());
        span.settle(outcome);
        result
    }

    fn read(&self, answer: Result<Answer, Broken>) -> Result<FetchedToken, Refusal> {
        let answer = answer.map_err(|broken| Refusal::of(broken.kind))?;
        let date = answer.date();
        if let Some(date) = date {
            // A date is cut to whole seconds, so on average it is half a second old.
            let skew = (date.duration_since(Timestamp::now()).as_secs_f64() + 0.5).round() + 0.0; // never minus nothing
            self.metrics.clock_skew.set(skew);
            self.state.lock().skew = Some(skew as i64);
        }
        let mut drift = Drift::default();
        let text = wire::text(&answer.body, &mut drift);
        let opened = envelope::open(&answer, &text, &mut drift);
        let result = opened.and_then(|success| self.token(&success, date, &mut drift));
        self.metrics.observe_drift(&drift);
        result
    }

    fn token(
        &self,
        success: &Success<'_>,
        date: Option<Timestamp>,
        drift: &mut Drift,
    ) -> Result<FetchedToken, Refusal> {
        let text = super::normalise::text_field(&success.data, "token", drift);
        let text = text.filter(|token| (1..=MAX_TOKEN).contains(&token.len()));
        let value = text.and_then(|token| HeaderValue::from_str(token).ok());
        let mut value = value.ok_or_else(|| Refusal::of(Kind::Malformed))?;
        value.set_sensitive(true);
        let life = life(success.data.get("expiredTime"), date, self.period);
        let life = life.unwrap_or_else(|| {
            drift.add(DriftKind::UnknownValue);
            self.period
        });
        Ok(FetchedToken { value, life, is_shared: false })
    }

    /// Takes the upstream's clock from its `Date`. Returns whether that changes anything.
    fn learn_clock(&self, date: Option<Timestamp>) -> bool {
        let Some(date) = date else { return false };
        let correction = date.as_millisecond() - Timestamp::now().as_millisecond();
        let mut state = self.state.lock();
        let differs = (correction - state.correction).abs() > 1_500;
        state.correction = correction;
        drop(state);
        if differs {
            let skew_seconds = correction / 1000;
            tracing::warn!(region = %self.region, skew_seconds, "the upstream's clock differs from ours");
        }
        differs
    }
}

/// The metric label of a refusal: what is refused here is our keys, unless it is our clock.
fn outcome(refusal: &Refusal) -> UpstreamOutcome {
    let is_clock = refusal.hint == Some(AuthHint::Timestamp);
    let is_keys = matches!(refusal.fault.kind, Kind::Refused | Kind::NotFound) && !is_clock;
    UpstreamOutcome::of(Some(if is_keys { Kind::Auth } else { refusal.fault.kind }))
}

const fn is_about_keys(kind: Kind) -> bool {
    matches!(kind, Kind::Auth | Kind::Refused | Kind::Account)
}

/// A refusal of the token endpoint as a fault of its region: wrong keys are `Auth`, an endpoint that cannot be asked makes
/// the region unavailable.
fn fault(refusal: Refusal) -> Fault {
    let kind = match refusal.fault.kind {
        Kind::Refused | Kind::Auth | Kind::NotFound => Kind::Auth,
        Kind::Dns
        | Kind::Connect
        | Kind::Tls
        | Kind::Reset
        | Kind::Truncated
        | Kind::Timeout
        | Kind::Deadline
        | Kind::Server
        | Kind::Malformed => Kind::Unavailable,
        Kind::Account
        | Kind::Busy
        | Kind::Unavailable
        | Kind::IdMismatch
        | Kind::Overloaded
        | Kind::Internal => refusal.fault.kind,
    };
    Fault { kind, ..refusal.fault }
}
