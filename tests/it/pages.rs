//! The pages for people: what a browser may load, what the status page is told, and that it is the truth.

use serde_json::Value;

use crate::support::client::request;
use crate::support::gateway::{OPEN, caller, region, region_at};
use crate::support::{Answer, Gateway, Reply, Upstream, bodies, eventually};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SERVED: [(&str, &str); 11] = [
    ("/", "text/html; charset=utf-8"),
    ("/docs", "text/html; charset=utf-8"),
    ("/docs/admin", "text/html; charset=utf-8"),
    ("/status", "application/json"),
    ("/assets/base.css", "text/css; charset=utf-8"),
    ("/assets/docs.css", "text/css; charset=utf-8"),
    ("/assets/docs.js", "text/javascript; charset=utf-8"),
    ("/assets/status.css", "text/css; charset=utf-8"),
    ("/assets/plot.js", "text/javascript; charset=utf-8"),
    ("/assets/status.js", "text/javascript; charset=utf-8"),
    ("/assets/words.js", "text/javascript; charset=utf-8"),
];

#[tokio::test]
async fn every_page_and_what_it_loads_says_its_type_and_what_may_be_loaded() {
    let gateway = Gateway::over(&Upstream::start().await).await;
    for (path, kind) in SERVED {
        for method in ["GET", "HEAD"] {
            let answer = request(gateway.admin, method, path, &[]).await;
            assert_eq!(answer.status, 200, "{path}");
            for (header, wanted) in [
                ("content-type", kind),
                ("content-security-policy", POLICY),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
            ] {
                assert_eq!(answer.header(header), Some(wanted), "{method} {path}");
            }
            assert_eq!(answer.body.is_empty(), method == "HEAD", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_is_no_asset_is_not_found_in_the_form_of_every_error() {
    let gateway = Gateway::over(&Upstream::start().await).await;
    for path in [
        "/assets",
        "/assets/",
        "/assets/none.css",
        "/assets/base.css/",
        "/assets/BASE.CSS",
        "/assets/%ff",
        "/assets/..%2fdocs",
        "/assets/base%2Ecss",
        "/base.css",
        "/status/",
        "/docs/",
        "/docs/index.html",
        "/index.html",
        "/favicon.ico",
    ] {
        assert_eq!(gateway.admin(path).await.gist(), (404, "route_not_found".to_owned()), "{path}");
    }
}

/// What the attributes `name` of a page say.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    page.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn pages_hold_nothing_that_the_policy_forbids_and_lead_nowhere_else() {
    let gateway = Gateway::over(&Upstream::start().await).await;
    for path in ["/", "/docs"] {
        let answer = gateway.admin(path).await;
        let page = answer.text();
        let links = [attributes(page, "href"), attributes(page, "src")].concat();
        assert!(links.len() > 5, "{path}: {links:?}");
        for link in links.into_iter().filter(|link| !link.starts_with("data:image/svg+xml,")) {
            let target = link.split('#').next().unwrap_or_default();
            assert!(link.starts_with(['/', '#']), "{path} leads to {link}");
            assert!(target.is_empty() || gateway.admin(target).await.status == 200, "{path} leads to {link}");
        }
        for forbidden in
            [" style=", "<style", "<script>", " onclick=", " onload=", "javascript:", "<iframe", "<form"]
        {
            assert!(!page.contains(forbidden), "{path} has {forbidden}");
        }
    }
    for (path, _) in SERVED.iter().filter(|(path, _)| path.starts_with("/assets/")) {
        let answer = gateway.admin(path).await;
        for forbidden in
            ["innerHTML", "insertAdjacentHTML", "eval(", "new Function", "@import", "url(", "https://"]
        {
            assert!(!answer.text().contains(forbidden), "{path} has {forbidden}");
        }
    }
}

#[tokio::test]
async fn the_page_knows_the_bounds_between_which_quantiles_are_told() {
    let gateway = Gateway::over(&Upstream::start().await).await;
    let metrics = gateway.admin("/metrics").await;
    let script = gateway.admin("/assets/status.js").await;
    let table = [
        ("OURS", "idv_http_request_duration_seconds", "route=\"/idv/{signatureId}\""),
        ("THEIRS", "idv_upstream_request_duration_seconds", "operation=\"get_result\""),
    ];
    for (name, metric, label) in table {
        let lines = metrics.text().lines();
        let buckets =
            lines.filter(|line| line.starts_with(&format!("{metric}_bucket{{")) && line.contains(label));
        let bounds =
            buckets.filter_map(|line| line.split("le=\"").nth(1)?.split('"').next()?.parse::<f64>().ok());
        let bounds: Vec<f64> = bounds.filter(|bound| bound.is_finite()).map(|bound| bound * 1e3).collect();
        let said = format!("const {name} = [{}, {}];", bounds[0], bounds[bounds.len() - 1]);
        assert!(script.text().contains(&said), "{said}");
    }
}

/// The sum of the series of one metric whose labels hold all of `labels`.
fn sum(metrics: &Answer, name: &str, labels: &[&str]) -> u64 {
    let lines = metrics
        .text()
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
    let ours = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    ours.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().expect("a count")).sum()
}

#[tokio::test]
async fn the_figures_are_those_of_the_metrics() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    for n in 0..6 {
        my.pass(&format!("p{n}"));
        my.answer(&format!("f{n}"), [Reply::failed(&format!("f{n}"), "LIVENESS_ATTACK")]);
        ph.answer(&format!("b{n}"), [Reply::refusal("SERVICE_BUSY", "later"), Reply::text(200, "<html>")]);
    }
    let slow = caller("slow", &[], "requests_per_second = 1");
    let gateway =
        Gateway::with(&[&caller("one", &[], ""), &slow, &region("my", &my), &region("ph", &ph)]).await;
    for n in 0..6 {
        for target in
            [format!("/idv/p{n}?region=my"), format!("/idv/f{n}?region=my"), format!("/idv/b{n}?region=ph")]
        {
            gateway.get_as("one", &target).await;
            gateway.get_as("one", &target).await;
            gateway.get_as("slow", &target).await;
        }
    }
    gateway.get("/nothing").await;
    let (status, metrics) = (gateway.admin("/status").await.json(), gateway.admin("/metrics").await);
    let figure =
        |at: &str| status.pointer(at).and_then(Value::as_u64).unwrap_or_else(|| panic!("{at}: {status}"));
    for (class, digit) in [("2xx", "2"), ("4xx", "4"), ("5xx", "5")] {
        let label = format!("status=\"{digit}");
        assert_eq!(
            figure(&format!("/answers/byClass/{class}/total")),
            sum(&metrics, "idv_http_requests_total", &[&label])
        );
        assert!(figure(&format!("/answers/byClass/{class}/recent")) > 0, "{class}");
    }
    for outcome in ["hit", "remote_hit", "joined", "filled", "stale", "failed"] {
        let label = format!("outcome=\"{outcome}\"");
        assert_eq!(
            figure(&format!("/lookups/{outcome}/total")),
            sum(&metrics, "idv_lookups_total", &[&label]),
            "{outcome}"
        );
    }
    assert_eq!(figure("/cache/entries"), sum(&metrics, "idv_cache_entries", &[]));
    assert_eq!(figure("/cache/bytes"), sum(&metrics, "idv_cache_bytes", &[]));
    assert!(figure("/rateLimited/total") > 0);
    assert_eq!(figure("/rateLimited/total"), sum(&metrics, "idv_rate_limited_total", &[]));
    for (n, name) in ["my", "ph"].iter().enumerate() {
        let ours = format!("region=\"{name}\"");
        for outcome in
            ["ok", "not_found", "busy", "error", "malformed", "auth", "account", "timeout", "unavailable"]
        {
            let labels = [&ours, "operation=\"get_result\"", &format!("outcome=\"{outcome}\"")];
            let counted = sum(&metrics, "idv_upstream_requests_total", &labels);
            assert_eq!(
                figure(&format!("/regions/{n}/requests/{outcome}/total")),
                counted,
                "{name} {outcome}"
            );
        }
        let results = status["regions"][n]["results"].as_array().expect("results").iter();
        let results: u64 = results.map(|result| result["total"].as_u64().expect("a count")).sum();
        assert_eq!(results, sum(&metrics, "idv_results_total", &[&ours]), "{name}");
        assert!(
            status["regions"][n]["token"]["expiresInSeconds"].as_i64().is_some_and(|left| left > 60),
            "{status}"
        );
        assert!(status["regions"][n]["p95Ms"].as_f64().is_some_and(|ms| ms > 0.0), "{status}");
    }
    assert_eq!(figure("/regions/0/requests/ok/total"), 12);
    assert!(figure("/regions/1/requests/busy/total") > 0, "{status}");
}

#[tokio::test]
async fn no_id_no_person_and_no_caller_is_on_the_status_page() {
    let upstream = Upstream::start().await;
    let mut body = bodies::passed("canary-id");
    body["data"]["docDetail"]["ocrInfo"] = serde_json::json!({ "front": { "name": "Canary Binti Contoh" } });
    body["data"]["somethingCanary"] = serde_json::json!("canary");
    upstream.answer("canary-id", [Reply::json(body)]);
    let gateway =
        Gateway::with(&[&caller("canary-caller", &["identity"], ""), &region("my", &upstream)]).await;
    let shown = gateway.get_as("canary-caller", "/idv/canary-id").await;
    assert!(shown.text().contains("Canary Binti Contoh"));
    let status = gateway.admin("/status").await;
    assert_eq!(status.json()["regions"][0]["drift"]["unknown_field"]["total"], 1, "{status:?}");
    assert!(!status.text().to_lowercase().contains("canary"), "{}", status.text());
}

#[tokio::test]
async fn a_region_that_trips_is_said_to_have_and_one_without_a_token_too() {
    let (sick, well) = (Upstream::start().await, Upstream::start().await);
    let gone = region_at("id", "https://127.0.0.1:1");
    let gateway = Gateway::with(&[OPEN, &region("ph", &sick), &region("my", &well), &gone]).await;
    let mut n = 0;
    eventually("a tripped breaker", async || {
        n += 1;
        sick.answer(&format!("x{n}"), [Reply::text(500, "oops")]);
        gateway.get(&format!("/idv/x{n}?region=ph")).await;
        gateway.admin("/status").await.json()["regions"][0]["breaker"]["state"] == "tripped"
    })
    .await;
    gateway.get("/idv/x?region=id").await;
    let regions = gateway.admin("/status").await.json()["regions"].clone();
    assert_eq!([&regions[0]["name"], &regions[1]["name"], &regions[2]["name"]], ["ph", "my", "id"]);
    assert_eq!([0, 1, 2].map(|n| &regions[n]["sandbox"]), [true, true, false], "plain HTTP is for sandboxes");
    assert!(regions[0]["breaker"]["forSeconds"].as_u64().is_some_and(|seconds| seconds < 20), "{regions}");
    assert!(regions[0]["requests"]["error"]["recent"].as_u64() >= Some(20), "{regions}");
    assert_eq!(regions[1]["breaker"]["state"], "passing");
    assert!(regions[2]["token"]["expiresInSeconds"].is_null(), "{regions}");
    assert!(regions[2]["token"]["refreshFailed"]["recent"].as_u64() > Some(0), "{regions}");
}

#[tokio::test]
async fn a_step_that_is_over_is_a_member_of_every_series() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let young = gateway.admin("/status").await.json();
    assert_eq!(young["answers"]["series"]["requests"], serde_json::json!([]));
    assert_eq!(young["answers"]["p99Ms"], Value::Null);
    for _ in 0..3 {
        assert_eq!(gateway.get("/idv/none").await.status, 404);
    }
    let mut status = Value::Null;
    eventually("the end of a step", async || {
        status = gateway.admin("/status").await.json();
        status["answers"]["series"]["requests"].as_array().is_some_and(|series| !series.is_empty())
    })
    .await;
    assert_eq!(status["answers"]["series"]["requests"], serde_json::json!([3]));
    assert_eq!(status["answers"]["series"]["failed"], serde_json::json!([0]));
    assert!(status["answers"]["series"]["p99Ms"][0].as_f64().is_some_and(|ms| ms > 0.0), "{status}");
    assert_eq!(status["regions"][0]["series"]["requests"], serde_json::json!([1]), "the others were hits");
    assert_eq!(status["windowSeconds"], status["uptimeSeconds"], "all there has been is remembered");
}

#[tokio::test]
async fn a_gateway_that_stops_is_seen_to() {
    let upstream = Upstream::start().await;
    let drain = "[drain]\ndelay = \"2s\"\ndeadline = \"3s\"\n";
    let mut gateway = Gateway::with(&[OPEN, drain, &region("my", &upstream)]).await;
    assert_eq!(gateway.admin("/status").await.json()["stage"], "ready");
    gateway.stop();
    eventually("draining", async || gateway.admin("/status").await.json()["stage"] == "draining").await;
}
