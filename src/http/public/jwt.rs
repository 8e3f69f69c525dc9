//! Callers' tokens, such as Kubernetes projected service-account tokens: who signed them, for whom, until when.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::upstream::JwksEndpoint;

/// How far the issuer's clock may be from ours, in seconds.
const LEEWAY: u64 = 30;
/// The least time between two fetches of the key set: an unknown key id is the caller's text.
const MIN_GAP: Duration = Duration::from_secs(10);
/// The same while there is no key at all, which is nobody's fault but the endpoint's.
const MIN_GAP_WITHOUT_KEYS: Duration = Duration::from_secs(1);
/// A key set older than this is fetched again at its next use, so that a withdrawn key stops working.
const MAX_AGE: Duration = Duration::from_secs(600);

/// What tokens must say, and whose keys they are checked with.
pub(crate) struct JwtSettings {
    /// The `iss` of a good token.
    pub issuer: String,
    /// One of the `aud` of a good token.
    pub audience: String,
    /// Where the keys are.
    pub source: JwksSource,
}

/// Where the issuer's public keys are.
pub(crate) enum JwksSource {
    /// An endpoint, asked when needed.
    Endpoint(Box<JwksEndpoint>),
    /// A file, followed on disk.
    File(PathBuf),
}

/// Checks callers' tokens.
pub(crate) struct Verifier {
    validation: Validation,
    source: JwksSource,
    keys: ArcSwap<Vec<Key>>,
    fetched: Mutex<Fetched>,
}

/// When the endpoint was asked, and when it answered with keys.
#[derive(Default)]
struct Fetched {
    tried: Option<Instant>,
    succeeded: Option<Instant>,
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// The one algorithm this key is for: a token does not choose.
    algorithm: Algorithm,
    key: DecodingKey,
}

/// What a token must have beside what the validation asks for.
#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Verifier {
    /// A verifier. Keys in a file are read now; an endpoint is asked when the first token comes.
    ///
    /// # Errors
    /// The key file cannot be read or holds no key that we can use.
    pub(crate) fn new(settings: JwtSettings) -> io::Result<Self> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[settings.issuer]);
        validation.set_audience(&[settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        let this =
            Self { validation, source: settings.source, keys: ArcSwap::default(), fetched: Mutex::default() };
        this.reload_file()?;
        Ok(this)
    }

    /// Reads the key file again, if there is one. Returns whether its keys are others than before.
    ///
    /// # Errors
    /// The file cannot be read or holds no key that we can use.
    pub(crate) fn reload_file(&self) -> io::Result<bool> {
        let JwksSource::File(path) = &self.source else { return Ok(false) };
        let keys = read_keys(&std::fs::read(path)?);
        let keys = keys.ok_or_else(|| io::Error::other("the key set holds no RS256, ES256 or EdDSA key"))?;
        let are_new = !is_same(&self.keys.load(), &keys);
        self.keys.store(keys.into());
        Ok(are_new)
    }

    /// The `sub` of a good token.
    pub(super) async fn subject(self: &Arc<Self>, token: &[u8]) -> Option<String> {
        // An extension that we must understand (RFC 7515, 4.1.11): we know none.
        let header = decode_header(token).ok().filter(|header| header.crit.is_none())?;
        let key = self.key(header.kid.as_deref(), header.alg).await?;
        let validation = Validation { algorithms: vec![key.algorithm], ..self.validation.clone() };
        decode::<Claims>(token, &key.key, &validation).ok().map(|token| token.claims.sub)
    }

    async fn key(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) -> Option<Key> {
        let asked = Instant::now();
        let known = find(&self.keys.load(), id, algorithm);
        if let JwksSource::File(_) = self.source {
            return known;
        }
        if let Some(known) = known {
            // Refreshed behind the caller's back: a key that we have is good until then.
            if self.fetched.try_lock().is_ok_and(|fetched| fetched.is_due(&self.keys.load(), asked)) {
                tokio::spawn(Arc::clone(self).fetch(asked));
            }
            return Some(known);
        }
        // In a task of its own: callers who hang up neither end a fetch nor make the next caller start another.
        let _ = tokio::spawn(Arc::clone(self).fetch(asked)).await;
        find(&self.keys.load(), id, algorithm)
    }

    /// Fetches the key set, unless somebody did so a moment ago. Keys in use stay in use if that fails.
    async fn fetch(self: Arc<Self>, asked: Instant) {
        let JwksSource::Endpoint(endpoint) = &self.source else { return };
        let mut fetched = self.fetched.lock().await;
        if fetched.tried.is_some_and(|at| at >= asked || at.elapsed() < gap(&self.keys.load())) {
            return;
        }
        let keys = endpoint.fetch().await.ok().and_then(|body| read_keys(&body));
        fetched.tried = Some(Instant::now());
        match keys {
            Some(keys) => {
                fetched.succeeded = fetched.tried;
                self.keys.store(keys.into());
            }
            None => tracing::warn!("the callers' key set cannot be fetched; the keys in use stay in use"),
        }
    }
}

