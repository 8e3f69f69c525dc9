//! What the log says to somebody who looks for a cause: why the upstream gave no result, and which limit is reached.

use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};

use crate::support::client::{Asked, Connection, NO_CACHE};
use crate::support::gateway::{OPEN, caller, region, region_at};
use crate::support::process::{Finished, Served};
use crate::support::{Reply, Upstream, bodies, eventually};

fn lines(finished: &Finished) -> impl Iterator<Item = Value> {
    finished.stdout.lines().map(|line| serde_json::from_str(line).expect(line))
}

/// The settings that lines about limits name.
fn limits_reached(finished: &Finished) -> Vec<String> {
    let is_about_a_limit = |line: &Value| line["message"].as_str().unwrap().starts_with("limit reached: ");
    let lines = lines(finished).filter(is_about_a_limit);
    lines.map(|line| line["setting"].as_str().expect("a setting").to_owned()).collect()
}

#[tokio::test]
async fn an_access_line_says_in_one_word_why_the_upstream_gave_no_result() {
    let upstream = Upstream::start().await;
    let answers = [
        ("error", Reply::text(500, "{}")),
        ("html", Reply::text(200, "<html>")),
        ("busy", Reply::text(200, &bodies::refusal("ACCOUNT_DISABLED", "no").to_string())),
        ("reset", Reply::Reset),
        ("silent", Reply::Stall(Vec::new())),
        ("cut", Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".to_vec())),
    ];
    for (id, reply) in answers {
        upstream.answer(id, [reply]);
    }
    upstream.answer("stale", [Reply::passed("stale"), Reply::Reset]);
    upstream.pass("good");
    // Bound but not listening, and listening without TLS.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_at = plain.local_addr().unwrap();
    tokio::spawn(async move { while plain.accept().await.is_ok() {} });
    let regions = [
        region("my", &upstream) + "attempt_timeout = \"200ms\"\n",
        region_at("dns", "http://nowhere.invalid"),
        region_at("closed", &format!("http://{}", closed.local_addr().unwrap())),
        region_at("tls", &format!("https://{plain_at}")),
    ];
    let served = Served::with(&[OPEN, "[telemetry]\nlog = \"info\"\n", &regions.concat()]).await;
    let asked = [
        ("error", "my", Some("http")),
        ("html", "my", Some("http")),
        ("busy", "my", Some("http")),
        ("reset", "my", Some("reset")),
        ("cut", "my", Some("reset")),
        ("silent", "my", Some("timeout")),
        ("S1", "dns", Some("dns")),
        ("S1", "closed", Some("connect")),
        ("S1", "tls", Some("tls")),
        ("good", "my", None),
        ("absent", "my", None),
        ("stale", "my", None),
    ];
    for (id, region, _) in asked {
        served.get(&format!("/idv/{id}?region={region}")).await;
    }
    assert_eq!(served.send("GET", "/idv/stale?region=my", NO_CACHE).await.json()["stale"], true);
    assert_eq!(served.get("/idv/S2").await.code(), "region_undetermined");
    let finished = served.stop().await;
    let access: Vec<_> = lines(&finished).filter(|line| line["target"] == "access").collect();
    let mut causes: Vec<_> = access.iter().map(|line| line.get("cause").and_then(Value::as_str)).collect();
    let of_several = causes.pop().flatten();
    assert!(of_several.is_some_and(|cause| ["dns", "connect", "tls"].contains(&cause)), "{of_several:?}");
    let expected = asked.iter().map(|(_, _, cause)| *cause).chain([Some("reset")]);
    assert_eq!(causes, expected.collect::<Vec<_>>(), "{}", finished.stdout);
}

#[tokio::test]
async fn an_access_line_names_the_trace_of_a_known_caller_though_nobody_records_it() {
    let upstream = Upstream::start().await;
    let served = Served::with(&[&caller("onboarding", &[], ""), &region("my", &upstream)]).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-00");
    let asked = [
        ("Bearer onboarding", parent.as_str(), Some(trace)),
        ("Bearer onboarding", "canary", None),
        ("Bearer stranger", parent.as_str(), None),
    ];
    for (key, parent, named) in asked {
        let answer = served.send("GET", "/idv/S1", &[("Authorization", key), ("traceparent", parent)]).await;
        assert_eq!(answer.json()["traceId"].as_str(), named, "{key} {parent}");
    }
    let finished = served.stop().await;
    let access: Vec<_> = lines(&finished).filter(|line| line["target"] == "access").collect();
    let named: Vec<_> = access.iter().map(|line| line.get("trace_id").and_then(Value::as_str)).collect();
    assert_eq!(named, asked.map(|(.., named)| named), "{}", finished.stdout);
}

#[tokio::test]
async fn the_first_time_a_limit_is_reached_a_line_names_its_setting() {
    let upstream = Upstream::start().await;
    for n in 0..40 {
        let id = format!("S{n}");
        upstream.pass(&id);
    }
    upstream.answer("W", [Reply::pending("W")]);
    let settings = "max_connections = 6\n[wait]\nmax_waiters = 2\n[cache]\nmax_bytes = \"16KiB\"\n";
    let callers =
        [caller("often", &[], "requests_per_second = 1"), caller("waits", &[], ""), caller("scans", &[], "")];
    let served = Served::with(&[settings, &callers.concat(), &region("my", &upstream)]).await;
    let waits = [("Authorization", "Bearer waits"), ("Prefer", "wait=20")];
    // Two of one caller, who may have half of the places.
    let waiting = Asked::get(served.public, "/idv/W", &waits).await;
    eventually("one waits", async || served.metric("idv_waiters").await == 1.0).await;
    for _ in 0..2 {
        assert_eq!(served.send("GET", "/idv/W", &waits).await.status, 200);
    }
    for _ in 0..4 {
        served.get_as("often", "/idv/S0").await;
    }
    for n in 0..40 {
        assert_eq!(served.get_as("scans", &format!("/idv/S{n}")).await.status, 200);
    }
    let evicted = "idv_cache_evictions_total{cause=\"size\"}";
    eventually("a full cache", async || served.metric(evicted).await > 1.0).await;
    drop(waiting);
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(Connection::open(served.public).await);
    }
    let closed = "idv_connections_closed_total{listener=\"public\",reason=\"limit\"}";
    eventually("connections beyond the limit", async || served.metric(closed).await > 1.0).await;
    let finished = served.stop().await;
    let mut settings = limits_reached(&finished);
    settings.sort_unstable();
    let each_once = [
        "cache.max_bytes",
        "callers.often.requests_per_second",
        "server.max_connections",
        "wait.max_waiters",
    ];
    assert_eq!(settings, each_once, "{}", finished.stdout);
}

