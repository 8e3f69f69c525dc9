//! How replicas coordinate a fill: which one fetches, and what the others learn of it.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::place::Place;
use super::stored::{self, Marker, SeenPending};
use super::view::View;
use super::{LEASE, Shared, ask_for, now_micros};
use crate::domain::region::{RegionId, RegionSet};
use crate::lookup::ask::Landed;
use crate::lookup::record::Entry;
use crate::lookup::table::Key;
use crate::remote::{Commands, Reply};
use crate::telemetry::metrics::RemoteOperation;

/// The pause between two looks for another replica's result: the first, and the longest.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(150));

/// A result that is not final ends this much earlier for other replicas: when its next fetch is due, none has it any more.
const EARLY: Duration = Duration::from_millis(100);

/// What a fill knows of the other replicas when it begins.
pub(in crate::lookup) struct Begun {
    /// What they knew when it began. `None`: the second tier did not say, so what the fill brings is not written there.
    pub(in crate::lookup) view: Option<View>,
    /// Its turn among the fills of all replicas: what began later is newer.
    pub(in crate::lookup) turn: Option<NonZeroU64>,
    lease: Lease,
}

enum Lease {
    /// This replica fetches, since then.
    Ours(Instant),
    /// Another one does.
    Theirs,
    /// Not known: go ahead alone.
    None,
}

/// How long a fill waits for another replica's, and how often it looks.
pub(in crate::lookup) struct LeaseWait {
    end: Instant,
    pause: Duration,
}

/// What memory knows of an id when a fill has landed.
pub(in crate::lookup) struct Knowledge {
    pub(in crate::lookup) holders: RegionSet,
    pub(in crate::lookup) answered: RegionSet,
    /// When it was seen pending, if that is remembered.
    pub(in crate::lookup) pending: Option<SeenPending>,
    /// The last purge, by region.
    pub(in crate::lookup) epochs: Vec<u64>,
}

impl Begun {
    /// Whether another replica fetches the id now.
    pub(in crate::lookup) const fn is_late(&self) -> bool {
        matches!(self.lease, Lease::Theirs)
    }

    /// Whether some replica has seen the id pending.
    pub(in crate::lookup) fn was_pending(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.pending().is_some())
    }
}

impl LeaseWait {
    /// Pauses before another look. Returns whether there may be one.
    pub(in crate::lookup) async fn pause(&mut self) -> bool {
        let is_over = timeout_at(self.end, sleep(self.pause)).await.is_err();
        self.pause = (self.pause * 2).min(LOOK.1);
        !is_over
    }
}

impl Shared {
    /// The wait of a fill that begins now.
    pub(in crate::lookup) fn lease_wait(&self) -> LeaseWait {
        LeaseWait { end: Instant::now() + self.max_lease_wait, pause: LOOK.0 }
    }

    /// A fill begins: with the lease of its id, unless it is a refresh, which asks the upstream whatever others do. Another
    /// replica that has the lease may bring the result, or leave the lease to the next one that begins.
    pub(in crate::lookup) async fn begin(&self, (id, region): &Key, is_refresh: bool) -> Begun {
        let mut begun = Begun { view: None, turn: None, lease: Lease::None };
        if !self.client.is_healthy() {
            return begun;
        }
        let vaults = self.client.vaults();
        let places = self.places(&vaults, id);
        let Some((current, older)) = places.split_first() else { return begun };
        let lease = current.lease(*region);
        let mut commands = Commands::default();
        // First of all: whoever gets it reads all that the one before has written.
        if !is_refresh {
            commands.write_new(&lease, b"held", LEASE);
            commands.life(&lease);
        }
        commands.take_turn(&current.turns(), now_micros(), self.life);
        ask_for(current, &mut commands);
        let since = Instant::now();
        let Some(mut replies) = self.client.send(RemoteOperation::Lease, &commands).await else {
            return begun;
        };
        if !is_refresh {
            begun.lease = self.lease(&lease, replies.next().zip(replies.next()), since).await;
        }
        begun.turn = replies.nth(2).and_then(|turn| u64::try_from(turn.number()?).ok()?.try_into().ok());
        let mut view = View::empty(self.regions.names().len());
        if self.open(current, &mut replies, &mut view).await.is_some()
            && self.read_into(&mut view, RemoteOperation::Lease, older).await.is_some()
        {
            view.forget_purged(|_| 0);
            begun.view = Some(view);
        }
        begun
    }

    /// Who holds a lease, by the replies to taking it and to its time to live.
    async fn lease(&self, key: &str, replies: Option<(Reply, Reply)>, since: Instant) -> Lease {
        match replies {
            None => Lease::None,
            Some((taken, _)) if !taken.is_nothing() => Lease::Ours(since),
            Some((_, life)) if is_of_a_replica(&life) => Lease::Theirs,
            Some(_) => {
                let mut commands = Commands::default();
                commands.remove(key);
                self.client.send(RemoteOperation::Lease, &commands).await;
                Lease::None
            }
        }
    }

