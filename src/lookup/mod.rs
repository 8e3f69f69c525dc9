//! Finding an id: hit, else join, else fill.
//!
//! `Lookup::find` decides from memory what can be decided, and otherwise asks regions through flights: one task per id
//! and region, shared by everybody who asks, owned by nobody who may hang up.

mod answer;
mod entry;
mod flight;
mod learned;
mod memory;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::document::Document;
use crate::domain::failure::{Failure, Fault, Kind};
use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Verification;
use crate::telemetry::metrics::{LookupOutcome, Metrics};
use crate::telemetry::traces::Span;
use crate::upstream::Upstream;

pub(crate) use answer::{Ask, Found, Missed, Source};
use entry::Entry;
pub(crate) use entry::Lifetimes;
use flight::{Boarding, Flights, Landing, Seat, Version};

/// What finds ids.
pub(crate) struct Lookup {
    flights: Arc<Flights>,
    metrics: Arc<Metrics>,
    timeout: Duration,
}

/// What a lookup is made of.
pub(crate) struct Settings {
    /// What a caller waits at most.
    pub timeout: Duration,
    /// What a fill may take, whoever still waits.
    pub fill_timeout: Duration,
    /// The most memory results may take, in bytes.
    pub max_bytes: u64,
    /// How long results are kept.
    pub lifetimes: Lifetimes,
    /// Every region.
    pub regions: RegionSet,
    /// Makes the document of a verification; done once per fill.
    pub render: Render,
}

/// Makes the document of a verification.
pub(crate) type Render = Box<dyn Fn(&Verification) -> Document + Send + Sync>;

impl Lookup {
    /// A lookup with an empty memory.
    pub(crate) fn new(settings: Settings, upstream: Arc<Upstream>, metrics: Arc<Metrics>) -> Self {
        let timeout = settings.timeout;
        Self { flights: Flights::new(settings, upstream, Arc::clone(&metrics)), metrics, timeout }
    }

    /// Finds an id, for a request with that span.
    ///
    /// # Errors
    /// No region that may be asked has it, or not all could be asked, or the time is up.
    pub(crate) async fn find(&self, ask: &Ask, request: &Span) -> Result<Found, Missed> {
        let span = request.lookup();
        let now = Instant::now();
        let entry = self.flights.memory().get(&ask.id);
        let seen = Version::of(entry.as_ref());
        if let Some(decided) = self.decide_from_memory(ask, entry, now) {
            self.count(&decided, &span);
            return decided;
        }
        let asking = self.ask_regions(ask, seen, &span);
        let asked = match tokio::time::timeout_at(now + self.timeout, asking).await {
            Ok(asked) => asked,
            Err(_) => Err(Missed { failure: self.timed_out(ask), source: fetched(ask) }),
        };
        let answer = asked.or_else(|missed| self.fall_back(ask, missed));
        self.count(&answer, &span);
        answer
    }

    /// Forgets an id: its result, its regions, its marks. A fill under way will not put it back.
    pub(crate) fn purge(&self, id: &SignatureId) {
        self.flights.purge(id);
    }

    /// Brings the cache's gauges up to date.
    pub(crate) fn refresh_gauges(&self) {
        self.flights.memory().refresh_gauges();
    }

    /// What memory alone can answer.
    fn decide_from_memory(
        &self,
        ask: &Ask,
        entry: Option<Arc<Entry>>,
        now: Instant,
    ) -> Option<Result<Found, Missed>> {
        if !ask.refresh
            && let Some(entry) = entry.filter(|entry| entry.serves(&ask.route))
            && let Some(ttl) = entry.ttl(now)
            && !self.wants_new_links(ask, &entry, now)
        {
            return Some(Ok(Found { entry, source: Source::Hit { ttl } }));
        }
        let holders = self.flights.learned().holders(&ask.id).and(ask.route.regions());
        if !ask.route.is_pinned() && holders.len() > 1 {
            return Some(Err(Missed { failure: Failure::Ambiguous, source: Source::Known }));
        }
        if ask.refresh {
            return None;
        }
        let ttl = self.flights.memory().absent_everywhere(&ask.id, ask.route.regions())?;
        Some(Err(Missed { failure: not_found(ask.route.regions()), source: Source::Hit { ttl } }))
    }

    /// Whether the entry's links are dead and this caller is the one to have them renewed, or may join in that.
    fn wants_new_links(&self, ask: &Ask, entry: &Entry, now: Instant) -> bool {
        let are_dead = ask.wants_media && entry.has_dead_links(Timestamp::now());
        are_dead && (self.flights.is_in_flight(&ask.id, entry.region()) || entry.claim_link_renewal(now))
    }

    /// Asks the region that is known to hold the id, or else all that may.
    async fn ask_regions(&self, ask: &Ask, seen: Version, span: &Span) -> Result<Found, Missed> {
        let allowed = ask.route.regions();
        let learned = self.flights.learned().holders(&ask.id).and(allowed);
        let mut said_no = RegionSet::EMPTY;
        if learned.len() == 1 {
            let asked = self.ask_set(ask, learned, true, seen, span).await;
            match asked {
                Err(missed) if matches!(missed.failure, Failure::NotFound(_)) && allowed != learned => {}
                asked => return asked,
            }
            said_no = learned;
        }
        let absent = if ask.refresh { said_no } else { self.flights.memory().absent(&ask.id, allowed) };
        self.ask_set(ask, allowed.minus(absent), allowed.len() == 1, seen, span).await
    }

