//! Keys and certificates: read at the start, and again when their files change.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Config;
use crate::domain::region::RegionId;
use crate::files;
use crate::http::{Callbacks, Public, Tls, Verifier};
use crate::reload::Reloader;
use crate::settings::{self, Auth, Jwks, Secret};
use crate::telemetry::metrics::ReloadMetrics;
use crate::upstream::{Keys, Upstream};

/// The keys of a region's account.
pub(super) fn keys(region: &settings::Region) -> io::Result<Keys> {
    let read = |secret: &Secret| {
        let named = |error| io::Error::other(format!("regions.{}.{}: {error}", region.name, secret.key()));
        secret.read().map_err(named)
    };
    Ok(Keys { access: read(&region.access_key)?, secret: read(&region.secret_key)? })
}

/// Each region's keys, watched on disk.
pub(super) fn upstream_keys(config: &Config, upstream: &Arc<Upstream>, public: &Public) -> Vec<Reloader> {
    let reloads = &public.metrics.reloads;
    let reloader = |(id, region): (RegionId, &settings::Region)| {
        let secrets = [&region.access_key, &region.secret_key];
        let files = secrets.into_iter().filter(|secret| secret.file().is_some());
        let files: Vec<_> = files.map(|secret| format!("regions.{}.{}", region.name, secret.key())).collect();
        let files: Vec<_> = files.iter().map(String::as_str).collect();
        let (upstream, region) = (Arc::clone(upstream), region.clone());
        let name = format!("keys of region {}", region.name);
        let reload = move || upstream.rotate_keys(id, keys(&region)?);
        Reloader::new(&name, &files, reloads, reload)
    };
    public.regions.all().iter().zip(&config.regions).map(reloader).collect()
}

/// Reads the keys of callers. Returns their files, watched on disk.
pub(super) fn caller_keys(config: &Config, public: &Arc<Public>) -> io::Result<Vec<Reloader>> {
    let callers: Arc<[settings::Caller]> = config.callers.clone().into();
    let keys = callers.iter().map(|caller| keys_of(caller, &config.auth)).collect::<io::Result<Vec<_>>>()?;
    public.callers.replace_keys(&keys);
    let known = Arc::new(Mutex::new(keys));
    let reloader = |(index, caller): (usize, &settings::Caller)| {
        caller.key_sha256_file.as_ref()?;
        let name = format!("keys of caller {}", caller.name);
        let file = format!("callers.{}.key_sha256_file", caller.name);
        let (callers, known, auth) = (Arc::clone(&callers), Arc::clone(&known), config.auth.clone());
        let (reloads, public) = (&public.metrics.reloads, Arc::clone(public));
        let reload = move || {
            let read = keys_of(&callers[index], &auth)?;
            let mut known = known.lock();
            let mut keys = known.clone();
            keys[index] = read;
            refuse_shared_keys(&callers, &keys)?;
            *known = keys;
            Ok(public.callers.replace_keys(&known))
        };
        Some(Reloader::new(&name, &[&file], reloads, reload))
    };
    Ok(config.callers.iter().enumerate().filter_map(reloader).collect())
}

/// The keys of callbacks, watched on disk.
pub(super) fn callback_keys(
    config: &Config,
    callbacks: Option<Arc<Callbacks>>,
    reloads: &Arc<ReloadMetrics>,
) -> Option<Reloader> {
    let (settings, callbacks) = (config.callbacks.clone()?, callbacks?);
    let reload = move || Ok(callbacks.replace_keys(&settings.read_keys()?));
    Some(Reloader::new("keys of callbacks", &["callbacks.key_file"], reloads, reload))
}

/// The key set of tokens, watched on disk if it is in a file.
pub(super) fn key_set(
    config: &Config,
    verifier: Option<Arc<Verifier>>,
    reloads: &Arc<ReloadMetrics>,
) -> Option<Reloader> {
    let (Jwks::File(_), verifier) = (&config.auth.jwt()?.jwks, verifier?) else { return None };
    let reload = move || verifier.reload_file();
    Some(Reloader::new("key set of tokens", &["auth.jwt.jwks_file"], reloads, reload))
}

/// The bearer token for fetching the key set. It is read for each fetch; reading it in between as well reports a broken
/// file before the token is needed.
pub(super) fn key_set_token(config: &Config, reloads: &Arc<ReloadMetrics>) -> Option<Reloader> {
    let path = config.auth.jwt()?.jwks_token_file.clone()?;
    let check = move || files::read(&path).map(|_| false);
    Some(Reloader::new("token for the key set", &["auth.jwt.jwks_token_file"], reloads, check))
}

/// The certificate of the public listener, its key and the authority of its callers, watched on disk.
pub(super) fn certificate(
    config: &Config,
    tls: Option<Arc<Tls>>,
    reloads: &Arc<ReloadMetrics>,
) -> Option<Reloader> {
    let (settings, tls) = (config.server.tls.as_ref()?, tls?);
    let files = ["server.tls.cert_file", "server.tls.key_file", "server.tls.client_ca_file"];
    let files = &files[..2 + usize::from(settings.client_ca_file.is_some())];
    Some(Reloader::new("certificate", files, reloads, move || tls.reload()))
}

/// No key may belong to two callers. At the start the configuration check ensures that; files change later.
fn refuse_shared_keys(callers: &[settings::Caller], keys: &[Vec<[u8; 32]>]) -> io::Result<()> {
    let mut owners = HashMap::new();
    for (caller, keys) in callers.iter().zip(keys) {
        for key in keys {
            let owner = *owners.entry(key).or_insert(&caller.name);
            if *owner != caller.name {
                return Err(io::Error::other(format!(
                    "a key of caller {owner} is one of {} too",
                    caller.name
                )));
            }
        }
    }
    Ok(())
}

/// A caller's keys, where keys are accepted.
fn keys_of(caller: &settings::Caller, auth: &Auth) -> io::Result<Vec<[u8; 32]>> {
    match auth {
        Auth::Keys | Auth::KeysAndJwt { .. } => caller.read_keys(),
        Auth::None | Auth::Jwt { .. } => Ok(Vec::new()),
    }
}
