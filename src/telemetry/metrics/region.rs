//! The metrics of one region.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};

use super::families::{counters, float_gauges, gauges, histograms};
use crate::domain::drift::{Drift, DriftKind};
use crate::domain::failure::Kind;
use crate::domain::reason::Reason;
use crate::domain::verification::Verdict;

/// Durations of upstream requests: a network and a slow service. As above, no bound lies on a default limit.
const UPSTREAM_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 3.9, 4.5, 7.9, 9.0, 16.0];
/// From the first sight of a pending result to its final one: seconds to the vendor's limit of an hour.
const FINAL_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// An operation of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operation {
    Token,
    GetResult,
}

impl Operation {
    const NAMES: [&'static str; 2] = ["token", "get_result"];

    /// The label.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// How one upstream request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum UpstreamOutcome {
    Ok,
    NotFound,
    Busy,
    Error,
    Malformed,
    Auth,
    Account,
    Timeout,
    Unavailable,
}

impl UpstreamOutcome {
    /// The metric labels, in the order of the outcomes.
    pub const NAMES: [&'static str; 9] =
        ["ok", "not_found", "busy", "error", "malformed", "auth", "account", "timeout", "unavailable"];

    /// The outcome of a request with that fault; `None` = SUCCESS.
    pub const fn of(fault: Option<Kind>) -> Self {
        let Some(kind) = fault else { return Self::Ok };
        match kind {
            Kind::NotFound => Self::NotFound,
            Kind::Busy => Self::Busy,
            Kind::Auth => Self::Auth,
            Kind::Account => Self::Account,
            Kind::Timeout | Kind::Deadline => Self::Timeout,
            Kind::Malformed | Kind::Truncated | Kind::IdMismatch => Self::Malformed,
            Kind::Dns | Kind::Connect | Kind::Tls | Kind::Reset | Kind::Unavailable => Self::Unavailable,
            Kind::Server | Kind::Refused | Kind::Overloaded | Kind::Internal => Self::Error,
        }
    }

    /// The label.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// One operation of one region.
pub struct OperationMetrics {
    pub(super) requests: [IntCounter; UpstreamOutcome::NAMES.len()],
    pub(super) duration: Histogram,
    successes: Histogram,
}

impl OperationMetrics {
    /// Counts one request.
    pub fn observe(&self, outcome: UpstreamOutcome, duration: Duration) {
        self.requests[outcome as usize].inc();
        self.duration.observe(duration.as_secs_f64());
        if matches!(outcome, UpstreamOutcome::Ok | UpstreamOutcome::NotFound) {
            self.successes.observe(duration.as_secs_f64());
        }
    }
}

/// One region.
pub struct RegionMetrics {
    operations: [OperationMetrics; 2],
    /// Retries.
    pub retries: IntCounter,
    /// 0 passing, 1 probing, 2 tripped.
    pub breaker_state: IntGauge,
    /// Token refreshes that succeeded.
    pub token_refreshes_ok: IntCounter,
    /// Token refreshes that failed.
    pub token_refreshes_failed: IntCounter,
    /// Tokens taken over from another replica.
    pub token_refreshes_shared: IntCounter,
    /// Token refreshes denied because refused tokens had caused too many.
    pub token_refreshes_limited: IntCounter,
    /// When the current token ends, in epoch seconds; 0 = none.
    pub token_expiry: Gauge,
    /// The upstream's clock minus ours, in seconds.
    pub clock_skew: Gauge,
    pub(super) drift: [IntCounter; DriftKind::ALL.len()],
    pub(super) results: Vec<IntCounter>,
    /// From the first sight of a pending id to its final result.
    pub time_to_final: Histogram,
    /// Panics: the one counter of the whole process.
    pub panics: IntCounter,
}

impl RegionMetrics {
    pub(super) fn all(
        registry: &Registry,
        regions: &[&str],
        panics: &IntCounter,
    ) -> Result<Vec<Arc<Self>>, prometheus::Error> {
        let vectors = RegionVectors::new(registry)?;
        Ok(regions.iter().map(|region| Arc::new(vectors.of(region, panics))).collect())
    }

    /// The handles of one operation.
    pub const fn operation(&self, operation: Operation) -> &OperationMetrics {
        &self.operations[operation as usize]
    }

    /// The counter of one kind of drift.
    pub const fn drift(&self, kind: DriftKind) -> &IntCounter {
        &self.drift[kind as usize]
    }

    /// Counts the drift that one answer showed.
    pub fn observe_drift(&self, drift: &Drift) {
        for (kind, count) in drift.seen() {
            self.drift(kind).inc_by(u64::from(count));
        }
    }

    /// Counts a final result at its first sight.
    pub fn observe_final(&self, verdict: Verdict) {
        let labels = result_labels(verdict);
        if let Some(index) = final_verdicts().position(|known| result_labels(known) == labels) {
            self.results[index].inc();
        }
    }
}

/// Every final verdict, in the order of the results table.
fn final_verdicts() -> impl Iterator<Item = Verdict> {
    let failed = Reason::ALL.into_iter().map(Verdict::Failed);
    let incomplete = Reason::ALL.into_iter().map(Verdict::Incomplete);
    std::iter::once(Verdict::Passed).chain(failed).chain(incomplete)
}

/// Status and reason of each final result, in the order of [`super::RegionSnapshot::results`].
pub fn result_names() -> impl Iterator<Item = [&'static str; 2]> {
    final_verdicts().map(result_labels)
}

fn result_labels(verdict: Verdict) -> [&'static str; 2] {
    [verdict.status().name(), verdict.reason().map_or("none", Reason::code)]
}

/// The vectors that per-region handles are resolved from.
struct RegionVectors {
    requests: IntCounterVec,
    durations: HistogramVec,
    successes: HistogramVec,
    retries: IntCounterVec,
    breaker: IntGaugeVec,
    refreshes: IntCounterVec,
    expiry: GaugeVec,
    skew: GaugeVec,
    drift: IntCounterVec,
    results: IntCounterVec,
    time_to_final: HistogramVec,
}

impl RegionVectors {
    fn new(r: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: counters(
                r,
                "idv_upstream_requests_total",
                "Requests to the upstream.",
                &["region", "operation", "outcome"],
            )?,
            durations: histograms(
                r,
                "idv_upstream_request_duration_seconds",
                "Upstream request durations, body included.",
                &["region", "operation"],
                UPSTREAM_BUCKETS,
            )?,
            successes: histograms(
                r,
                "idv_upstream_success_duration_seconds",
                "As idv_upstream_request_duration_seconds, of requests that succeeded alone.",
                &["region", "operation"],
                UPSTREAM_BUCKETS,
            )?,
            retries: counters(r, "idv_upstream_retries_total", "Retries.", &["region"])?,
            breaker: gauges(r, "idv_breaker_state", "0 passing, 1 probing, 2 tripped.", &["region"])?,
            refreshes: counters(r, "idv_token_refreshes_total", "Token refreshes.", &["region", "outcome"])?,
            expiry: float_gauges(r, "idv_token_expiry_timestamp_seconds", "When the token ends; 0 = none.")?,
            skew: float_gauges(r, "idv_clock_skew_seconds", "The upstream's clock minus ours.")?,
            drift: counters(
                r,
                "idv_contract_drift_total",
                "Departures from the known contract.",
                &["region", "kind"],
            )?,
            results: counters(
                r,
                "idv_results_total",
                "Final results, once per id, at first sight.",
                &["region", "status", "reason"],
            )?,
            time_to_final: histograms(
                r,
                "idv_time_to_final_seconds",
                "From the first sight of a pending id to its final result.",
                &["region"],
                FINAL_BUCKETS,
            )?,
        })
    }

