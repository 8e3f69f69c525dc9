//! Settings about whom the gateway talks to: upstream regions, callers and the issuer of their tokens, the second tier,
//! the vendor's callbacks.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::{Serialize, Serializer};

use super::show::{self, MASK};
use crate::domain::region::RegionName;
use crate::domain::scope::Scopes;

/// `[[regions]]`: the upstream's hosts in probing order, and our keys for them: 1 to 64, with names of their own. Two may
/// share a `base_url` if their access keys differ: two accounts of one host.
#[derive(Clone, Serialize)]
pub struct Region {
    /// `name`: 1 to 32 of `a-z 0-9 -`; a metric label and part of answers. Required.
    pub name: RegionName,
    /// `base_url`: where results are requested. Default the URL of a preset's name: see [presets](#presets).
    pub base_url: String,
    /// `token_url`: where tokens are requested. Default `base_url`: not every host is known to issue tokens, hence a key
    /// of its own.
    pub token_url: String,
    /// `access_key_file` or `access_key`: the account's accessKey, in a file that is watched, or as text. Required,
    /// exactly one; in production a file.
    #[serde(flatten)]
    pub access_key: Secret,
    /// `secret_key_file` or `secret_key`: the account's secretKey, likewise. Required, exactly one; in production a
    /// file.
    #[serde(flatten)]
    pub secret_key: Secret,
    /// `token_period`: the life requested for tokens, in whole seconds. Default `1h`: the vendor's own default.
    #[serde(serialize_with = "show::duration")]
    pub token_period: Duration,
    /// `concurrency`: calls in flight to this region. Default `64`: the vendor publishes no limit. `bench/concurrency`
    /// measures over 500 misses a second at 64, 90 % of what two cores can do; above 128 callers only wait longer.
    pub concurrency: usize,
    /// `attempt_timeout`: what one try may take, its body included. Default `4s`, or `fill_timeout` if that is shorter:
    /// two tries fit into what a caller waits.
    #[serde(serialize_with = "show::duration")]
    pub attempt_timeout: Duration,
    /// `ca_file`: certificate authorities to trust besides the bundled ones, PEM. Default none.
    pub ca_file: Option<PathBuf>,
    /// `allow_http`: whether the URLs may be plain http. Default `false`: keys, tokens and personal data travel here;
    /// true only for a sandbox.
    pub allow_http: bool,
}

/// A secret, with the key that it was given by. No `Debug`.
#[derive(Clone)]
pub enum Secret {
    /// The value itself.
    Inline(&'static str, SecretString),
    /// A file, which may change.
    File(&'static str, PathBuf),
}

impl Secret {
    /// The key that it was given by.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Inline(key, _) | Self::File(key, _) => key,
        }
    }

    /// The file that holds it, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        if let Self::File(_, path) = self { Some(path) } else { None }
    }
}

impl Default for Secret {
    /// Empty, which no secret of a configuration is.
    fn default() -> Self {
        Self::Inline("", SecretString::default())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map([(self.key(), self.file().unwrap_or(Path::new(MASK)))])
    }
}

/// `[auth]`: how callers prove who they are.
///
/// `mode`: `keys` (callers' own keys), `jwt` (an identity provider's tokens), `keys+jwt` (either) or `none` (everyone may
/// do everything; only on a loopback listener). Default `keys`: the one that needs no other system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "mode")]
pub enum Auth {
    /// Nobody has to prove anything.
    #[serde(rename = "none")]
    None,
    /// Callers' own keys.
    #[serde(rename = "keys")]
    Keys,
    /// An identity provider's tokens.
    #[serde(rename = "jwt")]
    Jwt {
        /// `[auth.jwt]`
        jwt: Jwt,
    },
    /// Either.
    #[serde(rename = "keys+jwt")]
    KeysAndJwt {
        /// `[auth.jwt]`
        jwt: Jwt,
    },
}

impl Auth {
    /// Whose tokens are accepted, where tokens are.
    pub const fn jwt(&self) -> Option<&Jwt> {
        match self {
            Self::Jwt { jwt } | Self::KeysAndJwt { jwt } => Some(jwt),
            Self::None | Self::Keys => None,
        }
    }
}

