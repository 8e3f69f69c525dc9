//! Waiting for final results: waiters, pollers, polls and callbacks.

use prometheus::{IntCounter, IntGauge, Registry};

use super::families::{counters, gauge};

/// How one poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// The result is final.
    Final,
    /// It is not.
    Pending,
    /// The region gave no answer.
    Failed,
    /// The region was not asked: it is busy, its breaker is open, or its budget for polls is used up.
    Skipped,
}

impl PollOutcome {
    /// The labels, in the order of the outcomes.
    const NAMES: [&'static str; 4] = ["final", "pending", "failed", "skipped"];
}

/// What came of one callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// The id is fetched again.
    Fetched,
    /// Nobody has asked about the id.
    Unknown,
    /// The result is final already.
    Final,
    /// Another callback for the id came a moment ago.
    Repeated,
    /// The region's budget for polls is used up.
    OverBudget,
    /// No valid key.
    Unauthenticated,
    /// Not a callback: its method, size or syntax is wrong, or there is no such region.
    Malformed,
}

impl CallbackOutcome {
    /// The labels, in the order of the outcomes.
    const NAMES: [&'static str; 7] =
        ["fetched", "unknown", "final", "repeated", "over_budget", "unauthenticated", "malformed"];
}

/// Waiters, pollers, polls and callbacks.
pub struct WaitMetrics {
    /// Requests that wait for a final result.
    pub waiters: IntGauge,
    /// Ids that are polled for them.
    pub pollers: IntGauge,
    polls: [IntCounter; PollOutcome::NAMES.len()],
    callbacks: [IntCounter; CallbackOutcome::NAMES.len()],
}

impl WaitMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let polls = counters(registry, "idv_polls_total", "Polls by outcome.", &["outcome"])?;
        let callbacks = counters(registry, "idv_callbacks_total", "Callbacks by outcome.", &["outcome"])?;
        Ok(Self {
            waiters: gauge(registry, "idv_waiters", "Requests that wait for a final result.")?,
            pollers: gauge(registry, "idv_pollers", "Ids that are polled for those who wait.")?,
            polls: PollOutcome::NAMES.map(|name| polls.with_label_values(&[name])),
            callbacks: CallbackOutcome::NAMES.map(|name| callbacks.with_label_values(&[name])),
        })
    }

    /// Counts one poll.
    pub fn polled(&self, outcome: PollOutcome) {
        self.polls[outcome as usize].inc();
    }

    /// Counts one callback.
    pub fn called_back(&self, outcome: CallbackOutcome) {
        self.callbacks[outcome as usize].inc();
    }
}
