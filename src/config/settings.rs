//! Every setting: its key, what it is, its default and the reason for the default.
//!
//! `docs/configuration.md` is made of these comments, so they keep a form: a section says what it is, a field says
//! `key`: what it is. Then `Required`, or `Default` and the default, `quoted` if the key could be set to it; then why.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::files::Secret;
use super::otlp::Otlp;
use crate::domain::region::RegionName;
use crate::domain::scope::Scopes;

/// A configuration without a mistake. No `Debug`: it holds secrets; [`Config::masked`] shows it.
#[derive(Clone)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[request]`
    pub request: Request,
    /// `[wait]`
    pub wait: Wait,
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
    /// `[remote]`
    pub remote: Option<Remote>,
    /// `[callbacks]`
    pub callbacks: Option<Callbacks>,
    /// `[telemetry]`
    pub telemetry: Telemetry,
}

/// `[server]`: where callers and operators connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `listen`: where callers connect. Default `127.0.0.1:8080`: nothing is open to the network until somebody says
    /// so.
    pub listen: SocketAddr,
    /// `admin_listen`: where operators connect. Default `127.0.0.1:8081`: health, metrics and configuration are for
    /// this machine alone.
    pub admin_listen: SocketAddr,
    /// `max_connections`: connections at once, per listener. Default `10000`: under half a GiB. `bench/concurrency`
    /// measures 17 KiB for an idle connection, 26 to 52 KiB for one whose caller waits for a fill.
    pub max_connections: usize,
    /// `allowed_hosts`: host names that `Host` may carry on a listener without authentication, besides IP addresses and
    /// `localhost`. Default none: a web page cannot reach the gateway through a DNS name of its own.
    pub allowed_hosts: Vec<String>,
    /// `[server.tls]`
    pub tls: Option<Tls>,
}

/// `[server.tls]`: TLS on the public listener. Left out, callers speak plain HTTP: most deployments end TLS in front of
/// the gateway. All files are followed on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `cert_file`: the certificate and what leads to its authority, PEM. Required.
    pub cert_file: PathBuf,
    /// `key_file`: the certificate's private key, PEM. Required.
    pub key_file: PathBuf,
    /// `client_ca_file`: the authorities of callers' certificates, PEM. Default none: callers need no certificate. With
    /// it, whoever has none of these authorities is not heard.
    pub client_ca_file: Option<PathBuf>,
}

/// `[request]`: how long a caller waits, and how long the gateway tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `timeout`: what a caller waits at most. Default `8s`, or `fill_timeout` if that is set lower: callers tend to
    /// give up at ten seconds, and should hear our reason first.
    pub timeout: Duration,
    /// `discovery_wait`: how long a found result is held for the answers of the other regions. Default `300ms`, or
    /// `timeout` if that is shorter: healthy regions answer within it, and a slow one delays nobody for long.
    pub discovery_wait: Duration,
    /// `fill_timeout`: what a fill may take, whoever still waits. Default `15s`, or `timeout` if that is set higher:
    /// room for an attempt, a token and a retry, so that the next caller finds the answer.
    pub fill_timeout: Duration,
}

/// `[wait]`: requests with `Prefer: wait=N`, which are answered when the result is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// `max`: the longest wait; a longer `N` is lowered to it. Default `30s`: proxies in between usually close a request
    /// after 60 s. `0s` turns waiting off.
    pub max: Duration,
    /// `max_waiters`: requests that wait at once; beyond it the pending answer comes at once. Default `10000`: one
    /// waiter takes one connection, and `server.max_connections` has the same default.
    pub max_waiters: usize,
}

/// `[drain]`: how the gateway stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// `delay`: from "not ready" to closing the door. Default `5s`, or half of a short `deadline`: what load balancers
    /// take to notice. `0s` closes at once.
    pub delay: Duration,
    /// `deadline`: from the signal to the hard stop. Default `20s`: the delay and one fill, under the 30 s that an
    /// orchestrator usually grants.
    pub deadline: Duration,
}

