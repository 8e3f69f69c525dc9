//! Purges on every replica: a purge is stored for as long as anything older than it could be read, and published.

use tokio::time::{Instant, sleep, timeout_at};

use super::{MAX_WAITING, PAUSE, Purge, Shared};
use crate::remote::Commands;
use crate::telemetry::metrics::RemoteOperation;

impl Shared {
    /// Purges an id for all replicas; later, if the second tier is away. Returns the purge as it counts: it may have to come
    /// after one by a clock that is ahead.
    pub(in crate::lookup) async fn purge(&self, mut purge: Purge) -> Purge {
        if self.try_purge(&mut purge).await.is_none() {
            self.purge_later(purge);
        }
        purge
    }

    /// Purges an id for all replicas once the second tier takes it.
    pub(in crate::lookup) fn purge_later(&self, purge: Purge) {
        let mut unwritten = self.unwritten.lock();
        unwritten.push_back(purge);
        if unwritten.len() > MAX_WAITING {
            unwritten.pop_front();
            self.unwritten_limit.warn("for each purge that waits for the second tier the oldest is given up");
        }
    }

    /// Stores a purge and publishes it. `None`: the second tier did not take it.
    async fn try_purge(&self, purge: &mut Purge) -> Option<()> {
        // First of all, whatever else the second tier takes: others forget it now.
        let is_published = self.publish_purge(purge).await;
        let vaults = self.client.vaults();
        let places = self.places(&vaults, &purge.id);
        let view = self.read_at(RemoteOperation::Purge, &places).await?;
        let purged = purge.regions.and(self.regions.all());
        let latest = purged.iter().map(|region| view.epoch(region)).max().unwrap_or_default();
        let is_late = latest > purge.epoch;
        if is_late {
            purge.epoch = latest + 1;
        }
        let has_result = view.result_region().is_none_or(|region| purge.regions.contains(region));
        let leaves_none = view.holders().minus(purge.regions).is_empty();
        let forgotten = if leaves_none { self.regions.all() } else { purged };
        for place in &places {
            let mut commands = Commands::default();
            if has_result {
                commands.remove(&place.result);
            }
            commands.remove_fields(&place.index, &place.tags(forgotten));
            let epoch = purge.epoch.to_be_bytes();
            let fields = purged.iter().map(|region| place.seal_field(place.purge_field(region), &epoch));
            commands.write_fields(&place.index, &fields.collect::<Vec<_>>(), self.life);
            self.client.send(RemoteOperation::Purge, &commands).await?;
        }
        self.log_purge(purge).await?;
        if is_late || is_published.is_none() {
            // Once more, and with the epoch that counts. Who does not receive this reads the log, at the next heartbeat.
            self.publish_purge(purge).await;
        }
        Some(())
    }

    /// Tries again, for as long as it is polled, what the second tier did not take.
    pub(in crate::lookup) async fn keep_purging(&self) {
        loop {
            sleep(PAUSE).await;
            self.retry_writes().await;
        }
    }

    /// A last try. Returns how many purges the second tier did not take by `deadline`.
    pub(in crate::lookup) async fn finish_purging(&self, deadline: Instant) -> usize {
        let _ = timeout_at(deadline, self.retry_writes()).await;
        self.unwritten.lock().len()
    }

    async fn retry_writes(&self) {
        while let Some(oldest) = self.oldest() {
            if self.try_purge(&mut oldest.clone()).await.is_none() {
                return;
            }
            // It stayed in the queue until now: whoever ends this does not lose it.
            let mut unwritten = self.unwritten.lock();
            if unwritten.front() == Some(&oldest) {
                unwritten.pop_front();
            }
        }
    }

    fn oldest(&self) -> Option<Purge> {
        self.unwritten.lock().front().copied()
    }
}
