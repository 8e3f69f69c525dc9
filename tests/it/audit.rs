//! The audit trail: one line for each answer that showed a person's data, and none for any other.

use serde_json::{Value, json};

use crate::support::gateway::{EVERY_SCOPE, caller, region, region_at};
use crate::support::process::{self, Finished, Scratch, Served, text};
use crate::support::{Reply, Upstream};

fn callers() -> String {
    [
        caller("everything", EVERY_SCOPE, ""),
        caller("who", &["identity"], ""),
        caller("pictures", &["media", "refresh"], ""),
        caller("scores", &["checks", "refresh", "purge"], ""),
        caller("decision", &[], ""),
    ]
    .concat()
}

/// An upstream that knows `S1` and `S2`.
async fn upstream() -> Upstream {
    let upstream = Upstream::start().await;
    for id in ["S1", "S2"] {
        upstream.pass(id);
    }
    upstream.answer("BROKEN", [Reply::refusal("PARAMETER_ERROR", "no")]);
    upstream
}

async fn serve(upstream: &Upstream, telemetry: &str) -> Served {
    Served::with(&[&callers(), &region("my", upstream), telemetry]).await
}

async fn ask(served: &Served, caller: &str, method: &str, target: &str, request_id: &str) -> u16 {
    let bearer = format!("Bearer {caller}");
    served.send(method, target, &[("Authorization", &bearer), ("X-Request-Id", request_id)]).await.status
}

/// The audit lines of a process that has ended.
fn lines(ended: &Finished) -> Vec<Value> {
    let lines = ended.stdout.lines().map(|line| serde_json::from_str(line).expect("a log line is JSON"));
    lines.filter(|line: &Value| line["target"] == "audit").collect()
}

fn requests(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["request_id"].as_str().expect("a line has its request's id")).collect()
}

#[tokio::test]
async fn a_line_says_who_was_shown_what_of_whom() {
    let upstream = upstream().await;
    let served = serve(&upstream, "").await;
    for (caller, target, id) in [
        ("everything", "/idv/S1", "filled"),
        ("everything", "/idv/S1", "cached"),
        ("who", "/idv/S1", "identity"),
        ("pictures", "/idv/S2", "media"),
    ] {
        assert_eq!(ask(&served, caller, "GET", target, id).await, 200);
    }
    let ended = served.stop().await;
    let lines = lines(&ended);
    assert_eq!(requests(&lines), ["filled", "cached", "identity", "media"], "one line each");
    let shown: Vec<_> =
        lines.iter().map(|line| (&line["caller"], &line["scopes"], &line["region"])).collect();
    let expected = [
        ("everything", "checks,identity,media"),
        ("everything", "checks,identity,media"),
        ("who", "identity"),
        ("pictures", "media"),
    ]
    .map(|(caller, scopes)| (json!(caller), json!(scopes), json!("my")));
    assert_eq!(shown, expected.each_ref().map(|(caller, scopes, region)| (caller, scopes, region)));
    let hmacs: Vec<_> =
        lines.iter().map(|line| line["id_hmac"].as_str().expect("a line has an id")).collect();
    assert_eq!((hmacs[0], hmacs[0]), (hmacs[1], hmacs[2]), "the same id");
    assert_ne!(hmacs[0], hmacs[3], "another id");
    assert!(hmacs[0].len() >= 32 && hmacs[0].bytes().all(|byte| byte.is_ascii_hexdigit()), "{hmacs:?}");
}

#[tokio::test]
async fn what_shows_nobody_leaves_no_line() {
    let upstream = upstream().await;
    let served = serve(&upstream, "").await;
    let quiet = [
        ("decision", "GET", "/idv/S1", 200),
        ("scores", "GET", "/idv/S1", 200),
        ("everything", "GET", "/idv/S1?view=decision", 200),
        ("everything", "HEAD", "/idv/S1", 200),
        ("everything", "GET", "/idv/S1?region=sg", 400),
        ("everything", "GET", "/idv/NOBODY", 404),
        ("everything", "GET", "/idv/BROKEN", 502),
        ("everything", "GET", "/nothing", 404),
        ("everything", "POST", "/idv/S1", 405),
        ("nobody", "GET", "/idv/S1", 401),
        ("everything", "DELETE", "/idv/S1", 204),
    ];
    for (caller, method, target, status) in quiet {
        assert_eq!(ask(&served, caller, method, target, "quiet").await, status, "{caller} {method} {target}");
    }
    assert_eq!(ask(&served, "everything", "GET", "/idv/S1", "last").await, 200);
    assert_eq!(requests(&lines(&served.stop().await)), ["last"]);
}

