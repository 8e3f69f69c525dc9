//! Traces: what spans there are and what they say, where they go, and that nobody waits for them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::collector::{Collector, Span};
use crate::support::gateway::{OPEN, caller, metric_at, region, region_at, sha256};
use crate::support::process::Served;
use crate::support::upstream::Gate;
use crate::support::{Gateway, Reply, Upstream, eventually, within};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const REQUEST: &str = "GET /idv/{signatureId}";
/// Spans are sent as soon as they end, so that a test need not wait for them.
const AT_ONCE: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "10");
/// Spans are sent at the end and not before.
const AT_THE_END: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "600000");
/// What a first request to stop gives the collector.
const LAST_SPANS: Duration = Duration::from_secs(2);
const LOST: &str = "the collector does not accept traces; spans are lost";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// A gateway that sends its traces to `collector`.
async fn traced(collector: &Collector, upstream: &Upstream) -> Served {
    Served::with_env(&[OPEN, &region("my", upstream), &collector.piece()], &[AT_ONCE]).await
}

async fn knows(id: &str) -> Upstream {
    let upstream = Upstream::start().await;
    upstream.pass(id);
    upstream
}

/// The spans right below `parent`, in no order.
fn below<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent == parent.id && span.trace == parent.trace).collect()
}

/// The only span right below `parent` of that name.
fn child<'a>(spans: &'a [Span], parent: &Span, name: &str) -> &'a Span {
    let found: Vec<_> = below(spans, parent).into_iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} below {parent:?}: {spans:#?}");
    found[0]
}