/// `[auth.jwt]`: whose tokens are accepted; needed by the modes `jwt` and `keys+jwt`, and refused in the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Jwt {
    /// `issuer`: the exact `iss` of a good token. Required.
    pub issuer: String,
    /// `audience`: one of the `aud` of a good token. Required.
    pub audience: String,
    /// `jwks_url` or `jwks_file`: the issuer's public keys: a URL (https, or http on this machine), or a file that is
    /// watched. Required, exactly one.
    #[serde(flatten)]
    pub jwks: Jwks,
    /// `jwks_ca_file`: certificate authorities to trust for `jwks_url` besides the bundled ones, such as the cluster's,
    /// PEM. Default none.
    pub jwks_ca_file: Option<PathBuf>,
    /// `jwks_token_file`: holds a bearer token to send to `jwks_url`, such as the pod's own; watched. Default none.
    pub jwks_token_file: Option<PathBuf>,
}

/// Where the issuer's public keys are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Jwks {
    /// At a URL.
    #[serde(rename = "jwks_url")]
    Url(#[serde(serialize_with = "show::url")] String),
    /// In a file.
    #[serde(rename = "jwks_file")]
    File(PathBuf),
}

impl Default for Jwks {
    /// Empty, which no configuration's is.
    fn default() -> Self {
        Self::Url(String::new())
    }
}

/// `[[callers]]`: the internal services that may ask, and what they may see. No two of one name, key or subject.
// No `Debug`: hashes of keys stay out of logs.
#[derive(Clone, Serialize)]
pub struct Caller {
    /// `name`: 1 to 64 of `A-Z a-z 0-9 . _ -`; a metric label and a field of logs. Required.
    pub name: String,
    /// `key_sha256`: SHA-256 of the caller's whole bearer text, or several while keys are rotated; `idv-gateway hash-key`
    /// makes them. Default none.
    #[serde(serialize_with = "show::hashes")]
    pub key_sha256: Vec<[u8; 32]>,
    /// `key_sha256_file`: more of them, 64 hexadecimal digits a line, `#` starts a comment; watched. Default none.
    pub key_sha256_file: Option<PathBuf>,
    /// `subject`: the `sub` of this caller's tokens, where `auth.mode` accepts tokens. Default none.
    pub subject: Option<String>,
    /// `scopes`: of `checks`, `identity`, `media`, `refresh` and `purge`. Default none: a caller sees the decision alone
    /// unless you say more.
    #[serde(serialize_with = "show::scopes")]
    pub scopes: Scopes,
    /// `regions`: names of the regions that exist for this caller. Default all.
    pub regions: Option<Vec<RegionName>>,
    /// `requests_per_second`: how often this caller may ask, with a burst of one second's worth. Default none: hits cost
    /// little, and upstream calls have limits of their own.
    pub requests_per_second: Option<NonZeroU32>,
}

/// `[remote]`: Valkey or Redis as a second tier that several replicas share. Left out, every replica works alone.
#[derive(Clone, Serialize)]
pub struct Remote {
    /// `url_file` or `url`: the servers: `redis://host:port`, `rediss://host:port` for TLS,
    /// `redis+cluster://host:port,host:port` or `redis+sentinel://host:port,host:port/master-name`, with
    /// `user:password@` before the hosts if needed. The file is watched. Required, exactly one; a file if it holds a password.
    #[serde(flatten)]
    pub url: Secret,
    /// `encryption_key_file`: 32 random bytes in base64; a second line holds the previous key, which only decrypts;
    /// watched. Required, the same for every replica.
    pub encryption_key_file: PathBuf,
    /// `ca_file`: certificate authorities to trust for TLS instead of the bundled ones, PEM; watched. Default none: the
    /// bundled ones are trusted.
    pub ca_file: Option<PathBuf>,
    /// `share_tokens`: whether replicas share access tokens, for accounts where a new token ends the one before. Default
    /// `false`: a token may be bound to the address it was requested from.
    pub share_tokens: bool,
}

/// The Valkey or Redis servers that a URL names. No `Debug`: the URLs may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisServers {
    /// How the servers work together.
    pub topology: Topology,
    /// One `redis://` or `rediss://` URL per server, with the user, password and database of the setting.
    pub urls: Vec<Zeroizing<String>>,
}

/// How the servers work together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server, or one address in front of several.
    Single,
    /// A cluster; the URLs are the nodes to start from.
    Cluster,
    /// Sentinels, which know where the master is.
    Sentinel {
        /// The name of the master.
        master: String,
    },
}

/// `[callbacks]`: the listener for the vendor's callbacks, the only one that faces the Internet. Left out, there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Callbacks {
    /// `listen`: where the vendor connects. Required.
    pub listen: SocketAddr,
    /// `key_file`: the keys that callbacks may carry, one a line, all of them valid; watched. Required.
    pub key_file: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(Secret: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Region: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Caller: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Remote: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(RedisServers: std::fmt::Debug, std::fmt::Display);
}
