//! A JSON Web Key Set (RFC 7517): which of its keys we can use, and whether one of them signed a token.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// The most keys of a set that are used. An unauthenticated request may cost one signature check for each.
const MAX_KEYS: usize = 32;

/// The sizes of RSA keys that are used, in bits. Smaller ones can be broken, larger ones cost too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Base64 as JSON Web Tokens and Keys use it, with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads base64 for URLs, padded or not.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// The signature algorithms that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm of that name; RFC 9864 has a second name for Ed25519.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// The keys of an issuer that we can use.
#[derive(Default, PartialEq, Eq)]
pub(super) struct KeySet(Vec<Key>);

/// One key. Its type decides the algorithm: a token does not choose.
#[derive(PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    public: PublicKey,
}

#[derive(PartialEq, Eq)]
enum PublicKey {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl KeySet {
    /// Reads a key set. Keys that we cannot use are skipped; `None` if none is left.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let set: JwkSet = serde_json::from_slice(json).ok()?;
        let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<Key> = jwks.filter_map(Jwk::usable).take(MAX_KEYS).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// How many keys there are.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that may have signed a token of that algorithm and key id. Ids rule a key out only if both sides have
    /// one, and ids need not be unique.
    pub(super) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> impl Iterator<Item = &Key> {
        let differs = move |key: &Key| key.id.as_deref().zip(id).is_some_and(|(ours, theirs)| ours != theirs);
        self.0.iter().filter(move |key| key.algorithm() == algorithm && !differs(key))
    }
}

impl Key {
    const fn algorithm(&self) -> Algorithm {
        match self.public {
            PublicKey::Rsa { .. } => Algorithm::Rs256,
            PublicKey::P256(_) => Algorithm::Es256,
            PublicKey::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Whether this key signed `message`. A key that is malformed signed nothing.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.public {
            PublicKey::Rsa { modulus: n, exponent: e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            PublicKey::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            PublicKey::Ed25519(bytes) => UnparsedPublicKey::new(&ED25519, bytes).verify(message, signature),
        };
        verified.is_ok()
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

/// The members of a key that matter to us.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// The key, if it is well-formed and for verifying signatures that we accept.
    fn usable(self) -> Option<Key> {
        let verifies = self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let is_for_signatures = self.r#use.as_ref().is_none_or(|used| used == "sig") && verifies;
        let public = self.public_key().filter(|_| is_for_signatures)?;
        let key = Key { id: self.kid, public };
        let is_for_this = self.alg.is_none_or(|alg| Algorithm::named(&alg) == Some(key.algorithm()));
        is_for_this.then_some(key)
    }

    fn public_key(&self) -> Option<PublicKey> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => rsa(number(self.n.as_ref()?)?, number(self.e.as_ref()?)?),
            ("EC", Some("P-256")) => {
                let (x, y) = (coordinate(self.x.as_ref()?)?, coordinate(self.y.as_ref()?)?);
                Some(PublicKey::P256([&[4], x.as_slice(), y.as_slice()].concat()))
            }
            ("OKP", Some("Ed25519")) => Some(PublicKey::Ed25519(coordinate(self.x.as_ref()?)?)),
            _ => None,
        }
    }
}

/// An RSA key of a size and exponent that are used.
fn rsa(modulus: Vec<u8>, exponent: Vec<u8>) -> Option<PublicKey> {
    let has_size = RSA_BITS.contains(&bits(&modulus));
    // What ring takes; a larger exponent makes each check slower.
    let has_exponent = (2..=33).contains(&bits(&exponent)) && exponent.last()? % 2 == 1;
    (has_size && has_exponent).then_some(PublicKey::Rsa { modulus, exponent })
}

/// How many bits a number without leading zeros has.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// A number without its leading zeros, which should not be there but sometimes are.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = member(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

/// A coordinate on a curve over a field of 256 bits.
fn coordinate(text: &str) -> Option<Vec<u8>> {
    member(text).filter(|bytes| bytes.len() == 32)
}

/// A member's bytes. Some issuers write the other alphabet of base64, and padding.
fn member(text: &str) -> Option<Vec<u8>> {
    base64url(&text.replace('+', "-").replace('/', "_"))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    fn encoded(length: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xff; length])
    }

    fn rsa() -> Value {
        json!({ "kty": "RSA", "n": encoded(256), "e": "AQAB" })
    }

