//! An issuer of callers' tokens: test keys, tokens signed with them, and the endpoint that serves the key set.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaPublicKeyComponents,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use super::upstream::{Received, Reply, Upstream};

/// The `iss` of good tokens.
pub const ISSUER: &str = "https://issuer.example";
/// The `aud` of good tokens.
pub const AUDIENCE: &str = "idv-gateway";

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    pub id: &'static str,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Rsa(Arc<RsaKeyPair>),
    Ec(Arc<EcdsaKeyPair>),
    Ed(Arc<Ed25519KeyPair>),
}

impl SigningKey {
    pub fn rsa() -> Self {
        Self { id: "rsa", pair: rsa("rsa") }
    }

    pub fn other_rsa() -> Self {
        Self { id: "other-rsa", pair: rsa("other-rsa") }
    }

    pub fn ec() -> Self {
        Self { id: "ec", pair: ec("ec") }
    }

    pub fn other_ec() -> Self {
        Self { id: "other-ec", pair: ec("other-ec") }
    }

    pub fn ed() -> Self {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8("ed")).expect("a test key");
        Self { id: "ed", pair: Pair::Ed(pair.into()) }
    }

    /// The same key under another id.
    pub fn called(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// Its public half, as it stands in a key set.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "n": base64url(&n), "e": base64url(&e) })
            }
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) })
            }
        };
        jwk["alg"] = json!(self.algorithm());
        jwk["kid"] = json!(self.id);
        jwk
    }

    /// The bytes of its public half.
    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// The header of its tokens.
    pub fn header(&self) -> Value {
        json!({ "typ": "JWT", "alg": self.algorithm(), "kid": self.id })
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    /// A token with this header and these claims.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&unsigned(header, claims))
    }

    /// A token of an encoded header and encoded claims.
    pub fn sign_text(&self, message: &str) -> String {
        format!("{message}.{}", base64url(&self.signature(message.as_bytes())))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("a test key signs");
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).expect("a test key signs").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// A token "signed" with a shared secret.
pub fn sign_with_secret(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = unsigned(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{message}.{}", base64url(hmac::sign(&key, message.as_bytes()).as_ref()))
}

fn unsigned(header: &Value, claims: &Value) -> String {
    [header, claims].map(|part| base64url(part.to_string().as_bytes())).join(".")
}

fn rsa(name: &str) -> Pair {
    let key = PrivatePkcs1KeyDer::from_pem_file(pem(name)).expect("a test key");
    Pair::Rsa(RsaKeyPair::from_der(key.secret_pkcs1_der()).expect("a test key").into())
}

fn ec(name: &str) -> Pair {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    Pair::Ec(EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8(name), &random).expect("a test key").into())
}

fn pkcs8(name: &str) -> Vec<u8> {
    let key = PrivatePkcs8KeyDer::from_pem_file(pem(name)).expect("a test key");
    key.secret_pkcs8_der().to_vec()
}

fn pem(name: &str) -> PathBuf {
    format!("{}/tests/fixtures/jwt/test-only-{name}.pem", env!("CARGO_MANIFEST_DIR")).into()
}

/// A key set of these keys.
pub fn jwks(keys: &[&SigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

/// Claims of a good token of `subject`.
pub fn claims(subject: &str) -> Value {
    json!({ "iss": ISSUER, "aud": [AUDIENCE], "sub": subject, "iat": now(), "nbf": now(), "exp": now() + 3600 })
}

/// Claims, or a key, with another value of one member.
pub fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    object[name] = value.into();
    object
}

/// The same without that member.
pub fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().expect("an object").remove(name);
    object
}

/// The time in claims.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Bytes as tokens carry them.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The endpoint of a key set: a scripted upstream that gives key sets where it else gives tokens.
pub struct KeyEndpoint(Upstream);

impl KeyEndpoint {
    /// One that answers with these replies in order, the last one for good.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let upstream = Upstream::start().await;
        upstream.answer_tokens(replies);
        Self(upstream)
    }

    pub fn url(&self) -> String {
        format!("{}/openapi/auth/ticket/v1/generate-token", self.0.base_url())
    }

    /// How often the key set was asked for.
    pub fn fetches(&self) -> usize {
        self.0.token_hits()
    }

    /// Waits until the key set was asked for `n` times.
    pub async fn wait_for_fetches(&self, n: usize) {
        self.0.wait_for_token_hits(n).await;
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.0.received()
    }
}
