//! Metrics of authentication: refused requests, and the keys that callers' tokens are checked with.

use std::sync::Arc;

use enum_map::{Enum, EnumMap};
use prometheus::{IntCounter, IntGauge};
use strum::IntoStaticStr;

use super::families::Families;

/// Authentication.
pub struct AuthMetrics {
    /// Requests that were not authenticated.
    pub failures: EnumMap<AuthFailure, IntCounter>,
    /// The key set that tokens are checked with.
    pub jwks: Arc<JwksMetrics>,
}

/// Why a request was not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum AuthFailure {
    Missing,
    UnknownKey,
    BadToken,
    ExpiredToken,
    UnknownSubject,
    KeysUnavailable,
}

impl AuthMetrics {
    pub(super) fn new(families: &Families) -> Self {
        let help = "Requests that were not authenticated, by reason.";
        Self {
            failures: families.counters("idv_auth_failures_total", help, "reason"),
            jwks: Arc::new(JwksMetrics::new(families)),
        }
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
    fn new(families: &Families) -> Self {
        let help = "Keys of the token issuer in use; 0 = none yet, or no tokens are accepted.";
        let keys = families.gauge("idv_jwks_keys", help);
        let help = "Fetches of the token issuer's key set.";
        let refreshes = families.counter_vec("idv_jwks_refreshes_total", help, &["outcome"]);
        let of = |outcome| refreshes.with_label_values(&[outcome]);
        Self { keys, ok: of("ok"), failed: of("failed") }
    }

    /// Counts one fetch.
    pub fn refreshed(&self, succeeded: bool) {
        if succeeded { self.ok.inc() } else { self.failed.inc() }
    }
}