    /// Asks all of `regions` at once: the first that has the id answers, the others are still heard by their flights.
    /// If `is_alone`, the route is one region, whose own failure is the answer.
    async fn ask_set(
        &self,
        ask: &Ask,
        regions: RegionSet,
        is_alone: bool,
        seen: Version,
        span: &Span,
    ) -> Result<Found, Missed> {
        let mut source = fetched(ask);
        let mut failure: Option<(Failure, bool)> = None;
        let mut flights: FuturesUnordered<_> =
            regions.iter().map(|region| self.fly(ask, region, seen, span)).collect();
        while let Some((landing, joined)) = flights.next().await {
            let stored = match landing {
                Landing::Found(entry, stored) if !self.is_ambiguous(ask) => {
                    let source = Source::Fetched { requested: ask.refresh, stored, joined };
                    return Ok(Found { entry, source });
                }
                Landing::Found(..) => {
                    return Err(Missed { failure: Failure::Ambiguous, source: Source::Known });
                }
                Landing::Failed(failed, stored) => {
                    if !matches!(failed, Failure::NotFound(_)) {
                        failure.get_or_insert((failed, joined));
                    }
                    stored
                }
            };
            source = Source::Fetched { requested: ask.refresh, stored, joined };
        }
        let Some((failure, joined)) = failure else {
            return Err(Missed { failure: not_found(ask.route.regions()), source });
        };
        let failure = if is_alone { failure } else { undetermined(&failure) };
        Err(Missed { failure, source: Source::Fetched { requested: ask.refresh, stored: false, joined } })
    }

    async fn fly(&self, ask: &Ask, region: RegionId, seen: Version, span: &Span) -> (Landing, bool) {
        let seen = (!ask.refresh).then_some(seen);
        let (mut arrivals, seat) = match self.flights.board(ask.id, region, seen, span) {
            Boarding::Landed(landing) => return (landing, true),
            Boarding::Flying(arrivals, seat) => (arrivals, seat),
        };
        let landing = match arrivals.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(landing)) => landing.clone(),
            // The fill panicked.
            Ok(None) | Err(_) => Landing::Failed(Failure::Internal, false),
        };
        (landing, seat == Seat::Joined)
    }

    fn is_ambiguous(&self, ask: &Ask) -> bool {
        let holders = self.flights.learned().holders(&ask.id).and(ask.route.regions());
        !ask.route.is_pinned() && holders.len() > 1
    }

    /// What memory still has for when no region could answer: final results only.
    fn fall_back(&self, ask: &Ask, missed: Missed) -> Result<Found, Missed> {
        if !missed.failure.is_no_answer() {
            return Err(missed);
        }
        let entry = self.flights.memory().get(&ask.id);
        let usable = entry.filter(|entry| entry.is_final() && entry.serves(&ask.route));
        let Some(entry) = usable.filter(|_| !self.is_ambiguous(ask)) else { return Err(missed) };
        let now = Instant::now();
        let source = match entry.ttl(now) {
            // Only its links were to be renewed.
            Some(ttl) if !ask.refresh => Source::Hit { ttl },
            _ => Source::Stale { age: entry.seconds_past(now) },
        };
        Ok(Found { entry, source })
    }

    fn timed_out(&self, ask: &Ask) -> Failure {
        let regions = ask.route.regions();
        let learned = self.flights.learned().holders(&ask.id).and(regions);
        match (sole(regions), sole(learned)) {
            (Some(region), _) | (None, Some(region)) => Fault::new(Kind::Timeout).in_region(region),
            (None, None) => Failure::RegionUndetermined { region: None, retry_after: None },
        }
    }

    fn count(&self, answer: &Result<Found, Missed>, span: &Span) {
        let outcome = match answer {
            Ok(Found { source, .. }) => outcome(*source),
            Err(Missed { failure: Failure::NotFound(_), source }) => outcome(*source),
            Err(_) => LookupOutcome::Failed,
        };
        self.metrics.lookups.observe(outcome);
        span.word("idv.outcome", outcome.name());
    }
}

const fn outcome(source: Source) -> LookupOutcome {
    match source {
        Source::Hit { .. } | Source::Known => LookupOutcome::Hit,
        Source::Stale { .. } => LookupOutcome::Stale,
        Source::Fetched { joined: true, .. } => LookupOutcome::Joined,
        Source::Fetched { joined: false, .. } => LookupOutcome::Filled,
    }
}

/// "Does not exist", said by all of `regions`; named if it is one.
fn not_found(regions: RegionSet) -> Failure {
    Failure::NotFound(sole(regions))
}

/// The region, if it is one.
fn sole(regions: RegionSet) -> Option<RegionId> {
    regions.iter().next().filter(|_| regions.len() == 1)
}

const fn fetched(ask: &Ask) -> Source {
    Source::Fetched { requested: ask.refresh, stored: false, joined: false }
}

/// A region that could not be asked turns "not found" into "not known".
fn undetermined(failure: &Failure) -> Failure {
    Failure::RegionUndetermined { region: failure.region(), retry_after: failure.retry_after() }
}

/// What flights stand on. `schedules` gives them a lock, tasks and an upstream that it can order as it likes.
mod ground {
    pub(super) use std::sync::{Mutex, MutexGuard};

    pub(super) use tokio::spawn;

    pub(super) use crate::upstream::Upstream;

    /// What comes of `future` by `deadline`.
    pub(super) async fn timeout_at<T>(
        deadline: tokio::time::Instant,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::time::timeout_at(deadline, future).await.ok()
    }
}

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
