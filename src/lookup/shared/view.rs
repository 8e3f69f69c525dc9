//! What replicas know of one id together.

use super::stored::{Marker, SeenPending, Stored};
use crate::domain::region::{RegionId, RegionSet};
use crate::lookup::known::PENDING_LIFE;
use crate::lookup::record::SharedRecord;

/// What replicas know of one id together. It holds a person's data, so it has no `Debug`.
pub(in crate::lookup) struct View {
    /// The last purge, by region.
    epochs: Vec<u64>,
    markers: Vec<Option<Marker>>,
    record: Option<SharedRecord>,
}

impl View {
    /// Nothing, of so many regions.
    pub(super) fn empty(regions: usize) -> Self {
        Self { epochs: vec![0; regions], markers: vec![None; regions], record: None }
    }

    pub(super) fn purged(&mut self, region: RegionId, epoch: u64) {
        let known = &mut self.epochs[region.index()];
        *known = epoch.max(*known);
    }

    pub(super) fn said(&mut self, region: RegionId, marker: Marker) {
        self.markers[region.index()].get_or_insert(marker);
    }

    pub(super) fn found(&mut self, stored: Stored, region: RegionId, left: i64) {
        self.record = self.record.take().or_else(|| stored.record(region, left));
    }

    /// The last purge in a region; zero if there was none.
    pub(in crate::lookup) fn epoch(&self, region: RegionId) -> u64 {
        self.epochs[region.index()]
    }

    /// The purges that the second tier remembers: their regions and epochs.
    pub(in crate::lookup) fn purges(&self) -> impl Iterator<Item = (RegionId, u64)> {
        let epochs = self.epochs.iter().enumerate().filter(|(_, epoch)| **epoch > 0);
        epochs.map(|(index, epoch)| (RegionId::new(index), *epoch))
    }

    /// What was written before a purge that is known here, or to the second tier, is forgotten.
    pub(in crate::lookup) fn forget_purged(&mut self, purged_here: impl Fn(RegionId) -> u64) {
        let epochs = &mut self.epochs;
        for (index, epoch) in epochs.iter_mut().enumerate() {
            *epoch = (*epoch).max(purged_here(RegionId::new(index)));
            self.markers[index] = self.markers[index].filter(|marker| marker.epoch >= *epoch);
        }
        self.record =
            self.record.take().filter(|shared| shared.epoch >= epochs[shared.record.region.index()]);
    }

    /// The regions that have the id.
    pub(in crate::lookup) fn holders(&self) -> RegionSet {
        let marked = self.regions(|marker| marker.holds);
        self.record.as_ref().map_or(marked, |shared| marked.with(shared.record.region))
    }

    /// The regions that have answered for it. Without a holder, what the others said is out of date.
    pub(in crate::lookup) fn answered(&self) -> RegionSet {
        let holders = self.holders();
        if holders.is_empty() { RegionSet::EMPTY } else { holders.or(self.regions(|_| true)) }
    }

    /// The regions that do not have it.
    pub(in crate::lookup) fn absent(&self) -> RegionSet {
        self.regions(|marker| !marker.holds)
    }

    /// When it was seen pending, if that is remembered.
    pub(in crate::lookup) fn pending(&self) -> Option<SeenPending> {
        let pending = self.markers.iter().flatten().filter_map(|marker| marker.pending);
        pending.filter(|pending| pending.ages().1 < PENDING_LIFE).reduce(SeenPending::and)
    }

    /// The region of the result.
    pub(super) fn result_region(&self) -> Option<RegionId> {
        self.record.as_ref().map(|shared| shared.record.region)
    }

    /// The result.
    pub(in crate::lookup) fn take_record(&mut self) -> Option<SharedRecord> {
        self.record.take()
    }

    fn regions(&self, is_so: impl Fn(&Marker) -> bool) -> RegionSet {
        let markers = self.markers.iter().enumerate();
        let is_so = |(index, marker): (usize, &Option<Marker>)| {
            marker.as_ref().is_some_and(&is_so).then(|| RegionId::new(index))
        };
        markers.filter_map(is_so).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    static_assertions::assert_not_impl_any!(View: std::fmt::Debug, std::fmt::Display);

    #[test]
    fn when_an_id_was_seen_pending_is_remembered_for_an_hour_after_its_last_sight() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let mut view = View::empty(2);
        let said = |pending| Marker { holds: true, epoch: 0, pending: Some(pending) };
        view.said(RegionId::new(0), said(SeenPending::ago(minutes(300), minutes(61))));
        assert!(view.pending().is_none());
        view.said(RegionId::new(1), said(SeenPending::ago(minutes(120), minutes(59))));
        let (since, seen) = view.pending().expect("it is remembered").ages();
        assert_eq!((since.as_secs() / 60, seen.as_secs() / 60), (120, 59));
    }
}