fn said(span: &Span) -> Vec<(&str, &str)> {
    span.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[tokio::test]
async fn a_cold_id_is_one_trace_from_the_request_to_the_attempts() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    upstream.answer("T1", [Reply::refusal("ERROR", ""), Reply::passed("T1")]);
    let pieces = [&caller("onboarding", &[], ""), &region("my", &upstream), &collector.piece()];
    let served = Served::with_env(&pieces.map(String::as_str), &[AT_ONCE]).await;
    let parent = traceparent("01");
    let headers =
        [("Authorization", "Bearer onboarding"), ("X-Request-Id", "r-1"), ("traceparent", parent.as_str())];
    assert_eq!(served.send("GET", "/idv/T1", &headers).await.status, 200);
    collector.wait_for(REQUEST, 1).await;
    assert_eq!(served.stop().await.code, Some(0));

    let spans = collector.spans();
    assert_eq!(spans.len(), 7, "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace == TRACE && span.links.is_empty()), "{spans:#?}");
    let request = spans.iter().find(|span| span.parent == PARENT).expect("the caller's span is its parent");
    let hash = &sha256("T1")[..16];
    assert_eq!((request.name.as_str(), request.kind, request.is_error), (REQUEST, "SERVER", false));
    assert_eq!(
        said(request),
        [
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("http.route", "/idv/{signatureId}"),
            ("idv.caller", "onboarding"),
            ("idv.id_hash", hash),
            ("idv.request_id", "r-1"),
        ]
    );
    let lookup = child(&spans, request, "lookup");
    assert_eq!(said(lookup), [("idv.outcome", "filled")]);
    let fill = child(&spans, lookup, "fill");
    assert_eq!(said(fill), [("idv.outcome", "ok"), ("idv.region", "my")]);
    let refresh = child(&spans, fill, "token refresh");
    assert_eq!(said(refresh), [("idv.region", "my")]);
    let token = child(&spans, refresh, "attempt");
    assert_eq!(said(token), attempt("token", "1", "ok", None));
    let mut attempts = below(&spans, fill);
    attempts.retain(|span| span.name == "attempt");
    attempts.sort_by(|a, b| a.get("idv.attempt").cmp(b.get("idv.attempt")));
    assert_eq!(said(attempts[0]), attempt("get_result", "1", "error", Some("error")));
    assert_eq!(said(attempts[1]), attempt("get_result", "2", "ok", None));
    assert!(attempts[0].is_error && attempts.iter().all(|span| span.kind == "CLIENT"));

    let sent = upstream.received();
    let is_of_traces = |name: &str| ["traceparent", "tracestate", "baggage"].contains(&name);
    assert!(sent.iter().all(|sent| !sent.headers.iter().any(|(name, _)| is_of_traces(name))), "{sent:?}");
}

fn attempt<'a>(
    operation: &'a str,
    number: &'a str,
    outcome: &'a str,
    error: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let error = error.map(|error| ("error.type", error));
    let said = [("idv.attempt", number), ("idv.operation", operation), ("idv.outcome", outcome)];
    error.into_iter().chain(said).chain([("idv.region", "my")]).collect()
}

#[tokio::test]
async fn a_hit_is_a_request_and_a_lookup() {
    let (collector, upstream) = (Collector::start().await, knows("T1").await);
    let served = traced(&collector, &upstream).await;
    for _ in 0..2 {
        assert_eq!(served.get("/idv/T1").await.status, 200);
    }
    let requests = collector.wait_for(REQUEST, 2).await;
    assert!(requests.iter().all(|request| request.parent.is_empty()), "who sends no trace starts one");
    assert_ne!(requests[0].trace, requests[1].trace);
    let spans = collector.spans();
    let of_hit: Vec<_> = spans.iter().filter(|span| span.trace == requests[1].trace).collect();
    assert_eq!(of_hit.len(), 2, "{of_hit:?}");
    assert_eq!(child(&spans, &requests[1], "lookup").get("idv.outcome"), "hit");
}

#[tokio::test]
async fn who_joins_a_fill_points_at_it() {
    let (collector, upstream, gate) = (Collector::start().await, Upstream::start().await, Gate::default());
    upstream.answer("T1", [Reply::passed("T1").gated(&gate)]);
    let mut gateway = Gateway::with(&[OPEN, &region("my", &upstream), &collector.piece()]).await;
    let (first, second) = (gateway.ask("/idv/T1", &[]).await, gateway.ask("/idv/T1", &[]).await);
    gate.open();
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 200));
    gateway.stop();
    let fills = collector.wait_for("fill", 1).await;
    let lookups = collector.wait_for("lookup", 2).await;
    let of = |outcome: &str| {
        lookups.iter().find(|lookup| lookup.get("idv.outcome") == outcome).expect("one of each")
    };
    assert_eq!((fills.len(), fills[0].parent.as_str()), (1, of("filled").id.as_str()));
    assert_eq!(of("joined").links, [(fills[0].trace.clone(), fills[0].id.clone())]);
    assert_ne!(of("joined").trace, fills[0].trace);
}

#[tokio::test]
async fn what_is_no_traceparent_starts_a_trace_and_harms_nobody() {
    let (collector, upstream) = (Collector::start().await, knows("T1").await);
    let served = traced(&collector, &upstream).await;
    let good = traceparent("01");
    let bad: [&[(&str, &str)]; 4] = [
        &[("traceparent", "canary")],
        &[("traceparent", &good[..54])],
        &[("traceparent", &good), ("Traceparent", &good)],
        &[("tracestate", "a=b")],
    ];
    for headers in bad {
        assert_eq!(served.send("GET", "/idv/T1", headers).await.status, 200, "{headers:?}");
    }
    let requests = collector.wait_for(REQUEST, bad.len()).await;
    assert!(requests.iter().all(|span| span.parent.is_empty() && span.trace != TRACE), "{requests:?}");
}

