//! Every response that a client, an operator or the upstream can provoke.

use futures_util::future::join_all;
use idv_gateway::domain::reason::Reason;
use serde_json::{Value, json};
use strum::IntoEnumIterator;

use super::{IDV, Ledger};
use crate::support::client::{Answer, parse, raw, request};
use crate::support::collector::Collector;
use crate::support::gateway::{EVERY_SCOPE, OPEN, caller, region, region_at};
use crate::support::issuer::{AUDIENCE, ISSUER, SigningKey, claims};
use crate::support::upstream::Gate;
use crate::support::{Gateway, Reply, Upstream, bodies, eventually};

/// Paths of the admin listener, each with its name in the document.
const ADMIN_PATHS: [(&str, &str); 13] = [
    ("/", "/"),
    ("/status", "/status"),
    ("/docs", "/docs"),
    ("/docs/admin", "/docs/admin"),
    ("/assets/base.css", "/assets/{file}"),
    ("/assets/status.js", "/assets/{file}"),
    ("/assets/docs.js", "/assets/{file}"),
    ("/livez", "/livez"),
    ("/readyz", "/readyz"),
    ("/metrics", "/metrics"),
    ("/openapi.yaml", "/openapi.yaml"),
    ("/openapi-admin.yaml", "/openapi-admin.yaml"),
    ("/config", "/config"),
];

pub(super) async fn all(ledger: &Ledger) {
    tokio::join!(
        verdicts(ledger),
        stale(ledger),
        waiting(ledger),
        refusals(ledger),
        foreign_host(ledger),
        no_issuer(ledger),
        traced(ledger),
        two_regions(ledger),
        upstream_failures(ledger),
        overload(ledger),
        admin(ledger),
    );
    // Alone: the others keep this thread busy for longer than a drain gives its last requests.
    drain(ledger).await;
}

/// Every verdict and every reason, for every set of scopes.
async fn verdicts(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let mut ids = vec!["passed".to_owned(), "pending".to_owned(), "unrecognized".to_owned()];
    upstream.pass("passed");
    upstream.answer("pending", [Reply::pending("pending")]);
    let unknown_word = bodies::verdict("unrecognized", json!("REVIEW"), Value::Null);
    upstream.answer("unrecognized", [Reply::json(unknown_word)]);
    for reason in Reason::iter() {
        for word in ["FAIL", "INCOMPLETE"] {
            let id = format!("{word}-{}", reason.code());
            let body = bodies::verdict(&id, json!(word), json!(reason.code()));
            upstream.answer(&id, [Reply::json(body)]);
            ids.push(id);
        }
    }
    let sets: Vec<Vec<&str>> = (0..8_u8).map(scopes).collect();
    let callers: Vec<String> = sets.iter().map(|set| caller(&key(set), set, "")).collect();
    let gateway = Gateway::with(&[&callers.concat(), &region("my", &upstream)]).await;
    for id in &ids {
        for set in &sets {
            let answer = gateway.get_as(&key(set), &format!("/idv/{id}")).await;
            ledger.note("GET", IDV, &answer);
            assert_eq!(answer.status, 200, "{id}: {answer:?}");
            let body = answer.json();
            let shown = ["checks", "identity", "media"].into_iter().filter(|part| body.get(part).is_some());
            assert_eq!(shown.collect::<Vec<_>>(), *set, "{id}");
        }
        let decision = ledger.ask_as(&gateway, &key(&sets[7]), &format!("/idv/{id}?view=decision")).await;
        let bare = gateway.get_as(&key(&sets[0]), &format!("/idv/{id}")).await;
        assert_eq!(timeless(&decision), timeless(&bare), "{id}: view=decision shows what no scope shows");
    }
}

/// An answer without its only member that depends on when it is given.
fn timeless(answer: &Answer) -> Value {
    let mut body = answer.json();
    body["retryAfterSeconds"].take();
    body
}

fn scopes(bits: u8) -> Vec<&'static str> {
    let all = ["checks", "identity", "media"].into_iter().enumerate();
    all.filter(|(n, _)| bits >> n & 1 == 1).map(|(_, scope)| scope).collect()
}

