//! How callers prove who they are, and what each may see.

use std::array;
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::jwt::{Refusal, Verifier};
use crate::domain::region::{RegionSet, Regions};
use crate::domain::scope::{CallerId, Scopes};
use crate::http::code::Code;
use crate::http::error::{ApiError, REALM};
use crate::settings;
use crate::telemetry::Limit;
use crate::telemetry::metrics::{AuthFailure, Metrics};

/// The SHA-256 of a caller's whole bearer text.
pub(super) type KeyHash = [u8; 32];

/// The same, in words: four are compared sooner than 32 bytes.
type Words = [u64; 4];

fn words(hash: &KeyHash) -> Words {
    array::from_fn(|n| u64::from_ne_bytes(array::from_fn(|at| hash[8 * n + at])))
}

/// An authenticated internal service.
pub(super) struct Caller {
    pub(super) name: Box<str>,
    /// What it may see and do.
    pub(super) scopes: Scopes,
    /// The regions it may use.
    pub(super) regions: RegionSet,
    /// Its place in the configuration; `None` without authentication.
    pub(super) id: Option<CallerId>,
    index: usize,
    limiter: Option<(DefaultDirectRateLimiter, Limit)>,
}

impl Caller {
    fn new(index: usize, settings: &settings::Caller, regions: &Regions) -> Self {
        let limiter = |rate| {
            let setting = format!("callers.{}.requests_per_second", settings.name);
            (RateLimiter::direct(Quota::per_second(rate)), Limit::new(Some(setting), None))
        };
        Self {
            name: settings.name.as_str().into(),
            scopes: settings.scopes,
            regions: settings.regions.as_ref().map_or(regions.all(), |names| {
                names.iter().filter_map(|name| regions.find(name.as_str())).collect()
            }),
            index,
            id: u16::try_from(index).ok().map(CallerId::new),
            limiter: settings.requests_per_second.map(limiter),
        }
    }
}

/// All callers.
pub(crate) struct Callers {
    callers: Box<[Caller]>,
    /// Whose key each hash is, by the caller's place. Swapped whole when key files change; empty where keys do not count.
    keys: ArcSwap<Vec<(Words, u32)>>,
    /// Checks tokens, and whose each subject is; `None` where tokens do not count.
    tokens: Option<(Arc<Verifier>, HashMap<String, usize>)>,
    /// Set without authentication.
    anonymous: Option<Caller>,
    metrics: Arc<Metrics>,
}

impl Callers {
    /// Callers who prove themselves by key, once they have keys, or by token if there is a verifier, or by either.
    pub(crate) fn new(
        settings: &[settings::Caller],
        regions: &Regions,
        verifier: Option<Arc<Verifier>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let all = || settings.iter().enumerate();
        let callers = all().map(|(index, settings)| Caller::new(index, settings, regions)).collect();
        let subjects = all().filter_map(|(index, settings)| Some((settings.subject.clone()?, index)));
        let tokens = verifier.map(|verifier| (verifier, subjects.collect()));
        Self { callers, keys: ArcSwap::default(), tokens, anonymous: None, metrics }
    }

    /// Anybody, with every scope: for a listener that only this machine can reach.
    pub(crate) fn anonymous(regions: RegionSet, metrics: Arc<Metrics>) -> Self {
        let anonymous = Caller {
            name: "anonymous".into(),
            scopes: Scopes::ALL,
            regions,
            id: None,
            index: 0,
            limiter: None,
        };
        let (callers, keys) = (Box::default(), ArcSwap::default());
        Self { callers, keys, tokens: None, anonymous: Some(anonymous), metrics }
    }

    /// Uses these keys from now on: one list per caller, in the order of the configuration. Returns whether they are
    /// others than before.
    pub(crate) fn replace_keys(&self, keys: &[Vec<KeyHash>]) -> bool {
        let owned = (0_u32..).zip(keys);
        let owned =
            owned.flat_map(|(caller, keys)| keys.iter().map(move |key| (words(key), caller))).collect();
        let are_new = **self.keys.load() != owned;
        if are_new {
            self.keys.store(Arc::new(owned));
        }
        are_new
    }

