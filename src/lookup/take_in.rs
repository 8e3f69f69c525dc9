//! What the store exchanges with other replicas: what they know goes into memory, and what is known here goes to them.

use std::sync::Arc;

use tokio::time::Instant;

use super::ask::Landed;
use super::hint::HINT_GAP;
use super::known::Pending;
use super::record::Entry;
use super::shared::{Knowledge, Purge, SeenPending, View};
use super::store::Store;
use super::table::Ticket;
use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;

/// What is new in what other replicas know.
pub(super) enum Taken {
    /// A newer result.
    Result(Arc<Entry>),
    /// Another region has the id, too.
    Conflict,
    /// Neither.
    Nothing,
}

impl Taken {
    /// The newer result, if there is one.
    pub(super) fn result(self) -> Option<Arc<Entry>> {
        match self {
            Self::Result(entry) => Some(entry),
            Self::Conflict | Self::Nothing => None,
        }
    }
}

impl Store {
    /// Takes in what other replicas know of an id, as far as it was not purged here.
    pub(super) fn take_in(&self, id: SignatureId, view: &mut View) -> Taken {
        let fills = self.lock();
        let now = Instant::now();
        view.forget_purged(|region| self.memory.purges.epoch(&id, region));
        let holders = view.holders();
        if holders.is_empty() {
            return Taken::Nothing;
        }
        let before = self.memory.known(&id).unwrap_or_default();
        let mut known = before;
        // A region that has it by what is known here, and does not by what is known there, is asked again.
        let contested = before.holders.and(view.absent()).minus(holders);
        known.holders = before.holders.minus(contested).or(holders);
        known.answered = before.answered.or(view.answered()).minus(contested);
        self.memory.results.forget(&id, contested);
        known.pending = before.remembered_pending(now).or_else(|| pending(view, now));
        self.memory.absent.remove(&id, holders);
        let entry = view
            .take_record()
            .map(|shared| Arc::new(Entry::shared(shared, &self.cache, known.pending_for(now), now)));
        let entry = entry.filter(|entry| self.is_newer(&id, entry, now));
        // The replica that fetched it has counted it.
        known.final_seen |= entry.as_ref().is_some_and(|entry| entry.is_final());
        if known.holders.len() > 1 && before.holders.len() < 2 {
            self.memory.results.forget(&id, RegionSet::ALL);
            self.memory.note(&id, known);
            fills.watches.tell(&id);
            return Taken::Conflict;
        }
        let Some(entry) = entry else {
            self.memory.note(&id, known);
            return Taken::Nothing;
        };
        self.memory.put(&id, Arc::clone(&entry), known);
        fills.watches.found(&id, &entry);
        Taken::Result(entry)
    }

    /// Whether another replica's result is good, and newer than the one in memory: no lifetime that the second tier tells
    /// makes an old result new.
    fn is_newer(&self, id: &SignatureId, entry: &Entry, now: Instant) -> bool {
        let known = self.memory.results.get(id);
        entry.ttl(now).is_some() && known.is_none_or(|known| entry.record().is_newer_than(known.record()))
    }

    /// What is known of an id, for other replicas.
    pub(super) fn knowledge(&self, id: &SignatureId) -> Knowledge {
        let fills = self.lock();
        let (known, now) = (self.memory.known(id).unwrap_or_default(), Instant::now());
        let epochs = fills.regions().iter().map(|region| self.memory.purges.epoch(id, region));
        Knowledge {
            holders: known.holders,
            answered: known.answered,
            pending: known.remembered_pending(now).map(|pending| {
                let (since, seen) = pending.ages(now);
                SeenPending::ago(since, seen)
            }),
            epochs: epochs.collect(),
        }
    }

    /// Whether somebody would like to know that an id has a final result: it is waited for, or the result here is not final.
    pub(super) fn wants_final(&self, id: &SignatureId) -> bool {
        let fills = self.lock();
        fills.watches.has(id) || self.memory.results.get(id).is_some_and(|entry| !entry.is_final())
    }

    /// Another replica says that an id does not exist in `region` any more. If its result here is not final, those who wait
    /// ask again: once in the gap, however often that is said.
    pub(super) fn note_gone(&self, id: &SignatureId, region: RegionId, now: Instant) {
        let fills = self.lock();
        let (Some(entry), Some(mut known)) = self.memory.look(id) else { return };
        let is_early = known.hint_after.is_some_and(|after| now < after.into());
        if entry.is_final() || entry.region() != region || is_early {
            return;
        }
        known.hint_after = Some((now + HINT_GAP).into());
        self.memory.results.forget(id, RegionSet::only(region));
        self.memory.note(id, known);
        fills.watches.tell(id);
    }

    /// What a fill came to, if another replica shared the result that it was to fetch.
    pub(super) fn follow(&self, ticket: &Ticket, entry: Arc<Entry>) -> Landed {
        let mut fills = self.lock();
        let stored = fills.is_current(&ticket.key, ticket.number);
        fills.remove(&ticket.key, ticket.number);
        Landed::Found { entry, stored, shared: true }
    }

    /// Whatever other replicas shared before this purge is not taken in any more.
    pub(super) fn note_purge(&self, Purge { id, regions, epoch }: Purge) {
        let _fills = self.lock();
        self.memory.purges.add(&id, regions, epoch);
    }

    /// Forgets what another replica has purged, unless this one has heard of it before.
    pub(super) fn purge_if_new(&self, purge: Purge) {
        let is_new = |region| self.memory.purges.epoch(&purge.id, region) < purge.epoch;
        if purge.regions.iter().any(is_new) {
            self.purge(purge);
        }
    }
}

/// When other replicas saw an id pending.
fn pending(view: &View, now: Instant) -> Option<Pending> {
    let (since, seen) = view.pending()?.ages();
    Some(Pending::new(now.checked_sub(since)?, now.checked_sub(seen)?))
}
