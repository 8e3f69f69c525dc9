//! How a fill stands to the other replicas: who of them fetches, and what the others learn of it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::place::Place;
use super::stored::{self, Marker};
use super::view::View;
use super::{Shared, now_micros, places, purge_field};
use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;
use crate::lookup::ask::Landed;
use crate::lookup::record::Entry;
use crate::lookup::table::Key;
use crate::remote::{Commands, Reply, Vaults};
use crate::telemetry::metrics::RemoteOperation;

/// How long one replica may fetch an id before another does so too, and how long that one waits for it.
const LEASE: Duration = Duration::from_secs(3);
/// How often a replica looks whether another has fetched: at first, and at the least.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(150));

/// A result that is not final ends this much earlier for other replicas: when its next fetch is due, none has it any more.
const EARLY: Duration = Duration::from_millis(100);

/// How a fill stands to the other replicas.
pub(in crate::lookup) struct Begun {
    /// What they knew when it began. `None`: the second tier did not say, so what the fill brings is not written there.
    pub(in crate::lookup) view: Option<View>,
    /// Its turn among the fills of all replicas: what began later is newer.
    pub(in crate::lookup) turn: Option<u64>,
    lease: Lease,
}

enum Lease {
    /// This replica fetches, since then.
    Ours(Instant),
    /// Another one does.
    Theirs,
    /// Nobody knows: go ahead alone.
    None,
}

/// What memory knows of an id when a fill has landed.
pub(in crate::lookup) struct Knowledge {
    pub(in crate::lookup) holders: RegionSet,
    pub(in crate::lookup) answered: RegionSet,
    /// For how long it has been seen pending.
    pub(in crate::lookup) pending_for: Option<Duration>,
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
        self.view.as_ref().is_some_and(|view| view.pending_for().is_some())
    }
}

impl Shared {
    /// A fill begins: with a lease, unless it is a refresh, which asks the upstream whatever others do.
    pub(in crate::lookup) async fn begin(&self, (id, region): &Key, is_refresh: bool) -> Begun {
        let mut begun = Begun { view: None, turn: None, lease: Lease::None };
        if !self.client.is_healthy() {
            return begun;
        }
        let vaults = self.client.vaults();
        let now = Instant::now();
        let mut view = View::empty(self.tags.len());
        for (at, place) in places(&vaults, id).iter().enumerate() {
            let mut commands = Commands::default();
            self.ask_for(place, &mut commands);
            if at == 0 {
                commands.take_turn(&place.turns(), now_micros(), self.life);
            }
            if at == 0 && !is_refresh {
                commands.write_new(&place.lease(&self.tags[region.index()]), b"held", LEASE);
            }
            let Some(mut replies) = self.send(RemoteOperation::Lease, &commands).await else { return begun };
            if self.open(place, &mut replies, &mut view).await.is_none() {
                return begun;
            }
            if at == 0 {
                begun.turn = replies.nth(2).and_then(|turn| u64::try_from(turn.number()?).ok());
            }
            match replies.next() {
                None => {}
                Some(Reply::Nothing) => begun.lease = Lease::Theirs,
                Some(_) => begun.lease = Lease::Ours(now),
            }
        }
        view.forget_purged(|_| 0);
        begun.view = Some(view);
        begun
    }

    /// Waits until the replica that fetches an id has done so, but not for long, and reads what it brought.
    pub(in crate::lookup) async fn wait_for_leader(&self, (id, region): &Key, begun: &mut Begun) {
        let vaults = self.client.vaults();
        let lease = Place::new(&vaults[0], id).lease(&self.tags[region.index()]);
        let end = Instant::now() + LEASE;
        let mut pause = LOOK.0;
        let mut is_held = true;
        while is_held && Instant::now() < end {
            sleep(pause).await;
            pause = (pause * 2).min(LOOK.1);
            let mut commands = Commands::default();
            commands.read(&lease);
            let replies = self.send(RemoteOperation::Lease, &commands).await;
            is_held = matches!(replies.and_then(|mut replies| replies.next()), Some(Reply::Bytes(_)));
        }
        begun.view = self.read(id).await;
    }

