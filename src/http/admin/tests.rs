//! What surrounds every request, tried with a handler that panics: no request from outside can make one.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use tower::ServiceExt;

use super::surround;
use crate::domain::region::{RegionName, Regions};
use crate::telemetry::metrics::Metrics;

async fn broken() {
    let person: Result<(), &str> = std::hint::black_box(Err("AMINAH CONTOH 770101-14-5678"));
    person.expect("a handler that panics");
}

#[tokio::test]
async fn f135_a_handler_that_panics_answers_500_is_counted_and_ends_nothing_else() {
    let regions = Regions::new(RegionName::parse("my"));
    let metrics = Arc::new(Metrics::new(regions.names(), &[]));
    let routes = Router::new().route("/broken", get(broken)).route("/whole", get(async || "fine"));
    let router = surround(routes, Arc::clone(&metrics));
    let ask = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = router.clone().oneshot(request).await.expect("the router never fails");
        let (head, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, 4096).await.expect("a short body");
        (head, String::from_utf8_lossy(&body).into_owned())
    };
    for count in 1..=2 {
        let (head, body) = ask("/broken").await;
        assert_eq!(head.status, 500);
        assert_eq!(head.headers["content-type"], "application/problem+json");
        assert_eq!(head.headers["cache-control"], "no-store");
        assert!(body.contains("\"code\":\"internal\"") && !body.contains("AMINAH"), "{body}");
        let id = head.headers["x-request-id"].to_str().expect("an id is ASCII");
        assert!(body.contains(id), "{body}");
        assert_eq!(metrics.panics.get(), count);
        assert_eq!(ask("/whole").await.0.status, 200);
    }
}
