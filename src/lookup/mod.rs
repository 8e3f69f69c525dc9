//! Finding an id: decide from memory, else ask regions through fills, and decide again.
//!
//! A fill is one task per id and region, shared by all who ask and owned by none of them.

mod ask;
mod decide;
mod fill;
mod memory;
mod record;
mod store;
mod table;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use crate::domain::failure::Failure;
use crate::domain::region::{RegionId, RegionSet, Regions};
use crate::domain::signature_id::SignatureId;
use crate::telemetry::metrics::{LookupOutcome, Metrics};
use crate::telemetry::traces::Span;
use crate::upstream::Upstream;

pub(crate) use ask::{Ask, Fetched, Found, Missed, Source};
use ask::{Heard, Landed, Progress};
use decide::Purpose;
use fill::{Fills, landing};
pub(crate) use record::Lifetimes;
use store::{Step, Store};
use table::Joined;

/// What finds ids.
pub(crate) struct Lookup {
    fills: Arc<Fills>,
    timeout: Duration,
    discovery_wait: Duration,
}

/// What a lookup is made of.
pub(crate) struct Settings {
    /// How long a caller waits at most.
    pub timeout: Duration,
    /// How long a found result is held for the other regions' answers.
    pub discovery_wait: Duration,
    /// How long a fill may take, whoever still waits.
    pub fill_timeout: Duration,
    /// The most memory results may take, in bytes.
    pub max_bytes: u64,
    /// How long results are kept.
    pub lifetimes: Lifetimes,
    /// The regions by name.
    pub regions: Regions,
}

impl Lookup {
    /// A lookup with an empty memory.
    pub(crate) fn new(settings: Settings, upstream: Arc<Upstream>, metrics: Arc<Metrics>) -> Self {
        let store =
            Store::new(settings.max_bytes, settings.lifetimes, settings.regions.all(), Arc::clone(&metrics));
        let fills = Fills {
            store,
            upstream,
            regions: settings.regions,
            fill_timeout: settings.fill_timeout,
            metrics,
        };
        Self { fills: Arc::new(fills), timeout: settings.timeout, discovery_wait: settings.discovery_wait }
    }

    /// Finds an id, for a request with that span.
    ///
    /// # Errors
    /// No region that may be asked has it, or not all could be asked, or the time is up.
    pub(crate) async fn find(&self, ask: &Ask, request: &Span) -> Result<Found, Missed> {
        let span = request.lookup();
        let deadline = Instant::now() + self.timeout;
        let mut progress = Progress::default();
        let answer = loop {
            match self.fills.store.step(ask, &progress, &span) {
                Step::Answer(answer) => break answer,
                Step::Wait(purpose, fills) => {
                    progress.asks(fills.iter().map(|(region, _)| *region).collect());
                    let fills = fills.into_iter().map(|(region, joined)| self.landing(ask, region, joined));
                    self.listen(fills.collect(), &mut progress, purpose, deadline).await;
                }
            }
        };
        self.count(&answer, &span);
        answer
    }

    /// Forgets what `regions` said of an id. A fill under way will not put it back.
    pub(crate) fn purge(&self, id: &SignatureId, regions: RegionSet) {
        self.fills.store.purge(id, regions);
    }

    /// Brings the cache's gauges up to date.
    pub(crate) fn refresh_gauges(&self) {
        self.fills.store.refresh_gauges();
    }

    /// What one fill comes to, and how this request came by it; spawns it if it is new.
    fn landing(&self, ask: &Ask, region: RegionId, joined: Joined) -> impl Future<Output = Heard> + use<> {
        let (receiver, is_joined) = match joined {
            Joined::Started(ticket, receiver) => {
                self.fills.spawn(ticket, ask.caller);
                (Ok(receiver), false)
            }
            Joined::UnderWay(receiver) => (Ok(receiver), true),
            Joined::Refused(fault) => (Err(fault), false),
        };
        async move {
            let landed = match receiver {
                Ok(receiver) => landing(receiver).await,
                Err(fault) => Landed::Failed(fault),
            };
            Heard { region, landed, joined: is_joined }
        }
    }

    /// Takes in what regions answer: until all have, or the deadline comes, or a result has been held long enough for the
    /// others.
    async fn listen(
        &self,
        mut fills: FuturesUnordered<impl Future<Output = Heard>>,
        progress: &mut Progress,
        purpose: Purpose,
        deadline: Instant,
    ) {
        let mut hold = (purpose == Purpose::Confirm).then(|| Instant::now() + self.discovery_wait);
        loop {
            let until = hold.map_or(deadline, |hold| hold.min(deadline));
            match timeout_at(until, fills.next()).await {
                Ok(Some(heard)) => progress.take(heard),
                Ok(None) => return,
                Err(_) if hold.is_some() => return,
                Err(_) => return progress.time_is_up(),
            }
            if progress.found.is_some() {
                hold.get_or_insert_with(|| Instant::now() + self.discovery_wait);
            }
        }
    }

    fn count(&self, answer: &Result<Found, Missed>, span: &Span) {
        let outcome = match answer {
            Ok(Found { source, .. }) | Err(Missed { failure: Failure::NotFound(_), source }) => {
                outcome(*source)
            }
            Err(_) => LookupOutcome::Failed,
        };
        self.fills.metrics.lookups.observe(outcome);
        span.word("idv.outcome", outcome.name());
    }
}

const fn outcome(source: Source) -> LookupOutcome {
    match source {
        Source::Hit { .. } | Source::Index => LookupOutcome::Hit,
        Source::Stale { .. } => LookupOutcome::Stale,
        Source::Miss(Fetched { joined: true, .. }) | Source::Refresh(Fetched { joined: true, .. }) => {
            LookupOutcome::Joined
        }
        Source::Miss(_) | Source::Refresh(_) => LookupOutcome::Filled,
    }
}

/// What fills run on. `schedules` gives them a lock, tasks and an upstream whose order it chooses.
mod runtime {
    pub(super) use std::sync::{Mutex, MutexGuard};

    pub(super) use tokio::spawn;
    pub(super) use tokio::time::timeout_at;

    pub(super) use crate::upstream::Upstream;
}

#[cfg(test)]
mod schedules;
