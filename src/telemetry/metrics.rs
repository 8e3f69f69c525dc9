//! Prometheus metrics: one registry of our own, every label set made at start, labels from closed sets only.
//!
//! Each part of the gateway holds the handles it increments, resolved once; nothing is looked up by label later.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::domain::drift::DriftKind;
use crate::domain::reason::Reason;
use crate::domain::region::{RegionId, RegionName};
use crate::domain::verification::Verdict;

/// Request durations of ours: from a cache hit (tens of microseconds) to a wait (tens of seconds).
const OUR_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];
/// Request durations of the upstream: a network and a slow service.
const UPSTREAM_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0];
/// From the first sight of a pending result to its final one: seconds to the vendor's limit of an hour.
const FINAL_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// The HTTP methods that are a label of their own; the rest is `other`.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "other"];

/// Every status the public listener answers with.
const STATUSES: [u16; 13] = [200, 204, 400, 401, 403, 404, 405, 409, 429, 500, 502, 503, 504];

/// Every metric of the gateway.
pub struct Metrics {
    registry: Registry,
    /// Requests to the public listener.
    pub http: HttpMetrics,
    /// What lookups came to.
    pub lookups: LookupMetrics,
    /// The cache.
    pub cache: CacheMetrics,
    /// Per region, in configuration order.
    pub regions: Vec<Arc<RegionMetrics>>,
    /// Contents of watched files.
    pub reloads: Arc<ReloadMetrics>,
    /// Panics caught anywhere.
    pub panics: IntCounter,
    /// Requests refused because a caller asked too often, in configuration order of the callers.
    pub rate_limited: Vec<IntCounter>,
}

impl Metrics {
    /// Registers every metric, with every label set, at zero.
    ///
    /// # Errors
    /// A metric is registered twice or misnamed: a defect of this file.
    pub fn new(regions: &[RegionName], callers: &[&str]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let labels: Vec<&str> = regions.iter().map(RegionName::as_str).collect();
        let build = gauges(&registry, "idv_build_info", "The running build.", &["version", "revision"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision()]).set(1);
        let limited =
            counters(&registry, "idv_rate_limited_total", "Requests over a caller's rate.", &["caller"])?;
        Ok(Self {
            http: HttpMetrics::new(&registry)?,
            lookups: LookupMetrics::new(&registry)?,
            cache: CacheMetrics::new(&registry)?,
            regions: RegionMetrics::all(&registry, &labels)?,
            reloads: Arc::new(ReloadMetrics::new(&registry)?),
            panics: counter(&registry, "idv_panics_total", "Panics caught; each is a defect.")?,
            rate_limited: callers.iter().map(|caller| limited.with_label_values(&[caller])).collect(),
            registry,
        })
    }

    /// The handles of one region.
    pub fn region(&self, region: RegionId) -> &Arc<RegionMetrics> {
        &self.regions[region.index()]
    }

    /// The text exposition of everything registered.
    ///
    /// # Errors
    /// The encoder failed: a defect.
    pub fn expose(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// The source revision this binary was built from, if the build said so.
pub fn revision() -> &'static str {
    option_env!("IDV_REVISION").unwrap_or("unknown")
}

/// Where a request went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteLabel {
    /// `/idv/{signatureId}`
    Idv,
    /// No route of ours.
    #[default]
    Unmatched,
}

impl RouteLabel {
    const ALL: [Self; 2] = [Self::Idv, Self::Unmatched];

    /// The route's template.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idv => "/idv/{signatureId}",
            Self::Unmatched => "unmatched",
        }
    }
}

/// Requests to the public listener.
pub struct HttpMetrics {
    requests: Vec<IntCounter>,
    durations: [Histogram; RouteLabel::ALL.len()],
}

