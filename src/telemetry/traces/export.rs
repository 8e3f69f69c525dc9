//! Sends batches of spans to the collector, within a time limit, and logs once when it does not accept them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use reqwest::Client;
use tokio::runtime::Handle;

use super::places::Places;

/// What receives the spans.
pub struct Collector {
    /// Where OTLP traces are posted to.
    pub url: String,
    /// How long one batch may take, with all its tries.
    pub timeout: Duration,
    /// Spans that may wait.
    pub queue: usize,
    /// What posts them.
    pub client: Client,
}

/// Sends batches. The SDK calls it on a thread of its own, one batch at a time.
#[derive(Debug)]
pub(super) struct Exporter {
    otlp: Arc<opentelemetry_otlp::SpanExporter>,
    timeout: Duration,
    places: Arc<Places>,
    runtime: Handle,
    is_failing: AtomicBool,
}

impl Exporter {
    pub(super) fn new(collector: Collector, places: Arc<Places>, runtime: Handle) -> io::Result<Self> {
        let otlp = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(collector.client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(collector.url)
            .with_timeout(collector.timeout)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            otlp: Arc::new(otlp),
            timeout: collector.timeout,
            places,
            runtime,
            is_failing: AtomicBool::new(false),
        })
    }

    /// Logs when batches begin to fail and when they succeed again.
    fn log(&self, result: &OTelSdkResult) {
        match (result, self.is_failing.swap(result.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => {
                tracing::warn!(%error, "the collector does not accept traces; spans are lost")
            }
            (Ok(()), true) => tracing::info!("the collector accepts traces again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let (otlp, timeout) = (Arc::clone(&self.otlp), self.timeout);
        // The client needs the runtime; and the library gives up between two tries, but never during one.
        let sending =
            self.runtime.spawn(async move { tokio::time::timeout(timeout, otlp.export(batch)).await });
        let result = match sending.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(OTelSdkError::Timeout(timeout)),
            Err(_) => Err(OTelSdkError::AlreadyShutdown),
        };
        self.places.settle(spans, result.is_err());
        self.log(&result);
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        // It is called once, before the first batch.
        if let Some(otlp) = Arc::get_mut(&mut self.otlp) {
            otlp.set_resource(resource);
        }
    }
}
