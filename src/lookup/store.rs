//! What is known of ids and which fills are under way, under one lock: a decision and what follows from it are one step,
//! and neither a purge nor another region's answer can slip in between.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ask::{Ask, Found, Landed, Missed, Progress, Recall};
use super::decide::{Decision, Purpose, Snapshot, decide};
use super::known::{Known, Pending};
use super::memory::Memory;
use super::record::{Entry, Record};
use super::runtime::{Mutex, MutexGuard};
use super::shared::Purge;
use super::table::{FillTable, Joined, Key, Ticket, Watch};
use crate::domain::drift::DriftKind;
use crate::domain::failure::{Fault, Kind};
use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Verdict;
use crate::settings::Cache;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Span;

/// How often an id may be asked for again in regions that have not answered for it.
const CONFIRM_GAP: Duration = Duration::from_secs(2);

/// What is known, and what is under way.
pub(super) struct Store {
    /// Changed only while the lock on `fills` is held.
    pub(super) memory: Memory,
    fills: Mutex<FillTable>,
    pub(super) cache: Cache,
    metrics: Arc<Metrics>,
}

/// The next step of a request.
pub(super) enum Step {
    Answer(Result<Found, Missed>),
    /// Ask what other replicas know.
    Recall,
    /// Wait for these regions.
    Wait(Purpose, Vec<(RegionId, Joined)>),
}

impl Store {
    pub(super) fn new(cache: Cache, regions: RegionSet, metrics: Arc<Metrics>) -> Self {
        let memory = Memory::new(&cache, Arc::clone(&metrics));
        Self { memory, fills: Mutex::new(FillTable::new(regions)), cache, metrics }
    }

    /// Decides on a request; if regions are to be asked, joins or starts their fills.
    pub(super) fn step(&self, ask: &Ask, progress: &Progress, lookup: &Span) -> Step {
        let now = Instant::now();
        let mut fills = self.lock();
        let snapshot = self.look(&fills, ask, now);
        match decide(ask, &snapshot, progress, now) {
            Decision::Answer(answer) => Step::Answer(answer),
            Decision::Ask(regions, _)
                if progress.recall == Recall::Due && !regions.minus(snapshot.in_flight).is_empty() =>
            {
                Step::Recall
            }
            Decision::Ask(regions, purpose) => {
                self.note_purpose(&ask.id, purpose, now);
                let join = |region| (region, fills.join(ask, region, lookup));
                Step::Wait(purpose, regions.iter().map(join).collect())
            }
        }
    }

    fn look(&self, fills: &FillTable, ask: &Ask, now: Instant) -> Snapshot {
        let (entry, known) = self.memory.look(&ask.id);
        // A hit is not asked for again, so its negative entries are worth no look.
        let is_hit = entry.as_ref().is_some_and(|entry| {
            entry.ttl(now).is_some() && ask.route.regions().contains(entry.region()) && !ask.refresh
        });
        Snapshot {
            entry,
            known: known.unwrap_or_default(),
            absent: if is_hit { Vec::new() } else { self.memory.absent.get(&ask.id) },
            in_flight: fills.in_flight(&ask.id),
        }
    }

    fn note_purpose(&self, id: &SignatureId, purpose: Purpose, now: Instant) {
        if purpose == Purpose::Find {
            return;
        }
        let Some(mut known) = self.memory.known(id) else { return };
        match purpose {
            Purpose::Find => {}
            Purpose::Confirm => known.confirm_after = Some((now + CONFIRM_GAP).into()),
            Purpose::RenewLinks => known.renew_links_after = Some((now + self.cache.pending_ttl).into()),
        }
        self.memory.note(id, known);
    }

    /// Takes in what a fill brought, unless the id was purged meanwhile.
    pub(super) fn land(&self, ticket: &Ticket, brought: Result<Record, Fault>) -> Landed {
        let mut fills = self.lock();
        let is_current = fills.is_current(&ticket.key, ticket.number);
        let landed = match brought {
            Ok(record) if is_current => self.found(&fills, ticket.key, record),
            Ok(record) => {
                Landed::Found { entry: self.entry(record, Duration::ZERO), stored: false, shared: false }
            }
            Err(Fault { kind: Kind::NotFound, .. }) => {
                if is_current {
                    self.absent(ticket.key);
                }
                Landed::Absent { stored: is_current }
            }
            Err(fault) => Landed::Failed(fault),
        };
        fills.remove(&ticket.key, ticket.number);
        match &landed {
            Landed::Found { entry, .. } => fills.watches.found(&ticket.key.0, entry),
            Landed::Absent { stored: true } => fills.watches.tell(&ticket.key.0),
            Landed::Absent { stored: false } | Landed::Failed(_) => {}
        }
        landed
    }

