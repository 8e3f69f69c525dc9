//! Connections of each listener: how many are open, how many may be, and why some were closed.

use std::sync::Arc;

use prometheus::{IntCounter, IntGauge, Registry};

use super::families::{counters, gauges};

/// A listener of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Listener {
    Public,
    Admin,
    Callbacks,
}

impl Listener {
    pub(super) const COUNT: usize = 3;
    const ALL: [Self; Self::COUNT] = [Self::Public, Self::Admin, Self::Callbacks];

    /// The label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Admin => "admin",
            Self::Callbacks => "callbacks",
        }
    }

    /// The setting that limits its connections, if there is one.
    pub const fn limit_setting(self) -> Option<&'static str> {
        match self {
            Self::Public => Some("server.max_connections"),
            Self::Admin | Self::Callbacks => None,
        }
    }
}

/// Why the gateway closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl CloseReason {
    const NAMES: [&str; 4] = ["limit", "head_timeout", "idle", "write_timeout"];
}

/// Connections of one listener.
pub struct ConnectionMetrics {
    /// The listener, for logs.
    pub listener: Listener,
    /// The most connections at once.
    pub max: IntGauge,
    open: IntGauge,
    closed: [IntCounter; CloseReason::NAMES.len()],
}

impl ConnectionMetrics {
    /// The metrics of every listener, in their order.
    pub(super) fn all(registry: &Registry) -> Result<[Arc<Self>; Listener::COUNT], prometheus::Error> {
        let open = gauges(registry, "idv_connections", "Open connections.", &["listener"])?;
        let max = gauges(registry, "idv_connections_max", "The most connections at once.", &["listener"])?;
        let closed = counters(
            registry,
            "idv_connections_closed_total",
            "Connections that the gateway closed, but for those it ended after an answer.",
            &["listener", "reason"],
        )?;
        Ok(Listener::ALL.map(|listener| {
            let name = listener.name();
            Arc::new(Self {
                listener,
                max: max.with_label_values(&[name]),
                open: open.with_label_values(&[name]),
                closed: CloseReason::NAMES.map(|reason| closed.with_label_values(&[name, reason])),
            })
        }))
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn open(&self) -> OpenConnection {
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// Counts a connection that the gateway closed.
    pub fn count_closed(&self, reason: CloseReason) {
        self.closed[reason as usize].inc();
    }
}

/// Counts a connection as open.
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