fn key(scopes: &[&str]) -> String {
    format!("sees.{}", scopes.join("."))
}

/// A final result that outlived its time, while the upstream is down.
async fn stale(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let down = Reply::text(500, "{}");
    upstream.answer("old", [Reply::failed("old", "SIMILARITY_FAIL"), down]);
    let cache = "[cache]\nfinal_ttl = \"5ms\"\nincomplete_ttl = \"5ms\"\n";
    let gateway = Gateway::with(&[OPEN, cache, &region("my", &upstream)]).await;
    assert_eq!(ledger.ask(&gateway, "/idv/old").await.gist(), (200, "failed".to_owned()));
    eventually("a stale answer", async || ledger.ask(&gateway, "/idv/old").await.json()["stale"] == true)
        .await;
    let refreshed = ledger.ask_with(&gateway, "/idv/old", &[("Cache-Control", "no-cache")]).await;
    assert_eq!(refreshed.json()["stale"], true);
}

/// A wait that ends with a final result, and one that ends before.
async fn waiting(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    upstream.answer("soon", [Reply::pending("soon"), Reply::passed("soon")]);
    upstream.answer("later", [Reply::pending("later")]);
    let gateway = Gateway::with(&[OPEN, "[cache]\npending_ttl = \"50ms\"\n", &region("my", &upstream)]).await;
    for (id, status, wait) in [("soon", "passed", "wait=20"), ("later", "pending", "wait=1")] {
        let answer = ledger.ask_with(&gateway, &format!("/idv/{id}"), &[("Prefer", wait)]).await;
        assert_eq!(answer.gist(), (200, status.to_owned()));
        assert_eq!(answer.header("preference-applied"), Some(wait));
    }
}

/// What is refused before anybody is asked.
async fn refusals(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let other = Upstream::start().await;
    let callers = [
        caller("all", EVERY_SCOPE, ""),
        caller("one-region", &[], "regions = [\"my\"]"),
        caller("slow", &["purge"], "requests_per_second = 1"),
    ];
    let gateway = Gateway::with(&[&callers.concat(), &region("my", &upstream), &region("ph", &other)]).await;
    for (key, target, status) in [
        ("all", "/idv/a.b", 400),
        ("all", "/idv/x?region=xx", 400),
        ("all", "/idv/x?colour=red", 400),
        ("nobody", "/idv/x", 401),
        ("one-region", "/idv/x?region=ph", 403),
        ("all", "/nothing", 404),
    ] {
        assert_eq!(ledger.ask_as(&gateway, key, target).await.status, status, "{target}");
    }
    let bearer = |key: &str| format!("Bearer {key}");
    for (key, target, status) in [
        ("all", "/idv/x", 204),
        ("all", "/idv/a.b", 400),
        ("all", "/idv/x?region=my", 400),
        ("nobody", "/idv/x", 401),
        ("one-region", "/idv/x", 403),
        ("all", "/nothing", 404),
    ] {
        let answer = ledger.forget(&gateway, target, &[("Authorization", &bearer(key))]).await;
        assert_eq!(answer.status, status, "DELETE {target}");
    }
    for method in ["POST", "PUT", "OPTIONS", "QUERY"] {
        let answer = gateway.send(method, "/idv/x", &[]).await;
        ledger.note("GET", IDV, &answer);
        ledger.note("DELETE", IDV, &answer);
    }
    let slow = bearer("slow");
    let slow = [("Authorization", slow.as_str())];
    eventually("a refusal of GET, HEAD and DELETE each", async || {
        ledger.ask_with(&gateway, "/idv/x", &slow).await;
        ledger.forget(&gateway, "/idv/x", &slow).await;
        let given = ledger.given.borrow();
        ["GET", "HEAD", "DELETE"]
            .iter()
            .all(|method| given.iter().any(|line| line.starts_with(&format!("{method} {IDV} 429"))))
    })
    .await;
    assert_eq!(upstream.hits("a.b") + other.hits("a.b"), 0);
}

