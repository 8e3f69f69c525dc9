//! Callers who prove themselves by token: whose signature counts, which claims, and where the keys come from.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::issuer::{
    self, AUDIENCE, ISSUER, KeyEndpoint, SigningKey, base64url, claims, now, with, without,
};
use crate::support::process::{self, Scratch, Served, text};
use crate::support::upstream::Gate;
use crate::support::{Gateway, Reply, Upstream, eventually, gateway, within};

/// The caller of most tests: sees identities, in the region `my` alone.
const SUBJECT: &str = "system:serviceaccount:onboarding:api";
const CALLERS: &str = "[[callers]]\nname = \"onboarding\"\nscopes = [\"identity\"]\nregions = [\"my\"]\n\
     subject = \"system:serviceaccount:onboarding:api\"\n\
     key_sha256 = \"6ba3d0b7e15ae9b0a4aef0ad7db5c8c5bdb3d8d6a6f5c4c1a1e1f1d1c1b1a191\"\n\
     [[callers]]\nname = \"ledger\"\nsubject = \"ledger\"\n";

fn mode(mode: &str, jwks: &str) -> String {
    format!(
        "[auth]\nmode = \"{mode}\"\n[auth.jwt]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n{jwks}\n"
    )
}

fn from_endpoint(endpoint: &KeyEndpoint) -> String {
    mode("jwt", &format!("jwks_url = \"{}\"", endpoint.url()))
}

fn from_file(scratch: &Scratch, name: &str) -> String {
    mode("jwt", &format!("jwks_file = \"{}\"", text(&scratch.path(name))))
}

/// A gateway that takes tokens of these keys, which stand in a file.
struct Door {
    gateway: Gateway,
    _upstream: Upstream,
    _scratch: Scratch,
}

impl Door {
    async fn of(keys: &Value) -> Self {
        let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
        scratch.write("jwks.json", &keys.to_string());
        let auth = from_file(&scratch, "jwks.json");
        let gateway = Gateway::with(&[&auth, &gateway::region("my", &upstream), CALLERS]).await;
        Self { gateway, _upstream: upstream, _scratch: scratch }
    }

    async fn status(&self, token: &str) -> u16 {
        self.gateway.get_as(token, "/idv/S1").await.status
    }

    async fn accepts(&self, what: &str, token: &str) {
        assert_eq!(self.status(token).await, 200, "{what} is accepted");
    }

    async fn refuses(&self, what: &str, token: &str) {
        assert_eq!(self.status(token).await, 401, "{what} is refused");
    }
}

#[tokio::test]
async fn rsa_ec_and_ed25519_tokens_are_taken() {
    let keys = [SigningKey::rsa(), SigningKey::ec(), SigningKey::ed()];
    let door = Door::of(&issuer::jwks(&keys.each_ref())).await;
    for key in keys {
        door.accepts(key.id, &key.sign(&claims(SUBJECT))).await;
    }
}

#[tokio::test]
async fn a_token_must_be_for_us_from_our_issuer_and_of_somebody() {
    let key = SigningKey::ec();
    let door = Door::of(&issuer::jwks(&[&key])).await;
    let good = claims(SUBJECT);
    door.accepts("a good token", &key.sign(&good)).await;
    door.accepts("one audience alone", &key.sign(&with(good.clone(), "aud", json!(AUDIENCE)))).await;
    door.accepts("several audiences", &key.sign(&with(good.clone(), "aud", json!(["x", AUDIENCE])))).await;
    door.accepts("no nbf", &key.sign(&without(good.clone(), "nbf"))).await;
    for name in ["iss", "aud", "sub", "exp"] {
        door.refuses(&format!("a token without {name}"), &key.sign(&without(good.clone(), name))).await;
        door.refuses(&format!("{name} null"), &key.sign(&with(good.clone(), name, Value::Null))).await;
    }
    let wrong = [
        ("iss", json!("https://other.example")),
        ("iss", json!("https://issuer.example/")),
        ("iss", json!(["https://other.example"])),
        ("aud", json!("idv-gateway-2")),
        ("aud", json!(["other"])),
        ("aud", json!([])),
        ("sub", json!(5)),
        ("sub", json!("nobody")),
        ("sub", json!("")),
        ("sub", json!("onboarding")),
        ("exp", json!("tomorrow")),
        ("exp", json!(-1)),
        ("exp", json!(0)),
    ];
    for (name, value) in wrong {
        door.refuses(&format!("{name} {value}"), &key.sign(&with(good.clone(), name, value))).await;
    }
    door.refuses("claims that are no object", &key.sign(&json!(["a", "b"]))).await;
}

