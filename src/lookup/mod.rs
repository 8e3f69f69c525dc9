//! Finding an id: decide from memory, else ask regions through fills, and decide again; and waiting for a final result.
//!
//! A fill is one task per id and region, shared by all who ask and owned by none of them.

mod ask;
mod bounded;
mod decide;
mod fill;
mod find;
mod hint;
mod known;
mod memory;
mod record;
mod results;
mod runtime;
mod shared;
mod store;
mod table;
mod take_in;
mod wait;

use std::sync::Arc;

use tokio::time::Instant;

use crate::domain::failure::Failure;
use crate::domain::region::{RegionId, RegionSet, Regions};
use crate::domain::signature_id::SignatureId;
use crate::remote::Client;
use crate::settings::{Cache, Request};
use crate::telemetry::metrics::{CallbackOutcome, LookupOutcome, Metrics};
use crate::telemetry::traces::Span;
use crate::upstream::Upstream;

pub(crate) use ask::{Ask, Fetched, Found, Missed, Source};
use fill::Fills;
use find::Finder;
use shared::{Purge, Shared};
use store::Store;
use wait::Waits;
pub(crate) use wait::{WaitLimits, Waiter};

/// What finds ids.
pub(crate) struct Lookup {
    finder: Arc<Finder>,
    waits: Arc<Waits>,
    metrics: Arc<Metrics>,
}

/// What a lookup is made of.
pub(crate) struct Settings {
    /// How long callers wait, and how long a fill may take.
    pub request: Request,
    /// How much memory results may take, and how long they are kept.
    pub cache: Cache,
    /// How many may wait, and how often they may ask.
    pub waits: WaitLimits,
    /// The regions by name.
    pub regions: Regions,
    /// Where replicas share what they know, if there are several.
    pub remote: Option<Arc<Client>>,
}

impl Lookup {
    /// A lookup with an empty memory.
    pub(crate) fn new(settings: Settings, upstream: Arc<Upstream>, metrics: Arc<Metrics>) -> Self {
        let Request { timeout, discovery_wait, fill_timeout } = settings.request;
        let final_ttl = settings.cache.final_ttl;
        let shared = settings.remote.map(|client| {
            let (regions, upstream) = (settings.regions.clone(), Arc::clone(&upstream));
            Arc::new(Shared::new(client, regions, upstream, final_ttl, timeout))
        });
        let store = Store::new(settings.cache, settings.regions.all(), Arc::clone(&metrics));
        let fills = Arc::new(Fills {
            store,
            upstream,
            regions: settings.regions,
            fill_timeout,
            shared,
            metrics: Arc::clone(&metrics),
        });
        let finder = Arc::new(Finder::new(fills, timeout, discovery_wait));
        let waits = Waits::new(Arc::clone(&finder), settings.waits, Arc::clone(&metrics));
        Self { finder, waits, metrics }
    }

    /// Finds an id, for a request with that span.
    ///
    /// # Errors
    /// No region that may be asked has it, or not all could be asked, or the time is up.
    pub(crate) async fn find(&self, ask: &Ask, request: &Span) -> Result<Found, Missed> {
        let span = request.lookup();
        let answer = self.finder.search(ask, &span).await;
        let outcome = match &answer {
            Ok(Found { source, .. }) | Err(Missed { failure: Failure::NotFound(_), source }) => {
                outcome(*source)
            }
            Err(_) => LookupOutcome::Failed,
        };
        self.metrics.lookups.outcomes[outcome].inc();
        span.set("idv.outcome", <&str>::from(outcome));
        answer
    }

    /// A place among those who wait for a result to become final. `None`: there are too many, or too many of this caller.
    pub(crate) fn waiter(&self, ask: &Ask) -> Option<Waiter> {
        self.waits.enter(ask.caller)
    }

    /// Somebody says that an id has changed in `region`: fetches it once, if it is one that callers of some replica have
    /// asked about.
    pub(crate) async fn hint(&self, id: SignatureId, region: RegionId) -> CallbackOutcome {
        let outcome = self.waits.hint(id, region);
        if outcome != CallbackOutcome::Unknown || self.finder.fills.shared.is_none() {
            return outcome;
        }
        self.finder.fills.recall(id).await;
        self.waits.hint(id, region)
    }

    /// Forgets what `regions` said of an id, on every replica. A fill under way will not put it back.
    pub(crate) async fn purge(&self, id: SignatureId, regions: RegionSet) {
        let fills = &self.finder.fills;
        let purge = Purge::now(id, regions);
        fills.store.purge(purge);
        if let Some(shared) = &fills.shared {
            let counted = Box::pin(shared.purge(purge)).await;
            if counted.epoch != purge.epoch {
                fills.store.purge(counted);
            }
        }
    }

    /// Keeps up with other replicas, if there are any, for as long as it is polled.
    pub(crate) async fn keep_up(&self) {
        if let Some(shared) = &self.finder.fills.shared {
            self.finder.fills.keep_up(shared).await;
        }
    }

    /// Tries once more, until `deadline`, what other replicas are still to learn; says what they did not.
    pub(crate) async fn leave(&self, deadline: Instant) {
        let Some(shared) = &self.finder.fills.shared else { return };
        let unwritten = shared.finish_purging(deadline).await;
        if unwritten > 0 {
            tracing::error!(
                purges = unwritten,
                "other replicas did not get these purges; once Valkey or Redis is back, send the DELETE requests of its absence again"
            );
        }
    }

    /// Brings the cache's gauges up to date.
    pub(crate) fn refresh_gauges(&self) {
        self.finder.fills.store.refresh_gauges();
    }
}

const fn outcome(source: Source) -> LookupOutcome {
    match source {
        Source::Hit { .. } | Source::Index => LookupOutcome::Hit,
        Source::Remote { .. } => LookupOutcome::RemoteHit,
        Source::Stale { .. } => LookupOutcome::Stale,
        Source::Miss(Fetched { joined: true, .. }) | Source::Refresh(Fetched { joined: true, .. }) => {
            LookupOutcome::Joined
        }
        Source::Miss(_) | Source::Refresh(_) => LookupOutcome::Filled,
    }
}

#[cfg(test)]
mod schedules;
