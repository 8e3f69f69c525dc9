//! Callers' tokens: key sets as issuers write them, times, and issuers that are away.

use serde_json::{Value, json};

use super::rows::{Row, row};
use super::trial::Trial;
use crate::support::client::pass;
use crate::support::gateway::region;
use crate::support::issuer::{
    self, AUDIENCE, ISSUER, KeyEndpoint, SigningKey, base64url, claims, now, with, without,
};
use crate::support::process::{Scratch, text};
use crate::support::{Answer, Reply, Upstream, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            157,
            "key sets: same key twice, one kid twice, no kid, key without kid, padded base64, `key_ops`, malformed keys of every type",
            "every fitting key tried; no panic",
        ),
        row(158, "token times with fractions", "accepted within their time"),
        row(
            159,
            "issuer away before the first key set; after it",
            "503 with Retry-After; known keys keep working",
        ),
    ]
}

const CALLER: &str = "[[callers]]\nname = \"onboarding\"\nsubject = \"onboarding\"\n";

/// A gateway that accepts tokens of the keys in `jwks`, a line of TOML.
async fn trial(jwks: &str, id: &str) -> Trial {
    let upstream = Upstream::start().await;
    let auth = format!(
        "[auth]\nmode = \"jwt\"\n[auth.jwt]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n{jwks}\n"
    );
    let toml = region("my", &upstream);
    let trial = Trial::over(vec![("my", upstream, toml)], &format!("{auth}{CALLER}")).await;
    trial.passes(id);
    trial
}

async fn trial_of_keys(keys: &[Value], id: &str) -> (Trial, Scratch) {
    let scratch = Scratch::new();
    let file = scratch.write("jwks.json", &json!({ "keys": keys }).to_string());
    (trial(&format!("jwks_file = \"{}\"", text(&file)), id).await, scratch)
}

async fn ask(trial: &Trial, id: &str, token: &str) -> Answer {
    trial.send("GET", id, "", &[("Authorization", &format!("Bearer {token}"))]).await
}

fn padded(text: &str) -> String {
    format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))
}

/// A key whose numbers are padded.
fn padded_key(mut key: Value) -> Value {
    for name in ["x", "y", "n", "e"] {
        if let Some(text) = key.get(name).and_then(Value::as_str) {
            key[name] = padded(text).into();
        }
    }
    key
}

