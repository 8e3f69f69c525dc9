//! Every setting, section by section: its key, what it is, its default and the reason for the default. `config` reads
//! them, the parts of the gateway are made of them. Settings of the gateway itself are here, those about whom it talks
//! to in `peers`.
//!
//! `docs/configuration.md` is made of these comments, so they keep a form: a section says what it is, a field says
//! `key`: what it is. Then `Required`, or `Default` and the default, `quoted` if the key could be set to it; then why.

mod peers;
mod show;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

pub use self::peers::{Auth, Callbacks, Caller, Jwks, Jwt, RedisServers, Region, Remote, Secret, Topology};
pub(crate) use self::show::{SIZES, TIMES, Units, bytes_text, duration_text};

/// `[server]`: where callers and operators connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// `listen`: where callers connect. Default `127.0.0.1:8080`: nothing is open to the network unless you say so.
    pub listen: SocketAddr,
    /// `admin_listen`: where operators connect. Default `127.0.0.1:8081`: health, metrics and configuration are for this
    /// machine alone.
    pub admin_listen: SocketAddr,
    /// `max_connections`: connections of callers at once; each of the other listeners takes 256. Default `10000`: under half a GiB. `bench/concurrency`
    /// measures 21 KiB for an idle connection, 26 to 52 KiB for one whose caller waits for a fill.
    pub max_connections: usize,
    /// `allowed_hosts`: host names that `Host` may carry on a listener without authentication, besides IP addresses and
    /// `localhost`. Default none: a web page cannot reach the gateway through a DNS name of its own.
    pub allowed_hosts: Vec<String>,
    /// `[server.tls]`
    pub tls: Option<Tls>,
}

/// `[server.tls]`: TLS on the public listener. Left out, callers speak plain HTTP: most deployments terminate TLS in
/// front of the gateway. All files are watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// `cert_file`: the certificate and its intermediates, PEM. Required.
    pub cert_file: PathBuf,
    /// `key_file`: the certificate's private key, PEM. Required.
    pub key_file: PathBuf,
    /// `client_ca_file`: the authorities of callers' certificates, PEM. Default none: callers need no certificate. With
    /// it, a connection without a certificate from these authorities is refused.
    pub client_ca_file: Option<PathBuf>,
}

/// `[request]`: how long a caller waits, and how long the gateway tries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// `timeout`: what a caller waits at most, without `Prefer: wait`. Default `8s`, or `fill_timeout` if that is set
    /// lower: callers tend to give up at ten seconds, and should receive our reason first.
    #[serde(serialize_with = "show::duration")]
    pub timeout: Duration,
    /// `discovery_wait`: how long a found result is held for the answers of the other regions. Default `300ms`, or
    /// `timeout` if that is shorter: healthy regions answer within it, and a slow one does not delay answers for long.
    #[serde(serialize_with = "show::duration")]
    pub discovery_wait: Duration,
    /// `fill_timeout`: what a fill may take, whether or not anyone still waits for it. Default `15s`, or `timeout` if
    /// that is set higher: room for an attempt, a token and a retry, so that the next caller finds the answer.
    #[serde(serialize_with = "show::duration")]
    pub fill_timeout: Duration,
}

/// `[wait]`: requests with `Prefer: wait=N`, which are answered when the result is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// `max`: the longest wait; a longer `N` is lowered to it. Default `30s`: proxies in between usually close a request
    /// after 60 s. `0s` turns waiting off.
    #[serde(serialize_with = "show::duration")]
    pub max: Duration,
    /// `max_waiters`: requests that wait at once; beyond it the pending answer comes at once. Default `10000`: one
    /// waiter takes one connection, so it is at most nine tenths of `server.max_connections`, whatever is written here.
    pub max_waiters: usize,
}

/// `[drain]`: how the gateway stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drain {
    /// `delay`: how long the gateway still accepts connections after SIGTERM, while it reports not ready. Default `5s`,
    /// or half of a short `deadline`: what load balancers take to notice. `0s` stops accepting at once.
    #[serde(serialize_with = "show::duration")]
    pub delay: Duration,
    /// `deadline`: from the signal to the hard stop. Default `20s`: the delay and one fill, within the 30 s that an
    /// orchestrator usually grants.
    #[serde(serialize_with = "show::duration")]
    pub deadline: Duration,
}

