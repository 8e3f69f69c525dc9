//! Every setting: its key, its default and the reason for the default. Only values: how they are read is
//! another file's matter.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::region::RegionName;
use crate::domain::scope::Scopes;

/// A configuration without a mistake. No `Debug`: it holds secrets; [`Config::masked`] shows it.
#[derive(Clone)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[request]`
    pub request: Request,
    /// `[drain]`
    pub drain: Drain,
    /// `[[regions]]`, in probing order: at least one, at most 64, no two of one name or one base URL.
    pub regions: Vec<Region>,
    /// `[auth]`
    pub auth: Auth,
    /// `[[callers]]`, no two of one name, key or subject.
    pub callers: Vec<Caller>,
    /// `[cache]`
    pub cache: Cache,
    /// `[media]`
    pub media: Media,
    /// `[telemetry]`
    pub telemetry: Telemetry,
}

/// `[server]`: where callers and operators connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `listen`, default `127.0.0.1:8080`: nothing is open to the network until somebody says so.
    pub listen: SocketAddr,
    /// `admin_listen`, default `127.0.0.1:8081`: health, metrics and status are for this machine alone.
    pub admin_listen: SocketAddr,
    /// `max_connections` per listener, default 10000. Measured by `bench/concurrency`: an idle connection takes 17 KiB,
    /// one whose caller waits for a fill of its own 26 to 52 KiB, so that a full house stays under half a GiB.
    pub max_connections: usize,
    /// `[server.tls]`, default none: most deployments end TLS in front of the gateway.
    pub tls: Option<Tls>,
}

/// `[server.tls]`: TLS on the public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `cert_file`: the certificate chain, PEM.
    pub cert_file: PathBuf,
    /// `key_file`: its private key, PEM.
    pub key_file: PathBuf,
    /// `client_ca_file`, default none; set, callers need a certificate of this authority.
    pub client_ca_file: Option<PathBuf>,
}

/// `[request]`: how long anything may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `timeout`, what a caller waits at most; default 8s, or `fill_timeout` if that is set lower: callers
    /// tend to give up at ten seconds, and should hear our reason first.
    pub timeout: Duration,
    /// `fill_timeout`, what a fill may take, whoever still waits; default 15s, or `timeout` if that is set
    /// higher: room for an attempt, a token and a retry, so that the next caller finds the answer.
    pub fill_timeout: Duration,
}

/// `[drain]`: how the gateway stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// `delay` between "not ready" and closing the door; default 5s, or half of a short `deadline`: what
    /// load balancers take to notice. `0s` closes at once.
    pub delay: Duration,
    /// `deadline` from the signal to the hard stop; default 20s: the delay and one fill, under the 30 s an
    /// orchestrator usually grants.
    pub deadline: Duration,
}

/// One of `[[regions]]`: an upstream host and our keys for it.
#[derive(Clone)]
pub struct Region {
    /// `name`, required: `a-z 0-9 -`. `id`, `sg`, `my`, `th`, `ph` and `vn` know their base URL.
    pub name: RegionName,
    /// `base_url`, default the preset of the name; scheme and host in lower case, no slash at the end.
    pub base_url: String,
    /// `token_url`, default `base_url`; its own key because not every host is known to issue tokens.
    pub token_url: String,
    /// `access_key_file` or `access_key`; exactly one.
    pub access_key: Secret,
    /// `secret_key_file` or `secret_key`; exactly one.
    pub secret_key: Secret,
    /// `token_period`, default 1h, the vendor's own default; 60s to 24h, whole seconds, the vendor's limits.
    pub token_period: Duration,
    /// `concurrency`, calls in flight to this region; default 64: the vendor publishes no limit. Measured by
    /// `bench/concurrency` with answers that take 100 ms: at 64 callers get 90 % of what is possible, over 500
    /// misses a second; beyond 128 two cores have hardly more to give, and callers wait longer. 1 to 4096.
    pub concurrency: usize,
    /// `attempt_timeout`, one try with its body; default 4s, or `fill_timeout` if that is shorter: two tries
    /// fit into what a caller waits. 10ms to 60s.
    pub attempt_timeout: Duration,
    /// `ca_file`, default none: a certificate authority besides the bundled ones, PEM.
    pub ca_file: Option<PathBuf>,
    /// `allow_http`, default false: keys, tokens and people travel here. True only for a sandbox.
    pub allow_http: bool,
}

