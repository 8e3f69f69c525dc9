//! The second tier: what is asked of Valkey or Redis, and how that ends.

use prometheus::{IntCounter, IntGauge, Registry};

use super::families::{counters, gauge};

/// What is asked of the second tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl RemoteOperation {
    /// The labels, in the order of the operations.
    pub const NAMES: [&'static str; 8] =
        ["connect", "read", "write", "lease", "purge", "publish", "subscribe", "token"];
}

/// How that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Unreadable,
}

impl RemoteOutcome {
    /// The labels, in the order of the outcomes.
    pub const NAMES: [&'static str; 6] =
        ["ok", "timeout", "unavailable", "refused", "skipped", "undecryptable"];
}

/// The second tier.
pub struct RemoteMetrics {
    /// Whether there is a connection that is used: 1 or 0.
    pub up: IntGauge,
    requests: [[IntCounter; RemoteOutcome::NAMES.len()]; RemoteOperation::NAMES.len()],
}

impl RemoteMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Requests to the second tier by operation and outcome.";
        let requests = counters(registry, "idv_remote_requests_total", help, &["operation", "outcome"])?;
        let of =
            |operation| RemoteOutcome::NAMES.map(|outcome| requests.with_label_values(&[operation, outcome]));
        let help = "1 while the second tier is connected and in use.";
        Ok(Self { up: gauge(registry, "idv_remote_up", help)?, requests: RemoteOperation::NAMES.map(of) })
    }

    /// How often each outcome was, whatever the operation.
    pub(super) fn by_outcome(&self) -> [u64; RemoteOutcome::NAMES.len()] {
        std::array::from_fn(|outcome| self.requests.iter().map(|of| of[outcome].get()).sum())
    }

    /// Counts one operation.
    pub fn observe(&self, operation: RemoteOperation, outcome: RemoteOutcome) {
        self.requests[operation as usize][outcome as usize].inc();
    }
}
