//! Spans that wait for the collector: as many as the queue holds. Those that find it full are dropped and counted, which
//! the SDK does not tell of.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};

use crate::telemetry::metrics::SpanMetrics;

/// The places in the queue, from a span's end until it is exported.
#[derive(Debug)]
pub(super) struct Places {
    taken: AtomicUsize,
    count: usize,
    metrics: Arc<SpanMetrics>,
    was_full: Once,
}

impl Places {
    /// `count` free places.
    pub(super) fn new(count: usize, metrics: Arc<SpanMetrics>) -> Self {
        Self { taken: AtomicUsize::new(0), count, metrics, was_full: Once::new() }
    }

    /// The collector took these spans, or they are lost.
    pub(super) fn settle(&self, spans: usize, are_lost: bool) {
        self.taken.fetch_sub(spans, Ordering::Relaxed);
        if are_lost {
            self.metrics.count_dropped(spans);
        }
    }

    fn report_limit(&self) {
        self.was_full.call_once(|| {
            let (setting, limit) = ("OTEL_BSP_MAX_QUEUE_SIZE", self.count);
            tracing::warn!(
                setting,
                limit,
                "limit reached: spans are lost until the collector takes those that wait"
            );
        });
    }

    fn take(&self) -> bool {
        let take = |taken| (taken < self.count).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// Hands spans that have a place to the SDK's batches, whose own queue is therefore never full.
#[derive(Debug)]
pub(super) struct Bounded {
    pub(super) batches: BatchSpanProcessor,
    pub(super) places: Arc<Places>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.places.take() {
            self.batches.on_end(span);
        } else {
            self.places.metrics.count_dropped(1);
            self.places.report_limit();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}