#[tokio::test]
async fn an_unauthenticated_request_does_not_choose_to_be_sampled() {
    let (collector, upstream) = (Collector::start().await, knows("T1").await);
    let pieces = [&caller("onboarding", &[], ""), &region("my", &upstream), &collector.piece()];
    let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    let served = Served::with_env(&pieces.map(String::as_str), &[AT_ONCE, sampler]).await;
    let parent = traceparent("01");
    let with = |authorization| [("Authorization", authorization), ("traceparent", parent.as_str())];
    for (authorization, target, status) in [
        ("Bearer wrong", "/idv/T1", 401),
        ("Basic onboarding", "/idv/T1", 401),
        ("Bearer onboarding", "/nothing", 404),
        ("Bearer onboarding", "/idv/T1", 200),
    ] {
        assert_eq!(served.send("GET", target, &with(authorization)).await.status, status);
    }
    collector.wait_for(REQUEST, 1).await;
    assert_eq!(served.stop().await.code, Some(0));
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace == TRACE), "{spans:#?}");
    let requests: Vec<_> = spans.iter().filter(|span| span.kind == "SERVER").collect();
    assert_eq!((requests.len(), requests[0].get("http.response.status_code")), (1, "200"), "{requests:#?}");
}

#[tokio::test]
async fn a_trace_that_its_caller_does_not_sample_is_not_sent() {
    let (collector, upstream) = (Collector::start().await, knows("T1").await);
    let served = traced(&collector, &upstream).await;
    assert_eq!(served.send("GET", "/idv/T1", &[("traceparent", &traceparent("00"))]).await.status, 200);
    assert_eq!(served.get("/idv/T1").await.status, 200);
    assert_eq!(served.stop().await.code, Some(0));
    let spans = collector.spans();
    assert!(spans.len() == 2 && spans.iter().all(|span| span.trace != TRACE), "{spans:?}");
}

#[tokio::test]
async fn an_error_names_its_trace_and_its_span_our_code_and_only_faults_of_the_service_are_failures() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    upstream.answer("T1", [Reply::text(200, "not JSON")]);
    let served = traced(&collector, &upstream).await;
    let cases = [
        ("GET", "/idv/T1", REQUEST, "upstream_malformed", true),
        ("GET", "/idv/T2", REQUEST, "signature_not_found", false),
        ("POST", "/idv/T2", "POST /idv/{signatureId}", "method_not_allowed", false),
        ("GET", "/idv/a.b", REQUEST, "invalid_signature_id", false),
        ("MADE-UP", "/elsewhere/T2", "other", "route_not_found", false),
    ];
    let mut problems = Vec::new();
    for (method, target, ..) in cases {
        problems.push(served.send(method, target, &[]).await.json());
    }
    assert_eq!(served.stop().await.code, Some(0));
    let spans = collector.spans();
    for ((_, target, name, code, is_error), problem) in cases.into_iter().zip(problems) {
        assert_eq!(problem["code"], code, "{target}");
        let found = spans.iter().find(|span| span.name == name && span.get("error.type") == code);
        assert_eq!(found.map(|span| span.is_error), Some(is_error), "{target}: {spans:#?}");
        assert_eq!(problem["traceId"].as_str(), found.map(|span| span.trace.as_str()), "{target}");
        assert!(spans.iter().all(|span| !format!("{span:?}").contains(target)), "{spans:#?}");
    }
    let of_absent = spans.iter().find(|span| span.name == "fill" && span.get("idv.outcome") == "not_found");
    assert!(of_absent.is_some_and(|fill| !fill.is_error), "an answer is no error");
}