#[tokio::test]
async fn a_tokens_times_have_half_a_minute_of_leeway() {
    let key = SigningKey::ec();
    let door = Door::of(&issuer::jwks(&[&key])).await;
    let at = |name, seconds: i64| key.sign(&with(claims(SUBJECT), name, json!(now() + seconds)));
    door.accepts("a token that ended ten seconds ago", &at("exp", -10)).await;
    door.refuses("a token that ended 35 seconds ago", &at("exp", -35)).await;
    door.accepts("a token that begins in 20 seconds", &at("nbf", 20)).await;
    door.refuses("a token that begins in two minutes", &at("nbf", 120)).await;
}

#[tokio::test]
async fn a_token_does_not_choose_how_it_is_checked() {
    let (rsa, ec, ed) = (SigningKey::rsa(), SigningKey::ec(), SigningKey::ed());
    let door = Door::of(&issuer::jwks(&[&rsa, &ec, &ed])).await;
    let good = ec.sign(&claims(SUBJECT));
    door.accepts("a good token", &good).await;
    let payload = good.split('.').nth(1).expect("a token has claims");
    for algorithm in ["none", "None", "NONE", "", "HS256"] {
        let header = base64url(json!({ "alg": algorithm, "kid": "ec", "typ": "JWT" }).to_string().as_bytes());
        door.refuses(&format!("algorithm {algorithm:?}"), &format!("{header}.{payload}.")).await;
        let signature = good.rsplit('.').next().expect("a token has a signature");
        door.refuses(&format!("algorithm {algorithm:?}, signed"), &format!("{header}.{payload}.{signature}"))
            .await;
    }
    for key in [&rsa, &ec, &ed] {
        for algorithm in ["HS256", "HS384", "HS512", key.algorithm()] {
            let header = with(key.header(), "alg", json!(algorithm));
            let token = issuer::sign_with_secret(&header, &claims(SUBJECT), &key.public_bytes());
            door.refuses(&format!("{algorithm} with the public half of {}", key.id), &token).await;
        }
    }
    let ec_as_rsa = ec.clone().called("rsa");
    door.refuses("an ES256 token that names the RSA key", &ec_as_rsa.sign(&claims(SUBJECT))).await;
    let ed_as_ec = ed.clone().called("ec");
    door.refuses("an EdDSA token that names the EC key", &ed_as_ec.sign(&claims(SUBJECT))).await;
    let rs512 = with(rsa.header(), "alg", json!("RS512"));
    door.refuses("RS512 of the RSA key", &rsa.sign_as(&rs512, &claims(SUBJECT))).await;
}

#[tokio::test]
async fn only_the_issuers_keys_sign() {
    let (ec, other) = (SigningKey::ec(), SigningKey::other_ec());
    let door = Door::of(&issuer::jwks(&[&ec])).await;
    let forged = other.clone().called("ec").sign(&claims(SUBJECT));
    door.refuses("another key under the same id", &forged).await;
    door.refuses("an unknown key", &other.sign(&claims(SUBJECT))).await;

    let brought = with(other.header(), "jwk", other.jwk());
    let brought = with(brought, "jku", json!("http://127.0.0.1:9/keys"));
    door.refuses("a key that the token brings along", &other.sign_as(&brought, &claims(SUBJECT))).await;

    let good = ec.sign(&claims(SUBJECT));
    let [header, _, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("not a token") };
    let promoted = base64url(with(claims(SUBJECT), "sub", json!("ledger")).to_string().as_bytes());
    door.refuses("claims that were changed", &format!("{header}.{promoted}.{signature}")).await;
    door.accepts("the token as signed", &good).await;
}

#[tokio::test]
async fn an_extension_that_we_do_not_know_refuses_the_token() {
    let key = SigningKey::ec();
    let door = Door::of(&issuer::jwks(&[&key])).await;
    let critical = with(key.header(), "crit", json!(["bound-to"]));
    door.refuses("a critical extension", &key.sign_as(&critical, &claims(SUBJECT))).await;
}

