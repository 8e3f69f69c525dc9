//! The wiring: every part built from its own settings, and none of them from the configuration as a whole.

mod remote;
mod watched;

use std::io;
use std::sync::Arc;

use crate::config::Config;
use crate::domain::region::Regions;
use crate::files;
use crate::http::{
    Admin, Audit, Callbacks, Callers, ConnectionLimits, History, Lifecycle, Public, ReportedRegion,
    StatusReport, Tls, TrustedHosts, Verifier,
};
use crate::lookup::{self, Lookup};
use crate::net::collector_client;
use crate::reload::Reloader;
use crate::remote::{Client, Servers};
use crate::settings::{self, Auth};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use crate::upstream::{RegionSettings, Upstream};
use watched::{callback_keys, caller_keys, certificate, key_set, key_set_token, keys, upstream_keys};

/// Every part, built and connected.
pub(crate) struct App {
    /// What the public listener serves.
    pub public: Arc<Public>,
    /// What the admin listener serves.
    pub admin: Arc<Admin>,
    /// What the callback listener serves, if there is one.
    pub callbacks: Option<Arc<Callbacks>>,
    /// TLS of the public listener, if it has any.
    pub tls: Option<Arc<Tls>>,
    /// Connections at once, by listener.
    pub connections: ConnectionLimits,
    /// Read configured files again while the gateway runs.
    pub reloaders: Vec<Reloader>,
}

impl App {
    /// Builds every part. Nothing is connected to yet, so an upstream or collector that is down does not keep the gateway from
    /// starting.
    ///
    /// # Errors
    /// A key or certificate file can no longer be read.
    pub(crate) fn new(config: &Config) -> io::Result<Self> {
        let regions = regions(config);
        let names: Vec<&str> = config.callers.iter().map(|caller| caller.name.as_str()).collect();
        let metrics = Arc::new(Metrics::new(regions.names(), &names));
        let shared = remote::client(config, &metrics)?;
        let upstream = Arc::new(upstream(config, &regions, shared.as_ref(), &metrics)?);
        let upstream_connections = config.regions.iter().map(|region| region.concurrency).sum();
        let connections = ConnectionLimits::new(config.server.max_connections, upstream_connections);
        let settings = lookup_settings(config, &regions, shared.clone(), connections.public);
        let verifier = verifier(&config.auth, &metrics)?;
        let public = Arc::new(Public {
            callers: callers(config, verifier.clone(), &regions, &metrics),
            lookup: Arc::new(Lookup::new(settings, Arc::clone(&upstream), Arc::clone(&metrics))),
            lifecycle: Lifecycle::default(),
            audit: audit(&config.telemetry)?,
            traces: traces(&config.telemetry, &regions, &metrics)?,
            not_found_ttl: config.cache.not_found_ttl,
            hosts: (config.auth == Auth::None).then(|| TrustedHosts::new(&config.server.allowed_hosts)),
            max_wait: config.wait.max,
            regions,
            metrics,
        });
        let tls = config.server.tls.clone().map(|files| Tls::new(files, Arc::clone(&public.metrics)));
        let tls = tls.transpose()?;
        let callbacks = config.callbacks.as_ref().map(|settings| callbacks(settings, &public)).transpose()?;
        let reloads = &public.metrics.reloads;
        let mut reloaders = upstream_keys(config, &upstream, &public);
        reloaders.extend(remote::reloader(config, shared, reloads));
        reloaders.extend(caller_keys(config, &public)?);
        reloaders.extend(callback_keys(config, callbacks.clone(), reloads));
        reloaders.extend(key_set(config, verifier, reloads));
        reloaders.extend(key_set_token(config, reloads));
        reloaders.extend(certificate(config, tls.clone(), reloads));
        let admin = Arc::new(admin(config, &public));
        Ok(Self { public, admin, callbacks, tls, connections, reloaders })
    }
}

fn admin(config: &Config, public: &Public) -> Admin {
    Admin {
        metrics: Arc::clone(&public.metrics),
        lookup: Arc::clone(&public.lookup),
        lifecycle: public.lifecycle.clone(),
        config: config.masked(),
        hosts: TrustedHosts::new(&config.server.allowed_hosts),
        status: StatusReport {
            history: Arc::new(History::new(Arc::clone(&public.metrics))),
            regions: config.regions.iter().map(reported).collect(),
            cache_max_bytes: config.cache.max_bytes,
            has_second_tier: config.remote.is_some(),
        },
    }
}

