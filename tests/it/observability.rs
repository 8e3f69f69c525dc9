//! Metrics and logs: all there from the start, bounded whatever comes, one line per request.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::gateway::{EVERY_SCOPE, OPEN, caller, region, region_at, sha256};
use crate::support::process::Served;
use crate::support::{Gateway, Reply, Upstream, bodies};

/// Labels and the words that each may have.
const CALLER: &str = "caller=onboarding risk";
const KIND: &str =
    "kind=unknown_field unknown_value unknown_code type_mismatch conflict missing_id id_mismatch";
const LISTENER: &str = "listener=public admin callbacks";
const METHOD: &str = "method=GET HEAD DELETE POST PUT PATCH OPTIONS TRACE CONNECT other";
const OPERATION: &str = "operation=token get_result";
const OUTCOME: &str = "outcome=ok not_found busy error malformed auth account timeout unavailable";
const REASON: &str = "reason=LIVENESS_ATTACK ID_FORGERY_DETECTED SIMILARITY_FAIL STRATEGY_HIT NO_FACE_DETECTED \
                      CARD_INFO_MISMATCH NO_SUPPORTED_CARD NO_SUPPORTED_CARD_CUSTOMIZED CARD_TYPE_MISMATCH \
                      CARD_LOW_QUALITY_IMAGE INCOMPLETED_CARD TOO_MANY_CARDS CARD_NOT_FOUND OCR_NO_RESULT \
                      USER_TIMEOUT PARAMETER_ERROR ERROR OTHER";
const REGION: &str = "region=my ph";
const ROUTE: &str = "route=/callbacks/{region} /idv/{signatureId} unmatched";
const STATUS: &str = "status=200 204 400 401 403 404 405 409 421 429 500 502 503 504";

/// Every metric: its name, its type, and its labels in order.
const CONTRACT: &[(&str, &str, &[&str])] = &[
    ("idv_http_requests_total", "counter", &[METHOD, ROUTE, STATUS]),
    ("idv_http_request_duration_seconds", "histogram", &[ROUTE]),
    // Beyond the contract: failures are not in the latency of successes.
    ("idv_http_success_duration_seconds", "histogram", &[]),
    ("idv_upstream_success_duration_seconds", "histogram", &[OPERATION, REGION]),
    ("idv_answers_total", "counter", &["status=passed failed incomplete pending unrecognized"]),
    ("idv_lookups_total", "counter", &["outcome=hit remote_hit joined filled stale failed"]),
    ("idv_results_total", "counter", &[REASON, REGION, "status=failed incomplete"]),
    ("idv_results_total", "counter", &["reason=none", REGION, "status=passed"]),
    ("idv_time_to_final_seconds", "histogram", &[REGION]),
    ("idv_cache_entries", "gauge", &[]),
    ("idv_cache_bytes", "gauge", &[]),
    ("idv_cache_evictions_total", "counter", &["cause=expired size replaced purged"]),
    ("idv_fills_in_flight", "gauge", &[]),
    // Beyond the contract: whether the second tier is in use now.
    ("idv_remote_up", "gauge", &[]),
    (
        "idv_remote_requests_total",
        "counter",
        &[
            "operation=connect read write lease purge publish subscribe token",
            "outcome=ok timeout unavailable refused skipped undecryptable",
        ],
    ),
    ("idv_waiters", "gauge", &[]),
    ("idv_pollers", "gauge", &[]),
    ("idv_polls_total", "counter", &["outcome=final pending failed skipped"]),
    (
        "idv_callbacks_total",
        "counter",
        &["outcome=fetched unknown final deferred repeated over_budget unauthenticated malformed"],
    ),
    ("idv_upstream_requests_total", "counter", &[OPERATION, OUTCOME, REGION]),
    ("idv_upstream_request_duration_seconds", "histogram", &[OPERATION, REGION]),
    ("idv_upstream_retries_total", "counter", &[REGION]),
    ("idv_breaker_state", "gauge", &[REGION]),
    ("idv_token_refreshes_total", "counter", &["outcome=ok failed shared limited", REGION]),
    ("idv_token_expiry_timestamp_seconds", "gauge", &[REGION]),
    ("idv_clock_skew_seconds", "gauge", &[REGION]),
    ("idv_contract_drift_total", "counter", &[KIND, REGION]),
    ("idv_rate_limited_total", "counter", &[CALLER]),
    (
        "idv_auth_failures_total",
        "counter",
        &["reason=missing unknown_key bad_token expired_token unknown_subject keys_unavailable"],
    ),
    ("idv_jwks_keys", "gauge", &[]),
    ("idv_jwks_refreshes_total", "counter", &["outcome=ok failed"]),
    ("idv_connections", "gauge", &[LISTENER]),
    ("idv_connections_max", "gauge", &[LISTENER]),
    ("idv_connections_closed_total", "counter", &[LISTENER, "reason=limit head_timeout idle write_timeout"]),
    ("idv_audit_queue_lines", "gauge", &[]),
    ("idv_log_lines_dropped_total", "counter", &[]),
    ("idv_spans_dropped_total", "counter", &[]),
    ("idv_panics_total", "counter", &[]),
    // Beyond the contract: what is asked first when a certificate was forgotten.
    ("idv_certificate_expiry_timestamp_seconds", "gauge", &[]),
    ("idv_reloads_total", "counter", &["outcome=used refused"]),
];