#[tokio::test]
async fn keys_that_are_not_for_signatures_of_ours_do_not_count() {
    let (rsa, ec, ed) = (SigningKey::rsa(), SigningKey::ec(), SigningKey::ed());
    let secret = json!({ "kty": "oct", "k": base64url(b"a shared secret"), "kid": "secret", "alg": "HS256" });
    let for_encryption = with(ec.jwk(), "use", json!("enc"));
    let for_another = with(rsa.jwk(), "alg", json!("RS512"));
    let unheard_of = json!({ "kty": "LWE", "kid": "new", "q": 3 });
    let keys = json!({ "keys": [secret, for_encryption, for_another, unheard_of, "no key", ed.jwk()] });
    let door = Door::of(&keys).await;
    door.accepts("the one good key", &ed.sign(&claims(SUBJECT))).await;
    door.refuses("a key for encryption", &ec.sign(&claims(SUBJECT))).await;
    door.refuses("a key for another algorithm", &rsa.sign(&claims(SUBJECT))).await;
    let header = json!({ "alg": "HS256", "kid": "secret" });
    let token = issuer::sign_with_secret(&header, &claims(SUBJECT), b"a shared secret");
    door.refuses("a shared secret", &token).await;
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let key = SigningKey::ec();
    let door = Door::of(&issuer::jwks(&[&key])).await;
    let good = key.sign(&claims(SUBJECT));
    for text in ["", ".", "..", "...", "a.b.c", "a", "%2e", &"a".repeat(20_000), &".".repeat(20_000)] {
        door.refuses(&format!("{:.20}", text), text).await;
    }
    door.refuses("a token and more", &format!("{good}.e30")).await;
    door.refuses("a token without its end", good.rsplit_once('.').expect("a signature").0).await;
    let header = [("Authorization", format!("Basic {good}"))];
    let header = header.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(door.gateway.send("GET", "/idv/S1", &header).await.status, 401);
}

#[tokio::test]
async fn every_refusal_is_the_same_answer() {
    let (ec, other) = (SigningKey::ec(), SigningKey::other_ec());
    let door = Door::of(&issuer::jwks(&[&ec])).await;
    let refused = [
        ec.sign(&claims("nobody")),
        ec.sign(&with(claims(SUBJECT), "exp", json!(1))),
        ec.sign(&with(claims(SUBJECT), "iss", json!("x"))),
        other.sign(&claims(SUBJECT)),
        "no-token".to_owned(),
        String::new(),
    ];
    let mut answers = Vec::new();
    for token in &refused {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("X-Request-Id", "same")];
        answers.push(door.gateway.send("GET", "/idv/S1", &headers).await);
    }
    answers.push(door.gateway.send("GET", "/idv/S1", &[("X-Request-Id", "same")]).await);
    let seen = |answer: &crate::support::Answer| {
        let headers = answer
            .headers
            .iter()
            .filter(|(name, _)| !["date", "www-authenticate"].contains(&name.as_str()))
            .cloned()
            .collect::<Vec<_>>();
        (answer.status, headers, answer.text().to_owned())
    };
    assert_eq!(answers[0].gist(), (401, "unauthenticated".to_owned()));
    let challenge = "Bearer realm=\"idv-gateway\", error=\"invalid_token\"";
    assert_eq!(answers[0].header("www-authenticate"), Some(challenge));
    for answer in &answers[1..] {
        assert_eq!(seen(answer), seen(&answers[0]));
    }
}

#[tokio::test]
async fn a_subject_is_a_caller_with_his_scopes_and_regions() {
    let (upstream, scratch, key) = (Upstream::passing("S1").await, Scratch::new(), SigningKey::ec());
    scratch.write("jwks.json", &issuer::jwks(&[&key]).to_string());
    let regions = [gateway::region("my", &upstream), gateway::region_at("ph", "http://127.0.0.1:9")];
    let gateway =
        Gateway::with(&[&from_file(&scratch, "jwks.json"), &regions[0], &regions[1], CALLERS]).await;
    let onboarding = gateway.get_as(&key.sign(&claims(SUBJECT)), "/idv/S1").await;
    assert_eq!(onboarding.json()["identity"]["name"], "AMINAH CONTOH S1");
    assert!(onboarding.json().get("media").is_none() && onboarding.json().get("checks").is_none());
    let forbidden = gateway.get_as(&key.sign(&claims(SUBJECT)), "/idv/S1?region=ph").await;
    assert_eq!(forbidden.gist(), (403, "region_forbidden".to_owned()));
    let ledger = gateway.get_as(&key.sign(&claims("ledger")), "/idv/S1?region=my").await;
    assert_eq!(ledger.gist(), (200, "passed".to_owned()));
    assert!(ledger.json().get("identity").is_none());
}