    /// The caller that a request proves to come from.
    pub(super) async fn identify(&self, headers: &HeaderMap) -> Result<&Caller, ApiError> {
        if let Some(anonymous) = &self.anonymous {
            return Ok(anonymous);
        }
        let bearer = bearer(headers).ok_or_else(|| self.unauthenticated(AuthFailure::Missing))?;
        match self.by_key(bearer) {
            Some(caller) => Ok(caller),
            // On the heap: what verifies tokens is large, and requests with keys should not be larger for it.
            None => Box::pin(self.by_token(bearer)).await,
        }
    }

    /// Compares with every key, whichever it is, so that the time taken says nothing.
    fn by_key(&self, bearer: &[u8]) -> Option<&Caller> {
        let hash = words(&Sha256::digest(bearer).into());
        let mut found = u32::MAX;
        for (key, caller) in self.keys.load().iter() {
            found.conditional_assign(caller, hash[..].ct_eq(key));
        }
        self.callers.get(found as usize)
    }

    async fn by_token(&self, bearer: &[u8]) -> Result<&Caller, ApiError> {
        let Some((verifier, subjects)) = &self.tokens else {
            return Err(self.unauthenticated(AuthFailure::UnknownKey));
        };
        let subject = verifier.subject(bearer).await.map_err(|refusal| self.refused(refusal))?;
        let caller = subjects.get(&subject).and_then(|index| self.callers.get(*index));
        caller.ok_or_else(|| self.unauthenticated(AuthFailure::UnknownSubject))
    }

    fn refused(&self, refusal: Refusal) -> ApiError {
        match refusal {
            Refusal::NotAToken if !self.keys.load().is_empty() => {
                self.unauthenticated(AuthFailure::UnknownKey)
            }
            Refusal::NotAToken | Refusal::Bad => self.unauthenticated(AuthFailure::BadToken),
            Refusal::Expired => self.unauthenticated(AuthFailure::ExpiredToken),
            Refusal::KeysUnavailable(retry_after) => {
                self.metrics.auth.failures[AuthFailure::KeysUnavailable].inc();
                let detail = "The keys of the token issuer cannot be fetched, so the token cannot be judged.";
                ApiError::passing(Code::AuthenticationUnavailable, detail, retry_after)
            }
        }
    }

    /// Counts a refusal. All wrong credentials get the same answer (RFC 6750).
    fn unauthenticated(&self, reason: AuthFailure) -> ApiError {
        self.metrics.auth.failures[reason].inc();
        let challenge = match reason {
            AuthFailure::Missing => REALM,
            AuthFailure::UnknownKey
            | AuthFailure::BadToken
            | AuthFailure::ExpiredToken
            | AuthFailure::UnknownSubject
            | AuthFailure::KeysUnavailable => r#"Bearer realm="idv-gateway", error="invalid_token""#,
        };
        ApiError::new(Code::Unauthenticated, "Send a valid key or token: Authorization: Bearer <it>.")
            .challenge(challenge)
    }

    /// Refuses a caller who asks too often.
    pub(super) fn check_rate(&self, caller: &Caller) -> Result<(), ApiError> {
        let Some((limiter, limit)) = &caller.limiter else { return Ok(()) };
        let Err(too_early) = limiter.check() else { return Ok(()) };
        if let Some(counter) = self.metrics.rate_limited.get(caller.index) {
            counter.inc();
        }
        limit.warn("further requests of this caller get 429");
        let wait = too_early.wait_time_from(DefaultClock::default().now());
        Err(ApiError::passing(Code::RateLimited, "This caller's requests per second are used up.", wait))
    }
}

/// The text after `Bearer`, if there is any. That there is at most one such header is checked before.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, text) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked("Bearer ".len())?;
    let text = text.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !text.is_empty()).then_some(text)
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(Caller: std::fmt::Debug, std::fmt::Display);
