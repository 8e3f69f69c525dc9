//! A small OTLP collector: takes batches of spans over HTTP, on a real socket, and keeps them to be looked at.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::eventually;

/// One batch as it came in.
#[derive(Clone)]
pub struct Batch {
    /// With the query.
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// One span.
#[derive(Clone, Debug)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty if it has none.
    pub parent: String,
    /// `SERVER`, `CLIENT` or `INTERNAL`.
    pub kind: &'static str,
    pub is_error: bool,
    pub attributes: BTreeMap<String, String>,
    /// Traces and spans that it points at.
    pub links: Vec<(String, String)>,
    /// What it says of the process.
    pub resource: BTreeMap<String, String>,
}

impl Span {
    /// The attribute, or nothing.
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// A collector, stopped when dropped.
pub struct Collector {
    pub address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
    task: JoinHandle<()>,
}

struct Taken {
    status: StatusCode,
    batches: Vec<Batch>,
}

impl Collector {
    /// Starts one that takes what it is given.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let taken = Arc::new(Mutex::new(Taken { status: StatusCode::OK, batches: Vec::new() }));
        let router = Router::new().fallback(take).with_state(Arc::clone(&taken));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it never ends") });
        Self { address, taken, task }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The piece of configuration that sends traces here.
    pub fn piece(&self) -> String {
        format!("[telemetry]\notlp_endpoint = \"{}\"\n", self.base_url())
    }

    /// Answers with this status from now on. What comes with it is kept all the same.
    pub fn answer(&self, status: u16) {
        self.taken.lock().unwrap().status = StatusCode::from_u16(status).expect("a status");
    }

    pub fn batches(&self) -> Vec<Batch> {
        self.taken.lock().unwrap().batches.clone()
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Span> {
        self.batches().iter().flat_map(|batch| spans_of(&batch.body)).collect()
    }

    /// Waits until there are `n` spans of that name, and returns them.
    pub async fn wait_for(&self, name: &str, n: usize) -> Vec<Span> {
        let named = || self.spans().into_iter().filter(|span| span.name == name).collect::<Vec<_>>();
        eventually(&format!("{n} spans {name}"), async || named().len() >= n).await;
        named()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes a batch.
async fn take(State(taken): State<Arc<Mutex<Taken>>>, request: Request) -> StatusCode {
    let (head, body) = request.into_parts();
    let headers = head.headers.iter();
    let text = |value: &HeaderValue| value.to_str().expect("a header is text").to_owned();
    let batch = Batch {
        path: head.uri.to_string(),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: to_bytes(body, usize::MAX).await.expect("a whole batch").to_vec(),
    };
    let mut taken = taken.lock().unwrap();
    taken.batches.push(batch);
    taken.status
}

fn spans_of(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("a batch is an OTLP request");
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = attributes(&of_resource.resource.expect("spans have a resource").attributes);
        for span in of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans) {
            spans.push(read_span(&span, resource.clone()));
        }
    }
    spans
}

fn read_span(span: &v1::Span, resource: BTreeMap<String, String>) -> Span {
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "a span ends after it starts");
    Span {
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: span.kind().as_str_name().trim_start_matches("SPAN_KIND_"),
        is_error: span.status.as_ref().is_some_and(|status| status.code() == SpanStatus::Error),
        attributes: attributes(&span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        resource,
    }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("an attribute of another type: {other:?}"),
    };
    let value =
        |attribute: &KeyValue| attribute.value.as_ref().and_then(|value| value.value.as_ref().map(text));
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute).unwrap_or_default())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