    /// Writes what a fill brought, as far as it is to be shared, and gives up its lease. Returns what replicas know after
    /// that, without the result: of two that found the id at once in two regions, at least one learns of the other.
    pub(in crate::lookup) async fn end(
        &self,
        key: &Key,
        begun: Begun,
        landed: &Landed,
        known: &Knowledge,
    ) -> Option<View> {
        let (id, region) = key;
        let vaults = self.client.vaults();
        let places = self.places(&vaults, id);
        let (place, older) = places.split_first()?;
        let mut commands = Commands::default();
        if let (Some(view), Some(turn)) = (begun.view, begun.turn) {
            let sharing = Sharing { shared: self, place, region: *region, view: &view, turn, known };
            sharing.write(landed, &mut commands);
        }
        let supersedes = !commands.is_empty();
        // After that long it may be another's.
        if let Lease::Ours(since) = &begun.lease
            && since.elapsed() < LEASE.mul_f64(0.8)
        {
            commands.remove(&place.lease(*region));
        }
        if commands.is_empty() || !self.client.is_healthy() {
            return None;
        }
        if supersedes {
            commands.read_fields(&place.index, &place.fields());
        }
        let replies = self.client.send(RemoteOperation::Write, &commands).await;
        if !supersedes {
            return None;
        }
        self.forget(older).await;
        let mut view = View::empty(self.regions.names().len());
        self.open_index(place, replies?.next_back()?, &mut view);
        Some(view)
    }

    /// What an older key sealed is older than what was just written: it would come back when that ends.
    async fn forget(&self, places: &[Place<'_>]) {
        for place in places {
            let mut commands = Commands::default();
            commands.remove(&place.result);
            commands.remove_fields(&place.index, &place.tags(self.regions.all()));
            self.client.send(RemoteOperation::Write, &commands).await;
        }
    }
}

/// Whether a lease with this time to live was taken by a replica. It may have ended since.
fn is_of_a_replica(life: &Reply) -> bool {
    const NO_END: i64 = -1;
    life.number().is_some_and(|life| life != NO_END && life <= LEASE.as_millis() as i64)
}

/// Writing what one fill brought.
struct Sharing<'a> {
    shared: &'a Shared,
    place: &'a Place<'a>,
    region: RegionId,
    /// What the other replicas knew when it began.
    view: &'a View,
    turn: NonZeroU64,
    known: &'a Knowledge,
}

impl Sharing<'_> {
    fn write(&self, landed: &Landed, commands: &mut Commands) {
        match landed {
            // A fill of an id that was purged meanwhile leaves no holder.
            Landed::Found { entry, stored, shared: false } if self.known.holders.contains(self.region) => {
                if self.view.holders().is_empty() {
                    // What regions said before the id was found anywhere is out of date.
                    let outdated = self.view.absent().minus(self.known.answered);
                    commands.remove_fields(&self.place.index, &self.place.tags(outdated));
                }
                self.write_markers(commands);
                if *stored { self.write_result(entry, commands) } else { commands.remove(&self.place.result) }
            }
            Landed::Absent { stored: true } => self.write_absent(commands),
            Landed::Found { .. } | Landed::Absent { .. } | Landed::Failed(_) => {}
        }
    }

    /// The region does not have it. If it was the last that had it, what the others said before is out of date, as it is in
    /// memory.
    fn write_absent(&self, commands: &mut Commands) {
        let only = RegionSet::only(self.region);
        let was_holder = self.view.holders().contains(self.region);
        if was_holder {
            commands.remove(&self.place.result);
        }
        let holders = self.known.holders.or(self.view.holders().minus(only));
        if !holders.is_empty() {
            self.write_markers(commands);
        } else if was_holder {
            commands.remove_fields(&self.place.index, &self.place.tags(self.view.absent().or(only)));
        }
    }

    /// Writes what the region said, and which others are known to have denied the id, where nothing is written of them:
    /// another replica may have heard something newer since this fill began. That others have it, their own fills write.
    fn write_markers(&self, commands: &mut Commands) {
        let mut fields = Vec::new();
        for region in self.known.answered.with(self.region).iter() {
            if region == self.region {
                fields.push(self.marker(region));
            } else if !self.known.holders.contains(region) {
                let (field, marker) = self.marker(region);
                commands.write_new_field(&self.place.index, &field, &marker);
            }
            let epoch = self.epoch(region);
            if epoch > self.view.epoch(region) {
                // The second tier has lost a purge that this replica remembers.
                fields.push(self.place.seal_field(self.place.purge_field(region), &epoch.to_be_bytes()));
            }
        }
        commands.write_fields(&self.place.index, &fields, self.shared.life);
    }

    /// The field of what a region said, and its sealed value.
    fn marker(&self, region: RegionId) -> (String, Vec<u8>) {
        let holds = self.known.holders.contains(region);
        let pending = self.known.pending.filter(|_| holds);
        let marker = Marker { holds, epoch: self.epoch(region), pending };
        let marker = serde_json::to_vec(&marker).unwrap_or_default();
        self.place.seal_field(self.place.tag(region).to_owned(), &marker)
    }

    fn write_result(&self, entry: &Entry, commands: &mut Commands) {
        let mut left = entry.fresh_until().saturating_duration_since(Instant::now());
        if !entry.is_final() {
            left = left.saturating_sub(EARLY);
        }
        if left.is_zero() {
            return;
        }
        let tag = self.place.tag(self.region);
        let value = stored::write(entry.record(), tag, left, self.epoch(self.region), self.turn);
        let sealed = self.place.seal_result(self.turn.get(), &value);
        commands.write_in_turn(&self.place.result, self.turn.get(), &sealed, left);
    }

    fn epoch(&self, region: RegionId) -> u64 {
        self.view.epoch(region).max(self.known.epochs[region.index()])
    }
}
