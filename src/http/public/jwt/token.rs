//! One JSON Web Token (RFC 7519): its parts, and whether its claims are good now. Signatures are checked elsewhere.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::keys::{Algorithm, KeySet, base64url};
use crate::settings::Jwt;

/// How far the issuer's clock may be from ours, in seconds.
const LEEWAY: f64 = 30.0;

/// A token that could be read. Nothing of it is proven.
pub(super) struct Token<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Claims,
    /// What is signed: the header and the claims, as sent.
    message: &'a [u8],
    signature: Vec<u8>,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http::public) enum Refusal {
    /// It is not a token, or not one that we can check.
    NotAToken,
    /// Its signature is wrong, or it is not from our issuer, not for us, or not valid yet.
    Bad,
    /// Its time is over.
    Expired,
    /// The issuer's keys cannot be fetched, so the token cannot be checked. Ask again after this time.
    KeysUnavailable(Duration),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// The claims that matter to us. Times are in seconds and may have fractions.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    exp: f64,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl<'a> Token<'a> {
    /// Reads a token. `None` if it is not one, or if checking it takes what we do not know: another algorithm, or a
    /// critical extension (RFC 7515, 4.1.11).
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&base64url(header)?).ok()?;
        let token = Self {
            algorithm: Algorithm::named(&header.alg)?,
            key_id: header.kid,
            claims: serde_json::from_slice(&base64url(claims)?).ok()?,
            message: message.as_bytes(),
            signature: base64url(signature)?,
        };
        header.crit.is_none().then_some(token)
    }

    /// Checks issuer, audience and times.
    pub(super) fn check(&self, expected: &Jwt, now: Timestamp) -> Result<(), Refusal> {
        let claims = &self.claims;
        let is_for_us = match &claims.aud {
            Audience::One(audience) => *audience == expected.audience,
            Audience::Several(audiences) => audiences.contains(&expected.audience),
        };
        let now = now.as_duration().as_secs_f64();
        if claims.iss != expected.issuer || !is_for_us || claims.nbf.is_some_and(|from| from > now + LEEWAY) {
            return Err(Refusal::Bad);
        }
        if claims.exp < now - LEEWAY { Err(Refusal::Expired) } else { Ok(()) }
    }

    /// Whether one of these keys signed it.
    pub(super) fn is_signed_by(&self, keys: &KeySet) -> bool {
        let mut candidates = keys.candidates(self.algorithm, self.key_id.as_deref());
        candidates.any(|key| key.has_signed(self.message, &self.signature))
    }

    /// Whether one of these keys may have signed it.
    pub(super) fn has_candidate(&self, keys: &KeySet) -> bool {
        keys.candidates(self.algorithm, self.key_id.as_deref()).next().is_some()
    }

    /// Whom it is about.
    pub(super) fn into_subject(self) -> String {
        self.claims.sub
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(Token<'static>: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Claims: std::fmt::Debug, std::fmt::Display);
}
