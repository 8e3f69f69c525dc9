//! Who may ask, and what each may see: keys, scopes, regions, rates.

use futures_util::future::join_all;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::support::gateway::{OPEN, caller, region, sha256};
use crate::support::{Answer, Gateway, Reply, Upstream, bodies, eventually};

const PARTS: [&str; 3] = ["checks", "identity", "media"];

/// A gateway with one region and these callers, whose names are their keys.
async fn gateway_of(callers: &[String], upstream: &Upstream) -> Gateway {
    Gateway::with(&[&callers.concat(), &region("my", upstream)]).await
}

/// The parts of an answer that take a scope.
fn parts(answer: &Answer) -> Vec<&'static str> {
    let body = answer.json();
    PARTS.into_iter().filter(|part| body.get(part).is_some()).collect()
}

#[tokio::test]
async fn whoever_has_no_key_of_ours_gets_one_and_the_same_answer() {
    let upstream = Upstream::start().await;
    upstream.pass("x");
    let gateway = gateway_of(&[caller("known", &["purge"], "")], &upstream).await;
    assert_eq!(gateway.get_as("known", "/idv/x").await.status, 200);
    let hash = sha256("known");
    let wrong = [
        "Bearer unknown",
        "Bearer Known",
        "Bearer known2",
        "Bearer know",
        "Bearer known known",
        "Bearer known,",
        "Bearer \"known\"",
        "Bearer",
        "Bearer ",
        "known",
        "Basic known",
        "Basic a25vd246",
        "Bearer:known",
        "Bearerknown",
        "Token known",
        "",
        &format!("Bearer {hash}"),
        &format!("Bearer {}", "k".repeat(8192)),
        "Bearer kn\u{f6}wn",
    ];
    let id = ("X-Request-Id", "the-same");
    let without = gateway.send("GET", "/idv/x", &[id]).await;
    assert_eq!(without.gist(), (401, "unauthenticated".to_owned()));
    assert_eq!(without.header("www-authenticate"), Some(REALM));
    for text in wrong {
        for (method, target) in
            [("GET", "/idv/x"), ("GET", "/idv/none"), ("GET", "/idv/a.b"), ("DELETE", "/idv/x")]
        {
            let answer = gateway.send(method, target, &[("Authorization", text), id]).await;
            assert_eq!(said(&answer), said(&without), "{text:.80} {method} {target}");
            let is_credential = text.strip_prefix("Bearer ").is_some_and(|key| !key.is_empty());
            let challenge = if is_credential { INVALID_TOKEN } else { REALM };
            assert_eq!(answer.header("www-authenticate"), Some(challenge), "{text:.80}");
        }
    }
    assert_eq!(upstream.result_hits(), 1, "nobody is asked for strangers");
    assert_eq!(
        gateway.get_as("known", "/idv/x").await.header("cache-status").map(|s| &s[..16]),
        Some("idv-gateway; hit")
    );
}

const REALM: &str = "Bearer realm=\"idv-gateway\"";
const INVALID_TOKEN: &str = "Bearer realm=\"idv-gateway\", error=\"invalid_token\"";

/// Everything an answer says but its date and its challenge.
fn said(answer: &Answer) -> (u16, Vec<&(String, String)>, &[u8]) {
    let is_same = |name: &str| !["date", "www-authenticate"].contains(&name);
    (answer.status, answer.headers.iter().filter(|(name, _)| is_same(name)).collect(), &answer.body)
}

#[tokio::test]
async fn the_scheme_has_no_case_and_the_key_has() {
    let upstream = Upstream::start().await;
    let gateway = gateway_of(&[caller("Key-1", &[], "")], &upstream).await;
    for (text, status) in [
        ("Bearer Key-1", 404),
        ("bearer Key-1", 404),
        ("BEARER Key-1", 404),
        ("bEaReR Key-1", 404),
        ("Bearer   Key-1  ", 404),
        ("Bearer key-1", 401),
        ("Bearer KEY-1", 401),
    ] {
        let answer = gateway.send("GET", "/idv/x", &[("authorization", text)]).await;
        assert_eq!(answer.status, status, "{text}");
    }
}

