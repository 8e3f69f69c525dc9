//! Connections of each listener: how many are open, how many may be, and why some were closed.

use enum_map::{Enum, EnumMap};
use prometheus::{IntCounter, IntGauge};
use strum::IntoStaticStr;

use super::families::Families;

/// One of our listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Listener {
    Public,
    Admin,
    Callbacks,
}

impl Listener {
    /// The setting that limits its connections, if there is one.
    pub const fn limit_setting(self) -> Option<&'static str> {
        match self {
            Self::Public => Some("server.max_connections"),
            Self::Admin | Self::Callbacks => None,
        }
    }
}

/// Why the gateway closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CloseReason {
    /// There were too many connections.
    Limit,
    /// A request's head took too long, or none came.
    HeadTimeout,
    /// No further request came.
    Idle,
    /// The client did not read its answer.
    WriteTimeout,
}

/// Connections of one listener.
pub struct ConnectionMetrics {
    /// The listener, for logs.
    pub listener: Listener,
    /// The most connections at once.
    pub max: IntGauge,
    open: IntGauge,
    /// Connections that the gateway closed.
    pub closed: EnumMap<CloseReason, IntCounter>,
}

impl ConnectionMetrics {
    pub(super) fn new(families: &Families, listener: Listener) -> Self {
        let families = families.with("listener", listener.into());
        let help = "Connections that the gateway closed, but for those it ended after an answer.";
        Self {
            listener,
            max: families.gauge("idv_connections_max", "The most connections at once."),
            open: families.gauge("idv_connections", "Open connections."),
            closed: families.counters("idv_connections_closed_total", help, "reason"),
        }
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn open(&self) -> OpenConnection {
        self.open.inc();
        OpenConnection(self.open.clone())
    }
}

/// Counts a connection as open.
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
