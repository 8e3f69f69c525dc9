//! Prometheus metrics: one registry of our own, every label set made at start, labels from closed sets only.
//!
//! Each part of the gateway holds the handles it increments, resolved once; nothing is looked up by label later.

mod families;
mod process;
mod reading;
mod region;

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Encoder, Histogram, IntCounter, IntGauge, Registry, TextEncoder};

use crate::domain::region::{RegionId, RegionName};
use crate::domain::verification::Status;

use families::{counter, counters, gauge, gauges, histograms};
use process::Process;

pub use reading::{ANSWER_CLASSES, Reading, RegionReading, Times};
pub use region::{Operation, OperationMetrics, RegionMetrics, UpstreamOutcome, result_names};

/// Durations of requests to us: from a cache hit (tens of microseconds) to a wait (tens of seconds). No bound lies on a
/// default limit (4, 8, 15, 30 s): what ends at a limit is in another bucket than what ends just before it.
const OUR_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 3.9, 4.5,
    7.9, 9.0, 16.0, 29.5, 31.0,
];

/// Every status the public listener answers with.
const STATUSES: [u16; 14] = [200, 204, 400, 401, 403, 404, 405, 409, 421, 429, 500, 502, 503, 504];

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
    /// When the public listener's certificate ends, in epoch seconds; 0 = no TLS there.
    pub certificate_expiry: IntGauge,
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
        registry.register(Box::new(Process::new()))?;
        let labels: Vec<&str> = regions.iter().map(RegionName::as_str).collect();
        let build = gauges(&registry, "idv_build_info", "The running build.", &["version", "revision"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision()]).set(1);
        let limited =
            counters(&registry, "idv_rate_limited_total", "Requests over a caller's rate.", &["caller"])?;
        let panics = counter(&registry, "idv_panics_total", "Panics caught; each is a defect.")?;
        Ok(Self {
            http: HttpMetrics::new(&registry)?,
            lookups: LookupMetrics::new(&registry)?,
            cache: CacheMetrics::new(&registry)?,
            regions: RegionMetrics::all(&registry, &labels, &panics)?,
            reloads: Arc::new(ReloadMetrics::new(&registry)?),
            certificate_expiry: gauge(
                &registry,
                "idv_certificate_expiry_timestamp_seconds",
                "When the public listener's certificate ends; 0 = no TLS there.",
            )?,
            panics,
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

/// What a request wanted. A method is the client's text, so only known ones have a name of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodLabel(usize);

impl MethodLabel {
    const NAMES: [&str; 10] =
        ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "other"];

    /// The label of a method, `other` if it is none that we know.
    pub fn of(method: &str) -> Self {
        let known = Self::NAMES.iter().position(|known| *known == method);
        Self(known.unwrap_or(Self::NAMES.len() - 1))
    }

    /// The method, or `other`.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.0]
    }
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
    answers: [IntCounter; Status::ALL.len()],
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
            for method in MethodLabel::NAMES {
                for status in STATUSES {
                    table.push(requests.with_label_values(&[route.name(), method, &status.to_string()]));
                }
            }
        }
        let answers =
            counters(registry, "idv_answers_total", "Results given to callers (200).", &["status"])?;
        let durations = histograms(
            registry,
            "idv_http_request_duration_seconds",
            "From the request's head to the answer's head.",
            &["route"],
            OUR_BUCKETS,
        )?;
        Ok(Self {
            requests: table,
            answers: Status::ALL.map(|status| answers.with_label_values(&[status.name()])),
            durations: RouteLabel::ALL.map(|route| durations.with_label_values(&[route.name()])),
        })
    }

    /// Counts one result given to a caller.
    pub fn count_answer(&self, status: Status) {
        self.answers[status as usize].inc();
    }

    /// Counts one answered request. A status outside the closed set counts as 500.
    pub fn observe(&self, route: RouteLabel, method: MethodLabel, status: u16, duration: Duration) {
        let internal = STATUSES.iter().position(|known| *known == 500).unwrap_or_default();
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(internal);
        let of_method = route as usize * MethodLabel::NAMES.len() + method.0;
        self.requests[of_method * STATUSES.len() + status].inc();
        self.durations[route as usize].observe(duration.as_secs_f64());
    }
}

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LookupOutcome {
    Hit,
    RemoteHit,
    Joined,
    Filled,
    Stale,
    Failed,
}

impl LookupOutcome {
    /// The labels, in the order of the outcomes.
    pub const NAMES: [&'static str; 6] = ["hit", "remote_hit", "joined", "filled", "stale", "failed"];

    /// The label.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What lookups came to, and what they have under way.
pub struct LookupMetrics {
    outcomes: [IntCounter; LookupOutcome::NAMES.len()],
    /// Fills under way.
    pub fills_in_flight: IntGauge,
}

impl LookupMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let outcomes =
            counters(registry, "idv_lookups_total", "Lookups by how they were answered.", &["outcome"])?;
        Ok(Self {
            outcomes: LookupOutcome::NAMES.map(|name| outcomes.with_label_values(&[name])),
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
    /// The metric labels, in the order of the causes.
    pub const CAUSES: [&str; 4] = ["expired", "size", "replaced", "purged"];

    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let evictions =
            counters(registry, "idv_cache_evictions_total", "Entries that left the cache.", &["cause"])?;
        Ok(Self {
            entries: gauge(registry, "idv_cache_entries", "Results in the cache.")?,
            bytes: gauge(registry, "idv_cache_bytes", "Bytes in the cache.")?,
            evictions: Self::CAUSES.map(|cause| evictions.with_label_values(&[cause])),
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