/// `[[regions]]`: the upstream's hosts in probing order, and our keys for them. One to 64, no two of one name or one
/// `base_url`.
#[derive(Clone)]
pub struct Region {
    /// `name`: 1 to 32 of `a-z 0-9 -`; a metric label and part of answers. Required.
    pub name: RegionName,
    /// `base_url`: where results are asked for. Default the URL that goes with a preset's name: see [presets](#presets).
    pub base_url: String,
    /// `token_url`: where tokens are asked for. Default `base_url`: not every host is known to issue tokens, hence a key
    /// of its own.
    pub token_url: String,
    /// `access_key_file` or `access_key`: the account's accessKey, in a file that is followed, or as text. Required,
    /// exactly one; in production a file.
    pub access_key: Secret,
    /// `secret_key_file` or `secret_key`: the account's secretKey, likewise. Required, exactly one; in production a
    /// file.
    pub secret_key: Secret,
    /// `token_period`: the life asked for tokens, in whole seconds. Default `1h`: the vendor's own default.
    pub token_period: Duration,
    /// `concurrency`: calls in flight to this region. Default `64`: the vendor publishes no limit. `bench/concurrency`
    /// measures over 500 misses a second at 64, 90 % of what two cores can do; above 128 callers only wait longer.
    pub concurrency: usize,
    /// `attempt_timeout`: what one try may take, its body included. Default `4s`, or `fill_timeout` if that is shorter:
    /// two tries fit into what a caller waits.
    pub attempt_timeout: Duration,
    /// `ca_file`: certificate authorities to trust besides the bundled ones, PEM. Default none.
    pub ca_file: Option<PathBuf>,
    /// `allow_http`: whether the URLs may be plain http. Default `false`: keys, tokens and people travel here; true only
    /// for a sandbox.
    pub allow_http: bool,
}

/// `[auth]`: how callers prove themselves.
///
/// `mode`: `keys` (callers' own keys), `jwt` (an identity provider's tokens), `keys+jwt` (either) or `none` (everyone may
/// do everything; only on a loopback listener). Default `keys`: the one that needs no other system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `none`
    None,
    /// `keys`
    Keys,
    /// `jwt`
    Jwt(Jwt),
    /// `keys+jwt`
    KeysAndJwt(Jwt),
}

/// `[auth.jwt]`: whose tokens are taken; needed by the modes `jwt` and `keys+jwt`, and refused in the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// `issuer`: the `iss` of a good token, to the letter. Required.
    pub issuer: String,
    /// `audience`: one of the `aud` of a good token. Required.
    pub audience: String,
    /// `jwks_url` or `jwks_file`: the issuer's public keys: a URL (https, or http on this machine), or a file that is
    /// followed. Required, exactly one.
    pub jwks: Jwks,
    /// `jwks_ca_file`: certificate authorities to trust for `jwks_url` besides the bundled ones, such as the cluster's,
    /// PEM. Default none.
    pub jwks_ca_file: Option<PathBuf>,
    /// `jwks_token_file`: holds a bearer token to send to `jwks_url`, such as the pod's own; read before each request.
    /// Default none.
    pub jwks_token_file: Option<PathBuf>,
}

/// Where the issuer's public keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// `jwks_url`
    Url(String),
    /// `jwks_file`
    File(PathBuf),
}

/// `[[callers]]`: the internal services that may ask, and what they may see. No two of one name, key or subject.
// No `Debug`: hashes of keys are nobody's business.
#[derive(Clone)]
pub struct Caller {
    /// `name`: 1 to 64 of `A-Z a-z 0-9 . _ -`; a metric label and a field of logs. Required.
    pub name: String,
    /// `key_sha256`: SHA-256 of the caller's whole bearer text, or several while keys are changed; `idv-gateway hash-key`
    /// makes them. Default none.
    pub key_sha256: Vec<[u8; 32]>,
    /// `key_sha256_file`: more of them, 64 hexadecimal digits a line, `#` starts a comment; followed on disk. Default
    /// none.
    pub key_sha256_file: Option<PathBuf>,
    /// `subject`: the `sub` of this caller's tokens, where `auth.mode` takes tokens. Default none.
    pub subject: Option<String>,
    /// `scopes`: of `checks`, `identity`, `media`, `refresh` and `purge`. Default none: a caller sees the decision alone
    /// until somebody says more.
    pub scopes: Scopes,
    /// `regions`: names of the regions that exist for this caller. Default all.
    pub regions: Option<Vec<RegionName>>,
    /// `requests_per_second`: how often this caller may ask, with one second's worth at once. Default none: hits cost
    /// little, and calls upstream have limits of their own.
    pub requests_per_second: Option<NonZeroU32>,
}