#[tokio::test]
async fn every_key_of_a_caller_is_that_caller_while_it_rotates() {
    let upstream = Upstream::start().await;
    upstream.pass("x");
    let rotating = format!(
        "[[callers]]\nname = \"rotating\"\nkey_sha256 = [\"{}\", \"{}\"]\nscopes = [\"checks\"]\n",
        sha256("old"),
        sha256("new").to_uppercase(),
    );
    let gateway = gateway_of(&[caller("other", &[], ""), rotating], &upstream).await;
    for key in ["old", "new"] {
        assert_eq!(parts(&gateway.get_as(key, "/idv/x").await), ["checks"], "{key}");
    }
    assert_eq!(parts(&gateway.get_as("other", "/idv/x").await), Vec::<&str>::new());
    assert_eq!(gateway.get_as("rotating", "/idv/x").await.status, 401, "a name is no key");
}

#[tokio::test]
async fn a_key_that_is_revoked_in_its_file_is_worth_nothing_any_more() {
    let upstream = Upstream::start().await;
    let path = std::env::temp_dir().join(format!("idv-callers-{}-revoked", std::process::id()));
    let write = |keys: &[&str]| {
        let lines: String = keys.iter().map(|key| format!("{}\n", sha256(key))).collect();
        std::fs::write(&path, lines).expect("a file for keys");
    };
    write(&["stays", "goes"]);
    let file = format!("[[callers]]\nname = \"filed\"\nkey_sha256_file = {path:?}\n");
    let gateway = gateway_of(&[file], &upstream).await;
    for key in ["stays", "goes"] {
        assert_eq!(gateway.get_as(key, "/idv/x").await.status, 404, "{key}");
    }
    write(&["stays", "comes"]);
    eventually("the new keys", async || gateway.get_as("comes", "/idv/x").await.status == 404).await;
    assert_eq!(gateway.get_as("stays", "/idv/x").await.status, 404);
    let id = ("X-Request-Id", "the-same");
    let revoked = gateway.send("GET", "/idv/x", &[("Authorization", "Bearer goes"), id]).await;
    let unknown = gateway.send("GET", "/idv/x", &[("Authorization", "Bearer unknown"), id]).await;
    assert_eq!((revoked.status, said(&revoked)), (401, said(&unknown)));
    std::fs::remove_file(&path).expect("the file is there");
}

#[tokio::test]
async fn with_auth_none_everybody_has_every_scope_and_keys_are_not_looked_at() {
    let upstream = Upstream::start().await;
    upstream.pass("x");
    let gateway = Gateway::with(&[OPEN, &region("my", &upstream)]).await;
    for headers in [&[][..], &[("Authorization", "Bearer whatever")], &[("Authorization", "nonsense")]] {
        assert_eq!(parts(&gateway.send("GET", "/idv/x", headers).await), PARTS);
    }
    gateway.send("GET", "/idv/x", &[("Cache-Control", "no-cache")]).await;
    assert_eq!(upstream.hits("x"), 2, "scope refresh");
    assert_eq!(gateway.send("DELETE", "/idv/x", &[]).await.status, 204, "scope purge");
}

/// Every set of scopes that show something.
fn scope_sets() -> Vec<Vec<&'static str>> {
    let set = |bits: usize| (0..3).filter(|n| bits >> n & 1 == 1).map(|n| PARTS[n]).collect();
    (0..8).map(set).collect()
}

#[tokio::test]
async fn each_scope_shows_its_own_part_and_a_part_without_scope_is_absent_not_null() {
    let upstream = Upstream::start().await;
    upstream.pass("x");
    let callers: Vec<_> = scope_sets().iter().map(|set| caller(&set.join("."), set, "")).skip(1).collect();
    let nothing = caller("nothing", &["refresh", "purge"], "");
    let gateway = gateway_of(&[callers.concat(), nothing], &upstream).await;
    let whole = gateway.get_as("checks.identity.media", "/idv/x").await.json();
    for set in scope_sets() {
        let key = if set.is_empty() { "nothing".to_owned() } else { set.join(".") };
        let answer = gateway.get_as(&key, "/idv/x").await;
        assert_eq!(parts(&answer), set);
        let mut expected = whole.clone();
        let expected = expected.as_object_mut().expect("an object");
        expected.retain(|part, _| !PARTS.contains(&part.as_str()) || set.contains(&part.as_str()));
        assert_eq!(
            answer.json(),
            Value::Object(expected.clone()),
            "{key}: the same, less what it may not see"
        );
        for (part, secret) in [("identity", "AMINAH CONTOH"), ("identity", "770101"), ("media", "https://")] {
            assert_eq!(answer.text().contains(secret), set.contains(&part), "{key}: {secret}");
        }
        let decision = gateway.get_as(&key, "/idv/x?view=decision").await;
        assert_eq!(parts(&decision), Vec::<&str>::new(), "{key}: view=decision");
        assert_eq!(decision.json()["status"], "passed");
    }
    assert_eq!(upstream.hits("x"), 1, "one entry serves them all");
}