/// Every combination of one word of each label, as an exposition writes it.
fn sets(labels: &[&str]) -> Vec<String> {
    labels.iter().fold(vec![String::new()], |sets, label| {
        let (name, words) = label.split_once('=').expect("a label has words");
        let with = |set: &String, word| {
            let comma = if set.is_empty() { "" } else { "," };
            format!("{set}{comma}{name}=\"{word}\"")
        };
        sets.iter().flat_map(|set| words.split(' ').map(move |word| with(set, word))).collect()
    })
}

/// A gateway whose callers are those of the contract; `risk` may ask once a second.
async fn gateway(upstreams: [&Upstream; 2]) -> Gateway {
    Gateway::with(&[
        &region("my", upstreams[0]),
        &region("ph", upstreams[1]),
        &caller("onboarding", EVERY_SCOPE, ""),
        &caller("risk", EVERY_SCOPE, "requests_per_second = 1"),
    ])
    .await
}

/// Series that are not zero before anything has happened: the scrape itself is a connection.
fn is_constant(name: &str) -> bool {
    ["idv_build_info{", "idv_connections{listener=\"admin\"}", "idv_connections_max{"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Every series of an exposition with its value.
fn series(exposition: &str) -> Vec<(String, f64)> {
    let lines = exposition.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a series has a value");
        (name.to_owned(), value.parse().expect("a value is a number"))
    };
    lines.map(split).collect()
}

#[tokio::test]
async fn every_metric_is_there_from_the_start_with_every_label_set_at_zero_and_no_other() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    let exposition = gateway([&my, &ph]).await.admin("/metrics").await;
    let exposition = exposition.text();
    let mut expected = BTreeSet::new();
    for (name, kind, labels) in CONTRACT {
        assert!(exposition.contains(&format!("# TYPE {name} {kind}\n")), "{name} is not a {kind}");
        let help = exposition.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} ")));
        assert!(help.is_some_and(|help| help.len() > 5), "{name} does not say what it is");
        let name = if *kind == "histogram" { format!("{name}_count") } else { (*name).to_owned() };
        let series = |set: String| if set.is_empty() { name.clone() } else { format!("{name}{{{set}}}") };
        expected.extend(sets(labels).into_iter().map(series));
    }
    let found = series(exposition).into_iter().filter(|(name, _)| name.starts_with("idv_"));
    let found: Vec<_> =
        found.filter(|(name, _)| !name.contains("_bucket{") && !name.contains("_seconds_sum")).collect();
    for (name, value) in found.iter().filter(|(name, _)| !is_constant(name)) {
        assert_eq!(*value, 0.0, "{name} before anything happened");
    }
    let found: BTreeSet<_> = found.into_iter().map(|(name, _)| name).collect();
    let build = found.iter().filter(|name| name.starts_with("idv_build_info")).collect::<Vec<_>>();
    assert_eq!(build.len(), 1);
    assert!(
        build[0].contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION")))
            && build[0].contains("revision=")
    );
    let found: BTreeSet<_> = found.iter().filter(|name| *name != build[0]).cloned().collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
    for name in
        ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"]
    {
        assert!(exposition.contains(&format!("\n{name} ")), "{name}");
    }
}

