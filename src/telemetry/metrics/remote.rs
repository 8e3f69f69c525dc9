//! The second tier: what is asked of Valkey or Redis, and how that ends.

use enum_map::{Enum, EnumMap};
use prometheus::{IntCounter, IntGauge};
use strum::IntoStaticStr;

use super::families::Families;

/// What is asked of the second tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RemoteOperation {
    /// A connection.
    Connect,
    /// What is known of an id.
    Read,
    /// What a fill brought.
    Write,
    /// Who fetches an id.
    Lease,
    /// That an id is forgotten.
    Purge,
    /// That other replicas are told.
    Publish,
    /// What other replicas tell.
    Subscribe,
    /// An access token.
    Token,
}

/// How that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RemoteOutcome {
    /// With a reply.
    Ok,
    /// No reply in time.
    Timeout,
    /// The connection could not be made, or broke.
    Unavailable,
    /// The server refused: wrong password, a command not allowed, read-only, out of memory, loading.
    Refused,
    /// Nothing was sent: several operations had failed a moment ago.
    Skipped,
    /// A value could not be decrypted.
    #[strum(serialize = "undecryptable")]
    Unreadable,
}

/// The second tier.
pub struct RemoteMetrics {
    /// Whether there is a connection that is used: 1 or 0.
    pub up: IntGauge,
    /// Requests, by operation and outcome.
    pub requests: EnumMap<RemoteOperation, EnumMap<RemoteOutcome, IntCounter>>,
}

impl RemoteMetrics {
    pub(super) fn new(families: &Families) -> Self {
        let (name, help) =
            ("idv_remote_requests_total", "Requests to the second tier by operation and outcome.");
        let of = |operation: RemoteOperation| {
            families.with("operation", operation.into()).counters(name, help, "outcome")
        };
        Self {
            up: families.gauge("idv_remote_up", "1 while the second tier is connected and in use."),
            requests: EnumMap::from_fn(of),
        }
    }

    /// How often each outcome was, whatever the operation.
    pub(super) fn by_outcome(&self) -> EnumMap<RemoteOutcome, u64> {
        EnumMap::from_fn(|outcome| self.requests.values().map(|of| of[outcome].get()).sum())
    }

    /// Counts one operation.
    pub fn observe(&self, operation: RemoteOperation, outcome: RemoteOutcome) {
        self.requests[operation][outcome].inc();
    }
}