#[tokio::test]
async fn callers_of_different_scopes_who_wait_for_one_fill_each_see_their_own_part() {
    let upstream = Upstream::start().await;
    let gate = crate::support::upstream::Gate::default();
    upstream.answer("x", [Reply::passed("x").gated(&gate)]);
    let sets: Vec<_> = scope_sets().into_iter().skip(1).collect();
    let callers: Vec<_> = sets.iter().map(|set| caller(&set.join("."), set, "")).collect();
    let gateway = gateway_of(&callers, &upstream).await;
    let asked = join_all(sets.iter().map(async |set| parts(&gateway.get_as(&set.join("."), "/idv/x").await)));
    let open = async {
        upstream.wait_for_hits("x", 1).await;
        gate.open();
    };
    let (seen, ()) = tokio::join!(asked, open);
    assert_eq!(seen, sets);
    assert_eq!(upstream.hits("x"), 1);
}

#[tokio::test]
async fn a_region_that_is_not_the_callers_is_refused_and_never_asked() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    ph.pass("x");
    let callers = [caller("my-only", &["refresh"], "regions = [\"my\"]"), caller("both", &[], "")].concat();
    let gateway = Gateway::with(&[&callers, &region("my", &my), &region("ph", &ph)]).await;
    let forbidden = (403, "region_forbidden".to_owned());
    let missing = (404, "signature_not_found".to_owned());
    assert_eq!(gateway.get_as("my-only", "/idv/x?region=ph").await.gist(), forbidden);
    assert_eq!(gateway.get_as("my-only", "/idv/x").await.gist(), missing);
    assert!(ph.received().is_empty(), "{:?}", ph.received());
    assert_eq!(gateway.get_as("both", "/idv/x").await.json()["region"], "ph");
    // Now there is an entry, and the region is learned; neither exists for this caller.
    assert_eq!(gateway.get_as("my-only", "/idv/x?region=ph").await.gist(), forbidden);
    assert_eq!(gateway.get_as("my-only", "/idv/x").await.gist(), missing);
    let bearer = [("Authorization", "Bearer my-only"), ("Cache-Control", "no-cache")];
    assert_eq!(gateway.send("GET", "/idv/x", &bearer).await.gist(), missing);
    assert_eq!((my.hits("x"), ph.hits("x")), (2, 1));
    // And his 404 is his own.
    assert_eq!(gateway.get_as("both", "/idv/x").await.gist(), (200, "passed".to_owned()));
    assert_eq!(gateway.get_as("my-only", "/idv/x?region=xx").await.code(), "unknown_region");
}

#[tokio::test]
async fn a_caller_over_its_rate_is_told_when_to_come_back_and_others_are_not_slowed() {
    let upstream = Upstream::start().await;
    let callers = [caller("slow", &[], "requests_per_second = 1"), caller("quick", &[], "")];
    let gateway = gateway_of(&callers, &upstream).await;
    let mut refused = 0;
    let mut served = 0;
    for n in 0..20 {
        let answer = gateway.get_as("slow", "/idv/x").await;
        if answer.status == 404 {
            served += 1;
            continue;
        }
        refused += 1;
        assert_eq!(answer.gist(), (429, "rate_limited".to_owned()), "{n}");
        assert_eq!(answer.json()["retryable"], true);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(gateway.get_as("quick", "/idv/x").await.status, 404, "{n}");
    }
    assert!(served >= 1 && refused >= 1, "{served} served, {refused} refused");
    assert_eq!(gateway.metric("idv_rate_limited_total{caller=\"slow\"}").await, f64::from(refused));
    assert_eq!(gateway.metric("idv_rate_limited_total{caller=\"quick\"}").await, 0.0);
    eventually("the next second", async || gateway.get_as("slow", "/idv/x").await.status == 404).await;
    assert_eq!(upstream.hits("x"), 1, "a refused request costs no upstream call");
}

