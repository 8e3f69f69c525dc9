//! idv-gateway: one small, stable, honest answer per signature id, in front of ADVANCE.AI's identity verification.
//!
//! Modules in reading order: a request goes down through them, its answer comes back up.

pub mod cli;
pub mod config;

mod answer;
mod app;
mod cgroup;
mod files;
mod http;
mod lookup;
mod net;
mod reload;
mod remote;
mod upstream;

pub mod domain;
pub mod sandbox;
pub mod settings;
pub mod telemetry;

#[cfg(any(test, fuzzing))]
#[path = "../fuzz/checks/mod.rs"]
pub mod fuzzing;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::app::App;
use crate::config::Config;
use crate::domain::region::RegionId;
use crate::http::{Lifecycle, Stage};
use crate::net::Check;
use crate::settings::Drain;
use crate::telemetry::metrics::Listener;

/// At this age, spread by ±20 %, a connection's next answer is its last, so that load balancers can spread connections again.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(600);
/// This long before the drain's deadline, requests still under way are answered whatever they wait for.
const LAST_CALL: Duration = Duration::from_millis(500);
/// How much of the rest of the drain may go to telling other replicas of the last purges.
const LAST_PURGES: Duration = Duration::from_secs(2);
/// How much of the rest of the drain may go to sending the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// The sockets of one gateway.
pub struct Listeners {
    /// Callers connect here.
    pub public: TcpListener,
    /// Operators connect here.
    pub admin: TcpListener,
    /// The vendor sends callbacks here, if the configuration has `[callbacks]`.
    pub callbacks: Option<TcpListener>,
}

/// How a gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Ended {
    /// Everything under way was finished.
    Drained,
    /// The deadline came first.
    #[strum(serialize = "deadline")]
    CutShort,
}

/// Builds every part of a gateway and drops it again: this shows whether the contents of the configured files can be used.
///
/// # Errors
/// The content of a file cannot be used; the message names its key in the configuration where it can.
pub fn check(config: &Config) -> io::Result<()> {
    App::new(config).map(drop)
}

/// Checks every region of a configuration and its second tier at the same time, in the way a gateway uses them, within
/// `time_limit`. Returns the checks of each region, and those of the second tier, if there is one.
///
/// # Errors
/// A configured file can no longer be read.
pub(crate) async fn diagnose(
    config: &Config,
    time_limit: Duration,
) -> io::Result<(Vec<Vec<Check>>, Vec<Check>)> {
    let (upstream, servers) = app::upstream_and_second_tier(config)?;
    let deadline = Instant::now() + time_limit;
    let regions = config.regions.iter().enumerate().map(|(index, region)| {
        let keys = [region.access_key.key(), region.secret_key.key()];
        upstream.diagnose(RegionId::new(index), keys, deadline)
    });
    let second_tier = async {
        let Some(servers) = servers else { return Vec::new() };
        remote::diagnose(&servers, deadline).await
    };
    Ok(tokio::join!(join_all(regions), second_tier))
}

/// Runs a gateway until `shutdown`, and then until it is drained or the drain's deadline comes.
///
/// # Errors
/// A key or certificate file can no longer be read.
pub async fn run(
    listeners: Listeners,
    config: &Config,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Ended> {
    let mut app = App::new(config)?;
    let (public, history) = (Arc::clone(&app.public), Arc::clone(&app.admin.status.history));
    // Before readiness: whoever has seen it may send SIGHUP.
    let reloading = reload::run(std::mem::take(&mut app.reloaders));
    let (callers, _others) = serve(app, listeners);
    public.lifecycle.enter(Stage::Ready);
    log_start(config);
    let serving = async {
        tokio::select! {
            () = shutdown => {}
            () = watch_files(reloading) => {}
        }
        let deadline = Instant::now() + config.drain.deadline;
        let ended = drain(&config.drain, deadline, &public.lifecycle, callers).await;
        public.lookup.leave(deadline.min(Instant::now() + LAST_PURGES)).await;
        public.traces.stop(LAST_SPANS.min(deadline - Instant::now())).await;
        ended
    };
    let ended = tokio::select! {
        ended = serving => ended,
        never = history.keep() => match never {},
    };
    tracing::info!(ended = <&str>::from(ended), "gateway stopped");
    Ok(ended)
}

/// Starts what serves callers, and what runs next to it: that ends when the set is dropped.
fn serve(app: App, listeners: Listeners) -> (JoinHandle<()>, JoinSet<()>) {
    let public = Arc::clone(&app.public);
    let server = |listener, site, max_connections| http::Server {
        site,
        tls: None,
        max_connections,
        until: Stage::Closing,
        lifecycle: public.lifecycle.clone(),
        max_age: MAX_CONNECTION_AGE,
        metrics: Arc::clone(&public.metrics.connections[listener]),
    };
    let limits = app.connections;
    let callers = server(Listener::Public, http::Site::Public(app.public), limits.public);
    let callers = http::Server { tls: app.tls, ..callers };
    let admin = server(Listener::Admin, http::Site::admin(app.admin), limits.admin);
    // It answers probes and scrapes to the very end.
    let admin = http::Server { until: Stage::GivingUp, ..admin };
    let mut others = JoinSet::new();
    if let Some((callbacks, listener)) = app.callbacks.zip(listeners.callbacks) {
        let site = http::Site::Callbacks(callbacks);
        others.spawn(server(Listener::Callbacks, site, limits.callbacks).run(listener));
    }
    others.spawn(admin.run(listeners.admin));
    let lookup = Arc::clone(&public.lookup);
    others.spawn(async move { lookup.keep_up().await });
    (tokio::spawn(callers.run(listeners.public)), others)
}

/// Watches files for as long as it is polled.
async fn watch_files(reloading: impl Future<Output = io::Result<Infallible>>) {
    let Err(error) = reloading.await;
    tracing::error!(%error, "files are no longer watched; restart to use new ones");
    std::future::pending::<()>().await;
}

fn log_start(config: &Config) {
    cgroup::check_memory(config.cache.max_bytes);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %config.server.listen,
        admin_listen = %config.server.admin_listen,
        tls = config.server.tls.is_some(),
        regions = config.regions.len(),
        callers = config.callers.len(),
        "gateway started"
    );
}

/// Not ready; serve on for a while; accept no more; wait for what is under way; hard stop at the deadline.
async fn drain(settings: &Drain, deadline: Instant, lifecycle: &Lifecycle, callers: JoinHandle<()>) -> Ended {
    tracing::info!("gateway draining");
    lifecycle.enter(Stage::Draining);
    sleep(settings.delay).await;
    lifecycle.enter(Stage::Closing);
    let stop = callers.abort_handle();
    let finish = async {
        tokio::pin!(callers);
        tokio::select! {
            _ = callers.as_mut() => return,
            () = sleep_until(deadline - LAST_CALL.min(settings.deadline / 4)) => {}
        }
        lifecycle.enter(Stage::GivingUp);
        let _ = callers.await;
    };
    let ended = match timeout_at(deadline, finish).await {
        Ok(()) => Ended::Drained,
        Err(_) => Ended::CutShort,
    };
    stop.abort();
    ended
}