/// A secret: its value, or the file that holds it and may change. No `Debug`.
#[derive(Clone)]
pub enum Secret {
    /// The value itself.
    Inline(SecretString),
    /// A file, read again when it changes.
    File(PathBuf),
}

/// `[auth]`: how callers prove themselves. `mode` defaults to `keys`: the one that needs no other system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `none`: everyone may do everything; only on a loopback listener.
    None,
    /// `keys`: callers' own keys.
    Keys,
    /// `jwt`: tokens of an identity provider.
    Jwt(Jwt),
    /// `keys+jwt`: either.
    KeysAndJwt(Jwt),
}

/// `[auth.jwt]`: whose tokens are taken. All keys are required: no guess is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// `issuer`: the `iss` of a good token, to the letter.
    pub issuer: String,
    /// `audience`: one of the `aud` of a good token.
    pub audience: String,
    /// `jwks_url` or `jwks_file`; exactly one.
    pub jwks: Jwks,
    /// `jwks_ca_file`, default none: a certificate authority beside the bundled ones, such as the cluster's.
    pub jwks_ca_file: Option<PathBuf>,
    /// `jwks_token_file`, default none: a bearer token to send, such as the pod's own; read before each request.
    pub jwks_token_file: Option<PathBuf>,
}

/// Where the issuer's public keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// `jwks_url`: https, or http on this machine.
    Url(String),
    /// `jwks_file`
    File(PathBuf),
}

/// One of `[[callers]]`: an internal service. No `Debug`: hashes of keys are nobody's business.
#[derive(Clone)]
pub struct Caller {
    /// `name`, required: 1 to 64 of `A-Z a-z 0-9 . _ -`. A metric label and a field of logs.
    pub name: String,
    /// `key_sha256`, default none: SHA-256 of whole bearer texts, one or several while keys are changed.
    pub key_sha256: Vec<[u8; 32]>,
    /// `key_sha256_file`, default none: more of them, 64 hexadecimal digits a line, `#` starts a comment.
    pub key_sha256_file: Option<PathBuf>,
    /// `subject`, default none: the `sub` of this caller's JWTs.
    pub subject: Option<String>,
    /// `scopes`, default none: a caller sees the decision alone until somebody says more.
    pub scopes: Scopes,
    /// `regions`, default all.
    pub regions: Option<Vec<RegionName>>,
    /// `requests_per_second`, default none: hits cost little, and calls upstream have limits of their own.
    pub requests_per_second: Option<NonZeroU32>,
}

/// `[cache]`: how much is kept and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// `max_bytes`, default 256MiB: tens of thousands of verifications in a small container.
    pub max_bytes: u64,
    /// `final_ttl`, default 6h: a verdict does not change, yet personal data should not stay for days.
    pub final_ttl: Duration,
    /// `incomplete_ttl`, default 60s, or `final_ttl` if that is shorter: may still be revised.
    pub incomplete_ttl: Duration,
    /// `pending_ttl`, default 2s: callers poll, and a verdict should be seen soon.
    pub pending_ttl: Duration,
    /// `not_found_ttl`, default 10s: a new id may be asked about a moment too early.
    pub not_found_ttl: Duration,
    /// `stale_max`, how long past its time a final result may answer while the upstream is away; default 24h:
    /// the vendor has had outages of most of a day. `0s`: never.
    pub stale_max: Duration,
}

/// `[media]`: which links callers are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// `allowed_hosts`, lower case, `*.` in front for all below; default any host: the vendor names none.
    pub allowed_hosts: Vec<String>,
}

/// `[telemetry]`: what the gateway says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// `log`, default `info`: a level, or a filter such as `info,idv_gateway::upstream=debug`.
    pub log: String,
    /// `log_format`, default `json`: machines read logs first.
    pub log_format: LogFormat,
    /// `audit`, default true: who was shown which person's data is a duty where personal data is served.
    pub audit: bool,
    /// `audit_key_file`, default a random key per process: the key of the ids' HMAC in audit lines. With a file,
    /// lines of several replicas and restarts can be joined.
    pub audit_key_file: Option<PathBuf>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `json`: one object a line.
    Json,
    /// `text`: for people.
    Text,
}
