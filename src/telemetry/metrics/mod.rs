//! Prometheus metrics: one registry of our own, every label set made at start, labels from closed sets only.
//!
//! Each part of the gateway holds the handles it increments, resolved once; nothing is looked up by label later.

mod auth;
mod connections;
mod families;
mod http;
mod lines;
mod lookup;
mod process;
mod region;
mod remote;
mod snapshot;
mod wait;

use std::sync::Arc;

use prometheus::{Encoder, IntCounter, IntGauge, IntGaugeVec, Registry, TextEncoder};

use crate::domain::region::{RegionId, RegionName};

use families::{counter, counters, gauge, gauges};
use process::Process;

pub use auth::{AuthFailure, AuthMetrics, JwksMetrics};
pub use connections::{CloseReason, ConnectionMetrics, Listener, OpenConnection};
pub use http::{HttpMetrics, MethodLabel, RouteLabel};
pub use lookup::{CacheMetrics, EvictionCause, LookupMetrics, LookupOutcome};
pub use region::{Operation, OperationMetrics, RegionMetrics, UpstreamOutcome, result_names};
pub use remote::{RemoteMetrics, RemoteOperation, RemoteOutcome};
pub use snapshot::{ANSWER_CLASSES, Durations, RegionSnapshot, Snapshot};
pub use wait::{CallbackOutcome, PollOutcome, WaitMetrics};

/// Every metric of the gateway.
pub struct Metrics {
    registry: Registry,
    /// Requests to the public listener.
    pub http: HttpMetrics,
    /// Authentication of callers.
    pub auth: AuthMetrics,
    /// Connections, by listener.
    connections: [Arc<ConnectionMetrics>; Listener::COUNT],
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
    ///
    /// # Errors
    /// A metric is registered twice or has an invalid name: a defect.
    pub fn new(regions: &[RegionName], callers: &[&str]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(Process::new()))?;
        lines::register(&registry)?;
        let labels: Vec<&str> = regions.iter().map(RegionName::as_str).collect();
        let build = gauges(&registry, "idv_build_info", "The running build.", &["version", "revision"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision()]).set(1);
        let limited =
            counters(&registry, "idv_rate_limited_total", "Requests over a caller's rate.", &["caller"])?;
        let panics = counter(&registry, "idv_panics_total", "Panics caught; each is a defect.")?;
        Ok(Self {
            http: HttpMetrics::new(&registry)?,
            connections: ConnectionMetrics::all(&registry)?,
            auth: AuthMetrics::new(&registry)?,
            lookups: LookupMetrics::new(&registry)?,
            waits: WaitMetrics::new(&registry)?,
            cache: CacheMetrics::new(&registry)?,
            regions: RegionMetrics::all(&registry, &labels, &panics)?,
            remote: Arc::new(RemoteMetrics::new(&registry)?),
            spans: Arc::new(SpanMetrics::new(&registry)?),
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

    /// The handles of one listener.
    pub fn connections(&self, listener: Listener) -> Arc<ConnectionMetrics> {
        Arc::clone(&self.connections[listener as usize])
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
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let reloads = counters(
            registry,
            "idv_reloads_total",
            "Changed contents of watched files: used or refused.",
            &["outcome"],
        )?;
        let of = |outcome| reloads.with_label_values(&[outcome]);
        let reads = gauges(
            registry,
            "idv_file_read_timestamp_seconds",
            "When each watched file was last read and its content usable.",
            &["file"],
        )?;
        Ok(Self { used: of("used"), refused: of("refused"), reads })
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
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Spans that the collector did not take, or that found no place to wait for it.";
        counter(registry, "idv_spans_dropped_total", help).map(Self)
    }

    /// Counts spans that are lost.
    pub fn count_dropped(&self, spans: usize) {
        self.0.inc_by(spans as u64);
    }
}