#[tokio::test]
async fn they_are_off_unless_something_says_where_to() {
    let (collector, upstream) = (Collector::start().await, knows("T1").await);
    let (region, url) = (region("my", &upstream), collector.base_url());
    let off = Served::with_env(&[OPEN, &region], &[AT_ONCE, ("OTEL_SERVICE_NAME", "x")]).await;
    let disabled = [AT_ONCE, ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_SDK_DISABLED", "true")];
    let disabled = Served::with_env(&[OPEN, &region, &collector.piece()], &disabled).await;
    let on = traced(&collector, &upstream).await;
    for served in [&off, &disabled, &on] {
        assert_eq!(served.send("GET", "/idv/T1", &[("traceparent", &traceparent("01"))]).await.status, 200);
    }
    for served in [off, disabled] {
        assert_eq!(served.stop().await.code, Some(0));
    }
    collector.wait_for(REQUEST, 1).await;
    assert_eq!(on.stop().await.code, Some(0));
    let requests = collector.spans().iter().filter(|span| span.name == REQUEST).count();
    assert_eq!(requests, 1, "of the one that is on");
}

#[tokio::test]
async fn the_standard_variables_are_enough() {
    let (collector, upstream) = (Collector::start().await, knows("T1").await);
    let url = collector.base_url();
    let env = [
        AT_ONCE,
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=one"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging"),
        ("OTEL_SERVICE_NAME", "idv-staging"),
        ("http_proxy", "http://127.0.0.1:1"),
    ];
    let served = Served::with_env(&[OPEN, &region("my", &upstream)], &env).await;
    assert_eq!(served.get("/idv/T1").await.status, 200);
    let requests = collector.wait_for(REQUEST, 1).await;
    let expected = [("service.name", "idv-staging"), ("deployment.environment.name", "staging")];
    for (key, value) in expected.into_iter().chain([("service.version", env!("CARGO_PKG_VERSION"))]) {
        assert_eq!(requests[0].resource.get(key).map(String::as_str), Some(value), "{requests:?}");
    }
    let batch = &collector.batches()[0];
    let header = |name: &str| batch.headers.get(name).map(String::as_str);
    assert_eq!((batch.path.as_str(), header("x-tenant")), ("/v1/traces", Some("one")));
    assert_eq!(header("content-type"), Some("application/x-protobuf"));
    assert!(served.admin("/config").await.text().contains(&url), "operators see where traces go");
    assert_eq!(served.stop().await.code, Some(0));

    let (traces, here) = (format!("{url}/in"), collector.batches().len());
    let sampler = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let env = [AT_THE_END, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces.as_str())];
    for (env, batches) in [(env.to_vec(), 1), ([&env[..], &sampler[..]].concat(), 0)] {
        let before = collector.batches().len();
        let served = Served::with_env(&[OPEN, &region("my", &upstream)], &env).await;
        assert_eq!(served.get("/idv/T1").await.status, 200);
        assert_eq!(served.stop().await.code, Some(0));
        assert_eq!(collector.batches().len(), before + batches, "{env:?}");
    }
    assert_eq!(collector.batches()[here].path, "/in", "taken as it is");
    let name = collector.spans().last().map(|span| span.resource["service.name"].clone());
    assert_eq!(name.as_deref(), Some("idv-gateway"), "what it is called where nothing says");
}

#[tokio::test]
async fn asked_to_stop_it_sends_what_it_has() {
    let (collector, upstream) = (Collector::start().await, knows("T1").await);
    let served = Served::with_env(&[OPEN, &region("my", &upstream), &collector.piece()], &[AT_THE_END]).await;
    for _ in 0..20 {
        assert_eq!(served.get("/idv/T1").await.status, 200);
    }
    assert!(collector.batches().is_empty(), "not yet");
    let finished = served.stop().await;
    assert_eq!(finished.code, Some(0));
    assert!(!finished.stdout.contains("traces"), "nothing to tell: {}", finished.stdout);
    let mut count = BTreeMap::new();
    collector.spans().into_iter().for_each(|span| *count.entry(span.name).or_insert(0) += 1);
    let expected = [(REQUEST, 20), ("attempt", 2), ("fill", 1), ("lookup", 20), ("token refresh", 1)];
    assert_eq!(count, BTreeMap::from(expected.map(|(name, n)| (name.to_owned(), n))));
}

/// A gateway whose collector accepts connections and never reads, with a batch on its way there, and that is patient
/// with both: without a limit of its own the end would come too late for a test.
async fn sending_to_nobody(upstream: &Upstream, delay: &str) -> (Served, TcpListener, TcpStream) {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("bound");
    let telemetry = format!("[telemetry]\notlp_endpoint = \"http://{address}\"\n");
    let drain = format!("[drain]\ndelay = \"{delay}\"\ndeadline = \"600s\"\n");
    let env = [
        AT_ONCE,
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
    ];
    let served = Served::with_env(&[OPEN, &region("my", upstream), &telemetry, &drain], &env).await;
    assert_eq!(served.get("/idv/T1").await.status, 200);
    let (under_way, _) = within("a batch", silent.accept()).await.expect("it connects");
    (served, silent, under_way)
}

