//! An issuer of callers' tokens: test keys, tokens signed with them, and the endpoint that serves the key set.

use std::path::PathBuf;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
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
    pub algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    pub fn rsa() -> Self {
        Self::of("rsa", Algorithm::RS256, EncodingKey::from_rsa_der(&rsa("rsa")))
    }

    pub fn other_rsa() -> Self {
        Self::of("other-rsa", Algorithm::RS256, EncodingKey::from_rsa_der(&rsa("other-rsa")))
    }

    pub fn ec() -> Self {
        Self::of("ec", Algorithm::ES256, EncodingKey::from_ec_der(&pkcs8("ec")))
    }

    pub fn other_ec() -> Self {
        Self::of("other-ec", Algorithm::ES256, EncodingKey::from_ec_der(&pkcs8("other-ec")))
    }

    pub fn ed() -> Self {
        Self::of("ed", Algorithm::EdDSA, EncodingKey::from_ed_der(&pkcs8("ed")))
    }

    fn of(id: &'static str, algorithm: Algorithm, key: EncodingKey) -> Self {
        Self { id, algorithm, key }
    }

    /// The same key under another id.
    pub fn called(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    /// Its public half, as it stands in a key set.
    pub fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a test key has a public half");
        let mut jwk = serde_json::to_value(jwk).expect("a key can be written as JSON");
        jwk["kid"] = json!(self.id);
        jwk
    }

    /// The bytes of its public half.
    pub fn public_bytes(&self) -> Vec<u8> {
        let jwk = serde_json::from_value(self.jwk()).expect("a key that was just written");
        let key = DecodingKey::from_jwk(&jwk).expect("a key that was just written");
        key.try_get_as_bytes().expect("not an RSA key").to_vec()
    }

    /// The header of its tokens.
    pub fn header(&self) -> Header {
        Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) }
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    /// A token with this header and these claims.
    pub fn sign_as(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).expect("a test key signs")
    }
}

fn rsa(name: &str) -> Vec<u8> {
    let key = PrivatePkcs1KeyDer::from_pem_file(pem(name)).expect("a test key");
    key.secret_pkcs1_der().to_vec()
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

/// The time in claims.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Text as tokens carry it.
pub fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..=chunk.len() {
            text.push(DIGITS[(bits >> (18 - 6 * n)) as usize & 63] as char);
        }
    }
    text
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
