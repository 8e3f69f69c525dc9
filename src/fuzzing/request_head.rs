//! The bytes of a connection to the public listener: path, query and headers, up to the answer. Nobody is asked: no
//! region may be used, so that every good request for an id ends in "not found".

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::to_bytes;
use axum::http::request::Parts;
use axum::http::{Method, Version};
use axum::response::Response;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::is_plain;
use crate::domain::region::{RegionName, RegionSet, Regions};
use crate::domain::scope::Scopes;
use crate::http::{Audit, CallerSettings, Callers, Lifecycle, Public, Site};
use crate::lookup::{Lifetimes, Lookup, Settings, WaitLimits};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use crate::upstream::Upstream;

/// What opens the door that is locked.
const KEY: &str = "fuzz-key";
const MINUTE: Duration = Duration::from_secs(60);

/// Every answer that there can be, as status and code.
const ANSWERS: [(u16, &str); 8] = [
    (400, "bad_request"),
    (400, "invalid_signature_id"),
    (400, "unknown_region"),
    (401, "unauthenticated"),
    (403, "region_forbidden"),
    (404, "route_not_found"),
    (404, "signature_not_found"),
    (405, "method_not_allowed"),
];

static OPEN: LazyLock<Site> = LazyLock::new(open_site);
static LOCKED: LazyLock<Site> = LazyLock::new(|| {
    site(|regions, metrics| {
        let caller = CallerSettings {
            name: "fuzz".to_owned(),
            scopes: Scopes::ALL,
            regions,
            requests_per_second: None,
            keys: vec![Sha256::digest(KEY).into()],
            subject: None,
        };
        Callers::new(&[caller], None, metrics)
    })
});

/// A public listener's site for anybody.
pub(crate) fn open_site() -> Site {
    site(Callers::anonymous)
}

/// Serves the bytes as what one client sends, at an open door and at a locked one.
pub fn request_head(bytes: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime can be made");
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(serve(bytes, &OPEN, false));
        runtime.block_on(serve(bytes, &LOCKED, true));
    });
}

async fn serve(bytes: &[u8], site: &Site, is_locked: bool) {
    let service = service_fn(async |request: axum::extract::Request<Incoming>| {
        let (head, body) = request.into_parts();
        let is_bodyless = body.is_end_stream();
        let sent = head.clone();
        let response = site.answer(axum::extract::Request::from_parts(head, body)).await;
        check(&sent, is_bodyless, is_locked, response).await;
        Ok::<_, Infallible>(Response::new(axum::body::Body::empty()))
    });
    let client = tokio::io::join(bytes, tokio::io::sink());
    let connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(client), service);
    // What is no HTTP ends the connection, and that is as it should be.
    let _ = connection.await;
}

async fn check(sent: &Parts, is_bodyless: bool, is_locked: bool, response: Response) {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 1 << 16).await.expect("an answer is short");
    check_request_id(sent, &head.headers["x-request-id"]);
    assert_eq!(head.headers["cache-control"], "no-store");
    let given = |name| sent.headers.get_all(name).iter().count();
    let has_key = sent.headers.values().any(|value| value.as_bytes().ends_with(KEY.as_bytes()));
    let id = sent.uri.path().strip_prefix("/idv/").filter(|id| is_plain(id, b"-_"));
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, code) = (head.status.as_u16(), problem["code"].as_str().unwrap_or_default());
    let is_purged = status == 204 && body.is_empty() && sent.method == Method::DELETE;
    assert!(is_purged || ANSWERS.contains(&(status, code)), "no answer of the list: {status} {code}");
    if is_purged || matches!(code, "signature_not_found" | "region_forbidden" | "unknown_region") {
        assert!(id.is_some(), "an id was accepted that is none");
        assert!(has_key || !is_locked, "somebody was let in without the key");
        assert!(
            is_bodyless && given("host") <= 1 && given("authorization") <= 1,
            "it can be read in two ways"
        );
    }
    let is_plainest = sent.method == Method::GET
        && sent.version == Version::HTTP_11
        && is_bodyless
        && sent.uri.scheme().is_none()
        && sent.uri.query().is_none()
        && given("host") == 1
        && given("authorization") <= 1;
    if is_plainest && id.is_some() && !is_locked {
        assert_eq!(code, "signature_not_found", "a good request was refused");
    }
}

/// A request id is plain, and the one that was sent if that was.
fn check_request_id(sent: &Parts, kept: &axum::http::HeaderValue) {
    let kept = kept.to_str().unwrap_or_default();
    assert!(is_plain(kept, b"-_."), "a request id that is not plain");
    let mut given = sent.headers.get_all("x-request-id").iter();
    if let (Some(given), None) = (given.next(), given.next()) {
        let given = given.to_str().unwrap_or_default();
        assert_eq!(given == kept, is_plain(given, b"-_."), "a plain request id is kept");
    }
}

fn site(callers: impl Fn(RegionSet, Arc<Metrics>) -> Callers) -> Site {
    let regions = Regions::new(RegionName::parse("my"));
    let metrics = Arc::new(Metrics::new(regions.names(), &["fuzz"]).expect("metrics can be made"));
    let upstream = Arc::new(Upstream::new(Vec::new()).expect("nothing to prepare"));
    let settings = Settings {
        timeout: MINUTE,
        discovery_wait: MINUTE,
        fill_timeout: MINUTE,
        max_bytes: 1 << 20,
        lifetimes: Lifetimes::all(MINUTE),
        waits: WaitLimits { max_waiters: 1, polls: Vec::new() },
        regions: regions.clone(),
    };
    let lookup = Arc::new(Lookup::new(settings, upstream, Arc::clone(&metrics)));
    let callers = callers(RegionSet::EMPTY, Arc::clone(&metrics));
    let (lifecycle, audit) = (Lifecycle::default(), Audit::off());
    Site::Public(Arc::new(Public {
        callers,
        regions,
        lookup,
        metrics,
        lifecycle,
        audit,
        traces: Traces::off(),
        max_wait: MINUTE,
        not_found_ttl: MINUTE,
        hosts: None,
    }))
}