#[tokio::test]
async fn a_stale_answer_is_shown_data_too() {
    let upstream = upstream().await;
    upstream.answer("S1", [Reply::passed("S1"), Reply::text(500, "{}")]);
    let served = serve(&upstream, "").await;
    assert_eq!(ask(&served, "pictures", "GET", "/idv/S1", "fresh").await, 200);
    let headers =
        [("Authorization", "Bearer pictures"), ("Cache-Control", "no-cache"), ("X-Request-Id", "stale")];
    let stale = served.send("GET", "/idv/S1", &headers).await;
    assert_eq!((stale.status, &stale.json()["stale"]), (200, &json!(true)));
    assert_eq!(requests(&lines(&served.stop().await)), ["fresh", "stale"]);
}

#[tokio::test]
async fn lines_name_nobody_and_no_id() {
    let upstream = Upstream::start().await;
    upstream.pass("MARKED-77");
    let served = serve(&upstream, "[telemetry]\nlog = \"trace\"").await;
    assert_eq!(ask(&served, "everything", "GET", "/idv/MARKED-77", "a").await, 200);
    let ended = served.stop().await;
    assert_eq!(lines(&ended).len(), 1);
    for secret in ["MARKED-77", "AMINAH", "770101", "Jalan", "media.example", "Bearer"] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{secret} is logged");
    }
}

#[tokio::test]
async fn lines_of_two_processes_with_one_key_can_be_joined_and_others_not() {
    let (upstream, scratch) = (upstream().await, Scratch::new());
    let key = scratch.write("audit-key", "0123456789abcdef0123456789abcdef");
    let shared = format!("[telemetry]\naudit_key_file = \"{}\"", text(&key));
    let mut hmacs = Vec::new();
    for telemetry in [shared.as_str(), &shared, "", ""] {
        let served = serve(&upstream, telemetry).await;
        assert_eq!(ask(&served, "everything", "GET", "/idv/S1", "a").await, 200);
        let lines = lines(&served.stop().await);
        hmacs.push(lines[0]["id_hmac"].as_str().expect("a line has an id").to_owned());
    }
    assert_eq!(hmacs[0], hmacs[1], "one key");
    assert_ne!(hmacs[2], hmacs[3], "a key of each process");
    assert_ne!(hmacs[0], hmacs[2]);
}

#[tokio::test]
async fn the_trail_is_switched_by_its_own_setting_and_not_by_the_log_level() {
    let upstream = upstream().await;
    for (telemetry, expected) in [
        ("audit = false", vec![]),
        ("log = \"error\"", vec!["a"]),
        ("log = \"off\"", vec!["a"]),
        ("log = \"info,audit=off\"", vec!["a"]),
    ] {
        let served = serve(&upstream, &format!("[telemetry]\n{telemetry}")).await;
        assert_eq!(ask(&served, "everything", "GET", "/idv/S1", "a").await, 200);
        assert_eq!(requests(&lines(&served.stop().await)), expected, "{telemetry}");
    }
}

#[tokio::test]
async fn a_key_that_can_be_guessed_is_refused_at_the_start() {
    let scratch = Scratch::new();
    let key = scratch.write("audit-key", "short\n");
    let region = region_at("my", "http://127.0.0.1:9");
    let telemetry = format!("[telemetry]\naudit_key_file = \"{}\"\n", text(&key));
    let config = scratch.write("gateway.toml", &format!("{}{region}{telemetry}", callers()));
    let checked = process::run(&["check-config", "--config", text(&config)]).await;
    assert_eq!(checked.code, Some(78), "{checked:?}");
    assert!(
        checked.stderr.contains("telemetry.audit_key_file") && !checked.stderr.contains("short\n"),
        "{checked:?}"
    );
}
