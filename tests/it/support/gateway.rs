//! A real gateway on ports of its own, in this process, stopped when dropped.

use std::net::SocketAddr;

use futures_util::future::join_all;
use idv_gateway::{Listeners, config};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::{self, Answer, Connection};
use super::redis;
use super::upstream::Upstream;

/// A running gateway.
pub struct Gateway {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    /// Where callbacks go, if the configuration takes them.
    pub callbacks: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<idv_gateway::Ended>>,
}

/// One region of a test's configuration, at a scripted upstream.
pub fn region(name: &str, upstream: &Upstream) -> String {
    region_at(name, &upstream.base_url())
}

/// One region of a test's configuration, at any base URL.
pub fn region_at(name: &str, base_url: &str) -> String {
    format!(
        "[[regions]]\nname = \"{name}\"\nbase_url = \"{base_url}\"\nallow_http = true\n\
         access_key = \"test-access-key\"\nsecret_key = \"test-secret-key\"\n"
    )
}

/// Callers need no key and have every scope.
pub const OPEN: &str = "[auth]\nmode = \"none\"\n";

/// The scopes of a caller who may see and do everything.
pub const EVERY_SCOPE: &[&str] = &["checks", "identity", "media", "refresh", "purge"];

/// One caller of a test's configuration: its name is its key; `more` are further lines.
pub fn caller(name: &str, scopes: &[&str], more: &str) -> String {
    let hash = sha256(name);
    format!("[[callers]]\nname = \"{name}\"\nkey_sha256 = \"{hash}\"\nscopes = {scopes:?}\n{more}\n")
}

/// The SHA-256 of a text: of a key, what the configuration knows of it.
pub fn sha256(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of the region `my`.
pub const RETRIES: &str = "idv_upstream_retries_total{region=\"my\"}";
pub const BREAKER: &str = "idv_breaker_state{region=\"my\"}";

/// The drain of a test: no delay, a short deadline.
pub const QUICK_DRAIN: &str = "[drain]\ndelay = \"0s\"\ndeadline = \"2s\"\n";

impl Gateway {
    /// A gateway with one region, `my`, at `upstream`, whose callers need no key and have every scope.
    pub async fn over(upstream: &Upstream) -> Self {
        Self::with(&[OPEN, &region("my", upstream)]).await
    }

    /// The same, but nothing times out while a test holds answers back.
    pub async fn patient(upstream: &Upstream) -> Self {
        let request = "[request]\ntimeout = \"60s\"\nfill_timeout = \"60s\"\n";
        Self::with(&[OPEN, request, &region("my", upstream), "attempt_timeout = \"60s\"\n"]).await
    }

    /// The same, with these settings of the region, or of sections.
    pub async fn with_settings(upstream: &Upstream, settings: &str) -> Self {
        Self::with(&[OPEN, &region("my", upstream), settings]).await
    }

    /// The same, with these settings of the cache.
    pub async fn with_cache(upstream: &Upstream, cache: &str) -> Self {
        Self::with_settings(upstream, &format!("[cache]\n{cache}\n")).await
    }

    /// A gateway with a configuration made of these pieces of TOML; listeners and drain are given by the test.
    pub async fn with(pieces: &[&str]) -> Self {
        let public = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let admin = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addresses = (public.local_addr().expect("bound"), admin.local_addr().expect("bound"));
        let callbacks = if pieces.iter().any(|piece| piece.contains("[callbacks]")) {
            Some(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
        } else {
            None
        };
        let callback_address = callbacks.as_ref().map(|listener| listener.local_addr().expect("bound"));
        let drain = if pieces.iter().any(|piece| piece.contains("[drain]")) { "" } else { QUICK_DRAIN };
        let text = format!("{}\n{drain}{}", pieces.join("\n"), redis::lane(pieces));
        let config =
            config::parse("test.toml", &text, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            idv_gateway::run(Listeners { public, admin, callbacks }, &config, shutdown).await
        });
        let (public, admin) = addresses;
        let gateway = Self { public, admin, callbacks: callback_address, stop: Some(stop), task };
        super::eventually("readiness", async || gateway.admin("/readyz").await.status == 200).await;
        gateway
    }

    /// `GET` from the public listener, without a key.
    pub async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[]).await
    }

    /// `GET` from the public listener with a caller's key.
    pub async fn get_as(&self, key: &str, target: &str) -> Answer {
        self.send("GET", target, &[("Authorization", &format!("Bearer {key}"))]).await
    }

    /// Any request to the public listener.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        client::request(self.public, method, target, headers).await
    }

    /// Any bytes to the public listener.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        client::raw(self.public, bytes).await
    }

    /// A connection of one's own to the public listener.
    pub async fn connect(&self) -> Connection {
        Connection::open(self.public).await
    }

    /// `GET` from the admin listener.
    pub async fn admin(&self, target: &str) -> Answer {
        client::request(self.admin, "GET", target, &[]).await
    }

    /// The value of one metric series as written, e.g. `idv_lookups_total{outcome="hit"}`; labels in any order.
    pub async fn metric(&self, series: &str) -> f64 {
        metric_at(self.admin, series).await
    }

    /// Sends a `GET` to the public listener and returns when it is being worked on.
    pub async fn ask(&self, target: &str, headers: &[(&str, &str)]) -> client::Asked {
        client::Asked::get(self.public, target, headers).await
    }

    /// Sends this many `GET`s to the public listener and returns when the gateway works on all of them.
    pub async fn crowd(&self, target: &str, n: usize) -> Vec<client::Asked> {
        let mut crowd = Vec::new();
        while crowd.len() < n {
            // No more at once than the kernel queues for a listener.
            let more = (n - crowd.len()).min(50);
            crowd.extend(join_all((0..more).map(|_| self.ask(target, &[]))).await);
        }
        crowd
    }

    /// How many fills are in flight.
    pub async fn fills(&self) -> f64 {
        self.metric("idv_fills_in_flight").await
    }

    /// Waits until this many fills are in flight.
    pub async fn wait_for_fills(&self, n: usize) {
        super::eventually(&format!("{n} fills in flight"), async || self.fills().await == n as f64).await;
    }

    /// Asks the gateway to stop.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The value of one metric series of the gateway whose admin listener is there.
pub async fn metric_at(admin: SocketAddr, series: &str) -> f64 {
    let wanted = normalised(series);
    let text = client::request(admin, "GET", "/metrics", &[]).await;
    let lines = text.text().lines().filter(|line| !line.starts_with('#'));
    let mut found =
        lines.filter_map(|line| line.rsplit_once(' ')).filter(|(name, _)| normalised(name) == wanted);
    let (_, value) = found.next().unwrap_or_else(|| panic!("{series} is not exported"));
    value.parse().expect("a metric is a number")
}

/// A series with its labels sorted.
fn normalised(series: &str) -> (String, Vec<String>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}');
    let mut labels: Vec<String> =
        labels.split("\",").map(|label| label.trim_end_matches('"').to_owned()).collect();
    labels.sort();
    (name.to_owned(), labels)
}