impl Fetched {
    /// Whether the keys in use are old, and the endpoint may be asked for newer ones.
    fn is_due(&self, keys: &[Key], now: Instant) -> bool {
        let longer_ago = |at: Option<Instant>, age| at.is_none_or(|at| now.duration_since(at) > age);
        longer_ago(self.succeeded, MAX_AGE) && longer_ago(self.tried, gap(keys))
    }
}

/// The least time between two fetches.
const fn gap(keys: &[Key]) -> Duration {
    if keys.is_empty() { MIN_GAP_WITHOUT_KEYS } else { MIN_GAP }
}

fn find(keys: &[Key], id: Option<&str>, algorithm: Algorithm) -> Option<Key> {
    let mut fitting =
        keys.iter().filter(|key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id));
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Some(key.clone()),
        // None fits; or the token names no key and several fit.
        _ => None,
    }
}

fn is_same(one: &[Key], other: &[Key]) -> bool {
    one.iter().map(identity).eq(other.iter().map(identity))
}

/// What makes a key this key.
fn identity(key: &Key) -> (Option<&str>, &[u8], &[u8]) {
    let (one, other) = match key.key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => (bytes.as_slice(), [].as_slice()),
        DecodingKeyKind::RsaModulusExponent { n, e } => (n.as_slice(), e.as_slice()),
    };
    (key.id.as_deref(), one, other)
}

/// The keys of a JWKS that we can use; `None` if there is none. What we cannot use is skipped.
fn read_keys(json: &[u8]) -> Option<Vec<Key>> {
    let set: serde_json::Value = serde_json::from_slice(json).ok()?;
    let keys = set.get("keys")?.as_array()?;
    let keys: Vec<Key> = keys.iter().filter_map(|key| read_key(key.clone())).collect();
    (!keys.is_empty()).then_some(keys)
}

fn read_key(json: serde_json::Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    let algorithm = algorithm(&jwk.algorithm)?;
    let common = &jwk.common;
    let is_for_signatures =
        common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let is_for_this = common.key_algorithm.is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    if !is_for_signatures || !is_for_this {
        return None;
    }
    Some(Key { id: common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(&jwk).ok()? })
}

/// The algorithm that a key is for, of those we take.
fn algorithm(parameters: &AlgorithmParameters) -> Option<Algorithm> {
    if let AlgorithmParameters::RSA(_) = parameters {
        return Some(Algorithm::RS256);
    }
    if let AlgorithmParameters::EllipticCurve(key) = parameters {
        return (key.curve == EllipticCurve::P256).then_some(Algorithm::ES256);
    }
    if let AlgorithmParameters::OctetKeyPair(key) = parameters {
        return (key.curve == EllipticCurve::Ed25519).then_some(Algorithm::EdDSA);
    }
    None
}