#[tokio::test]
async fn a_busy_region_and_its_full_queue_are_logged_once_each_with_the_setting_behind_them() {
    const REGIONS: usize = 64;
    const SHARE: usize = 10_000 / REGIONS;
    let upstream = Upstream::start().await;
    let region = |n| region_at(&format!("r{n}"), &format!("{}/{n}", upstream.base_url()));
    let regions = (0..REGIONS).map(region).collect::<String>();
    upstream.answer_tokens([Reply::Stall(Vec::new())]);
    let served = Served::with(&[OPEN, &regions]).await;
    let mut waiting = Vec::new();
    for n in 0..SHARE {
        waiting.push(Asked::get(served.public, &format!("/idv/{n}?region=r0"), &[]).await);
    }
    eventually("a full table", async || served.metric("idv_fills_in_flight").await as usize == SHARE).await;
    for _ in 0..2 {
        let refused = served.get("/idv/one-more?region=r0").await;
        assert_eq!(
            (refused.code(), refused.cache_status()),
            ("overloaded".to_owned(), "idv-gateway; fwd=miss")
        );
    }
    drop(waiting);
    let finished = served.stop().await;
    let settings = limits_reached(&finished);
    assert_eq!(
        settings, ["regions.r0.concurrency"; 2],
        "no place, and no place in the queue: {}",
        finished.stdout
    );
}
