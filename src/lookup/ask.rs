//! The question and the answers of a lookup, and what one request learns between them.

use std::sync::Arc;

use super::record::Entry;
use crate::domain::failure::{Cause, Failure, Fault, Kind};
use crate::domain::region::{RegionId, RegionSet, Route};
use crate::domain::scope::CallerId;
use crate::domain::signature_id::SignatureId;

/// What a lookup asks for.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    /// The id.
    pub id: SignatureId,
    /// The regions that may be asked.
    pub route: Route,
    /// The caller, where callers are distinguished.
    pub caller: Option<CallerId>,
    /// Whether to ask the upstream even if memory has an answer.
    pub refresh: bool,
    /// Whether the caller will see media, so that expired links matter.
    pub wants_media: bool,
}

/// How an answer was fetched from the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The answer is kept.
    pub stored: bool,
    /// Another request had asked already.
    pub joined: bool,
    /// Another replica had asked already, and shared what it was answered.
    pub shared: bool,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From memory; fresh for this many more seconds.
    Hit {
        /// Whole seconds left.
        ttl: u64,
    },
    /// From another replica, through the second tier; fresh for this many more seconds.
    Remote {
        /// Whole seconds left.
        ttl: u64,
    },
    /// From memory past its time, because no region could answer.
    Stale {
        /// Whole seconds since it was fresh; 0 if a refresh failed while it still was.
        age: u64,
        /// Why the call to the first of them failed.
        cause: Option<Cause>,
    },
    /// From the upstream, because memory had no answer.
    Miss(Fetched),
    /// From the upstream, because the request asked for that.
    Refresh(Fetched),
    /// From what is known of the id, without a result.
    Index,
}

/// A result, and where it came from.
pub(crate) struct Found {
    /// The result.
    pub entry: Arc<Entry>,
    /// Where it came from.
    pub source: Source,
}

/// No result, and where that came from.
pub(crate) struct Missed {
    /// Why there is none.
    pub failure: Failure,
    /// Where that came from.
    pub source: Source,
}

/// What one request has learned from the regions it asked.
#[derive(Default)]
pub(super) struct Progress {
    /// The regions it asked.
    pub asked: RegionSet,
    /// Of them, those that have not answered it.
    pub waits_for: RegionSet,
    /// Those that have the id.
    pub holders: RegionSet,
    /// Those that said that it does not exist.
    pub denied: RegionSet,
    /// The result of the first of them.
    pub found: Option<(Arc<Entry>, Fetched)>,
    /// Why the first region that could not be asked could not.
    pub fault: Option<(RegionId, Fault)>,
    /// How the last answer without a result came.
    pub missed: Fetched,
    /// Whether it has asked what other replicas know.
    pub recall: Recall,
}

/// Whether a request asks what other replicas know before it asks regions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Recall {
    /// There are none, or it must ask the regions.
    #[default]
    Never,
    /// It has not yet.
    Due,
    /// It has; whether that brought a result.
    Done { brought: bool },
}

/// The outcome of a fill, and whether memory keeps it.
#[derive(Clone)]
pub(super) enum Landed {
    Found { entry: Arc<Entry>, stored: bool, shared: bool },
    Absent { stored: bool },
    Failed(Fault),
}

impl Landed {
    /// Whether a region answered for the id.
    pub(super) const fn is_answer(&self) -> bool {
        matches!(self, Self::Found { shared: false, .. } | Self::Absent { stored: true })
    }

    /// Whether this is a final result that was fetched here and is kept.
    pub(super) fn is_new_final(&self) -> bool {
        matches!(self, Self::Found { entry, stored: true, shared: false } if entry.is_final())
    }
}

/// The same as one request learns of it.
pub(super) struct Heard {
    pub region: RegionId,
    pub landed: Landed,
    /// Another request had started the fill.
    pub joined: bool,
}

impl Progress {
    /// The request asks these regions.
    pub(super) fn asks(&mut self, regions: RegionSet) {
        self.asked = self.asked.or(regions);
        self.waits_for = self.waits_for.or(regions);
    }

    /// Takes in the outcome of one region's fill.
    pub(super) fn take(&mut self, Heard { region, landed, joined }: Heard) {
        self.waits_for = self.waits_for.minus(RegionSet::only(region));
        match landed {
            Landed::Found { entry, stored, shared } => {
                self.holders = self.holders.with(region);
                self.found.get_or_insert((entry, Fetched { stored, joined, shared }));
            }
            Landed::Absent { stored } => {
                self.denied = self.denied.with(region);
                self.missed = Fetched { stored, joined, shared: false };
            }
            Landed::Failed(fault) => {
                self.missed = Fetched { joined, ..Fetched::default() };
                self.fault.get_or_insert((region, fault));
            }
        }
    }

    /// The request cannot wait any longer.
    pub(super) fn time_is_up(&mut self) {
        let region = std::mem::take(&mut self.waits_for).iter().next();
        self.fault = self.fault.take().or(region.map(|region| (region, Fault::new(Kind::Timeout))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(Landed: std::fmt::Debug, std::fmt::Display);
    static_assertions::assert_not_impl_any!(Found: std::fmt::Debug, std::fmt::Display);
}
