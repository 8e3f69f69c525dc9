//! Spans on their way to the collector: a bounded queue, and one task that sends batches.
//!
//! The SDK's own batch processor does not report the spans that it drops, and blocks the thread that ends it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use reqwest::Client;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::settings::Otlp;
use crate::telemetry::Limit;
use crate::telemetry::metrics::SpanMetrics;

/// A span that has ended, and its place in the queue until it is sent.
type Waiting = (SpanData, OwnedSemaphorePermit);

/// Takes the spans that end. Those that find no place are dropped and counted.
#[derive(Debug)]
pub(super) struct Queue {
    places: Arc<Semaphore>,
    waiting: mpsc::UnboundedSender<Waiting>,
    metrics: Arc<SpanMetrics>,
    limit: Limit,
}

/// Sends batches of the spans that wait.
pub(super) struct Sender {
    exporter: opentelemetry_otlp::SpanExporter,
    waiting: mpsc::UnboundedReceiver<Waiting>,
    timeout: Duration,
    batch: usize,
    delay: Duration,
    metrics: Arc<SpanMetrics>,
}

/// A queue of the spans of a process that `resource` describes, and what sends them to the collector.
pub(super) fn queue(
    otlp: &Otlp,
    client: Client,
    resource: &Resource,
    metrics: Arc<SpanMetrics>,
) -> io::Result<(Queue, Sender)> {
    let &Otlp { ref url, timeout, queue, batch, delay, .. } = otlp;
    let mut exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(timeout)
        .build()
        .map_err(io::Error::other)?;
    exporter.set_resource(resource);
    let (taken, waiting) = mpsc::unbounded_channel();
    let sender = Sender { exporter, waiting, timeout, batch, delay, metrics: Arc::clone(&metrics) };
    let places = Arc::new(Semaphore::new(queue));
    let limit = Limit::new(Some("OTEL_BSP_MAX_QUEUE_SIZE".to_owned()), Some(queue));
    Ok((Queue { places, waiting: taken, metrics, limit }, sender))
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            // After the end nobody receives it.
            let _ = self.waiting.send((span, place));
            return;
        }
        self.metrics.count_dropped(1);
        self.limit.warn("spans are lost until the collector takes those that wait");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Sender {
    /// Sends spans until it is told to stop, and then those that still wait.
    pub(super) async fn run(mut self, stop: Arc<Notify>) {
        let (mut batch, mut is_failing, mut is_last) = (Vec::new(), false, false);
        while !is_last {
            tokio::select! {
                full = timeout(self.delay, fill(&mut self.waiting, &mut batch, self.batch)) => {
                    is_last = full == Ok(false);
                }
                () = stop.notified() => self.waiting.close(),
            }
            if !batch.is_empty() {
                is_failing = self.send(std::mem::take(&mut batch), is_failing).await.is_err();
            }
        }
    }

    /// Logs when batches begin to fail and when they succeed again.
    async fn send(&self, batch: Vec<Waiting>, was_failing: bool) -> OTelSdkResult {
        // Their places are free when this is done.
        let (spans, places): (Vec<SpanData>, Vec<_>) = batch.into_iter().unzip();
        // The library gives up between two tries, but never during one.
        let sent = timeout(self.timeout, self.exporter.export(spans)).await;
        let result = sent.unwrap_or(Err(OTelSdkError::Timeout(self.timeout)));
        match &result {
            Ok(()) if was_failing => tracing::info!("the collector accepts traces again"),
            Ok(()) => {}
            Err(error) => {
                self.metrics.count_dropped(places.len());
                if !was_failing {
                    tracing::warn!(%error, "the collector does not accept traces; spans are lost");
                }
            }
        }
        result
    }
}

/// Waits until a batch is full. `false`: there will be no more spans.
async fn fill(waiting: &mut mpsc::UnboundedReceiver<Waiting>, batch: &mut Vec<Waiting>, size: usize) -> bool {
    while batch.len() < size {
        if waiting.recv_many(batch, size - batch.len()).await == 0 {
            return false;
        }
    }
    true
}
