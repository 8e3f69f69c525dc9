//! The task of one fill: started by the first who asks, joined by the rest, owned by none of them. It has its own
//! deadline, and however it ends, it leaves the table.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use tokio::time::Instant;

use super::ask::Landed;
use super::record::{Entry, Record};
use super::runtime::{Upstream, spawn, timeout_at};
use super::shared::{Begun, Purge, Shared};
use super::store::Store;
use super::table::{Receiver, Ticket};
use super::take_in::Taken;
use crate::domain::drift::DriftKind;
use crate::domain::failure::{Fault, Kind};
use crate::domain::region::{RegionSet, Regions};
use crate::domain::scope::CallerId;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Verification;
use crate::telemetry::metrics::{Metrics, UpstreamOutcome};

/// The largest result that is answered, in bytes. An honest answer of a mebibyte, the most that is read, renders to no
/// more; one of broken text, which grows when it is repaired, could become six times as large.
const MAX_RENDERED: usize = 9 << 18;

/// What fills are made of.
pub(super) struct Fills {
    pub(super) store: Store,
    pub(super) upstream: Arc<Upstream>,
    pub(super) regions: Regions,
    pub(super) fill_timeout: Duration,
    /// What replicas share, if there are several.
    pub(super) shared: Option<Arc<Shared>>,
    pub(super) metrics: Arc<Metrics>,
}

impl Fills {
    /// Spawns the task of a fill that was started, for the caller whose request started it.
    pub(super) fn spawn(self: &Arc<Self>, ticket: Ticket, caller: Option<CallerId>) {
        self.metrics.lookups.fills_in_flight.inc();
        // On the heap at once: a task is moved several times before and after it runs.
        spawn(Box::pin(Fill { fills: Arc::clone(self), ticket }.run(caller)));
    }

    /// Takes in what other replicas know of an id. Returns whether that brought a result. One read serves all who ask
    /// meanwhile.
    pub(super) async fn recall(self: &Arc<Self>, id: SignatureId) -> bool {
        let Some(shared) = &self.shared else { return false };
        let (started, mut read) = shared.join_read(id);
        if let Some(sender) = started {
            let (fills, shared) = (Arc::clone(self), Arc::clone(shared));
            spawn(async move {
                let brought = fills.read_shared(&shared, id).await;
                shared.read_ended(&id);
                sender.send_replace(Some(brought));
            });
        }
        read.wait_for(Option::is_some).await.is_ok_and(|brought| *brought == Some(true))
    }

    /// The same by a read that is sent now.
    pub(super) async fn read_shared(&self, shared: &Shared, id: SignatureId) -> bool {
        let Some(mut view) = shared.read(&id).await else { return false };
        for (region, epoch) in view.purges() {
            self.store.purge_if_new(Purge { id, regions: RegionSet::only(region), epoch });
        }
        self.store.take_in(id, &mut view).result().is_some()
    }
}

/// One fill. Dropping it takes it off the table.
struct Fill {
    fills: Arc<Fills>,
    ticket: Ticket,
}

impl Fill {
    async fn run(self, caller: Option<CallerId>) {
        if let Some(after) = self.ticket.after.clone()
            && self.unless_abandoned(landing(after)).await.is_none()
        {
            return;
        }
        let Some((begun, followed)) = self.unless_abandoned(self.begin()).await else { return };
        let landed = match followed {
            Some(entry) => self.fills.store.follow(&self.ticket, entry),
            None => match self.fetch(caller).await {
                Some(fetched) => self.land(fetched, begun.as_ref().and_then(|begun| begun.turn)),
                None => Landed::Failed(Fault::new(Kind::Overloaded)),
            },
        };
        // Those who wait need not wait for the other replicas' sake. What is sent to these is on its way before: whatever a
        // caller does next comes after it.
        let told = async { self.ticket.landed.send_replace(Some(landed.clone())) };
        join(self.share(begun, &landed), told).await;
    }