    fn of(&self, region: &str, panics: &IntCounter) -> RegionMetrics {
        let operation = |name: &str| OperationMetrics {
            requests: UpstreamOutcome::NAMES
                .map(|outcome| self.requests.with_label_values(&[region, name, outcome])),
            duration: self.durations.with_label_values(&[region, name]),
            successes: self.successes.with_label_values(&[region, name]),
        };
        let result = |verdict| {
            let [status, reason] = result_labels(verdict);
            self.results.with_label_values(&[region, status, reason])
        };
        RegionMetrics {
            operations: Operation::NAMES.map(operation),
            retries: self.retries.with_label_values(&[region]),
            breaker_state: self.breaker.with_label_values(&[region]),
            token_refreshes_ok: self.refreshes.with_label_values(&[region, "ok"]),
            token_refreshes_failed: self.refreshes.with_label_values(&[region, "failed"]),
            token_refreshes_shared: self.refreshes.with_label_values(&[region, "shared"]),
            token_refreshes_limited: self.refreshes.with_label_values(&[region, "limited"]),
            token_expiry: self.expiry.with_label_values(&[region]),
            clock_skew: self.skew.with_label_values(&[region]),
            drift: DriftKind::ALL.map(|kind| self.drift.with_label_values(&[region, kind.name()])),
            results: final_verdicts().map(result).collect(),
            time_to_final: self.time_to_final.with_label_values(&[region]),
            panics: panics.clone(),
        }
    }
}