/// `[cache]`: how much is kept and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// `max_bytes`: what results may weigh in memory. Default `256MiB`: tens of thousands of verifications in a small
    /// container.
    pub max_bytes: u64,
    /// `final_ttl`: how long a final result is kept. Default `6h`: a verdict does not change, yet personal data should
    /// not stay for days.
    pub final_ttl: Duration,
    /// `incomplete_ttl`: the same for `incomplete`. Default `1m`, or `final_ttl` if that is shorter: it may still be
    /// revised.
    pub incomplete_ttl: Duration,
    /// `pending_ttl`: the shortest time between two fetches of a result that is not final. Default `2s`: callers poll,
    /// and a verdict should be seen soon.
    pub pending_ttl: Duration,
    /// `pending_ttl_max`: the longest time between them; the time grows with the age of the wait. Default `30s`, or
    /// `pending_ttl` if that is longer: a caller who polls for an hour causes about 130 upstream calls.
    pub pending_ttl_max: Duration,
    /// `not_found_ttl`: how long a region's "does not exist" is believed. Default `10s`: a new id may be asked about a
    /// moment too early.
    pub not_found_ttl: Duration,
    /// `stale_max`: how long past its time a final result may answer while the upstream is away. Default `24h`: the
    /// vendor has had outages of most of a day. `0s`: never.
    pub stale_max: Duration,
}

/// `[media]`: which links callers are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// `allowed_hosts`: hosts that links may point at, `*.` in front for all below. Default none, which allows any: the
    /// vendor names none.
    pub allowed_hosts: Vec<String>,
}

/// `[remote]`: Valkey or Redis as a second tier that several replicas share. Left out, every replica works alone.
#[derive(Clone)]
pub struct Remote {
    /// `url_file` or `url`: the servers: `redis://host:port`, `rediss://host:port` for TLS,
    /// `redis+cluster://host:port,host:port` or `redis+sentinel://host:port,host:port/master-name`, with
    /// `user:password@` before the hosts if needed. Required, exactly one; a file if it holds a password.
    pub url: Secret,
    /// `encryption_key_file`: 32 random bytes in base64; a second line holds the previous key, which only decrypts.
    /// Required.
    pub encryption_key_file: PathBuf,
    /// `ca_file`: certificate authorities to trust for TLS besides the bundled ones, PEM. Default none.
    pub ca_file: Option<PathBuf>,
    /// `share_tokens`: whether replicas share access tokens, for accounts where a new token ends the one before. Default
    /// `false`: a token may be bound to the address it was requested from.
    pub share_tokens: bool,
}

/// `[callbacks]`: the listener for the vendor's callbacks, the only one that faces the Internet. Left out, there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callbacks {
    /// `listen`: where the vendor connects. Required.
    pub listen: SocketAddr,
    /// `key_file`: the keys that callbacks may carry, one a line, all of them valid; watched on disk. Required.
    pub key_file: PathBuf,
}

/// `[telemetry]`: what the gateway says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// `log`: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or a filter such as
    /// `info,idv_gateway::upstream=debug`. Default `info`.
    pub log: String,
    /// `log_format`: `json`, one object a line, or `text`, for people. Default `json`: machines read logs first.
    pub log_format: LogFormat,
    /// `audit`: whether a line tells who was shown which person's data. Default `true`: that is a duty where personal
    /// data is served.
    pub audit: bool,
    /// `audit_key_file`: the key of the ids' HMAC in audit lines, at least 16 bytes. Default a random key per process:
    /// with a file, lines of several replicas and restarts can be joined.
    pub audit_key_file: Option<PathBuf>,
    /// `otlp_endpoint`: the collector that traces go to, by OTLP over HTTP; plain http is taken too. Default none: there
    /// are no traces, and no cost of any, unless the standard `OTEL_EXPORTER_OTLP_…` variables name one.
    /// `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` turn them off whatever else is said;
    /// `OTEL_TRACES_SAMPLER` thins them out.
    pub otlp: Option<Otlp>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// For people.
    Text,
}