    fn ec() -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": encoded(32), "y": encoded(32) })
    }

    fn ed() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(32) })
    }

    fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
        key[name] = value.into();
        key
    }

    fn read(keys: &[Value]) -> Option<KeySet> {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn is_used(key: Value) -> bool {
        read(&[key]).is_some()
    }

    #[test]
    fn a_key_is_used_if_its_purpose_allows_verifying() {
        for key in [rsa(), ec(), ed()] {
            assert!(is_used(key.clone()) && is_used(with(key.clone(), "use", "sig")));
            assert!(is_used(with(key.clone(), "key_ops", json!(["sign", "verify"]))));
            assert!(is_used(with(key.clone(), "use", Value::Null)));
            for (name, value) in [
                ("use", json!("enc")),
                ("key_ops", json!(["sign"])),
                ("key_ops", json!([])),
                ("alg", json!("HS256")),
                ("alg", json!("RS512")),
                ("alg", json!("")),
                ("kid", json!(5)),
            ] {
                assert!(!is_used(with(key.clone(), name, value.clone())), "{name} {value}");
            }
        }
        assert!(is_used(with(rsa(), "alg", "RS256")) && !is_used(with(rsa(), "alg", "ES256")));
        assert!(is_used(with(ed(), "alg", "EdDSA")) && is_used(with(ed(), "alg", "Ed25519")));
    }

    #[test]
    fn a_malformed_key_of_any_type_is_skipped_and_a_wrong_one_verifies_nothing() {
        for malformed in [
            with(rsa(), "n", ""),
            with(rsa(), "n", "!"),
            with(rsa(), "n", 5),
            with(rsa(), "n", encoded(255)),
            with(rsa(), "n", encoded(513)),
            with(rsa(), "n", URL_SAFE_NO_PAD.encode([&[1], &[0xff; 512][..]].concat())),
            with(rsa(), "n", URL_SAFE_NO_PAD.encode([&[0x7f], &[0xff; 255][..]].concat())),
            with(rsa(), "e", ""),
            with(rsa(), "e", "AA"),
            with(rsa(), "e", "AQ"),
            with(rsa(), "e", "AQAA"),
            with(rsa(), "e", encoded(5)),
            with(ec(), "crv", "P-384"),
            with(ec(), "crv", Value::Null),
            with(ec(), "x", encoded(31)),
            with(ec(), "y", encoded(33)),
            with(ec(), "y", Value::Null),
            with(ed(), "crv", "X25519"),
            with(ed(), "x", encoded(31)),
            with(ed(), "x", encoded(33)),
            with(ed(), "x", ""),
            with(ed(), "kty", "oct"),
            json!("no key"),
            json!({}),
        ] {
            assert!(!is_used(malformed.clone()), "{malformed}");
            assert_eq!(read(&[malformed, ed()]).unwrap().len(), 1, "the others count");
        }
        // Well-formed, but even, or not a point of the curve.
        let wrong = [with(rsa(), "n", URL_SAFE_NO_PAD.encode([0xfe; 256])), ec(), ed()];
        for key in &read(&wrong).unwrap().0 {
            for length in [0, 1, 63, 64, 65, 256, 512] {
                assert!(!key.has_signed(b"message", &vec![1; length]));
            }
        }
    }

    #[test]
    fn keys_of_2048_to_4096_bits_are_used_however_they_are_written() {
        assert!(is_used(with(rsa(), "n", encoded(512))));
        let bytes = [&[0, 0], &[0xfb; 256][..]].concat();
        let sets = [&URL_SAFE_NO_PAD, &BASE64, &STANDARD].map(|engine| {
            let id = json!({ "kid": "one" });
            read(&[with(with(rsa(), "n", engine.encode(&bytes)), "kid", id["kid"].clone())]).unwrap()
        });
        assert!(sets.iter().all(|set| *set == sets[0]));
    }

    #[test]
    fn every_fitting_key_is_a_candidate() {
        let named = |key, id| with(key, "kid", id);
        let keys = [named(ed(), "a"), named(ed(), "a"), named(ed(), "b"), ed(), named(rsa(), "a")];
        let set = read(&keys).unwrap();
        let count = |algorithm, id| set.candidates(algorithm, id).count();
        assert_eq!(count(Algorithm::EdDsa, Some("a")), 3);
        assert_eq!(count(Algorithm::EdDsa, Some("c")), 1);
        assert_eq!(count(Algorithm::EdDsa, None), 4);
        assert_eq!(count(Algorithm::Rs256, Some("b")), 0);
        assert_eq!(read(&vec![ed(); 1000]).unwrap().len(), MAX_KEYS);
    }

    #[test]
    fn what_is_not_a_key_set_is_none() {
        for text in ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":{}}"#, "<html>"] {
            assert!(KeySet::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
