//! The metrics of one region.

use std::time::Duration;

use enum_map::{Enum, EnumMap};
use prometheus::{Gauge, Histogram, IntCounter, IntGauge};
use strum::{IntoEnumIterator, IntoStaticStr};

use super::families::Families;
use crate::domain::drift::{Drift, DriftKind};
use crate::domain::failure::Kind;
use crate::domain::reason::Reason;
use crate::domain::verification::Verdict;

/// Durations of upstream requests: a network and a slow service. As in `http`, no bound lies on a default limit.
const UPSTREAM_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 3.9, 4.5, 7.9, 9.0, 16.0];
/// From the first sight of a pending result to its final one: seconds to the vendor's limit of an hour.
const FINAL_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// An operation of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operation {
    Token,
    GetResult,
}

/// How one upstream request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
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
}

/// One operation of one region.
pub struct OperationMetrics {
    pub(super) requests: EnumMap<UpstreamOutcome, IntCounter>,
    pub(super) duration: Histogram,
    successes: Histogram,
}

impl OperationMetrics {
    fn new(families: &Families) -> Self {
        let (requests, help) = ("idv_upstream_requests_total", "Requests to the upstream.");
        Self {
            requests: families.counters(requests, help, "outcome"),
            duration: families.histogram(
                "idv_upstream_request_duration_seconds",
                "Upstream request durations, body included.",
                UPSTREAM_BUCKETS,
            ),
            successes: families.histogram(
                "idv_upstream_success_duration_seconds",
                "As idv_upstream_request_duration_seconds, of requests that succeeded alone.",
                UPSTREAM_BUCKETS,
            ),
        }
    }

    /// Counts one request.
    pub fn observe(&self, outcome: UpstreamOutcome, duration: Duration) {
        self.requests[outcome].inc();
        self.duration.observe(duration.as_secs_f64());
        if matches!(outcome, UpstreamOutcome::Ok | UpstreamOutcome::NotFound) {
            self.successes.observe(duration.as_secs_f64());
        }
    }
}

/// One region.
pub struct RegionMetrics {
    /// Requests, by operation.
    pub operations: EnumMap<Operation, OperationMetrics>,
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
    /// Departures from the known contract.
    pub drift: EnumMap<DriftKind, IntCounter>,
    pub(super) results: Vec<IntCounter>,
    /// From the first sight of a pending id to its final result.
    pub time_to_final: Histogram,
    /// Panics: the one counter of the whole process.
    pub panics: IntCounter,
}

impl RegionMetrics {
    pub(super) fn new(families: &Families, panics: &IntCounter) -> Self {
        let results = families.counter_vec(
            "idv_results_total",
            "Final results, once per id, at first sight.",
            &["status", "reason"],
        );
        let refreshes = families.counter_vec("idv_token_refreshes_total", "Token refreshes.", &["outcome"]);
        let refreshes = |outcome| refreshes.with_label_values(&[outcome]);
        let operation = |name: Operation| OperationMetrics::new(&families.with("operation", name.into()));
        let (drift, drift_help) = ("idv_contract_drift_total", "Departures from the known contract.");
        Self {
            operations: EnumMap::from_fn(operation),
            retries: families.counter("idv_upstream_retries_total", "Retries."),
            breaker_state: families.gauge("idv_breaker_state", "0 passing, 1 probing, 2 tripped."),
            token_refreshes_ok: refreshes("ok"),
            token_refreshes_failed: refreshes("failed"),
            token_refreshes_shared: refreshes("shared"),
            token_refreshes_limited: refreshes("limited"),
            token_expiry: families
                .float_gauge("idv_token_expiry_timestamp_seconds", "When the token ends; 0 = none."),
            clock_skew: families.float_gauge("idv_clock_skew_seconds", "The upstream's clock minus ours."),
            drift: families.counters(drift, drift_help, "kind"),
            results: result_names().map(|labels| results.with_label_values(&labels)).collect(),
            time_to_final: families.histogram(
                "idv_time_to_final_seconds",
                "From the first sight of a pending id to its final result.",
                FINAL_BUCKETS,
            ),
            panics: panics.clone(),
        }
    }

    /// Counts the drift that one answer showed.
    pub fn observe_drift(&self, drift: &Drift) {
        for (kind, count) in drift.seen() {
            self.drift[kind].inc_by(count.into());
        }
    }

    /// Counts a final result at its first sight.
    pub fn observe_final(&self, verdict: Verdict) {
        if let Some(index) = final_verdicts().position(|known| known == verdict) {
            self.results[index].inc();
        }
    }
}

/// Every final verdict, in the order of the results table.
fn final_verdicts() -> impl Iterator<Item = Verdict> {
    let failed = Reason::iter().map(Verdict::Failed);
    let incomplete = Reason::iter().map(Verdict::Incomplete);
    std::iter::once(Verdict::Passed).chain(failed).chain(incomplete)
}

/// Status and reason of each final result, in the order of [`super::RegionSnapshot::results`].
pub fn result_names() -> impl Iterator<Item = [&'static str; 2]> {
    final_verdicts().map(|verdict| [verdict.status().into(), verdict.reason().map_or("none", Reason::code)])
}