/// Requests and answers of every sort that comes to mind, and some that do not.
async fn storm(gateway: &Gateway, my: &Upstream, ph: &Upstream) {
    let key = ("Authorization", "Bearer onboarding");
    my.pass("pass");
    my.answer("fail", [Reply::failed("fail", "A_NEW_REASON")]);
    my.answer("new", [Reply::json(bodies::verdict("new", "REVIEW".into(), "NEVER_SEEN".into()))]);
    my.answer("other", [Reply::passed("another")]);
    my.answer("code", [Reply::refusal("A_NEW_CODE", "never seen")]);
    my.answer("html", [Reply::Http(418, vec![], b"<html>".to_vec())]);
    my.answer("reset", [Reply::Reset]);
    my.pass("both");
    ph.pass("both");
    for id in ["pass", "fail", "new", "other", "code", "html", "reset", "both", "both", "none", "pass"] {
        for query in ["", "?region=my", "?region=ph", "?region=xx", "?view=decision", "?view=x", "?a=b"] {
            gateway.send("GET", &format!("/idv/{id}{query}"), &[key]).await;
        }
    }
    for n in 0..200 {
        let agent = format!("agent-{n}");
        gateway.send(&format!("M{n}"), &format!("/p{n}/idv"), &[("User-Agent", &agent), key]).await;
        gateway.send("GET", &format!("/idv/id-{n}"), &[key]).await;
        gateway.send("GET", "/idv/pass", &[("Authorization", &format!("Bearer k{n}"))]).await;
    }
    for method in METHOD.trim_start_matches("method=").split(' ') {
        gateway.send(method, "/idv/pass", &[key]).await;
        gateway.send(method, "/", &[("X-Request-Id", "storm")]).await;
    }
    for _ in 0..10 {
        gateway.send("GET", "/idv/pass", &[("Authorization", "Bearer risk")]).await;
        gateway.admin("/nowhere").await;
    }
}