/// The upstream and the servers of the second tier, if there is one, without a gateway around them.
///
/// # Errors
/// A configured file can no longer be read.
pub(crate) fn upstream_and_second_tier(config: &Config) -> io::Result<(Upstream, Option<Servers>)> {
    let regions = regions(config);
    let upstream = upstream(config, &regions, None, &Metrics::new(regions.names(), &[]))?;
    Ok((upstream, remote::servers(config)?))
}

fn regions(config: &Config) -> Regions {
    Regions::new(config.regions.iter().map(|region| region.name.clone()))
}

fn upstream(
    config: &Config,
    regions: &Regions,
    shared: Option<&Arc<Client>>,
    metrics: &Metrics,
) -> io::Result<Upstream> {
    let shares_tokens = config.remote.as_ref().is_some_and(|remote| remote.share_tokens);
    let shared = shared.filter(|_| shares_tokens);
    let settings = regions.all().iter().zip(&config.regions).map(|(id, region)| {
        Ok(RegionSettings {
            id,
            region: region.clone(),
            keys: keys(region)?,
            media_hosts: config.media.allowed_hosts.clone(),
            shared: shared.cloned(),
            metrics: Arc::clone(metrics.region(id)),
        })
    });
    Upstream::new(settings.collect::<io::Result<_>>()?)
}

fn reported(region: &settings::Region) -> ReportedRegion {
    ReportedRegion {
        name: region.name.as_str().to_owned(),
        is_sandbox: region.base_url.starts_with("http://"),
    }
}

fn callbacks(settings: &settings::Callbacks, public: &Public) -> io::Result<Arc<Callbacks>> {
    let named = |error| io::Error::other(format!("callbacks.key_file: {error}"));
    let keys = settings.read_keys().map_err(named)?;
    let (regions, lookup) = (public.regions.clone(), Arc::clone(&public.lookup));
    Ok(Arc::new(Callbacks::new(&keys, regions, lookup, Arc::clone(&public.metrics))))
}

/// The settings of the lookup; `connections` is the most that callers may have.
fn lookup_settings(
    config: &Config,
    regions: &Regions,
    remote: Option<Arc<Client>>,
    connections: usize,
) -> lookup::Settings {
    let max_waiters = config.wait.max_waiters;
    lookup::Settings {
        request: config.request.clone(),
        cache: config.cache.clone(),
        waits: lookup::WaitLimits {
            // Waiters leave connections for short requests.
            max_waiters: max_waiters.min(connections - connections.div_ceil(10)),
            max_of_caller: max_waiters.min(connections).div_ceil(2),
            polls: config.regions.iter().map(|region| region.concurrency.div_ceil(2)).collect(),
        },
        regions: regions.clone(),
        remote,
    }
}

fn callers(
    config: &Config,
    verifier: Option<Arc<Verifier>>,
    regions: &Regions,
    metrics: &Arc<Metrics>,
) -> Callers {
    if config.auth == Auth::None {
        return Callers::anonymous(regions.all(), Arc::clone(metrics));
    }
    Callers::new(&config.callers, regions, verifier, Arc::clone(metrics))
}

fn verifier(auth: &Auth, metrics: &Metrics) -> io::Result<Option<Arc<Verifier>>> {
    let named = |error| io::Error::other(format!("auth.jwt.{error}"));
    let verifier = auth.jwt().map(|jwt| Verifier::new(jwt, Arc::clone(&metrics.auth.jwks)).map_err(named));
    Ok(verifier.transpose()?.map(Arc::new))
}

fn audit(telemetry: &settings::Telemetry) -> io::Result<Audit> {
    match &telemetry.audit_key_file {
        _ if !telemetry.audit => Ok(Audit::new(None)),
        Some(path) => Ok(Audit::new(Some(&files::read(path)?))),
        None => Ok(Audit::new(Some(&rand::random::<[u8; 32]>()))),
    }
}

fn traces(telemetry: &settings::Telemetry, regions: &Regions, metrics: &Metrics) -> io::Result<Traces> {
    let Some(otlp) = &telemetry.otlp else { return Ok(Traces::off()) };
    let client = collector_client(otlp.ca_file.as_deref())?;
    Traces::start(otlp, client, regions.names(), Arc::clone(&metrics.spans))
}