/// `[cache]`: how much is kept and how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// `max_bytes`: how much memory results may take. Default `256MiB`: tens of thousands of verifications in a small
    /// container.
    #[serde(serialize_with = "show::bytes")]
    pub max_bytes: u64,
    /// `final_ttl`: how long a final result is kept. Default `6h`: a verdict does not change, yet personal data should
    /// not stay for days.
    #[serde(serialize_with = "show::duration")]
    pub final_ttl: Duration,
    /// `incomplete_ttl`: the same for `incomplete`. Default `1m`, or `final_ttl` if that is shorter: it may still be
    /// revised.
    #[serde(serialize_with = "show::duration")]
    pub incomplete_ttl: Duration,
    /// `pending_ttl`: the shortest time between two fetches of a result that is not final. Default `2s`: callers poll,
    /// and a verdict should be seen soon.
    #[serde(serialize_with = "show::duration")]
    pub pending_ttl: Duration,
    /// `pending_ttl_max`: the longest time between them; the time grows with the age of the wait. Default `30s`, or
    /// `pending_ttl` if that is longer: a caller who polls for an hour causes about 130 upstream calls.
    #[serde(serialize_with = "show::duration")]
    pub pending_ttl_max: Duration,
    /// `not_found_ttl`: how long a region's "does not exist" is believed. Default `10s`: a new id may be requested a
    /// moment too early.
    #[serde(serialize_with = "show::duration")]
    pub not_found_ttl: Duration,
    /// `stale_max`: how long past its time a final result may be served while no region can answer. Default `24h`: the
    /// vendor has had outages of most of a day. `0s`: never.
    #[serde(serialize_with = "show::duration")]
    pub stale_max: Duration,
}

#[cfg(any(test, fuzzing))]
impl Cache {
    /// Everything is kept for the same time, in a mebibyte.
    pub(crate) const fn all(time: Duration) -> Self {
        Self {
            max_bytes: 1 << 20,
            final_ttl: time,
            incomplete_ttl: time,
            pending_ttl: time,
            pending_ttl_max: time,
            not_found_ttl: time,
            stale_max: time,
        }
    }
}

/// `[media]`: which links callers are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Media {
    /// `allowed_hosts`: hosts that links may point at, with `*.` in front for all subdomains. Default none, which allows
    /// any: the vendor names none.
    pub allowed_hosts: Vec<String>,
}

/// `[telemetry]`: logs, audit lines and traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Telemetry {
    /// `log`: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or a filter such as
    /// `info,idv_gateway::upstream=debug`. Default `info`.
    pub log: String,
    /// `log_format`: `json`, one object a line, or `text`, for people. Default `json`: machines read logs first.
    pub log_format: LogFormat,
    /// `audit`: whether a line records who was shown which person's data. Default `true`: that is a duty where personal
    /// data is served.
    pub audit: bool,
    /// `audit_key_file`: the key of the ids' HMAC in audit lines, at least 16 bytes. Default a random key per process:
    /// with a file, lines of several replicas and restarts can be joined.
    pub audit_key_file: Option<PathBuf>,
    /// `otlp_endpoint`: the collector that traces go to, by OTLP over HTTP; plain http is accepted too. Default none:
    /// there are no traces, and they cost nothing, unless the standard `OTEL_EXPORTER_OTLP_…` variables name a collector.
    /// `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` always turn traces off; `OTEL_TRACES_SAMPLER` samples
    /// them.
    #[serde(rename = "otlp_endpoint")]
    pub otlp: Option<Otlp>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// For people.
    Text,
}

/// Where traces go, by OTLP as `http/protobuf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The collector's URL, as it was set.
    pub endpoint: String,
    /// Where traces are posted to: the endpoint itself if it is for traces alone, else `/v1/traces` below it.
    pub url: String,
    /// What one batch may take, with all its tries.
    pub timeout: Duration,
    /// Certificate authorities to trust besides the bundled ones, PEM.
    pub ca_file: Option<PathBuf>,
    /// How many spans may wait for the collector.
    pub queue: usize,
    /// How many one batch holds at most.
    pub batch: usize,
    /// How long a batch that is not full waits.
    pub delay: Duration,
}

impl Serialize for Otlp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        show::url(&self.endpoint, to)
    }
}
