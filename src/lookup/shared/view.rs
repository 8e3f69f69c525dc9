//! What replicas know of one id together.

use jiff::Timestamp;

use super::stored::{Marker, Stored};
use crate::domain::region::{RegionId, RegionSet};
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

    /// For how long it has been seen pending.
    pub(in crate::lookup) fn pending_for(&self) -> Option<std::time::Duration> {
        let since = self.markers.iter().flatten().filter_map(|marker| marker.pending_since).min()?;
        let millis = Timestamp::now().as_millisecond().saturating_sub(since);
        Some(std::time::Duration::from_millis(u64::try_from(millis).unwrap_or_default()))
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