#[tokio::test]
async fn f157_every_key_that_may_have_signed_a_token_is_tried() {
    let (rsa, ec, ed) = (SigningKey::rsa(), SigningKey::ec(), SigningKey::ed());
    let same_id = SigningKey::other_ec().called("ec").jwk();
    let for_encryption = with(ec.jwk(), "key_ops", json!(["deriveKey"]));
    let malformed = [
        with(ed.jwk(), "x", base64url(&[1; 31])),
        with(ec.jwk(), "y", ""),
        with(rsa.jwk(), "n", "%"),
        with(rsa.jwk(), "e", Value::Null),
        json!("no key"),
    ];
    let unnamed = |key: &Value| without(key.clone(), "kid");
    let sets = [
        ("the same key twice", vec![ec.jwk(), ec.jwk()]),
        ("two keys of one id", vec![same_id.clone(), ec.jwk()]),
        ("two keys of one id, the other way round", vec![ec.jwk(), same_id.clone()]),
        ("a key without an id", vec![same_id.clone(), unnamed(&ec.jwk())]),
        ("keys without an id", vec![unnamed(&same_id), unnamed(&ed.jwk()), unnamed(&ec.jwk())]),
        ("keys for other purposes", vec![for_encryption, with(ec.jwk(), "key_ops", json!(["verify"]))]),
        ("malformed keys", malformed.into_iter().chain([ec.jwk()]).collect()),
        ("padded base64", vec![padded_key(ec.jwk())]),
    ];
    for (what, keys) in sets {
        let (trial, _scratch) = trial_of_keys(&keys, "F157").await;
        assert_eq!(ask(&trial, "F157", &ec.sign(&claims("onboarding"))).await.gist(), pass(), "{what}");
        trial.invariants_hold().await;
    }
    let other = SigningKey::other_ec();
    let (trial, _scratch) =
        trial_of_keys(&[other.jwk(), rsa.jwk(), ed.jwk(), padded_key(ec.jwk())], "F157").await;
    for key in [&rsa, &ec, &ed] {
        let token = key.sign_as(&json!({ "alg": key.algorithm() }), &claims("onboarding"));
        assert_eq!(ask(&trial, "F157", &token).await.gist(), pass(), "no key id, {}", key.id);
        let parts = [key.header(), claims("onboarding")];
        let parts = parts.map(|part| padded(&base64url(part.to_string().as_bytes())));
        let token = padded(&key.sign_text(&parts.join(".")));
        assert_eq!(ask(&trial, "F157", &token).await.gist(), pass(), "a padded token, {}", key.id);
    }
    let wrong_id = ec.called("other-ec").sign(&claims("onboarding"));
    assert_eq!(ask(&trial, "F157", &wrong_id).await.status, 401, "the id of another key");
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f158_token_times_may_have_fractions() {
    let key = SigningKey::ec();
    let (trial, _scratch) = trial_of_keys(&[key.jwk()], "F158").await;
    let now = now() as f64;
    for (name, time, status) in [
        ("exp", now + 60.25, 200),
        ("exp", now - 60.75, 401),
        ("nbf", now - 60.5, 200),
        ("nbf", now + 120.5, 401),
        ("iat", now - 0.5, 200),
        ("exp", 4.1e12, 200),
    ] {
        let token = key.sign(&with(claims("onboarding"), name, time));
        assert_eq!(ask(&trial, "F158", &token).await.status, status, "{name} {time}");
    }
    let claims =
        format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"onboarding","exp":4.1E9,"nbf":1.5e+9}}"#);
    let parts = [key.header().to_string(), claims].map(|part| base64url(part.as_bytes()));
    assert_eq!(ask(&trial, "F158", &key.sign_text(&parts.join("."))).await.gist(), pass());
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f159_the_issuer_is_away_before_the_first_key_set_and_after_it() {
    let (key, unknown) = (SigningKey::ec(), SigningKey::other_ec());
    let jwks = Reply::json(issuer::jwks(&[&key]));
    let endpoint =
        KeyEndpoint::start([Reply::Reset, Reply::text(200, "<html>"), jwks, Reply::text(503, "")]).await;
    let trial = trial(&format!("jwks_url = \"{}\"", endpoint.url()), "F159").await;
    let token = key.sign(&claims("onboarding"));
    let away = (503, "authentication_unavailable".to_owned());
    for _ in 0..2 {
        let answer = ask(&trial, "F159", &token).await;
        assert_eq!(answer.gist(), away);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.json()["retryable"], true);
    }
    assert_eq!(ask(&trial, "F159", "no-token").await.status, 401, "needs no keys");
    eventually("the first key set", async || ask(&trial, "F159", &token).await.status == 200).await;
    assert_eq!(endpoint.fetches(), 3);
    eventually("a fetch for an unknown key", async || {
        ask(&trial, "F159", &unknown.sign(&claims("onboarding"))).await.gist() == away
    })
    .await;
    assert_eq!(ask(&trial, "F159", &token).await.gist(), pass(), "a known key goes on");
    let forged = unknown.called("ec").sign(&claims("onboarding"));
    assert_eq!(ask(&trial, "F159", &forged).await.status, 401, "a known key did not sign it");
    assert_eq!(trial.gateway.metric("idv_jwks_keys").await, 1.0);
    assert_eq!(trial.gateway.metric("idv_jwks_refreshes_total{outcome=\"ok\"}").await, 1.0);
    assert_eq!(trial.gateway.metric("idv_jwks_refreshes_total{outcome=\"failed\"}").await, 3.0);
    assert!(trial.gateway.metric("idv_auth_failures_total{reason=\"keys_unavailable\"}").await >= 3.0);
    assert!(
        trial.has_logged(&["WARN", "auth.jwt.jwks_url"]).await
            && trial.has_logged(&["INFO", "auth.jwt.jwks_url"]).await
    );
    trial.invariants_hold().await;
}