impl HttpMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = counters(
            registry,
            "idv_http_requests_total",
            "Requests answered.",
            &["route", "method", "status"],
        )?;
        let mut table = Vec::new();
        for route in RouteLabel::ALL {
            for method in METHODS {
                for status in STATUSES {
                    table.push(requests.with_label_values(&[route.name(), method, &status.to_string()]));
                }
            }
        }
        let durations = histograms(
            registry,
            "idv_http_request_duration_seconds",
            "From the request's head to the answer's head.",
            &["route"],
            OUR_BUCKETS,
        )?;
        Ok(Self {
            requests: table,
            durations: RouteLabel::ALL.map(|route| durations.with_label_values(&[route.name()])),
        })
    }

    /// Counts one answered request. A method or status outside the closed sets counts as `other` or 500.
    pub fn observe(&self, route: RouteLabel, method: &str, status: u16, duration: Duration) {
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let internal = STATUSES.iter().position(|known| *known == 500).unwrap_or_default();
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(internal);
        self.requests[(route as usize * METHODS.len() + method) * STATUSES.len() + status].inc();
        self.durations[route as usize].observe(duration.as_secs_f64());
    }
}

/// What a lookup came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LookupOutcome {
    Hit,
    Joined,
    Filled,
    Stale,
    Failed,
}

/// What lookups came to, and what they have under way.
pub struct LookupMetrics {
    outcomes: [IntCounter; 5],
    /// Fills under way.
    pub fills_in_flight: IntGauge,
}

impl LookupMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let outcomes =
            counters(registry, "idv_lookups_total", "Lookups by how they were answered.", &["outcome"])?;
        let names = ["hit", "joined", "filled", "stale", "failed"];
        Ok(Self {
            outcomes: names.map(|name| outcomes.with_label_values(&[name])),
            fills_in_flight: gauge(registry, "idv_fills_in_flight", "Fills under way.")?,
        })
    }

    /// Counts one lookup.
    pub fn observe(&self, outcome: LookupOutcome) {
        self.outcomes[outcome as usize].inc();
    }
}

/// The cache.
pub struct CacheMetrics {
    /// Entries held.
    pub entries: IntGauge,
    /// Bytes held.
    pub bytes: IntGauge,
    evictions: [IntCounter; 4],
}

/// Why an entry left the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EvictionCause {
    Expired,
    Size,
    Replaced,
    Purged,
}

impl CacheMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let evictions =
            counters(registry, "idv_cache_evictions_total", "Entries that left the cache.", &["cause"])?;
        Ok(Self {
            entries: gauge(registry, "idv_cache_entries", "Results in the cache.")?,
            bytes: gauge(registry, "idv_cache_bytes", "Bytes in the cache.")?,
            evictions: ["expired", "size", "replaced", "purged"]
                .map(|cause| evictions.with_label_values(&[cause])),
        })
    }

    /// The counter of one cause.
    pub fn evicted(&self, cause: EvictionCause) -> &IntCounter {
        &self.evictions[cause as usize]
    }
}

/// What came of new contents of watched files.
pub struct ReloadMetrics {
    /// Taken into use.
    pub used: IntCounter,
    /// Refused; what was in use stays in use. Counts each look at the broken content.
    pub refused: IntCounter,
}

impl ReloadMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let reloads =
            counters(registry, "idv_reloads_total", "New contents of watched files.", &["outcome"])?;
        let of = |outcome| reloads.with_label_values(&[outcome]);
        Ok(Self { used: of("used"), refused: of("refused") })
    }
}

/// An endpoint of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Endpoint {
    Token,
    GetResult,
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
    const NAMES: [&'static str; 9] =
        ["ok", "not_found", "busy", "error", "malformed", "auth", "account", "timeout", "unavailable"];
}

/// One endpoint of one region.
pub struct EndpointMetrics {
    requests: [IntCounter; UpstreamOutcome::NAMES.len()],
    duration: Histogram,
}

impl EndpointMetrics {
    /// Counts one request.
    pub fn observe(&self, outcome: UpstreamOutcome, duration: Duration) {
        self.requests[outcome as usize].inc();
        self.duration.observe(duration.as_secs_f64());
    }
}