#[tokio::test]
async fn a_burst_of_one_seconds_worth_is_served() {
    let upstream = Upstream::start().await;
    let gateway = gateway_of(&[caller("burst", &[], "requests_per_second = 40")], &upstream).await;
    let answers = join_all((0..40).map(|_| gateway.get_as("burst", "/idv/x"))).await;
    assert!(answers.iter().all(|answer| answer.status == 404));
    let more = join_all((0..200).map(|_| gateway.get_as("burst", "/idv/x"))).await;
    assert!(more.iter().any(|answer| answer.status == 429), "and not much more");
    // A stranger has no rate of anybody's.
    assert_eq!(gateway.get_as("stranger", "/idv/x").await.status, 401);
}

#[tokio::test]
async fn to_forget_takes_the_scope_purge() {
    let upstream = Upstream::start().await;
    upstream.pass("x");
    let all_but = ["checks", "identity", "media", "refresh"];
    let callers = [caller("reader", &all_but, ""), caller("purger", &["purge"], "")];
    let gateway = gateway_of(&callers, &upstream).await;
    let purge_as = async |key: &str| {
        gateway.send("DELETE", "/idv/x", &[("Authorization", &format!("Bearer {key}"))]).await
    };
    gateway.get_as("reader", "/idv/x").await;
    assert_eq!(purge_as("reader").await.gist(), (403, "scope_missing".to_owned()));
    gateway.get_as("reader", "/idv/x").await;
    assert_eq!(upstream.hits("x"), 1, "nothing was forgotten");
    let purged = purge_as("purger").await;
    assert_eq!((purged.status, purged.body.len()), (204, 0));
    gateway.get_as("reader", "/idv/x").await;
    assert_eq!(upstream.hits("x"), 2, "it was forgotten");
    assert_eq!(purge_as("purger").await.status, 204);
    assert_eq!(purge_as("purger").await.status, 204, "what is not held is forgotten too");
}

#[tokio::test]
async fn no_cache_without_the_scope_refresh_is_ignored_and_cache_status_tells() {
    let upstream = Upstream::start().await;
    upstream.pass("x");
    let callers = [caller("reader", &["checks"], ""), caller("refresher", &["refresh"], "")];
    let gateway = gateway_of(&callers, &upstream).await;
    let ask_anew = async |key: &str, directive: &str| {
        let headers = [("Authorization", &*format!("Bearer {key}")), ("Cache-Control", directive)];
        let answer = gateway.send("GET", "/idv/x", &headers).await;
        assert_eq!(answer.status, 200);
        let status = answer.header("cache-status").expect("an answer says where it came from");
        status.split("; ").nth(1).expect("in its second word").to_owned()
    };
    assert_eq!(ask_anew("reader", "no-cache").await, "fwd=miss", "a miss like any other");
    assert_eq!(ask_anew("reader", "no-cache").await, "hit");
    assert_eq!(upstream.hits("x"), 1);
    assert_eq!(ask_anew("refresher", "max-age=0").await, "hit", "another directive");
    for (n, directive) in
        ["no-cache", "No-Cache", "max-age=0, no-cache", "no-store,no-cache"].iter().enumerate()
    {
        assert_eq!(ask_anew("refresher", directive).await, "fwd=request", "{directive}");
        assert_eq!(upstream.hits("x"), n + 2, "{directive}");
    }
}

/// Where an id is, in the property below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    My,
    Ph,
    Both,
}

/// One request of the property below.
#[derive(Clone, Debug)]
struct Step {
    scopes: usize,
    regions: usize,
    view: bool,
    pin: Option<&'static str>,
    refresh: bool,
}

const REGION_SETS: [&[&str]; 3] = [&["my"], &["ph"], &["my", "ph"]];

fn step() -> impl Strategy<Value = Step> {
    let pin = prop_oneof![3 => Just(None), 1 => Just(Some("my")), 1 => Just(Some("ph"))];
    (0..8_usize, 0..3_usize, any::<bool>(), pin, proptest::bool::weighted(0.2))
        .prop_map(|(scopes, regions, view, pin, refresh)| Step { scopes, regions, view, pin, refresh })
}