#[tokio::test]
async fn a_collector_that_does_not_answer_delays_no_caller_and_not_the_end() {
    let upstream = knows("T1").await;
    let (served, _silent, _under_way) = sending_to_nobody(&upstream, "0s").await;
    for _ in 0..50 {
        assert_eq!(served.get("/idv/T1").await.status, 200, "though the queue is full");
    }
    let finished = served.stop().await;
    assert_eq!(finished.code, Some(0));
    assert!(finished.stdout.contains("the last spans were not taken in time"), "{}", finished.stdout);
}

#[tokio::test]
async fn told_twice_to_stop_it_waits_for_no_collector() {
    let upstream = knows("T1").await;
    let (mut served, _silent, _under_way) = sending_to_nobody(&upstream, "300s").await;
    served.process.signal("TERM");
    served.process.says("gateway draining").await;
    let second = Instant::now();
    served.process.signal("TERM");
    assert_eq!(served.process.exit().await.code, Some(1));
    assert!(second.elapsed() < LAST_SPANS, "{:?}", second.elapsed());
}

#[tokio::test]
async fn a_collector_that_fails_is_told_of_once_and_again_when_it_works() {
    let (collector, upstream) = (Collector::start().await, knows("T1").await);
    // A status that is not tried again, so that each batch is one failure.
    collector.answer(400);
    let served = traced(&collector, &upstream).await;
    for n in 1..=5 {
        assert_eq!(served.get("/idv/T1").await.status, 200);
        eventually("another batch", async || collector.batches().len() >= n).await;
    }
    eventually("the count of lost spans", async || {
        metric_at(served.admin, "idv_spans_dropped_total").await >= 10.0
    })
    .await;
    collector.answer(200);
    let (taken, again) = (collector.batches().len(), "the collector accepts traces again");
    assert_eq!(served.get("/idv/T1").await.status, 200);
    eventually("a batch that is taken", async || collector.batches().len() > taken).await;
    served.process.says(again).await;
    let finished = served.stop().await;
    assert_eq!(finished.code, Some(0));
    let count = |words| finished.stdout.matches(words).count();
    assert_eq!((count(LOST), count(again)), (1, 1), "{}", finished.stdout);
}

#[tokio::test]
async fn spans_that_find_the_queue_full_are_counted() {
    let (upstream, silent) =
        (knows("T1").await, TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
    let collector = silent.local_addr().expect("bound");
    let telemetry = format!("[telemetry]\notlp_endpoint = \"http://{collector}\"\n");
    let queue = ("OTEL_BSP_MAX_QUEUE_SIZE", "3");
    let served = Served::with_env(&[OPEN, &region("my", &upstream), &telemetry], &[AT_ONCE, queue]).await;
    for _ in 0..10 {
        assert_eq!(served.get("/idv/T1").await.status, 200);
    }
    // Of two spans for each request, three have a place.
    eventually("the count of lost spans", async || {
        metric_at(served.admin, "idv_spans_dropped_total").await >= 17.0
    })
    .await;
    let finished = served.stop().await;
    assert_eq!(finished.stdout.matches("OTEL_BSP_MAX_QUEUE_SIZE").count(), 1, "{}", finished.stdout);
}

#[tokio::test]
async fn a_collector_that_is_gone_harms_nobody() {
    let telemetry = "[telemetry]\notlp_endpoint = \"http://127.0.0.1:1\"\n";
    let pieces = [OPEN, &region_at("my", "http://127.0.0.1:1"), telemetry];
    let served = Served::with_env(&pieces, &[AT_ONCE]).await;
    assert_eq!(served.get("/idv/T1").await.code(), "upstream_unavailable");
    served.process.says(LOST).await;
    assert_eq!(served.get("/idv/T1").await.code(), "upstream_unavailable");
    assert_eq!(served.stop().await.code, Some(0));
}
