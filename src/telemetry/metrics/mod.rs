//! Prometheus metrics: one registry of our own, every label set made at start, labels from closed sets only.
//!
//! Each part of the gateway holds the handles it increments, resolved once; nothing is looked up by label later.

mod auth;
mod connections;
mod families;
mod http;
mod lookup;
mod process;
mod region;
mod remote;
mod snapshot;

use std::sync::Arc;

use enum_map::EnumMap;
use prometheus::{Encoder, IntCounter, IntGauge, IntGaugeVec, Registry, TextEncoder};

use crate::domain::region::{RegionId, RegionName};
use crate::telemetry::logs;

use families::Families;

pub use auth::{AuthFailure, AuthMetrics, JwksMetrics};
pub use connections::{CloseReason, ConnectionMetrics, Listener, OpenConnection};
pub use http::{HttpMetrics, MethodLabel, RouteLabel};
pub use lookup::{
    CacheMetrics, CallbackOutcome, EvictionCause, LookupMetrics, LookupOutcome, PollOutcome, WaitMetrics,
};
pub use region::{Operation, OperationMetrics, RegionMetrics, UpstreamOutcome, result_names};
pub use remote::{RemoteMetrics, RemoteOperation, RemoteOutcome};
pub use snapshot::{AnswerClass, Durations, RegionSnapshot, Snapshot};

/// Every metric of the gateway.
pub struct Metrics {
    registry: Registry,
    audit_lines: IntGauge,
    /// Requests to the public listener.
    pub http: HttpMetrics,
    /// Authentication of callers.
    pub auth: AuthMetrics,
    /// Connections, by listener.
    pub connections: EnumMap<Listener, Arc<ConnectionMetrics>>,
    /// Lookups by outcome.
    pub lookups: LookupMetrics,
    /// Waiters, pollers, polls and callbacks.
    pub waits: WaitMetrics,
    /// The cache.
    pub cache: CacheMetrics,
    /// Per region, in configuration order.
    pub regions: Vec<Arc<RegionMetrics>>,
    /// The second tier.
    pub remote: Arc<RemoteMetrics>,
    /// Spans on their way to the collector.
    pub spans: Arc<SpanMetrics>,
    /// Contents of watched files.
    pub reloads: Arc<ReloadMetrics>,
    /// When the public listener's certificate ends, in epoch seconds; 0 = no TLS there.
    pub certificate_expiry: IntGauge,
    /// Panics caught anywhere.
    pub panics: IntCounter,
    /// Requests over a caller's rate, in configuration order of the callers.
    pub rate_limited: Vec<IntCounter>,
}

impl Metrics {
    /// Registers every metric, with every label set, at zero.
    pub fn new(regions: &[RegionName], callers: &[&str]) -> Self {
        let registry = Registry::new();
        let families = &Families::new(&registry);
        let build = families.with("version", env!("CARGO_PKG_VERSION")).with("revision", revision());
        build.gauge("idv_build_info", "The running build.").set(1);
        let panics = families.counter("idv_panics_total", "Panics caught; each is a defect.");
        let region =
            |region: &RegionName| RegionMetrics::new(&families.with("region", region.as_str()), &panics);
        let limited =
            families.counter_vec("idv_rate_limited_total", "Requests over a caller's rate.", &["caller"]);
        Self {
            audit_lines: process::register(families),
            http: HttpMetrics::new(families),
            connections: EnumMap::from_fn(|listener| Arc::new(ConnectionMetrics::new(families, listener))),
            auth: AuthMetrics::new(families),
            lookups: LookupMetrics::new(families),
            waits: WaitMetrics::new(families),
            cache: CacheMetrics::new(families),
            regions: regions.iter().map(region).map(Arc::new).collect(),
            remote: Arc::new(RemoteMetrics::new(families)),
            spans: Arc::new(SpanMetrics::new(families)),
            reloads: Arc::new(ReloadMetrics::new(families)),
            certificate_expiry: families.gauge(
                "idv_certificate_expiry_timestamp_seconds",
                "When the public listener's certificate ends; 0 = no TLS there.",
            ),
            rate_limited: callers.iter().map(|caller| limited.with_label_values(&[caller])).collect(),
            panics,
            registry,
        }
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
        self.audit_lines.set(logs::QUEUE.audit_lines() as i64);
        let (mut families, mut text) = (self.registry.gather(), Vec::new());
        process::complete(&mut families);
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

/// The source revision this binary was built from, if the build said so.
pub fn revision() -> &'static str {
    option_env!("IDV_REVISION").unwrap_or("unknown")
}

/// Changed contents of watched files.
pub struct ReloadMetrics {
    /// Now in use.
    pub used: IntCounter,
    /// Refused; the old contents stay in use. Counts every look at the broken contents.
    pub refused: IntCounter,
    reads: IntGaugeVec,
}

/// When one watched file was last read.
pub struct FileRead(IntGauge);

impl ReloadMetrics {
    fn new(families: &Families) -> Self {
        let help = "Changed contents of watched files: used or refused.";
        let reloads = families.counter_vec("idv_reloads_total", help, &["outcome"]);
        let of = |outcome| reloads.with_label_values(&[outcome]);
        let help = "When each watched file was last read and its content usable.";
        let reads = families.gauge_vec("idv_file_read_timestamp_seconds", help, "file");
        Self { used: of("used"), refused: of("refused"), reads }
    }

    /// The handle of one watched file, by its key in the configuration.
    pub fn file(&self, key: &str) -> FileRead {
        FileRead(self.reads.with_label_values(&[key]))
    }
}

impl FileRead {
    /// Records that the file was just read.
    pub fn just_now(&self) {
        self.0.set(jiff::Timestamp::now().as_second());
    }
}

/// Spans on their way to the collector.
#[derive(Debug)]
pub struct SpanMetrics(IntCounter);

impl SpanMetrics {
    fn new(families: &Families) -> Self {
        let help = "Spans that the collector did not take, or that found no place to wait for it.";
        Self(families.counter("idv_spans_dropped_total", help))
    }

    /// Counts spans that are lost.
    pub fn count_dropped(&self, spans: usize) {
        self.0.inc_by(spans as u64);
    }
}