/// A `Host` that is not the gateway's, where nobody has to authenticate.
async fn foreign_host(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let ask = async |to, method: &str, path: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n");
        parse(&raw(to, head.as_bytes()).await).expect("an answer")
    };
    for method in ["GET", "HEAD", "DELETE"] {
        ledger.note(method, IDV, &ask(gateway.public, method, "/idv/x").await);
    }
    for (path, name) in ADMIN_PATHS {
        ledger.note("GET", name, &ask(gateway.admin, "GET", path).await);
    }
}

/// A token whose issuer's keys cannot be fetched.
async fn no_issuer(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let auth = format!(
        "[auth]\nmode = \"jwt\"\n[auth.jwt]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n\
         jwks_url = \"http://127.0.0.1:1/\"\n[[callers]]\nname = \"onboarding\"\nsubject = \"onboarding\"\n"
    );
    let gateway = Gateway::with(&[&auth, &region("my", &upstream)]).await;
    let bearer = format!("Bearer {}", SigningKey::ec().sign(&claims("onboarding")));
    let headers = [("Authorization", bearer.as_str())];
    assert_eq!(ledger.ask_with(&gateway, "/idv/x", &headers).await.code(), "authentication_unavailable");
    ledger.forget(&gateway, "/idv/x", &headers).await;
}

/// A problem of a request that is traced.
async fn traced(ledger: &Ledger) {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let gateway = Gateway::with(&[OPEN, &collector.piece(), &region("my", &upstream)]).await;
    assert!(ledger.ask(&gateway, "/idv/unknown").await.json()["traceId"].is_string());
}

/// What several regions can say together.
async fn two_regions(ledger: &Ledger) {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    my.pass("both");
    ph.pass("both");
    ph.answer("unsure", [Reply::refusal("ACCESS_DENIED", "no")]);
    let gateway = Gateway::with(&[OPEN, &region("my", &my), &region("ph", &ph)]).await;
    assert_eq!(ledger.ask(&gateway, "/idv/nowhere").await.code(), "signature_not_found");
    assert_eq!(ledger.ask(&gateway, "/idv/nowhere?region=my").await.code(), "signature_not_found");
    assert_eq!(ledger.ask(&gateway, "/idv/unsure").await.code(), "region_undetermined");
    let conflict =
        async || ledger.ask(&gateway, "/idv/both").await.gist() == (409, "ambiguous_signature".to_owned());
    eventually("a conflict", conflict).await;
}

/// What one region's own failure is called.
async fn upstream_failures(ledger: &Ledger) {
    let says = |code: &str| Reply::refusal(code, "said by the upstream");
    let malformed = || Reply::text(200, "<html>");
    let no_data =
        Reply::json(json!({ "code": "SUCCESS", "data": null, "transactionId": "b6d722f7e9f553ae" }));
    let cases = [
        (says("SIGNATURE_NOT_EXIST"), "signature_not_found"),
        (says("ERROR"), "upstream_error"),
        (says("ACCESS_DENIED"), "upstream_error"),
        (says("PARAMETER_ERROR"), "upstream_error"),
        (says("EMPTY_PARAMETER_ERROR"), "upstream_error"),
        (says("CLIENT_ERROR"), "upstream_error"),
        (says("SOMETHING_NEW"), "upstream_error"),
        (Reply::text(500, "oops"), "upstream_error"),
        (malformed(), "upstream_malformed"),
        (no_data, "upstream_malformed"),
        (says("IAM_FAILED"), "upstream_auth"),
        (Reply::text(401, ""), "upstream_auth"),
        (says("INSUFFICIENT_BALANCE"), "upstream_account"),
        (says("OVER_QUERY_LIMIT"), "upstream_account"),
        (says("ACCOUNT_DISABLED"), "upstream_account"),
        (says("SERVICE_DISABLED"), "upstream_account"),
        (Reply::passed("somebody-else"), "upstream_id_mismatch"),
        (says("SERVICE_BUSY"), "upstream_busy"),
        (says("RETRY_LATER").header("retry-after", "7"), "upstream_busy"),
        (Reply::text(429, ""), "upstream_busy"),
        (Reply::Stall(Vec::new()), "upstream_timeout"),
        (Reply::Reset, "upstream_unavailable"),
    ];
    let failures = cases.into_iter().map(async |(reply, code)| {
        let upstream = Upstream::start().await;
        upstream.answer("x", [reply]);
        let times = "[request]\ntimeout = \"8s\"\n";
        // Only what never answers is waited for in vain.
        let patience = if code == "upstream_timeout" { "1s" } else { "4s" };
        let quick = format!("{}attempt_timeout = \"{patience}\"\n", region("my", &upstream));
        let gateway = Gateway::with(&[OPEN, times, &quick]).await;
        let answer = ledger.ask(&gateway, "/idv/x").await;
        assert_eq!(answer.code(), code, "{answer:?}");
    });
    join_all(failures).await;
    let gateway = Gateway::with(&[OPEN, &region_at("my", "http://127.0.0.1:1")]).await;
    assert_eq!(ledger.ask(&gateway, "/idv/x").await.code(), "upstream_unavailable");
}