/// One region.
pub struct RegionMetrics {
    endpoints: [EndpointMetrics; 2],
    /// Second attempts.
    pub retries: IntCounter,
    /// 0 passing, 1 probing, 2 tripped.
    pub breaker_state: IntGauge,
    /// Token refreshes that brought a token.
    pub token_refreshes_ok: IntCounter,
    /// Token refreshes that did not.
    pub token_refreshes_failed: IntCounter,
    /// When the current token ends, in epoch seconds; 0 = none.
    pub token_expiry: Gauge,
    /// The upstream's clock minus ours, in seconds.
    pub clock_skew: Gauge,
    drift: [IntCounter; DriftKind::ALL.len()],
    results: Vec<IntCounter>,
    /// From the first sight of a pending id to its final result.
    pub time_to_final: Histogram,
}

impl RegionMetrics {
    fn all(registry: &Registry, regions: &[&str]) -> Result<Vec<Arc<Self>>, prometheus::Error> {
        let vectors = RegionVectors::new(registry)?;
        Ok(regions.iter().map(|region| Arc::new(vectors.of(region))).collect())
    }

    /// The handles of one endpoint.
    pub const fn endpoint(&self, endpoint: Endpoint) -> &EndpointMetrics {
        &self.endpoints[endpoint as usize]
    }

    /// The counter of one kind of drift.
    pub const fn drift(&self, kind: DriftKind) -> &IntCounter {
        &self.drift[kind as usize]
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

fn result_labels(verdict: Verdict) -> [&'static str; 2] {
    [verdict.status().name(), verdict.reason().map_or("none", Reason::code)]
}

/// The vectors that per-region handles are resolved from.
struct RegionVectors {
    requests: IntCounterVec,
    durations: HistogramVec,
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
                &["region", "endpoint", "outcome"],
            )?,
            durations: histograms(
                r,
                "idv_upstream_request_duration_seconds",
                "Upstream request durations, body included.",
                &["region", "endpoint"],
                UPSTREAM_BUCKETS,
            )?,
            retries: counters(r, "idv_upstream_retries_total", "Second attempts.", &["region"])?,
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

    fn of(&self, region: &str) -> RegionMetrics {
        let endpoint = |name: &str| EndpointMetrics {
            requests: UpstreamOutcome::NAMES
                .map(|outcome| self.requests.with_label_values(&[region, name, outcome])),
            duration: self.durations.with_label_values(&[region, name]),
        };
        let result = |verdict| {
            let [status, reason] = result_labels(verdict);
            self.results.with_label_values(&[region, status, reason])
        };
        RegionMetrics {
            endpoints: [endpoint("token"), endpoint("get_result")],
            retries: self.retries.with_label_values(&[region]),
            breaker_state: self.breaker.with_label_values(&[region]),
            token_refreshes_ok: self.refreshes.with_label_values(&[region, "ok"]),
            token_refreshes_failed: self.refreshes.with_label_values(&[region, "failed"]),
            token_expiry: self.expiry.with_label_values(&[region]),
            clock_skew: self.skew.with_label_values(&[region]),
            drift: DriftKind::ALL.map(|kind| self.drift.with_label_values(&[region, kind.name()])),
            results: final_verdicts().map(result).collect(),
            time_to_final: self.time_to_final.with_label_values(&[region]),
        }
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    registered(registry, IntCounter::new(name, help)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    registered(registry, IntGauge::new(name, help)?)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn float_gauges(registry: &Registry, name: &str, help: &str) -> Result<GaugeVec, prometheus::Error> {
    registered(registry, GaugeVec::new(Opts::new(name, help), &["region"])?)
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    registered(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
}

fn registered<C>(registry: &Registry, collector: C) -> Result<C, prometheus::Error>
where
    C: prometheus::core::Collector + Clone + 'static,
{
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