#[tokio::test]
async fn whatever_callers_and_upstream_do_the_series_stay_the_same() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    let gateway = gateway([&my, &ph]).await;
    let names = async || {
        let exposition = gateway.admin("/metrics").await;
        series(exposition.text()).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let before = names().await;
    storm(&gateway, &my, &ph).await;
    assert_eq!(names().await, before);
    let unmatched = r#"idv_http_requests_total{route="unmatched",method="other",status="404"}"#;
    assert_eq!(gateway.metric(unmatched).await, 201.0, "invented methods and paths share one series");
    assert!(gateway.metric(r#"idv_rate_limited_total{caller="risk"}"#).await > 0.0);
    assert!(gateway.metric(r#"idv_contract_drift_total{region="my",kind="unknown_code"}"#).await > 0.0);
    assert!(gateway.metric(r#"idv_results_total{region="my",status="failed",reason="OTHER"}"#).await > 0.0);
    assert_eq!(gateway.metric("idv_fills_in_flight").await, 0.0);
}

#[tokio::test]
async fn a_request_counts_once_under_its_own_labels_and_the_admin_listeners_not_at_all() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let gateway = Gateway::over(&upstream).await;
    gateway.get("/idv/S1").await;
    gateway.get("/idv/S1?view=decision").await;
    gateway.send("HEAD", "/idv/S1", &[]).await;
    gateway.send("DELETE", "/idv/S1", &[]).await;
    gateway.get("/idv/%53").await;
    gateway.admin("/livez").await;
    for (method, status, count) in
        [("GET", "200", 2.0), ("HEAD", "200", 1.0), ("DELETE", "204", 1.0), ("GET", "400", 1.0)]
    {
        let of = format!(
            r#"idv_http_requests_total{{route="/idv/{{signatureId}}",method="{method}",status="{status}"}}"#
        );
        assert_eq!(gateway.metric(&of).await, count, "{of}");
    }
    assert_eq!(gateway.metric(r#"idv_answers_total{status="passed"}"#).await, 3.0, "the 200s");
    let count = |route| format!(r#"idv_http_request_duration_seconds_count{{route="{route}"}}"#);
    assert_eq!(gateway.metric(&count("/idv/{signatureId}")).await, 5.0);
    assert_eq!(gateway.metric(&count("unmatched")).await, 0.0);
    assert_eq!(gateway.metric("idv_http_success_duration_seconds_count").await, 3.0, "the 200s alone");
}

/// Labels that scrape targets bring. They win: ours would become `exported_…`, and no rule would find it.
const TARGET_LABELS: [&str; 7] = ["endpoint", "job", "instance", "namespace", "pod", "service", "container"];

#[tokio::test]
async fn no_label_is_one_that_scrape_targets_bring() {
    let gateway = Gateway::over(&Upstream::start().await).await;
    let exposition = gateway.admin("/metrics").await;
    for (name, _) in series(exposition.text()) {
        for label in TARGET_LABELS {
            assert!(
                !name.contains(&format!("{{{label}=")) && !name.contains(&format!(",{label}=")),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn buckets_separate_a_timeout_from_what_is_just_below_it() {
    let gateway = Gateway::over(&Upstream::start().await).await;
    let exposition = gateway.admin("/metrics").await;
    let bounds = |metric: &str| -> BTreeSet<String> {
        let buckets = series(exposition.text()).into_iter().map(|(name, _)| name);
        let buckets = buckets.filter(|name| name.starts_with(&format!("{metric}_bucket{{")));
        buckets
            .filter_map(|name| Some(name.split_once("le=\"")?.1.trim_end_matches("\"}").to_owned()))
            .collect()
    };
    for metric in ["idv_http_request_duration_seconds", "idv_upstream_request_duration_seconds"] {
        let bounds = bounds(metric);
        for [limit, below, above] in [["4", "3.9", "4.5"], ["8", "7.9", "9"]] {
            assert!(!bounds.contains(limit), "{metric} has a bound on the limit of {limit} s");
            assert!(bounds.contains(below) && bounds.contains(above), "{metric}: {bounds:?}");
        }
    }
}

#[tokio::test]
async fn cpu_time_has_fractions_of_a_second() {
    let gateway = Gateway::over(&Upstream::start().await).await;
    let mut seconds = 0.0_f64;
    while seconds == 0.0 || seconds.fract() == 0.0 {
        seconds = gateway.metric("process_cpu_seconds_total").await;
    }
    assert!(seconds < 60.0, "{seconds} s");
}

const LOGS: &str = "[telemetry]\nlog = \"info\"\n";

/// What an access line must hold: id, method, route, status, code, caller, id_hash, cache.
type Line<'a> =
    (&'a str, &'a str, &'a str, u64, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>);

#[tokio::test]
async fn every_log_line_is_json_and_every_request_has_exactly_one() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let served = Served::with(&[&region("my", &upstream), &caller("onboarding", &[], ""), LOGS]).await;
    let (known, who) = (("Authorization", "Bearer onboarding"), Some("onboarding"));
    let hash = sha256("S1")[..16].to_owned();
    let (idv, id_hash) = ("/idv/{signatureId}", Some(hash.as_str()));
    let absent = sha256("S2")[..16].to_owned();
    let expected: [(&str, &[(&str, &str)], Line<'_>); 8] = [
        ("/idv/S1", &[known], ("r1", "GET", idv, 200, None, who, id_hash, Some("miss"))),
        ("/idv/S1", &[known], ("r2", "HEAD", idv, 200, None, who, id_hash, Some("hit"))),
        (
            "/idv/S2",
            &[known],
            ("r3", "GET", idv, 404, Some("signature_not_found"), who, Some(&absent), Some("miss")),
        ),
        ("/idv/S1", &[], ("r4", "GET", idv, 401, Some("unauthenticated"), None, None, None)),
        ("/idv/!", &[known], ("r5", "GET", idv, 400, Some("invalid_signature_id"), who, None, None)),
        ("/idv/S1", &[known], ("r6", "DELETE", idv, 403, Some("scope_missing"), who, id_hash, None)),
        ("/idv/S1", &[known], ("r7", "POST", idv, 405, Some("method_not_allowed"), None, None, None)),
        ("/nowhere", &[], ("r8", "other", "unmatched", 404, Some("route_not_found"), None, None, None)),
    ];
    for (target, headers, line) in &expected {
        let method = if line.1 == "other" { "BREW" } else { line.1 };
        let headers = [headers, &[("X-Request-Id", line.0)][..]].concat();
        assert_eq!(u64::from(served.send(method, target, &headers).await.status), line.3, "{target}");
    }
    served.admin("/metrics").await;
    let finished = served.stop().await;
    assert_eq!(finished.stderr, "");
    let lines: Vec<Value> =
        finished.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        assert!(
            line["timestamp"].is_string() && line["level"].is_string() && line["target"].is_string(),
            "{line}"
        );
    }
    let access: Vec<&Value> = lines.iter().filter(|line| line["target"] == "access").collect();
    assert_eq!(access.len(), expected.len(), "{}", finished.stdout);
    for ((_, _, line), found) in expected.iter().zip(access) {
        let text = |key: &str| found.get(key).and_then(Value::as_str);
        let seen = (
            text("request_id").unwrap_or_default(),
            text("method").unwrap_or_default(),
            text("route").unwrap_or_default(),
            found["status"].as_u64().unwrap_or_default(),
            text("code"),
            text("caller"),
            text("id_hash"),
            text("cache"),
        );
        assert_eq!(seen, *line, "{found}");
        assert!(found["duration_us"].is_u64(), "{found}");
    }
    let said = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    assert_eq!((said("gateway started"), said("gateway draining"), said("gateway stopped")), (1, 1, 1));
}

#[tokio::test]
async fn a_request_without_an_id_of_its_own_is_logged_under_the_one_it_was_given() {
    let upstream = Upstream::start().await;
    let served = Served::with(&[OPEN, &region("my", &upstream), LOGS]).await;
    let answer = served.send("GET", "/idv/S1", &[("X-Request-Id", "not one")]).await;
    let given = answer.header("x-request-id").expect("every answer has one").to_owned();
    let finished = served.stop().await;
    assert!(finished.stdout.contains(&format!("\"request_id\":\"{given}\"")), "{}", finished.stdout);
    assert!(!finished.stdout.contains("not one"));
}

#[tokio::test]
async fn text_logs_are_for_people() {
    let upstream = Upstream::start().await;
    let text = "[telemetry]\nlog_format = \"text\"\n";
    let served = Served::with(&[OPEN, &region("my", &upstream), text]).await;
    served.send("GET", "/idv/S1", &[("X-Request-Id", "r1")]).await;
    let finished = served.stop().await;
    assert!(finished.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_err()));
    assert!(!finished.stdout.contains('\u{1b}'), "no colours in a file");
    let access = finished.stdout.lines().filter(|line| line.contains("access: ")).collect::<Vec<_>>();
    assert_eq!(access.len(), 1, "{}", finished.stdout);
    for fact in
        [" INFO ", "request_id=\"r1\"", "method=\"GET\"", "status=404", "route=\"/idv/{signatureId}\""]
    {
        assert!(access[0].contains(fact), "{fact}: {}", access[0]);
    }
}

#[tokio::test]
async fn the_log_level_is_kept() {
    for (level, lines) in [("off", 0), ("warn", 0), ("info,access=off", 3), ("off,access=info", 1)] {
        let region = region_at("my", "http://127.0.0.1:1");
        let served = Served::with(&[OPEN, &region, &format!("[telemetry]\nlog = \"{level}\"\n")]).await;
        assert_eq!(served.get("/nowhere").await.status, 404);
        let finished = served.stop().await;
        assert_eq!(finished.stdout.lines().count(), lines, "{level}: {}", finished.stdout);
    }
}

/// The promise is 20 MB for the released binary. This one carries debug information besides, which is mapped only
/// as far as it is touched.
const MOST_RESIDENT_KIB: u64 = 40 * 1024;

#[tokio::test]
async fn a_started_gateway_is_small() {
    let served = Served::with(&[OPEN, &region_at("my", "http://127.0.0.1:1")]).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.process.id())).expect("Linux");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    let resident: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(resident < MOST_RESIDENT_KIB, "{resident} KiB");
}
