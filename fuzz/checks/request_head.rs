//! The bytes of a connection to the public listener: path, query and headers, up to the answer. No upstream is asked: the
//! caller may use no region, so every valid request for an id ends in "not found".

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Version};
use axum::response::Response;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::is_plain;
use crate::domain::region::{RegionName, Regions};
use crate::domain::scope::Scopes;
use crate::http::{Audit, Callers, Lifecycle, Public, Site};
use crate::lookup::{Lookup, Settings, WaitLimits};
use crate::settings;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use crate::upstream::Upstream;

const KEY: &str = "fuzz-key";
const BEARER: &str = "Bearer fuzz-key";
const MINUTE: Duration = Duration::from_secs(60);

/// Every answer that is possible, as status and code.
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

static SITE: LazyLock<Site> = LazyLock::new(site);

/// Serves the bytes as what one client sends.
pub fn request_head(bytes: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime can be made");
    }
    RUNTIME.with(|runtime| runtime.block_on(serve(bytes)));
}

async fn serve(bytes: &[u8]) {
    let service = service_fn(async |request: Request<Incoming>| {
        let (mut head, body) = request.into_parts();
        // A request without a credential is tried with the right one, so that it is read to the end.
        head.headers.entry(AUTHORIZATION).or_insert(HeaderValue::from_static(BEARER));
        let (sent, has_body) = (head.clone(), !body.is_end_stream());
        let response = SITE.answer(Request::from_parts(head, body)).await.map(Body::new);
        check(&sent, has_body, response).await;
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let client = tokio::io::join(bytes, tokio::io::sink());
    let connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(client), service);
    // Bytes that are not HTTP end the connection, as they should.
    let _ = connection.await;
}

async fn check(sent: &Parts, has_body: bool, response: Response) {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 1 << 16).await.expect("an answer is short");
    check_request_id(sent, &head.headers["x-request-id"]);
    assert_eq!(head.headers["cache-control"], "no-store");
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, code) = (head.status.as_u16(), problem["code"].as_str().unwrap_or_default());
    let is_purge = status == 204 && body.is_empty() && sent.method == Method::DELETE;
    let is_probe =
        matches!(sent.uri.path(), "/livez" | "/readyz") && [200, 503].contains(&status) && body.is_empty();
    assert!(
        is_purge || is_probe || ANSWERS.contains(&(status, code)),
        "not an answer of the list: {status} {code}"
    );
    let is_accepted =
        is_purge || matches!(code, "signature_not_found" | "region_forbidden" | "unknown_region");
    let given = |name| sent.headers.get_all(name).iter().count();
    let is_id = sent.uri.path().strip_prefix("/idv/").is_some_and(|id| is_plain(id, b"-_"));
    if is_accepted {
        assert!(is_id, "an id was accepted that is not one");
        assert!(sent.headers[AUTHORIZATION].as_bytes().ends_with(KEY.as_bytes()), "accepted without the key");
        assert!(!has_body && given(HOST) <= 1 && given(AUTHORIZATION) == 1, "it can be read in two ways");
    }
    let is_valid = sent.method == Method::GET
        && sent.version == Version::HTTP_11
        && !has_body
        && (sent.uri.scheme(), sent.uri.query()) == (None, None)
        && given(HOST) == 1
        && given(AUTHORIZATION) == 1
        && sent.headers[AUTHORIZATION] == BEARER;
    assert!(!is_valid || !is_id || code == "signature_not_found", "a valid request was refused: {code}");
}

/// A request id is plain, and the one that was sent if that was plain.
fn check_request_id(sent: &Parts, kept: &HeaderValue) {
    let kept = kept.to_str().unwrap_or_default();
    assert!(is_plain(kept, b"-_."), "a request id that is not plain");
    let mut given = sent.headers.get_all("x-request-id").iter();
    if let (Some(given), None) = (given.next(), given.next()) {
        let given = given.to_str().unwrap_or_default();
        assert_eq!(given == kept, is_plain(given, b"-_."), "a plain request id is kept");
    }
}

/// A public listener's site for one caller.
pub(crate) fn site() -> Site {
    let regions = Regions::new(RegionName::parse("my"));
    let metrics = Arc::new(Metrics::new(regions.names(), &["fuzz"]));
    let upstream = Arc::new(Upstream::new(Vec::new()).expect("nothing to prepare"));
    let settings = Settings {
        remote: None,
        request: settings::Request { timeout: MINUTE, discovery_wait: MINUTE, fill_timeout: MINUTE },
        cache: settings::Cache::all(MINUTE),
        waits: WaitLimits { max_waiters: 1, max_of_caller: 1, polls: Vec::new() },
        regions: regions.clone(),
    };
    let caller = settings::Caller {
        name: "fuzz".to_owned(),
        key_sha256: Vec::new(),
        key_sha256_file: None,
        subject: None,
        scopes: Scopes::ALL,
        regions: Some(Vec::new()),
        requests_per_second: None,
    };
    let callers = Callers::new(&[caller], &regions, None, Arc::clone(&metrics));
    callers.replace_keys(&[vec![Sha256::digest(KEY).into()]]);
    Site::Public(Arc::new(Public {
        callers,
        lookup: Arc::new(Lookup::new(settings, upstream, Arc::clone(&metrics))),
        regions,
        metrics,
        lifecycle: Lifecycle::default(),
        audit: Audit::new(None),
        traces: Traces::off(),
        max_wait: MINUTE,
        not_found_ttl: MINUTE,
        hosts: None,
    }))
}