    fn found(&self, fills: &FillTable, (id, region): Key, record: Record) -> Landed {
        let denied = self.memory.absent.get(&id).into_iter().map(|(region, _)| region).collect::<RegionSet>();
        self.memory.absent.remove(&id, RegionSet::only(region));
        let now = Instant::now();
        let before = self.memory.known(&id).unwrap_or_default();
        let mut known = before;
        known.holders = before.holders.with(region);
        known.answered = before.answered.or(denied).with(region);
        known.renew_links_after = Some((now + self.cache.pending_ttl).into());
        self.note_verdict(&mut known, region, record.verdict, now);
        let entry = self.entry(record, before.pending_for(now));
        let is_conflict = known.holders.len() > 1 && !before.holders.contains(region);
        let stored = !is_conflict && self.memory.results.has_room(&entry);
        if stored {
            self.memory.put(&id, Arc::clone(&entry), known);
        } else {
            let dropped = if is_conflict { RegionSet::ALL } else { RegionSet::only(region) };
            self.memory.results.forget(&id, dropped);
            self.memory.note(&id, known);
        }
        if is_conflict {
            self.metrics.region(region).drift[DriftKind::Conflict].inc();
            fills.watches.tell(&id);
        }
        Landed::Found { entry, stored, shared: false }
    }

    fn entry(&self, record: Record, pending_for: Duration) -> Arc<Entry> {
        Arc::new(Entry::new(record, &self.cache, pending_for, Instant::now()))
    }

    /// Remembers when an id is seen pending; counts its first final result, and how long it was pending before.
    fn note_verdict(&self, known: &mut Known, region: RegionId, verdict: Verdict, now: Instant) {
        if !verdict.is_final() {
            known.pending = Some(Pending::new(now - known.pending_for(now), now));
        } else if !known.final_seen {
            known.final_seen = true;
            let metrics = self.metrics.region(region);
            metrics.observe_final(verdict);
            if let Some(pending) = known.pending {
                metrics.time_to_final.observe(pending.ages(now).0.as_secs_f64());
            }
        }
    }

    /// A region says that the id does not exist there.
    fn absent(&self, (id, region): Key) {
        let only = RegionSet::only(region);
        self.memory.absent.add(&id, region);
        self.memory.results.forget(&id, only);
        let Some(mut known) = self.memory.known(&id) else { return };
        if known.holders == only {
            self.memory.absent.remove(&id, RegionSet::ALL.minus(only));
        }
        known.holders = known.holders.minus(only);
        // Without a holder, what regions said before is out of date: the id may be there by now.
        let is_nowhere = known.holders.is_empty();
        known.answered = if is_nowhere { RegionSet::EMPTY } else { known.answered.with(region) };
        self.memory.note(&id, known);
    }

    /// Forgets what `regions` said of an id. Their fills go on for those who wait, but what they bring is not kept.
    pub(super) fn purge(&self, Purge { ref id, regions, epoch }: Purge) {
        let mut fills = self.lock();
        self.memory.purges.add(id, regions, epoch);
        fills.detach(id, regions);
        self.memory.results.forget(id, regions);
        self.memory.absent.remove(id, regions);
        let Some(mut known) = self.memory.known(id) else { return };
        if !known.holders.and(regions).is_empty() {
            // What a hint that waits its turn was about is gone.
            known.hint_after = None;
        }
        known.holders = known.holders.minus(regions);
        known.answered = known.answered.minus(regions);
        if known.holders.is_empty() {
            self.memory.index.remove(id);
        } else {
            self.memory.note(id, known);
        }
    }

    /// Forgets every result: any of them may have been purged.
    pub(super) fn forget_all(&self) {
        let _fills = self.lock();
        self.memory.results.forget_all();
    }

    /// What memory can answer now, without an upstream request.
    pub(super) fn peek(&self, ask: &Ask) -> Option<Found> {
        let now = Instant::now();
        let snapshot = self.look(&self.lock(), ask, now);
        match decide(ask, &snapshot, &Progress::default(), now) {
            Decision::Answer(Ok(found)) => Some(found),
            Decision::Answer(Err(_)) | Decision::Ask(..) => None,
        }
    }

    /// Watches a result that is not final, and whose next fetch is at `due`.
    pub(super) fn watch(&self, id: SignatureId, due: Instant) -> Watch {
        self.lock().watches.add(id, due)
    }

    /// Forgets the watches of an id that are no longer held.
    pub(super) fn unwatch(&self, id: &SignatureId) {
        self.lock().watches.prune(id);
    }

    /// Drops a fill that has not asked its region yet, if no request waits for it any more. Returns whether it did.
    pub(super) fn drop_abandoned(&self, ticket: &Ticket) -> bool {
        self.lock().remove_abandoned(ticket)
    }

    /// The task of a fill has ended, however it did.
    pub(super) fn task_ended(&self, ticket: &Ticket) {
        self.lock().task_ended(&ticket.key, ticket.number);
    }

    /// Brings the cache's gauges up to date.
    pub(super) fn refresh_gauges(&self) {
        let _fills = self.lock();
        self.memory.results.refresh_gauges();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, FillTable> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
