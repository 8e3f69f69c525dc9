//! Traces: the spans of requests, sent to an OTLP collector. Without a collector they are off, and cost nothing.
//!
//! Spans say where the time went and how it ended, in our own words; an id appears as it does in logs. They hold nothing
//! that a caller or the upstream sent, `tracestate` included. Trace headers are not forwarded: the vendor is another
//! company and has no use for them.

mod export;
mod span;
mod traceparent;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt, TracerProvider};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::Client;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::domain::region::RegionName;
use crate::settings::Otlp;
use crate::telemetry::metrics::SpanMetrics;

use span::Pipeline;
pub use span::{Link, Span};
pub use traceparent::trace_id;

/// The service's name where neither `OTEL_SERVICE_NAME` nor `OTEL_RESOURCE_ATTRIBUTES` gives one.
const SERVICE_NAME: &str = "idv-gateway";

/// Where requests get their spans from.
#[derive(Clone)]
pub struct Traces(Option<Arc<Pipeline>>);

impl Traces {
    /// No spans.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Spans that `client` sends as `otlp` says; connects to nothing yet. Sampling and the service's name follow the standard
    /// variables (`OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, …). Outside of the runtime, where a configuration is only
    /// checked, there are none.
    ///
    /// # Errors
    /// The collector's URL is not valid.
    pub fn start(
        otlp: &Otlp,
        client: Client,
        regions: &[RegionName],
        metrics: Arc<SpanMetrics>,
    ) -> io::Result<Self> {
        if Handle::try_current().is_err() {
            return Ok(Self::off());
        }
        let (queue, sender) = export::queue(otlp, client, &resource(), metrics)?;
        let tracer = SdkTracerProvider::builder().with_span_processor(queue).build().tracer(SERVICE_NAME);
        let stop = Arc::new(Notify::new());
        let sending = JoinSet::from_iter([sender.run(Arc::clone(&stop))]);
        Ok(Self(Some(Arc::new(Pipeline { tracer, regions: regions.into(), stop, sending: sending.into() }))))
    }

    /// Whether there are any.
    pub const fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// The span of a request that began `age` ago. A `traceparent` decides whether the request is sampled, so it must be
    /// that of an authenticated caller.
    pub fn request(&self, method: &'static str, traceparent: Option<&str>, age: Duration) -> Span {
        let Some(pipeline) = &self.0 else { return Span::none() };
        let parent = traceparent
            .and_then(traceparent::parse)
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let mut span = SpanBuilder::from_name("request").with_kind(SpanKind::Server);
        span.start_time = SystemTime::now().checked_sub(age);
        let span = Span::new(pipeline, span, &parent, None);
        span.set("http.request.method", method);
        span
    }

    /// Sends the spans that have ended so far, for as long as `limit`. Those that end later are lost.
    pub async fn stop(&self, limit: Duration) {
        let Some(pipeline) = &self.0 else { return };
        pipeline.stop.notify_one();
        let sent = async { pipeline.sending.lock().await.join_next().await };
        if timeout(limit, sent).await.is_err() {
            tracing::warn!("the last spans were not taken in time");
        }
    }
}

/// The attributes of this process, the same for every span.
fn resource() -> Resource {
    let name = Resource::builder().build().get(&Key::from_static_str("service.name"));
    let is_named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let given = Resource::builder().with_attribute(version);
    if is_named { given.build() } else { given.with_service_name(SERVICE_NAME).build() }
}