/// No order of callers shows one of them what only another may see: each answer is what it would be if nobody else
/// had ever asked.
#[test]
fn what_a_caller_sees_does_not_depend_on_who_asked_before() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let world = runtime.block_on(World::start());
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let holder = select(vec![Holder::Nobody, Holder::My, Holder::Ph, Holder::Both]);
    let order = (holder, proptest::collection::vec(step(), 1..12));
    let case = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&order, |(holder, steps)| {
        case.set(case.get() + 1);
        runtime.block_on(world.play(&format!("case-{}", case.get()), holder, &steps));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

struct World {
    my: Upstream,
    ph: Upstream,
    gateway: Gateway,
}

impl World {
    async fn start() -> Self {
        let (my, ph) = (Upstream::start().await, Upstream::start().await);
        let mut callers = String::new();
        for (n, set) in scope_sets().iter().enumerate() {
            for (m, regions) in REGION_SETS.iter().enumerate() {
                let scopes = [&set[..], &["refresh"]].concat();
                callers.push_str(&caller(&format!("{n}-{m}"), &scopes, &format!("regions = {regions:?}")));
            }
        }
        let gateway = Gateway::with(&[&callers, &region("my", &my), &region("ph", &ph)]).await;
        Self { my, ph, gateway }
    }

    async fn play(&self, id: &str, holder: Holder, steps: &[Step]) {
        for (upstream, name, holders) in
            [(&self.my, "my", [Holder::My, Holder::Both]), (&self.ph, "ph", [Holder::Ph, Holder::Both])]
        {
            if holders.contains(&holder) {
                let mut body = bodies::passed(id);
                body["transactionId"] = format!("said-in-{name}").into();
                upstream.answer(id, [Reply::json(body)]);
            }
        }
        for step in steps {
            self.ask(id, holder, step).await;
        }
    }

    async fn ask(&self, id: &str, holder: Holder, step: &Step) {
        let pin = step.pin.map(|pin| format!("region={pin}"));
        let view = step.view.then(|| "view=decision".to_owned());
        let query: Vec<String> = pin.into_iter().chain(view).collect();
        let bearer = format!("Bearer {}-{}", step.scopes, step.regions);
        let mut headers = vec![("Authorization", bearer.as_str())];
        if step.refresh {
            headers.push(("Cache-Control", "no-cache"));
        }
        let target = format!("/idv/{id}?{}", query.join("&"));
        check(&self.gateway.send("GET", &target, &headers).await, holder, step);
    }
}

/// Holds an answer to what the caller may see, whatever happened before.
fn check(answer: &Answer, holder: Holder, step: &Step) {
    let own = REGION_SETS[step.regions];
    let route: Vec<_> = own.iter().filter(|region| step.pin.is_none_or(|pin| pin == **region)).collect();
    let holds = |region: &str| match holder {
        Holder::Nobody => false,
        Holder::My => region == "my",
        Holder::Ph => region == "ph",
        Holder::Both => true,
    };
    let holders: Vec<_> = route.iter().filter(|region| holds(region)).collect();
    if step.pin.is_some_and(|pin| !own.contains(&pin)) {
        return assert_eq!(answer.gist(), (403, "region_forbidden".to_owned()), "{step:?}");
    }
    if holders.is_empty() {
        return assert_eq!(answer.gist(), (404, "signature_not_found".to_owned()), "{step:?} {holder:?}");
    }
    if holders.len() > 1 && answer.status == 409 {
        return assert_eq!(answer.code(), "ambiguous_signature");
    }
    assert_eq!(answer.gist(), (200, "passed".to_owned()), "{step:?} {holder:?}");
    let body = answer.json();
    let region = body["region"].as_str().expect("a region");
    assert!(holders.iter().any(|holder| ***holder == region), "{region}: {step:?} {holder:?}");
    assert_eq!(body["upstream"]["transactionId"], format!("said-in-{region}"), "{step:?}");
    let expected = if step.view { Vec::new() } else { scope_sets()[step.scopes].clone() };
    assert_eq!(parts(answer), expected, "{step:?}");
}