    /// Writes what a fill brought, as far as it is to be shared, and gives up its lease.
    pub(in crate::lookup) async fn end(&self, key: &Key, begun: Begun, landed: &Landed, known: &Knowledge) {
        let (id, region) = key;
        let vaults = self.client.vaults();
        let place = Place::new(&vaults[0], id);
        let mut commands = Commands::default();
        if let (Some(view), Some(turn)) = (begun.view, begun.turn) {
            let sharing = Sharing { shared: self, place: &place, region: *region, view: &view, turn, known };
            sharing.write(landed, &mut commands);
        }
        let supersedes = !commands.is_empty();
        // After that long it may be another's.
        if let Lease::Ours(since) = &begun.lease
            && since.elapsed() < LEASE.mul_f64(0.8)
        {
            commands.remove(&place.lease(&self.tags[region.index()]));
        }
        if !commands.is_empty() && self.client.is_healthy() {
            self.send(RemoteOperation::Write, &commands).await;
        }
        if supersedes {
            self.forget_under_old_keys(&vaults, id).await;
        }
    }

    /// What an older key sealed is older than what was just written: it would come back when that ends.
    async fn forget_under_old_keys(&self, vaults: &Vaults, id: &SignatureId) {
        for place in places(vaults, id).iter().skip(1) {
            let mut commands = Commands::default();
            commands.remove(&place.result);
            commands.remove_fields(&place.index, &self.tags);
            self.send(RemoteOperation::Write, &commands).await;
        }
    }
}

/// Writing what one fill brought.
struct Sharing<'a> {
    shared: &'a Shared,
    place: &'a Place<'a>,
    region: RegionId,
    /// What the other replicas knew when it began.
    view: &'a View,
    turn: u64,
    known: &'a Knowledge,
}

impl Sharing<'_> {
    fn write(&self, landed: &Landed, commands: &mut Commands) {
        match landed {
            // A fill of an id that was purged meanwhile leaves no holder.
            Landed::Found { entry, stored, shared: false } if self.known.holders.contains(self.region) => {
                self.write_markers(self.known.answered.with(self.region), commands);
                if *stored { self.write_result(entry, commands) } else { commands.remove(&self.place.result) }
            }
            Landed::Absent { stored: true } => self.write_absent(commands),
            Landed::Found { .. } | Landed::Absent { .. } | Landed::Failed(_) => {}
        }
    }

    /// The region does not have it. If it had, what the others said before is out of date, as it is in memory.
    fn write_absent(&self, commands: &mut Commands) {
        let only = RegionSet::only(self.region);
        if self.view.holders().contains(self.region) {
            commands.remove(&self.place.result);
            commands.remove_fields(&self.place.index, &self.shared.tags);
        }
        let holders = self.known.holders.or(self.view.holders().minus(only));
        if !holders.is_empty() {
            self.write_markers(self.known.answered.with(self.region), commands);
        }
    }

    fn write_markers(&self, regions: RegionSet, commands: &mut Commands) {
        let mut fields = Vec::new();
        for region in regions.iter() {
            let tag = &self.shared.tags[region.index()];
            let epoch = self.epoch(region);
            let holds = self.known.holders.contains(region);
            let pending_since = self.known.pending_for.filter(|_| holds).map(pending_since);
            let marker = Marker { holds, epoch, pending_since };
            let marker = serde_json::to_vec(&marker).unwrap_or_default();
            fields.push((tag.clone(), self.place.seal_field(tag, &marker)));
            if epoch > self.view.epoch(region) {
                // The second tier has lost a purge that this replica remembers.
                let field = purge_field(tag);
                let sealed = self.place.seal_field(&field, &epoch.to_be_bytes());
                fields.push((field, sealed));
            }
        }
        commands.write_fields(&self.place.index, &fields, self.shared.life);
    }

    fn write_result(&self, entry: &Entry, commands: &mut Commands) {
        let mut left = entry.fresh_until().saturating_duration_since(Instant::now());
        if !entry.is_final() {
            left = left.saturating_sub(EARLY);
        }
        if left.is_zero() {
            return;
        }
        let tag = &self.shared.tags[self.region.index()];
        let value = stored::write(entry.record(), tag, left, self.epoch(self.region), self.turn);
        commands.write_in_turn(
            &self.place.result,
            self.turn,
            &self.place.seal_result(self.turn, &value),
            left,
        );
    }

    fn epoch(&self, region: RegionId) -> u64 {
        self.view.epoch(region).max(self.known.epochs[region.index()])
    }
}

/// By the clock, in milliseconds since 1970.
fn pending_since(pending_for: Duration) -> i64 {
    let millis = i64::try_from(pending_for.as_millis()).unwrap_or_default();
    Timestamp::now().as_millisecond().saturating_sub(millis)
}