#[tokio::test]
async fn each_mode_takes_what_it_says() {
    let (upstream, scratch, key) = (Upstream::passing("S1").await, Scratch::new(), SigningKey::ec());
    let jwks = scratch.write("jwks.json", &issuer::jwks(&[&key]).to_string());
    let jwks = format!("jwks_file = \"{}\"", text(&jwks));
    let callers = CALLERS.replace(
        "6ba3d0b7e15ae9b0a4aef0ad7db5c8c5bdb3d8d6a6f5c4c1a1e1f1d1c1b1a191",
        "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683", // of the text `key`
    );
    let token = key.sign(&claims(SUBJECT));
    for (auth, by_key, by_token) in
        [(mode("jwt", &jwks), 401, 200), (mode("keys+jwt", &jwks), 200, 200), (String::new(), 200, 401)]
    {
        let gateway = Gateway::with(&[&auth, &gateway::region("my", &upstream), &callers]).await;
        assert_eq!(gateway.get_as("key", "/idv/S1").await.status, by_key, "a key in {auth:?}");
        assert_eq!(gateway.get_as(&token, "/idv/S1").await.status, by_token, "a token in {auth:?}");
        assert_eq!(gateway.get_as("wrong", "/idv/S1").await.status, 401, "neither in {auth:?}");
    }
}

#[tokio::test]
async fn the_first_tokens_cost_one_fetch_of_the_key_set_and_strange_ones_none() {
    let (key, strange) = (SigningKey::ec(), SigningKey::other_ec());
    let gate = Gate::default();
    let endpoint = KeyEndpoint::start([Reply::json(issuer::jwks(&[&key])).gated(&gate)]).await;
    let upstream = Upstream::passing("S1").await;
    let gateway =
        Gateway::with(&[&from_endpoint(&endpoint), &gateway::region("my", &upstream), CALLERS]).await;
    assert_eq!(endpoint.fetches(), 0, "nothing is fetched before there is need");
    let token = key.sign(&claims(SUBJECT));
    let callers = join_all((0..10).map(|_| gateway.get_as(&token, "/idv/S1")));
    let open = async {
        endpoint.wait_for_fetches(1).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(callers, open);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let token = strange.sign(&claims(SUBJECT));
    let answers = join_all((0..10).map(|_| gateway.get_as(&token, "/idv/S1"))).await;
    assert!(answers.iter().all(|answer| answer.status == 401));
    assert_eq!(endpoint.fetches(), 1);
    let request = &endpoint.received()[0];
    assert_eq!((request.method.as_str(), request.header("authorization")), ("GET", None));
}

/// A gateway that has fetched a key set with the old key, and an endpoint with something else to say next. The gap
/// between two fetches is ten seconds, so what must be seen after it is seen side by side.
struct Rotating {
    endpoint: KeyEndpoint,
    gateway: Gateway,
    old_token: String,
    new_token: String,
}

impl Rotating {
    async fn to(next: Reply, upstream: &Upstream) -> Self {
        let (old, new) = (SigningKey::ec(), SigningKey::other_ec());
        let endpoint = KeyEndpoint::start([Reply::json(issuer::jwks(&[&old])), next]).await;
        let region = gateway::region("my", upstream);
        let gateway = Gateway::with(&[&from_endpoint(&endpoint), &region, CALLERS]).await;
        let (old_token, new_token) = (old.sign(&claims(SUBJECT)), new.sign(&claims(SUBJECT)));
        let this = Self { endpoint, gateway, old_token, new_token };
        assert_eq!(this.by_old().await, 200);
        assert_eq!(this.by_new().await, 401, "too soon to fetch again");
        assert_eq!(this.endpoint.fetches(), 1);
        this
    }

    async fn by_old(&self) -> u16 {
        self.gateway.get_as(&self.old_token, "/idv/S1").await.status
    }

    async fn by_new(&self) -> u16 {
        self.gateway.get_as(&self.new_token, "/idv/S1").await.status
    }

    /// Callers with the new key come and hang up soon.
    async fn hang_up(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(50), self.by_new()).await;
    }
}

