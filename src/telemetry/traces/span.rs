//! One span, or none: the same calls either way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::domain::region::{RegionId, RegionName};
use crate::telemetry::metrics::{Operation, UpstreamOutcome};

/// What spans go through on their way out. The queue is bounded: a slow collector loses spans and delays no
/// request.
pub(super) struct Pipeline {
    pub(super) tracer: SdkTracer,
    pub(super) regions: Box<[RegionName]>,
    /// Tells the task that sends them to end.
    pub(super) stop: Arc<Notify>,
    /// That task.
    pub(super) sending: tokio::sync::Mutex<JoinSet<()>>,
}

/// A span under way; it ends when it is dropped. None where traces are off or this one is not sampled: then nothing below
/// it is either, and every call returns at once.
pub struct Span(Option<Box<Live>>);

struct Live {
    pipeline: Arc<Pipeline>,
    context: SpanContext,
    /// The region that a fill and all below it ask.
    region: Option<RegionName>,
    /// The attempts made below it so far.
    attempts: AtomicI64,
    /// Several flights of one lookup may write into its span.
    span: Mutex<opentelemetry_sdk::trace::Span>,
}

/// What another span needs to point at one.
#[derive(Clone)]
pub struct Link(Option<Box<SpanContext>>);

impl Span {
    /// No span.
    pub const fn none() -> Self {
        Self(None)
    }

    /// A span below `parent`; `region` is that of what belongs to one.
    pub(super) fn new(
        pipeline: &Arc<Pipeline>,
        span: SpanBuilder,
        parent: &Context,
        region: Option<RegionName>,
    ) -> Self {
        let span = pipeline.tracer.build_with_context(span, parent);
        let context = span.span_context().clone();
        if !context.is_sampled() {
            return Self(None);
        }
        Self(Some(Box::new(Live {
            pipeline: Arc::clone(pipeline),
            context,
            region,
            attempts: AtomicI64::new(0),
            span: Mutex::new(span),
        })))
    }

    /// Whether there is a span, so that it is worth finding out what to say of it.
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// The id of its trace in hexadecimal digits, if there is a span.
    pub fn trace_id(&self) -> Option<String> {
        self.0.as_ref().map(|live| live.context.trace_id().to_string())
    }

    /// The span of a lookup, below a request's.
    pub fn lookup(&self) -> Self {
        self.child("lookup", SpanKind::Internal)
    }

    /// The span of a fill from `region`, below the lookup that starts it.
    pub fn fill(&self, region: RegionId) -> Self {
        let mut fill = self.child("fill", SpanKind::Internal);
        if let Some(live) = &mut fill.0 {
            live.region = live.pipeline.regions.get(region.index()).cloned();
        }
        fill.say_region();
        fill
    }

    /// The span of a token refresh, below the fill that starts it.
    pub fn token_refresh(&self) -> Self {
        let refresh = self.child("token refresh", SpanKind::Internal);
        refresh.say_region();
        refresh
    }

    /// The span of one request to the upstream, below the fill or the token refresh that makes it.
    pub fn attempt(&self, operation: Operation) -> Self {
        let Some(live) = &self.0 else { return Self(None) };
        let attempt = self.child("attempt", SpanKind::Client);
        attempt.say_region();
        attempt.set("idv.operation", <&str>::from(operation));
        attempt.set("idv.attempt", live.attempts.fetch_add(1, Ordering::Relaxed) + 1);
        attempt
    }

    /// What another span needs to point at this one.
    pub fn link(&self) -> Link {
        Link(self.0.as_ref().map(|live| Box::new(live.context.clone())))
    }

    /// Says that this span's work is done, or was, below another one.
    pub fn follow(&self, link: &Link) {
        if let (Some(live), Link(Some(context))) = (&self.0, link) {
            live.span.lock().add_link((**context).clone(), Vec::new());
        }
    }

    /// Gives the span its final name.
    pub fn rename(&self, name: String) {
        if let Some(live) = &self.0 {
            live.span.lock().update_name(name);
        }
    }

    /// Adds what is fit for logs: one of our own words, a number, a caller's name, an id's hash.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(live) = &self.0 {
            live.span.lock().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Adds how an exchange with the upstream ended. "Does not exist" is an answer, not an error.
    pub fn settle(&self, outcome: UpstreamOutcome) {
        let word: &str = outcome.into();
        self.set("idv.outcome", word);
        if !matches!(outcome, UpstreamOutcome::Ok | UpstreamOutcome::NotFound) {
            self.set("error.type", word);
            self.fail();
        }
    }

    /// Marks the span as failed.
    pub fn fail(&self) {
        if let Some(live) = &self.0 {
            live.span.lock().set_status(Status::error(""));
        }
    }

    fn child(&self, name: &'static str, kind: SpanKind) -> Self {
        let Some(live) = &self.0 else { return Self(None) };
        let parent = Context::new().with_remote_span_context(live.context.clone());
        let span = SpanBuilder::from_name(name).with_kind(kind);
        Self::new(&live.pipeline, span, &parent, live.region.clone())
    }

    fn say_region(&self) {
        if let Some(region) = self.0.as_ref().and_then(|live| live.region.as_ref()) {
            self.set("idv.region", region.as_str().to_owned());
        }
    }
}
