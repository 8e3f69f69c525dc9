//! What replicas share of ids in the second tier: results, which region has an id, who fetches it, and purges.
//!
//! Nothing here decides: what is read goes into memory under the store's lock, and is judged there like everything else.

mod fill;
mod messages;
mod place;
mod purge;
mod stored;
mod view;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::region::{RegionId, RegionSet, Regions};
use crate::domain::signature_id::SignatureId;
use crate::remote::{Client, Commands, Replies, Reply, Vaults};
use crate::telemetry::Limit;
use crate::telemetry::metrics::RemoteOperation;
use crate::upstream::Upstream;

pub(super) use fill::{Begun, Knowledge};
use place::Place;
pub(super) use stored::SeenPending;
use stored::Stored;
pub(super) use view::View;

/// What is known of ids beside their results is kept for a day, or longer if results are.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The most purges that wait for the second tier to come back.
const MAX_WAITING: usize = 10_000;

/// The pause before the second tier is asked again for what it did not take or did not say.
const PAUSE: Duration = Duration::from_secs(1);

/// How long one replica may fetch an id before another does so too, and how long that one waits for it at the most.
const LEASE: Duration = Duration::from_secs(3);

/// What replicas share of ids.
pub(super) struct Shared {
    client: Arc<Client>,
    regions: Regions,
    upstream: Arc<Upstream>,
    /// How long regions, holders and purges are kept: a purge must outlive every result that it comes after.
    life: Duration,
    /// How long a fill waits for another replica's: the requests that wait for it still want an answer after that.
    max_lease_wait: Duration,
    /// Ids that are being read.
    reads: Mutex<HashMap<SignatureId, Read>>,
    /// Purges that the second tier has not taken yet.
    unwritten: Mutex<VecDeque<Purge>>,
    unwritten_limit: Limit,
}

/// One purge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Purge {
    pub(super) id: SignatureId,
    pub(super) regions: RegionSet,
    /// When it was; what is written with an earlier epoch is forgotten.
    pub(super) epoch: u64,
}

/// What those who wait for a read receive: whether it brought a result. Closed without a value if the read panicked.
type Read = watch::Receiver<Option<bool>>;

impl Purge {
    /// A purge that happens now.
    pub(super) fn now(id: SignatureId, regions: RegionSet) -> Self {
        Self { id, regions, epoch: now_micros() }
    }
}

impl Shared {
    /// What replicas share through `client`. No result is kept much longer than `final_ttl`, and no request waits longer than
    /// `timeout`.
    pub(super) fn new(
        client: Arc<Client>,
        regions: Regions,
        upstream: Arc<Upstream>,
        final_ttl: Duration,
        timeout: Duration,
    ) -> Self {
        Self {
            client,
            regions,
            upstream,
            life: DAY.max(final_ttl * 2),
            max_lease_wait: LEASE.min(timeout / 2),
            reads: Mutex::default(),
            unwritten: Mutex::default(),
            unwritten_limit: Limit::new(None, Some(MAX_WAITING)),
        }
    }

    /// Joins the read of an id that is under way; else starts one, whose end the sender tells.
    pub(super) fn join_read(&self, id: SignatureId) -> (Option<watch::Sender<Option<bool>>>, Read) {
        let mut reads = self.reads.lock();
        if let Some(read) = reads.get(&id).filter(|read| read.has_changed().is_ok()) {
            return (None, read.clone());
        }
        let (sender, read) = watch::channel(None);
        reads.insert(id, read.clone());
        (Some(sender), read)
    }

    /// A read of an id has ended.
    pub(super) fn read_ended(&self, id: &SignatureId) {
        self.reads.lock().remove(id);
    }

    /// What replicas know of an id. `None`: the second tier does not say.
    pub(super) async fn read(&self, id: &SignatureId) -> Option<View> {
        let vaults = self.client.vaults();
        self.read_at(RemoteOperation::Read, &self.places(&vaults, id)).await
    }

    async fn read_at(&self, operation: RemoteOperation, places: &[Place<'_>]) -> Option<View> {
        let mut view = View::empty(self.regions.names().len());
        self.read_into(&mut view, operation, places).await?;
        view.forget_purged(|_| 0);
        Some(view)
    }

    /// Reads one place after the other: in a cluster, what lies under two keys lies on two nodes.
    async fn read_into(
        &self,
        view: &mut View,
        operation: RemoteOperation,
        places: &[Place<'_>],
    ) -> Option<()> {
        for place in places {
            let mut commands = Commands::default();
            ask_for(place, &mut commands);
            let mut replies = self.client.send(operation, &commands).await?;
            self.open(place, &mut replies, view).await?;
        }
        Some(())
    }

    /// Opens what was asked for. `None`: there are too few replies.
    async fn open(&self, place: &Place<'_>, replies: &mut Replies, view: &mut View) -> Option<()> {
        let (result, life, index) = (replies.next()?, replies.next()?, replies.next()?);
        self.open_index(place, index, view);
        self.open_result(place, result, life, view).await;
        Some(())
    }

    fn open_index(&self, place: &Place<'_>, index: Reply, view: &mut View) {
        for (at, (field, sealed)) in place.fields().iter().zip(index.list()).enumerate() {
            let Some(value) =
                sealed.and_then(|sealed| self.client.readable(place.open_field(field, &sealed)))
            else {
                continue;
            };
            let region = RegionId::new(at / 2);
            if at % 2 == 0 {
                if let Ok(marker) = serde_json::from_slice(&value) {
                    view.said(region, marker);
                }
            } else if let Ok(epoch) = value.try_into() {
                view.purged(region, u64::from_be_bytes(epoch));
            }
        }
    }

    async fn open_result(&self, place: &Place<'_>, result: Reply, life: Reply, view: &mut View) {
        let Some(sealed) = result.bytes() else { return };
        let opened = place.open_result(&sealed);
        if opened.is_err() {
            // Whoever put it there, it helps nobody.
            let mut commands = Commands::default();
            commands.remove(&place.result);
            self.client.send(RemoteOperation::Write, &commands).await;
        }
        let stored = self.client.readable(opened).and_then(Stored::read);
        let Some((stored, left)) = stored.zip(life.number()) else { return };
        if let Some(region) = place.region(stored.tag()) {
            view.found(stored, region, left);
        }
    }

    /// Where an id is kept: under the current key, then under the previous one.
    fn places<'a>(&self, vaults: &'a Vaults, id: &'a SignatureId) -> Vec<Place<'a>> {
        let regions = self.regions.all().iter();
        let sources: Vec<String> = regions.map(|region| self.upstream.source(region)).collect();
        vaults.iter().map(|vault| Place::new(vault, id, &sources)).collect()
    }
}

fn ask_for(place: &Place<'_>, commands: &mut Commands) {
    commands.read(&place.result);
    commands.life(&place.result);
    commands.read_fields(&place.index, &place.fields());
}

/// By the clock, in microseconds since 1970.
fn now_micros() -> u64 {
    u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default()
}