/// As many fills under way as each region has room for, and callers who wait for all of them.
async fn overload(ledger: &Ledger) {
    const REGIONS: usize = 64;
    const SHARE: usize = 10_000 / REGIONS;
    let upstream = Upstream::start().await;
    let silence = Gate::default();
    upstream.answer_tokens([Reply::token(1).gated(&silence)]);
    let region = |n| {
        let region = region_at(&format!("r{n}"), &format!("{}/{n}", upstream.base_url()));
        format!("{region}attempt_timeout = \"60s\"\n")
    };
    let regions = (0..REGIONS).map(region);
    let times = "[request]\ntimeout = \"60s\"\nfill_timeout = \"60s\"\n";
    let gateway = Gateway::with(&[OPEN, times, &regions.collect::<String>()]).await;
    let mut waiting = Vec::new();
    for n in 0..SHARE {
        waiting.push(gateway.ask(&format!("/idv/{n}"), &[]).await);
    }
    let fills = async || gateway.fills().await as usize;
    eventually("as many fills as there can be", async || fills().await == SHARE * REGIONS).await;
    let answer = ledger.ask(&gateway, "/idv/one-more?region=r0").await;
    assert_eq!(answer.gist(), (503, "overloaded".to_owned()));
    assert_eq!(fills().await, SHARE * REGIONS, "and no fill more");
    drop(waiting);
}

/// The end: not ready, and in the end what is still under way is answered.
async fn drain(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let silence = Gate::default();
    for method in ["GET", "HEAD"] {
        upstream.answer(method, [Reply::passed(method).gated(&silence)]);
    }
    let drain = "[drain]\ndelay = \"100ms\"\ndeadline = \"2s\"\n";
    let mut gateway = Gateway::with(&[OPEN, drain, &region("my", &upstream)]).await;
    let public = gateway.public;
    let ask = async |method| request(public, method, &format!("/idv/{method}"), &[]).await;
    let stop = async {
        upstream.wait_for_hits("GET", 1).await;
        upstream.wait_for_hits("HEAD", 1).await;
        gateway.stop();
        eventually("not ready", async || {
            let answer = gateway.admin("/readyz").await;
            ledger.note("GET", "/readyz", &answer);
            answer.status == 503
        })
        .await;
    };
    let (get, head, ()) = tokio::join!(ask("GET"), ask("HEAD"), stop);
    assert_eq!(get.gist(), (503, "shutting_down".to_owned()));
    ledger.note("GET", IDV, &get);
    ledger.note("HEAD", IDV, &head);
}

/// The admin listener.
async fn admin(ledger: &Ledger) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    for (path, name) in ADMIN_PATHS {
        let answer = gateway.admin(path).await;
        assert_eq!(answer.status, 200, "{path}");
        ledger.note("GET", name, &answer);
        let post = request(gateway.admin, "POST", path, &[]).await;
        assert_eq!(post.header("allow"), Some("GET, HEAD"));
        ledger.note("GET", name, &post);
    }
    ledger.note("GET", "/assets/{file}", &gateway.admin("/assets/none.css").await);
}
