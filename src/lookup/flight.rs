//! The one task per id and region: started by the first who asks, joined by the rest, owned by none of them.
//!
//! One lock guards the table of flights and the moment a flight lands, so that "is it in memory, is it in flight" has
//! one answer, and a purge or a second region's answer cannot slip in between.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::entry::{Entry, Lifetimes};
use super::ground::{Mutex, MutexGuard, Upstream, spawn, timeout_at};
use super::learned::Learned;
use super::memory::Memory;
use super::{Render, Settings};
use crate::domain::document::Document;
use crate::domain::drift::DriftKind;
use crate::domain::failure::{Failure, Fault, Kind};
use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Verification;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::{Link, Span};
use crate::upstream;

/// The most fills under way. Measured by `bench/concurrency`: each takes 9 KiB while it queues for its region, and 34 KiB
/// with its connection while it asks. At the default concurrency nearly all of them queue: about 100 MiB at the most.
pub(super) const MAX_FLIGHTS: usize = 10_000;

/// The largest document kept or shown, in bytes. An honest answer of a mebibyte, the most that is read, makes no more;
/// one of broken text, which grows when it is mended, could make six.
const MAX_DOCUMENT: usize = 9 << 18;

type Key = (SignatureId, RegionId);

/// How a flight ended, and whether memory keeps it.
#[derive(Clone)]
pub(super) enum Landing {
    Found(Arc<Entry>, bool),
    Failed(Failure, bool),
}

/// Which version of an id's entry a look into memory found, if any. Not when it looked: an entry is made a moment before
/// it is there to be seen, so one that is older than the look may still have come after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(Option<Instant>);

impl Version {
    pub(super) fn of(entry: Option<&Arc<Entry>>) -> Self {
        Self(entry.map(|entry| entry.stored_at()))
    }
}

/// How one gets at a landing.
pub(super) enum Boarding {
    /// It is there.
    Landed(Landing),
    /// It is on its way.
    Flying(Arrivals, Seat),
}

/// Whether a flight was under way already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    First,
    Joined,
}

/// What those who wait for a flight receive; closed without a value if the fill panicked.
pub(super) type Arrivals = watch::Receiver<Option<Landing>>;

/// Every flight under way, and what they fill.
pub(super) struct Flights {
    table: Mutex<Table>,
    memory: Memory,
    learned: Learned,
    upstream: Arc<Upstream>,
    metrics: Arc<Metrics>,
    fill_timeout: Duration,
    lifetimes: Lifetimes,
    regions: RegionSet,
    render: Render,
}

#[derive(Default)]
struct Table {
    flights: HashMap<Key, UnderWay>,
    next_number: u64,
}

/// One flight, as the table knows it.
struct UnderWay {
    number: u64,
    arrivals: Arrivals,
    /// Where the spans of those who join find its own.
    link: Link,
}

impl Flights {
    pub(super) fn new(settings: Settings, upstream: Arc<Upstream>, metrics: Arc<Metrics>) -> Arc<Self> {
        let memory = Memory::new(settings.max_bytes, settings.lifetimes.not_found_ttl, Arc::clone(&metrics));
        Arc::new(Self {
            table: Mutex::default(),
            memory,
            learned: Learned::new(settings.max_bytes),
            upstream,
            metrics,
            fill_timeout: settings.fill_timeout,
            lifetimes: settings.lifetimes,
            regions: settings.regions,
            render: settings.render,
        })
    }

    pub(super) const fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(super) const fn learned(&self) -> &Learned {
        &self.learned
    }

    pub(super) fn is_in_flight(&self, id: &SignatureId, region: RegionId) -> bool {
        self.lock().flights.contains_key(&(*id, region))
    }

    /// Joins the flight for `id` in `region`, or starts it. If one has landed since the caller's look into memory, what
    /// it brought is taken instead; a caller who looked for nothing there, `None`, takes nothing from there. The flight's
    /// span lies below the one of the lookup that starts it; those of lookups that join point there.
    pub(super) fn board(
        self: &Arc<Self>,
        id: SignatureId,
        region: RegionId,
        seen: Option<Version>,
        lookup: &Span,
    ) -> Boarding {
        let mut table = self.lock();
        let under_way = table.flights.len();
        let number = table.next_number;
        match table.flights.entry((id, region)) {
            Slot::Occupied(flight) => {
                lookup.follow(&flight.get().link);
                Boarding::Flying(flight.get().arrivals.clone(), Seat::Joined)
            }
            Slot::Vacant(slot) => {
                if let Some(landing) = seen.and_then(|seen| self.landed_since(seen, &id, region)) {
                    return Boarding::Landed(landing);
                }
                if under_way >= MAX_FLIGHTS {
                    return Boarding::Landed(Landing::Failed(Failure::Overloaded, false));
                }
                let (sender, arrivals) = watch::channel(None);
                let span = lookup.fill(region);
                slot.insert(UnderWay { number, arrivals: arrivals.clone(), link: span.link() });
                table.next_number += 1;
                // A runtime that is shutting down drops the task at once, and a flight that is dropped takes the lock.
                drop(table);
                let flight = Flight { flights: Arc::clone(self), key: (id, region), number, span };
                self.metrics.lookups.fills_in_flight.inc();
                spawn(flight.fly(sender));
                Boarding::Flying(arrivals, Seat::First)
            }
        }
    }