#[tokio::test]
async fn an_unknown_key_id_fetches_the_key_set_again_and_what_goes_wrong_then_harms_no_known_key() {
    let upstream = Upstream::passing("S1").await;
    let rotation = async {
        let next = Reply::json(issuer::jwks(&[&SigningKey::other_ec()]));
        let rotating = Rotating::to(next, &upstream).await;
        eventually("the new key", async || rotating.by_new().await == 200).await;
        assert_eq!(rotating.endpoint.fetches(), 2, "one fetch found it, however many asked");
        assert_eq!(rotating.by_old().await, 401, "a withdrawn key is gone");
    };
    let failures = [
        Reply::text(500, "{}"),
        Reply::text(200, "<html>"),
        Reply::text(200, r#"{"keys":[]}"#),
        Reply::text(404, &issuer::jwks(&[&SigningKey::other_ec()]).to_string()),
        Reply::Reset,
    ];
    let failures = failures.map(|failure| async {
        let rotating = Rotating::to(failure, &upstream).await;
        eventually("the second fetch", async || rotating.by_new().await == 503).await;
        assert_eq!(rotating.endpoint.fetches(), 2);
        assert_eq!(rotating.by_old().await, 200, "the old key is kept");
    });
    let hanging = async {
        let gate = Gate::default();
        let next = Reply::json(issuer::jwks(&[&SigningKey::other_ec()])).gated(&gate);
        let rotating = Rotating::to(next, &upstream).await;
        within("a fetch that hangs", async {
            while rotating.endpoint.fetches() < 2 {
                rotating.hang_up().await;
            }
        })
        .await;
        join_all((0..5).map(|_| rotating.hang_up())).await;
        assert_eq!(rotating.by_old().await, 200, "who has a known key does not wait");
        assert_eq!(rotating.endpoint.fetches(), 2, "callers who hang up start no further fetch");
        gate.open();
        eventually("the new key", async || rotating.by_new().await == 200).await;
        assert_eq!(rotating.endpoint.fetches(), 2, "nor do they end the one under way");
    };
    tokio::join!(rotation, join_all(failures), hanging);
}

#[tokio::test]
async fn the_key_set_is_asked_for_with_the_token_of_that_moment() {
    let key = SigningKey::ec();
    let endpoint = KeyEndpoint::start([Reply::text(503, ""), Reply::json(issuer::jwks(&[&key]))]).await;
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    let file = scratch.write("token", "first\n");
    let auth = format!("{}jwks_token_file = \"{}\"\n", from_endpoint(&endpoint), text(&file));
    let gateway = Gateway::with(&[&auth, &gateway::region("my", &upstream), CALLERS]).await;
    let token = key.sign(&claims(SUBJECT));
    assert_eq!(gateway.get_as(&token, "/idv/S1").await.status, 503);
    scratch.write("token", "second");
    eventually("the key set", async || gateway.get_as(&token, "/idv/S1").await.status == 200).await;
    let sent = endpoint.received();
    let sent: Vec<_> = sent.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(sent, [Some("Bearer first"), Some("Bearer second")]);
}

/// Each way to fail to authenticate, once, in both ways to prove oneself.
#[tokio::test]
async fn every_refusal_is_counted_by_its_reason() {
    let (upstream, scratch, key) = (Upstream::passing("S1").await, Scratch::new(), SigningKey::ec());
    let jwks = scratch.write("jwks.json", &issuer::jwks(&[&key]).to_string());
    let jwks = format!("jwks_file = \"{}\"", text(&jwks));
    let region = gateway::region("my", &upstream);
    let gateway = Gateway::with(&[&mode("keys+jwt", &jwks), &region, CALLERS]).await;
    let expired = key.sign(&with(claims(SUBJECT), "exp", json!(now() - 60)));
    let forged = SigningKey::other_ec().called("ec").sign(&claims(SUBJECT));
    for (reason, bearer) in [
        ("missing", ""),
        ("unknown_key", "a-wrong-key"),
        ("bad_token", &forged),
        ("expired_token", &expired),
        ("unknown_subject", &key.sign(&claims("nobody"))),
    ] {
        assert_eq!(gateway.get_as(bearer, "/idv/S1").await.status, 401);
        let series = format!("idv_auth_failures_total{{reason=\"{reason}\"}}");
        assert_eq!(gateway.metric(&series).await, 1.0, "{reason}");
    }
    assert_eq!(gateway.metric("idv_jwks_keys").await, 1.0);
    let gateway = Gateway::with(&[&mode("jwt", &jwks), &region, CALLERS]).await;
    assert_eq!(gateway.get_as("a-wrong-key", "/idv/S1").await.status, 401);
    assert_eq!(gateway.metric("idv_auth_failures_total{reason=\"bad_token\"}").await, 1.0);
}

#[tokio::test]
async fn a_key_file_is_followed_and_a_broken_one_never_replaces_a_good_one() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    let (old, new) = (SigningKey::rsa(), SigningKey::other_rsa().called("rsa"));
    let (old_token, new_token) = (old.sign(&claims(SUBJECT)), new.sign(&claims(SUBJECT)));
    scratch.write("jwks.json", &issuer::jwks(&[&old]).to_string());
    let auth = from_file(&scratch, "jwks.json");
    let served = Served::with(&[&auth, &gateway::region("my", &upstream), CALLERS]).await;
    assert_eq!(served.get_as(&old_token, "/idv/S1").await.status, 200);
    for (n, broken) in
        ["", "{", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"QUJD"}]}"#].iter().enumerate()
    {
        scratch.write("jwks.json", broken);
        served.process.signal("HUP");
        eventually("the refusal", async || {
            served.metric("idv_reloads_total{outcome=\"refused\"}").await > n as f64
        })
        .await;
        assert_eq!(served.get_as(&old_token, "/idv/S1").await.status, 200, "after {broken:?}");
    }
    served.process.says("cannot reload").await;
    assert_eq!(served.metric("idv_reloads_total{outcome=\"used\"}").await, 0.0);
    scratch.write("jwks.json", &issuer::jwks(&[&new]).to_string());
    served.process.signal("HUP");
    eventually("the new key", async || served.get_as(&new_token, "/idv/S1").await.status == 200).await;
    assert_eq!(served.get_as(&old_token, "/idv/S1").await.status, 401);
    eventually("the count", async || served.metric("idv_reloads_total{outcome=\"used\"}").await == 1.0).await;
    let log = served.process.stdout();
    let line = log.lines().find(|line| line.contains("cannot reload")).expect("a refusal is logged");
    assert!(line.contains("key set of tokens") && line.contains("ERROR"), "{line}");
    assert_eq!(log.matches("cannot reload").count(), 1, "one line until it is good again");
}