    /// Learns what other replicas know, and whether one of them fetches the id: then waits for what it brings.
    async fn begin(&self) -> (Option<Begun>, Option<Arc<Entry>>) {
        let Some(shared) = &self.fills.shared else { return (None, None) };
        let Ticket { key, is_refresh, .. } = &self.ticket;
        let mut wait = shared.lease_wait();
        loop {
            // On the heap, here and below: a fill without other replicas should not be larger for them.
            let mut begun = Box::pin(shared.begin(key, *is_refresh)).await;
            let entry = begun.view.as_mut().and_then(|view| {
                if *is_refresh {
                    // Which regions have the id counts, not what they answered before.
                    view.take_record();
                }
                self.fills.store.take_in(key.0, view).result()
            });
            let followed = entry.filter(|entry| entry.region() == key.1);
            if followed.is_some() || !begun.is_late() || !Box::pin(wait.pause()).await {
                return (Some(begun), followed);
            }
        }
    }

    /// Waits for its turn and asks the region. `None`: no request waits for it any longer, and the region was not asked.
    async fn fetch(&self, caller: Option<CallerId>) -> Option<Result<Box<Verification>, Fault>> {
        let (id, region) = self.ticket.key;
        let Fills { upstream, fill_timeout, .. } = &*self.fills;
        let deadline = Instant::now() + *fill_timeout;
        let entering = timeout_at(deadline, upstream.enter(region, caller));
        let entered = self.unless_abandoned(entering).await?;
        Some(match entered.unwrap_or_else(|_| Err(Fault::new(Kind::Timeout))) {
            Ok(place) => upstream.fetch(place, id, deadline, &self.ticket.span).await,
            Err(fault) => Err(fault),
        })
    }

    fn land(&self, fetched: Result<Box<Verification>, Fault>, turn: Option<NonZeroU64>) -> Landed {
        let brought = fetched.and_then(|verification| self.render(&verification));
        let brought = brought.map(|record| Record { turn, ..record });
        self.ticket.span.settle(UpstreamOutcome::of(brought.as_ref().err().map(|fault| fault.kind)));
        self.fills.store.land(&self.ticket, brought)
    }

    /// Lets other replicas know.
    async fn share(&self, begun: Option<Begun>, landed: &Landed) {
        let (Some(shared), Some(begun)) = (&self.fills.shared, begun) else { return };
        let (id, region) = self.ticket.key;
        if self.ticket.is_refresh && begun.view.is_none() && landed.is_answer() {
            // The others cannot be shown this answer, so they must not go on with an older one.
            let older = Purge::now(id, RegionSet::only(region));
            self.fills.store.note_purge(older);
            shared.purge_later(older);
        }
        let known = self.fills.store.knowledge(&id);
        let was_pending = begun.was_pending() || known.pending.is_some();
        let mut is_conflict = known.holders.len() > 1;
        if let Some(mut view) = Box::pin(shared.end(&self.ticket.key, begun, landed, &known)).await
            && let Taken::Conflict = self.fills.store.take_in(id, &mut view)
        {
            // Two replicas have found the id at once, in two regions: neither has counted that.
            self.fills.metrics.region(region).drift[DriftKind::Conflict].inc();
            is_conflict = true;
        }
        if is_conflict && matches!(landed, Landed::Found { shared: false, .. }) {
            Box::pin(shared.publish_conflict(&id)).await;
        } else if was_pending && landed.is_new_final() {
            Box::pin(shared.publish_landed(&id)).await;
        } else if was_pending && matches!(landed, Landed::Absent { stored: true }) {
            Box::pin(shared.publish_gone(&id, region)).await;
        }
    }

    /// Waits for `event`, for as long as a request waits for this fill.
    async fn unless_abandoned<T>(&self, event: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(event);
        loop {
            tokio::select! {
                biased;
                happened = &mut event => return Some(happened),
                () = self.ticket.landed.closed() => {
                    if self.fills.store.drop_abandoned(&self.ticket) {
                        return None;
                    }
                }
            }
        }
    }

    fn render(&self, verification: &Verification) -> Result<Record, Fault> {
        let record = Record::new(verification, self.fills.regions.name(verification.region));
        if record.body.len() > MAX_RENDERED { Err(Fault::new(Kind::Malformed)) } else { Ok(record) }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fills.metrics.panics.inc();
            self.ticket.span.fail();
        }
        self.fills.metrics.lookups.fills_in_flight.dec();
        self.fills.store.task_ended(&self.ticket);
    }
}

/// The outcome of a fill. One that panicked or was cut off is our own defect.
pub(super) async fn landing(mut receiver: Receiver) -> Landed {
    match receiver.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(landed)) => landed.clone(),
        Ok(None) | Err(_) => Landed::Failed(Fault::new(Kind::Internal)),
    }
}
