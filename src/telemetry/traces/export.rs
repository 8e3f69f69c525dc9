//! Sending batches of spans to the collector, within a time limit, and telling once when it does not take them.

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

/// Who takes the spans.
pub struct Collector {
    /// Where OTLP traces are posted to.
    pub url: String,
    /// What one batch may take, with all its tries.
    pub timeout: Duration,
    /// What posts them.
    pub client: Client,
}

/// Sends batches. The SDK calls it on a thread of its own, one batch at a time.
#[derive(Debug)]
pub(super) struct Exporter {
    otlp: Arc<opentelemetry_otlp::SpanExporter>,
    timeout: Duration,
    runtime: Handle,
    is_failing: AtomicBool,
}

impl Exporter {
    pub(super) fn new(collector: Collector, runtime: Handle) -> io::Result<Self> {
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
            runtime,
            is_failing: AtomicBool::new(false),
        })
    }

    /// One line when it begins to fail and one when it ends, not one a batch.
    fn tell(&self, result: &OTelSdkResult) {
        match (result, self.is_failing.swap(result.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::warn!(%error, "traces are not taken, spans are lost"),
            (Ok(()), true) => tracing::info!("traces are taken again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (otlp, timeout) = (Arc::clone(&self.otlp), self.timeout);
        // The client needs the runtime; and the library gives up between two tries, but never during one.
        let sending =
            self.runtime.spawn(async move { tokio::time::timeout(timeout, otlp.export(batch)).await });
        let result = match sending.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(OTelSdkError::Timeout(timeout)),
            Err(_) => Err(OTelSdkError::AlreadyShutdown),
        };
        self.tell(&result);
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        // It is called once, before the first batch.
        if let Some(otlp) = Arc::get_mut(&mut self.otlp) {
            otlp.set_resource(resource);
        }
    }
}