    /// What a flight brought between the caller's look into memory and now.
    fn landed_since(&self, seen: Version, id: &SignatureId, region: RegionId) -> Option<Landing> {
        let entry = self.memory.get(id).filter(|entry| entry.region() == region);
        if let Some(entry) = entry.filter(|entry| Version::of(Some(entry)) != seen) {
            return Some(Landing::Found(entry, true));
        }
        let is_absent = self.memory.absent(id, RegionSet::only(region)).contains(region);
        is_absent.then(|| Landing::Failed(Failure::NotFound(Some(region)), true))
    }

    /// Forgets an id everywhere. Its flights go on for those who wait, but what they bring is not kept.
    pub(super) fn purge(&self, id: &SignatureId) {
        let mut table = self.lock();
        self.regions.iter().for_each(|region| drop(table.flights.remove(&(*id, region))));
        self.memory.forget(id);
        self.memory.forget_absences(id, self.regions);
        self.learned.forget(id);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One flight. However it ends, dropping it takes it off the table.
struct Flight {
    flights: Arc<Flights>,
    key: Key,
    number: u64,
    span: Span,
}

impl Flight {
    async fn fly(self, arrivals: watch::Sender<Option<Landing>>) {
        // A local is dropped before a parameter: if the fill panics, its key is free when those who wait hear of it.
        let flight = self;
        let (id, region) = flight.key;
        let deadline = Instant::now() + flight.flights.fill_timeout;
        let upstream = &flight.flights.upstream;
        let entered = timeout_at(deadline, upstream.enter(region, None)).await;
        let fetched = match entered.unwrap_or_else(|| Err(Fault::new(Kind::Timeout))) {
            Ok(place) => upstream.fetch(place, id, deadline, &flight.span).await,
            Err(fault) => Err(fault),
        };
        let rendered = flight.render(fetched);
        flight.span.settle(upstream::outcome(rendered.as_ref().err().map(|fault| fault.kind)));
        let landing = flight.land(rendered);
        drop(flight);
        arrivals.send_replace(Some(landing));
    }

    fn render(&self, fetched: Result<Verification, Fault>) -> Result<(Verification, Document), Fault> {
        let verification = fetched?;
        let document = (self.flights.render)(&verification);
        if document.size() > MAX_DOCUMENT {
            return Err(Fault::new(Kind::Malformed));
        }
        Ok((verification, document))
    }

    /// Puts what was fetched where it belongs, unless the id was purged meanwhile.
    fn land(&self, rendered: Result<(Verification, Document), Fault>) -> Landing {
        let mut table = self.flights.lock();
        let is_current = table.flights.get(&self.key).is_some_and(|flight| flight.number == self.number);
        let landing = match rendered {
            Ok((verification, document)) => self.found(verification, document, is_current),
            Err(fault) => self.failed(fault, is_current),
        };
        if is_current {
            table.flights.remove(&self.key);
        }
        landing
    }

    fn found(&self, verification: Verification, document: Document, is_current: bool) -> Landing {
        let Flights { memory, learned, metrics, lifetimes, .. } = &*self.flights;
        let (id, region) = self.key;
        let verdict = verification.verdict;
        let holders_now = RegionSet::only(region);
        if !is_current {
            return Landing::Found(
                Arc::new(Entry::new(verification, document, holders_now, lifetimes)),
                false,
            );
        }
        memory.unmark_absent(id, region);
        let (before, holders) = learned.add(id, region);
        if let Some(first) = learned.note(id, verdict.is_final()) {
            metrics.region(region).observe_final(verdict);
            if let Some(pending_for) = first.pending_for {
                metrics.region(region).time_to_final.observe(pending_for.as_secs_f64());
            }
        }
        let entry = Arc::new(Entry::new(verification, document, holders, lifetimes));
        if holders.len() > 1 && !before.contains(region) {
            metrics.region(region).drift(DriftKind::Conflict).inc();
            memory.forget(&id);
            return Landing::Found(entry, false);
        }
        memory.put(id, Arc::clone(&entry));
        Landing::Found(entry, true)
    }

    fn failed(&self, fault: Fault, is_current: bool) -> Landing {
        let is_absent = fault.kind == Kind::NotFound;
        if is_absent && is_current {
            let Flights { memory, learned, .. } = &*self.flights;
            let (id, region) = self.key;
            memory.mark_absent(id, region);
            memory.forget_from(&id, region);
            learned.remove(id, region);
        }
        Landing::Failed(fault.in_region(self.key.1), is_absent && is_current)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.flights.metrics.panics.inc();
            self.span.fail();
        }
        self.flights.metrics.lookups.fills_in_flight.dec();
        let mut table = self.flights.lock();
        if table.flights.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            table.flights.remove(&self.key);
        }
    }
}
