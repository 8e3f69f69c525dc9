//! Metrics of authentication: refused requests, and the keys that callers' tokens are checked with.

use std::sync::Arc;

use prometheus::{IntCounter, IntGauge, Registry};

use super::families::{counters, gauge};

/// Authentication.
pub struct AuthMetrics {
    failures: [IntCounter; AuthFailure::NAMES.len()],
    /// The key set that tokens are checked with.
    pub jwks: Arc<JwksMetrics>,
}

/// Why a request was not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AuthFailure {
    Missing,
    UnknownKey,
    BadToken,
    ExpiredToken,
    UnknownSubject,
    KeysUnavailable,
}

impl AuthFailure {
    /// The labels, in the order of the reasons.
    const NAMES: [&'static str; 6] =
        ["missing", "unknown_key", "bad_token", "expired_token", "unknown_subject", "keys_unavailable"];
}

impl AuthMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let failures = counters(
            registry,
            "idv_auth_failures_total",
            "Requests that were not authenticated, by reason.",
            &["reason"],
        )?;
        Ok(Self {
            failures: AuthFailure::NAMES.map(|reason| failures.with_label_values(&[reason])),
            jwks: Arc::new(JwksMetrics::new(registry)?),
        })
    }

    /// Counts one refused request.
    pub fn failed(&self, reason: AuthFailure) {
        self.failures[reason as usize].inc();
    }
}

/// The key set that tokens are checked with.
pub struct JwksMetrics {
    /// Keys in use.
    pub keys: IntGauge,
    ok: IntCounter,
    failed: IntCounter,
}

impl JwksMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let refreshes = counters(
            registry,
            "idv_jwks_refreshes_total",
            "Fetches of the token issuer's key set.",
            &["outcome"],
        )?;
        let of = |outcome| refreshes.with_label_values(&[outcome]);
        Ok(Self {
            keys: gauge(
                registry,
                "idv_jwks_keys",
                "Keys of the token issuer in use; 0 = none yet, or no tokens are accepted.",
            )?,
            ok: of("ok"),
            failed: of("failed"),
        })
    }

    /// Counts one fetch.
    pub fn refreshed(&self, succeeded: bool) {
        if succeeded { self.ok.inc() } else { self.failed.inc() }
    }
}