#[tokio::test]
async fn keys_of_a_wrong_size_are_refused_at_the_start() {
    let rsa = |bytes: usize| json!({ "kty": "RSA", "n": base64url(&vec![0xff; bytes]), "e": "AQAB" });
    let ed = |bytes: usize| json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(&vec![1; bytes]) });
    let of = |key: Value| json!({ "keys": [key] }).to_string();
    for (keys, code) in [
        (of(rsa(255)), 78),
        (of(rsa(256)), 0),
        (of(rsa(512)), 0),
        (of(rsa(513)), 78),
        (of(ed(31)), 78),
        (of(ed(33)), 78),
    ] {
        assert_eq!(check_config_of(&keys).await.code, Some(code), "{keys}");
    }
}

#[tokio::test]
async fn a_key_file_without_a_usable_key_is_refused_at_the_start() {
    for content in ["", "[]", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"QUJD"}]}"#] {
        let checked = check_config_of(content).await;
        assert_eq!(checked.code, Some(78), "{content:?}: {checked:?}");
        assert!(checked.stderr.contains("auth.jwt.jwks_file: "), "{checked:?}");
        assert!(checked.stderr.contains("jwks.json holds no RS256"), "{checked:?}");
    }
}

/// What `check-config` says of a configuration with this key set.
async fn check_config_of(keys: &str) -> process::Finished {
    let scratch = Scratch::new();
    scratch.write("jwks.json", keys);
    let region = gateway::region_at("my", "http://127.0.0.1:9");
    let config = format!("{}{region}{CALLERS}", from_file(&scratch, "jwks.json"));
    let config = scratch.write("gateway.toml", &config);
    process::run(&["check-config", "--config", text(&config)]).await
}
